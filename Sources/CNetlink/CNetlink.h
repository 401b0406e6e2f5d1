#pragma once

#include <linux/fib_rules.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/route/rule.h>
#include <string.h>
#include <sys/socket.h>

// Asks for all routes of an IP version in the main table that `protocol` made (0: whoever made them); the answers come to the socket's
// callback for valid messages. Kernels before 4.20 do not know how to filter: the caller looks again.
static inline int culvert_netlink_request_routes(struct nl_sock *socket, int family, uint8_t protocol) {
    struct rtmsg request;
    memset(&request, 0, sizeof request);
    request.rtm_family = (unsigned char)family;
    request.rtm_table = RT_TABLE_MAIN;
    request.rtm_protocol = protocol;
    return nl_send_simple(socket, RTM_GETROUTE, NLM_F_DUMP, &request, sizeof request);
}

// A rule of the system's routing policy (fib_rules.h). What is 0 is not asked of a packet.
struct culvert_netlink_rule {
    int family;
    uint32_t priority;
    uint8_t action;
    uint8_t protocol; // who made it
    uint32_t table;
    uint32_t target;        // of FR_ACT_GOTO: a priority
    int suppressed;         // routes to networks of that many bits or fewer do not count; -1: all count
    uint32_t mark;          // of the packets
    int is_own;             // only what this machine itself sends
    uint8_t source[16];     // as long as an address of the family
    uint8_t source_bits;
    uint8_t destination[16];
    uint8_t destination_bits;
    uint8_t ip_protocol;
    struct fib_rule_port_range source_ports;
    struct fib_rule_port_range destination_ports;
};

// Adds or removes a rule, which libnl knows but in part.
static inline int culvert_netlink_change_rule(struct nl_sock *socket, int is_added, const struct culvert_netlink_rule *rule) {
    struct fib_rule_hdr header;
    memset(&header, 0, sizeof header);
    header.family = (uint8_t)rule->family;
    header.action = rule->action;
    header.src_len = rule->source_bits;
    header.dst_len = rule->destination_bits;
    int address_length = rule->family == AF_INET6 ? 16 : 4;
    struct nl_msg *message =
        nlmsg_alloc_simple(is_added ? RTM_NEWRULE : RTM_DELRULE, is_added ? NLM_F_CREATE | NLM_F_EXCL : 0);
    if (!message) return -NLE_NOMEM;
    int failed = nlmsg_append(message, &header, sizeof header, NLMSG_ALIGNTO);
    if (!failed) failed = nla_put_u32(message, FRA_PRIORITY, rule->priority);
    if (!failed && rule->mark) failed = nla_put_u32(message, FRA_FWMARK, rule->mark);
    if (!failed && rule->mark) failed = nla_put_u32(message, FRA_FWMASK, UINT32_MAX);
    if (!failed && rule->table) failed = nla_put_u32(message, FRA_TABLE, rule->table);
    if (!failed && rule->target) failed = nla_put_u32(message, FRA_GOTO, rule->target);
    if (!failed && rule->suppressed >= 0) failed = nla_put_u32(message, FRA_SUPPRESS_PREFIXLEN, (uint32_t)rule->suppressed);
    // What the machine sends counts as having come in by loopback (ip-rule(8)).
    if (!failed && rule->is_own) failed = nla_put_string(message, FRA_IIFNAME, "lo");
    if (!failed && rule->source_bits) failed = nla_put(message, FRA_SRC, address_length, rule->source);
    if (!failed && rule->destination_bits) failed = nla_put(message, FRA_DST, address_length, rule->destination);
    if (!failed && rule->ip_protocol) failed = nla_put_u8(message, FRA_IP_PROTO, rule->ip_protocol);
    if (!failed && rule->source_ports.end)
        failed = nla_put(message, FRA_SPORT_RANGE, sizeof rule->source_ports, &rule->source_ports);
    if (!failed && rule->destination_ports.end)
        failed = nla_put(message, FRA_DPORT_RANGE, sizeof rule->destination_ports, &rule->destination_ports);
    if (!failed) failed = nla_put_u8(message, FRA_PROTOCOL, rule->protocol);
    if (failed) {
        nlmsg_free(message);
        return failed;
    }
    // It frees the message.
    return nl_send_sync(socket, message);
}

// Whether the kernel reads the fields of a request for a list as a filter.
static inline void culvert_netlink_set_filtering(struct nl_sock *socket, int on) {
    // The level and the option by number: SOL_NETLINK and NETLINK_GET_STRICT_CHK are missing in some C libraries.
    setsockopt(nl_socket_get_fd(socket), 270, 12, &on, sizeof on);
}
