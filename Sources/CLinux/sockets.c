#define _GNU_SOURCE
#include "CLinux.h"

#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/udp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert(sizeof(struct culvert_filter_instruction) == sizeof(struct sock_filter), "one layout");
_Static_assert(sizeof(struct culvert_credentials) == sizeof(struct ucred), "one layout");

static int result(int returned) { return returned < 0 ? -errno : returned; }

static int set_flag(int descriptor, int level, int name, int value) {
    return result(setsockopt(descriptor, level, name, &value, sizeof value));
}

int culvert_socket(uint8_t version, bool raw, int protocol) {
    int type = (raw ? SOCK_RAW : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    return result(socket(version == 6 ? AF_INET6 : AF_INET, type, protocol));
}

int culvert_bind(int descriptor, uint8_t version, uint64_t high, uint64_t low, uint16_t port) {
    if (version == 6) {
        struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        high = htobe64(high);
        low = htobe64(low);
        memcpy(name.sin6_addr.s6_addr, &high, sizeof high);
        memcpy(name.sin6_addr.s6_addr + 8, &low, sizeof low);
        int failed = set_flag(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        if (failed < 0) return failed;
        return result(bind(descriptor, (struct sockaddr *)&name, sizeof name));
    }
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    name.sin_addr.s_addr = htonl((uint32_t)low);
    return result(bind(descriptor, (struct sockaddr *)&name, sizeof name));
}

int culvert_bound_port(int descriptor) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    socklen_t length = sizeof name;
    if (getsockname(descriptor, &name.any, &length) < 0) return -errno;
    return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

int culvert_set_reuse_port(int descriptor) { return set_flag(descriptor, SOL_SOCKET, SO_REUSEPORT, 1); }

int culvert_set_receive_coalescing(int descriptor) { return set_flag(descriptor, IPPROTO_UDP, UDP_GRO, 1); }

// Zero leaves segmentation to the messages; a kernel without it does not know the option.
int culvert_can_segment(int descriptor) { return set_flag(descriptor, IPPROTO_UDP, UDP_SEGMENT, 0); }

int culvert_set_packet_information(int descriptor, uint8_t version) {
    return version == 6 ? set_flag(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                        : set_flag(descriptor, IPPROTO_IP, IP_PKTINFO, 1);
}

int culvert_set_traffic_class_information(int descriptor, uint8_t version) {
    return version == 6 ? set_flag(descriptor, IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
                        : set_flag(descriptor, IPPROTO_IP, IP_RECVTOS, 1);
}

// IPv6 has no option for it on all kernels: a socket of IPPROTO_RAW is so by itself, in both versions (raw(7)).
int culvert_set_header_included(int descriptor) { return set_flag(descriptor, IPPROTO_IP, IP_HDRINCL, 1); }

int culvert_set_mark(int descriptor, uint32_t mark) { return set_flag(descriptor, SOL_SOCKET, SO_MARK, (int)mark); }

int culvert_accept_too_large_only(int descriptor, uint8_t version) {
    if (version == 6) {
        struct icmp6_filter filter;
        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &filter);
        return result(setsockopt(descriptor, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter));
    }
    struct icmp_filter filter = {.data = ~(UINT32_C(1) << ICMP_DEST_UNREACH)};
    return result(setsockopt(descriptor, SOL_RAW, ICMP_FILTER, &filter, sizeof filter));
}

int culvert_set_fragmentation_allowed(int descriptor, uint8_t version) {
    return version == 6 ? set_flag(descriptor, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT)
                        : set_flag(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

int culvert_set_fragmentation_forbidden(int descriptor) {
    return set_flag(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
}

int culvert_set_buffers(int descriptor, int bytes) {
    if (set_flag(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, bytes) < 0) set_flag(descriptor, SOL_SOCKET, SO_RCVBUF, bytes);
    if (set_flag(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, bytes) < 0) set_flag(descriptor, SOL_SOCKET, SO_SNDBUF, bytes);
    int granted = 0;
    socklen_t length = sizeof granted;
    if (getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &granted, &length) < 0) return -errno;
    return granted / 2;  // The kernel tells twice what was asked for, its own bookkeeping included (socket(7)).
}

static int attach(int descriptor, int name, const struct culvert_filter_instruction *program, unsigned count) {
    if (count > BPF_MAXINSNS) return -EINVAL;
    struct sock_fprog filter = {.len = (unsigned short)count, .filter = (struct sock_filter *)program};
    return result(setsockopt(descriptor, SOL_SOCKET, name, &filter, sizeof filter));
}

int culvert_attach_reuse_port_filter(int descriptor, const struct culvert_filter_instruction *program, unsigned count) {
    return attach(descriptor, SO_ATTACH_REUSEPORT_CBPF, program, count);
}

int culvert_attach_filter(int descriptor, const struct culvert_filter_instruction *program, unsigned count) {
    return attach(descriptor, SO_ATTACH_FILTER, program, count);
}
