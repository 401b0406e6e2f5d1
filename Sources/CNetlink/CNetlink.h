#pragma once

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

// Whether the kernel reads the fields of a request for a list as a filter.
static inline void culvert_netlink_set_filtering(struct nl_sock *socket, int on) {
    // The level and the option by number: SOL_NETLINK and NETLINK_GET_STRICT_CHK are missing in some C libraries.
    setsockopt(nl_socket_get_fd(socket), 270, 12, &on, sizeof on);
}
