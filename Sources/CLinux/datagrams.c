#define _GNU_SOURCE
#include "CLinux.h"

#include <endian.h>
#include <errno.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// What the kernel takes as segments of one message (UDP_MAX_SEGMENTS until Linux 6.8), and how many bytes of them.
enum { SEGMENTS_MAXIMUM = 64, SEGMENTED_BYTES_MAXIMUM = 65000 };

// Room for the packet information of either IP version, and for three numbers beside it.
union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + 3 * CMSG_SPACE(sizeof(int))];
};

union name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct culvert_datagram_batch {
    unsigned capacity;
    struct culvert_datagram *datagrams;
    struct mmsghdr *messages;
    struct iovec *vectors;
    union name *names;
    union control *controls;
};

void culvert_datagram_batch_free(struct culvert_datagram_batch *batch) {
    if (!batch) return;
    free(batch->datagrams);
    free(batch->messages);
    free(batch->vectors);
    free(batch->names);
    free(batch->controls);
    free(batch);
}

struct culvert_datagram_batch *culvert_datagram_batch_create(unsigned capacity) {
    struct culvert_datagram_batch *batch = calloc(1, sizeof *batch);
    if (!batch) return NULL;
    batch->capacity = capacity;
    batch->datagrams = calloc(capacity, sizeof *batch->datagrams);
    batch->messages = calloc(capacity, sizeof *batch->messages);
    batch->vectors = calloc(capacity, sizeof *batch->vectors);
    batch->names = calloc(capacity, sizeof *batch->names);
    batch->controls = calloc(capacity, sizeof *batch->controls);
    if (!batch->datagrams || !batch->messages || !batch->vectors || !batch->names || !batch->controls) {
        culvert_datagram_batch_free(batch);
        return NULL;
    }
    for (unsigned index = 0; index < capacity; index++) {
        struct msghdr *header = &batch->messages[index].msg_hdr;
        header->msg_iov = &batch->vectors[index];
        header->msg_iovlen = 1;
    }
    return batch;
}

struct culvert_datagram *culvert_datagram_batch_datagrams(struct culvert_datagram_batch *batch) {
    return batch->datagrams;
}

static uint64_t half(const struct in6_addr *address, size_t offset) {
    uint64_t value;
    memcpy(&value, address->s6_addr + offset, sizeof value);
    return be64toh(value);
}

static struct in6_addr whole(uint64_t high, uint64_t low) {
    struct in6_addr address;
    high = htobe64(high);
    low = htobe64(low);
    memcpy(address.s6_addr, &high, sizeof high);
    memcpy(address.s6_addr + 8, &low, sizeof low);
    return address;
}

static void read_name(const union name *name, struct culvert_datagram *datagram) {
    if (name->any.sa_family == AF_INET6) {
        datagram->version = 6;
        datagram->remote_high = half(&name->v6.sin6_addr, 0);
        datagram->remote_low = half(&name->v6.sin6_addr, 8);
        datagram->remote_port = ntohs(name->v6.sin6_port);
    } else {
        datagram->version = 4;
        datagram->remote_high = 0;
        datagram->remote_low = ntohl(name->v4.sin_addr.s_addr);
        datagram->remote_port = ntohs(name->v4.sin_port);
    }
}

static void read_control(struct msghdr *header, struct culvert_datagram *datagram) {
    datagram->local_high = datagram->local_low = 0;
    datagram->traffic_class = 0;
    datagram->segment_size = 0;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo information;
            memcpy(&information, CMSG_DATA(control), sizeof information);
            // The packet's destination, not ipi_spec_dst: they differ only for broadcast and multicast.
            datagram->local_low = ntohl(information.ipi_addr.s_addr);
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo information;
            memcpy(&information, CMSG_DATA(control), sizeof information);
            datagram->local_high = half(&information.ipi6_addr, 0);
            datagram->local_low = half(&information.ipi6_addr, 8);
        } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) {
            datagram->traffic_class = *CMSG_DATA(control);
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS) {
            int value;
            memcpy(&value, CMSG_DATA(control), sizeof value);
            datagram->traffic_class = (uint8_t)value;
        } else if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
            int value;
            memcpy(&value, CMSG_DATA(control), sizeof value);
            datagram->segment_size = (uint16_t)value;
        }
    }
}

int culvert_datagram_batch_receive(struct culvert_datagram_batch *batch, int descriptor, unsigned count) {
    if (count > batch->capacity) count = batch->capacity;
    for (unsigned index = 0; index < count; index++) {
        struct msghdr *header = &batch->messages[index].msg_hdr;
        batch->vectors[index].iov_base = batch->datagrams[index].start;
        batch->vectors[index].iov_len = batch->datagrams[index].count;
        header->msg_name = &batch->names[index];
        header->msg_namelen = sizeof batch->names[index];
        header->msg_control = &batch->controls[index];
        header->msg_controllen = sizeof batch->controls[index];
        header->msg_flags = 0;
    }
    int received;
    do received = recvmmsg(descriptor, batch->messages, count, MSG_DONTWAIT, NULL);
    while (received < 0 && errno == EINTR);
    if (received < 0) return -errno;
    for (int index = 0; index < received; index++) {
        struct culvert_datagram *datagram = &batch->datagrams[index];
        struct msghdr *header = &batch->messages[index].msg_hdr;
        datagram->count = batch->messages[index].msg_len;
        datagram->truncated = (header->msg_flags & MSG_TRUNC) != 0;
        read_name(&batch->names[index], datagram);
        read_control(header, datagram);
    }
    return received;
}

