#define _GNU_SOURCE
#include "CLinux.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int culvert_source_address(uint8_t version, uint64_t *high, uint64_t *low, uint32_t mark) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    memset(&name, 0, sizeof name);
    socklen_t length = version == 6 ? sizeof name.v6 : sizeof name.v4;
    // Any port but 0 will do: nothing is sent.
    if (version == 6) {
        name.v6.sin6_family = AF_INET6;
        name.v6.sin6_port = htons(9);
        uint64_t halves[2] = {htobe64(*high), htobe64(*low)};
        memcpy(name.v6.sin6_addr.s6_addr, halves, sizeof halves);
    } else {
        name.v4.sin_family = AF_INET;
        name.v4.sin_port = htons(9);
        name.v4.sin_addr.s_addr = htonl((uint32_t)*low);
    }
    int descriptor = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    int failed = mark ? culvert_set_mark(descriptor, mark) : 0;
    if (failed == 0 && (connect(descriptor, &name.any, length) < 0 || getsockname(descriptor, &name.any, &length) < 0)) failed = -errno;
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
