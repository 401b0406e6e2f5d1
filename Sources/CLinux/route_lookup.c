// What the system's routes and rules say of an address, by way of a UDP socket that is connected to it and sends nothing.
#define _GNU_SOURCE
#include "CLinux.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int result(int returned) { return returned < 0 ? -errno : returned; }

static socklen_t name_length(uint8_t version) {
    return version == 6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

// A socket that is connected to an address, or an error number made negative.
static int connected(uint8_t version, uint64_t high, uint64_t low, uint64_t local_high, uint64_t local_low, uint32_t mark) {
    union name name;
    memset(&name, 0, sizeof name);
    // Any port but 0 will do.
    if (version == 6) {
        name.v6.sin6_family = AF_INET6;
        name.v6.sin6_port = htons(9);
        uint64_t halves[2] = {htobe64(high), htobe64(low)};
        memcpy(name.v6.sin6_addr.s6_addr, halves, sizeof halves);
    } else {
        name.v4.sin_family = AF_INET;
        name.v4.sin_port = htons(9);
        name.v4.sin_addr.s_addr = htonl((uint32_t)low);
    }
    int descriptor = culvert_socket(version, false, 0);
    if (descriptor < 0) return descriptor;
    int failed = mark ? culvert_set_mark(descriptor, mark) : 0;
    if (failed == 0 && (local_high | local_low)) failed = culvert_bind(descriptor, version, local_high, local_low, 0);
    if (failed == 0) failed = result(connect(descriptor, &name.any, name_length(version)));
    if (failed == 0) return descriptor;
    close(descriptor);
    return failed;
}

int culvert_source_address(uint8_t version, uint64_t *high, uint64_t *low, uint32_t mark) {
    int descriptor = connected(version, *high, *low, 0, 0, mark);
    if (descriptor < 0) return descriptor;
    union name name;
    socklen_t length = name_length(version);
    int failed = result(getsockname(descriptor, &name.any, &length));
    close(descriptor);
    if (failed) return failed;
    if (version == 6) {
        uint64_t halves[2];
        memcpy(halves, name.v6.sin6_addr.s6_addr, sizeof halves);
        *high = be64toh(halves[0]);
        *low = be64toh(halves[1]);
    } else {
        *high = 0;
        *low = ntohl(name.v4.sin_addr.s_addr);
    }
    return 0;
}

int culvert_path_mtu(uint8_t version, uint64_t remote_high, uint64_t remote_low, uint64_t local_high, uint64_t local_low,
                     uint32_t mark) {
    int descriptor = connected(version, remote_high, remote_low, local_high, local_low, mark);
    if (descriptor < 0) return descriptor;
    int mtu = 0;
    socklen_t length = sizeof mtu;
    int level = version == 6 ? IPPROTO_IPV6 : IPPROTO_IP, option = version == 6 ? IPV6_MTU : IP_MTU;
    int failed = result(getsockopt(descriptor, level, option, &mtu, &length));
    close(descriptor);
    return failed < 0 ? failed : mtu;
}