static void add_control(struct msghdr *header, int level, int type, const void *value, size_t size) {
    struct cmsghdr *message = (struct cmsghdr *)((uint8_t *)header->msg_control + header->msg_controllen);
    message->cmsg_level = level;
    message->cmsg_type = type;
    message->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(message), value, size);
    header->msg_controllen += CMSG_SPACE(size);
}

static void add_number(struct msghdr *header, int level, int type, int value) {
    add_control(header, level, type, &value, sizeof value);
}

static void write_header(
    const struct culvert_datagram *datagram, struct msghdr *header, union name *name, union control *control
) {
    header->msg_name = name;
    header->msg_control = control;
    header->msg_controllen = 0;
    header->msg_flags = 0;
    bool with_source = (datagram->local_high | datagram->local_low) != 0;
    if (datagram->version == 6) {
        header->msg_namelen = sizeof name->v6;
        memset(&name->v6, 0, sizeof name->v6);
        name->v6.sin6_family = AF_INET6;
        name->v6.sin6_port = htons(datagram->remote_port);
        name->v6.sin6_addr = whole(datagram->remote_high, datagram->remote_low);
        if (with_source) {
            struct in6_pktinfo information = {.ipi6_addr = whole(datagram->local_high, datagram->local_low)};
            add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &information, sizeof information);
        }
        if (datagram->traffic_class) add_number(header, IPPROTO_IPV6, IPV6_TCLASS, datagram->traffic_class);
        if (datagram->do_not_fragment) add_number(header, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
    } else {
        header->msg_namelen = sizeof name->v4;
        memset(&name->v4, 0, sizeof name->v4);
        name->v4.sin_family = AF_INET;
        name->v4.sin_port = htons(datagram->remote_port);
        name->v4.sin_addr.s_addr = htonl((uint32_t)datagram->remote_low);
        if (with_source) {
            struct in_pktinfo information = {.ipi_spec_dst.s_addr = htonl((uint32_t)datagram->local_low)};
            add_control(header, IPPROTO_IP, IP_PKTINFO, &information, sizeof information);
        }
        if (datagram->traffic_class) add_number(header, IPPROTO_IP, IP_TOS, datagram->traffic_class);
    }
}

static bool is_same_flow(const struct culvert_datagram *one, const struct culvert_datagram *other) {
    return one->remote_low == other->remote_low && one->remote_port == other->remote_port &&
           one->remote_high == other->remote_high && one->local_low == other->local_low &&
           one->local_high == other->local_high && one->version == other->version &&
           one->traffic_class == other->traffic_class && one->do_not_fragment == other->do_not_fragment;
}

// How many of the datagrams from `first` on, at most `count`, the kernel can make of one message: all of one size but the
// last, which may be smaller.
static unsigned run_length(const struct culvert_datagram *first, unsigned count) {
    size_t size = first->count, bytes = size;
    unsigned length = 1;
    while (length < count && length < SEGMENTS_MAXIMUM) {
        const struct culvert_datagram *next = first + length;
        if (next->count > size || next->count == 0 || !is_same_flow(first, next)) break;
        bytes += next->count;
        if (bytes > SEGMENTED_BYTES_MAXIMUM) break;
        length++;
        if (next->count < size) break;
    }
    return length;
}

unsigned culvert_datagram_batch_run(struct culvert_datagram_batch *batch, unsigned first, unsigned count) {
    if (first >= batch->capacity || count == 0) return 0;
    return run_length(batch->datagrams + first, count < batch->capacity - first ? count : batch->capacity - first);
}

int culvert_datagram_batch_send(
    struct culvert_datagram_batch *batch, int descriptor, unsigned first, unsigned count, bool segmented
) {
    if (first >= batch->capacity) return 0;
    if (count > batch->capacity - first) count = batch->capacity - first;
    unsigned messages = 0;
    for (unsigned done = 0; done < count; messages++) {
        const struct culvert_datagram *datagram = &batch->datagrams[first + done];
        unsigned length = segmented ? run_length(datagram, count - done) : 1;
        for (unsigned index = 0; index < length; index++) {
            batch->vectors[first + done + index].iov_base = datagram[index].start;
            batch->vectors[first + done + index].iov_len = datagram[index].count;
        }
        struct msghdr *header = &batch->messages[messages].msg_hdr;
        header->msg_iov = &batch->vectors[first + done];
        header->msg_iovlen = length;
        write_header(datagram, header, &batch->names[messages], &batch->controls[messages]);
        if (length > 1) {
            uint16_t size = (uint16_t)datagram->count;
            add_control(header, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
        }
        done += length;
    }
    int sent;
    do sent = sendmmsg(descriptor, batch->messages, messages, MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) return -errno;
    size_t datagrams = 0;
    for (int message = 0; message < sent; message++) datagrams += batch->messages[message].msg_hdr.msg_iovlen;
    return (int)datagrams;
}

int culvert_datagram_send(int descriptor, const struct culvert_datagram *datagram) {
    union name name;
    union control control;
    struct iovec vector = {.iov_base = datagram->start, .iov_len = datagram->count};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    write_header(datagram, &header, &name, &control);
    ssize_t sent;
    do sent = sendmsg(descriptor, &header, MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}
