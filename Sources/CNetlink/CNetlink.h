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

// Adds or removes a rule of the system's routing policy (fib_rules.h), which libnl knows but in part: without the lengths that
// `suppressed` names (-1: none), and for any mark where `mark` is 0.
static inline int culvert_netlink_change_rule(struct nl_sock *socket, int is_added, int family, uint32_t priority, uint32_t mark,
                                              uint32_t table, uint8_t action, int suppressed, uint8_t protocol) {
    struct fib_rule_hdr header;
    memset(&header, 0, sizeof header);
    header.family = (uint8_t)family;
    header.action = action;
    struct nl_msg *message =
        nlmsg_alloc_simple(is_added ? RTM_NEWRULE : RTM_DELRULE, is_added ? NLM_F_CREATE | NLM_F_EXCL : 0);
    if (!message) return -NLE_NOMEM;
    int failed = nlmsg_append(message, &header, sizeof header, NLMSG_ALIGNTO);
    if (!failed) failed = nla_put_u32(message, FRA_PRIORITY, priority);
    if (!failed && mark) failed = nla_put_u32(message, FRA_FWMARK, mark);
    if (!failed && mark) failed = nla_put_u32(message, FRA_FWMASK, UINT32_MAX);
    if (!failed && table) failed = nla_put_u32(message, FRA_TABLE, table);
    if (!failed && suppressed >= 0) failed = nla_put_u32(message, FRA_SUPPRESS_PREFIXLEN, (uint32_t)suppressed);
    if (!failed) failed = nla_put_u8(message, FRA_PROTOCOL, protocol);
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
