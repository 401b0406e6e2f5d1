// What Swift cannot say to Linux well: variadic calls, control messages, multi-message calls and kernel structures.
// Every function returns 0 or a count, or the error number made negative; errno is not for the caller to read.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// One packet on its way between the kernel and a slot. Addresses are numbers, most significant octet first; an IPv4
// address stands in `low`, with `high` zero.
struct culvert_datagram {
    void *start;
    size_t count;
    uint64_t remote_high, remote_low;
    uint64_t local_high, local_low;
    uint16_t remote_port;
    uint8_t version;    // 4 or 6: of both addresses
    bool truncated;     // received: the slot was too small for it
    uint8_t traffic_class;  // DSCP and ECN; to be sent: 0 is the socket's own
    bool do_not_fragment;   // to be sent by IPv6: too large is an error
    uint16_t segment_size;  // received: of each of the datagrams that it holds, but the last; 0 where it is one
};

// The message headers, vectors, names and control messages of `capacity` packets in one direction, allocated once.
struct culvert_datagram_batch;

struct culvert_datagram_batch *culvert_datagram_batch_create(unsigned capacity);
void culvert_datagram_batch_free(struct culvert_datagram_batch *batch);
struct culvert_datagram *culvert_datagram_batch_datagrams(struct culvert_datagram_batch *batch);

// Receives up to `count` packets into `start`, of at most `count` bytes, of the first `count` datagrams.
int culvert_datagram_batch_receive(struct culvert_datagram_batch *batch, int descriptor, unsigned count);
// Sends datagrams `first` to `first + count - 1`, with `segmented` (UDP only) those in one message that can be. Fewer than
// `count`: the next call tells why the next one did not go, or those that would be one message with it.
int culvert_datagram_batch_send(
    struct culvert_datagram_batch *batch, int descriptor, unsigned first, unsigned count, bool segmented);
// How many of `count` datagrams from `first` on can be one message.
unsigned culvert_datagram_batch_run(struct culvert_datagram_batch *batch, unsigned first, unsigned count);
// Sends one packet. Any thread may.
int culvert_datagram_send(int descriptor, const struct culvert_datagram *datagram);

// A socket of `type` (SOCK_DGRAM or SOCK_RAW) for IP version `version`, non-blocking and closed on exec.
int culvert_socket(uint8_t version, bool raw, int protocol);
int culvert_bind(int descriptor, uint8_t version, uint64_t high, uint64_t low, uint16_t port);
// The port that the socket is bound to.
int culvert_bound_port(int descriptor);
int culvert_set_reuse_port(int descriptor);
// UDP: datagrams of one flow and size may come in together.
int culvert_set_receive_coalescing(int descriptor);
// UDP: whether a message can go out as datagrams of one size. Nothing changes.
int culvert_can_segment(int descriptor);
// Tells the local address of every packet that comes in.
int culvert_set_packet_information(int descriptor, uint8_t version);
// Tells DSCP and ECN of every packet that comes in.
int culvert_set_traffic_class_information(int descriptor, uint8_t version);
// What is sent begins with its IP header.
int culvert_set_header_included(int descriptor);
// Marks what is sent, for the system's routing rules (CAP_NET_ADMIN or CAP_NET_RAW).
int culvert_set_mark(int descriptor, uint32_t mark);
// What the system's routes and rules say of packets with `mark` (0: none) to an address; nothing is sent.
// Turns the address into that of ours that they leave from.
int culvert_source_address(uint8_t version, uint64_t *high, uint64_t *low, uint32_t mark);
// How large they may be, from an address of ours (0: any), without asking the network.
int culvert_path_mtu(uint8_t version, uint64_t remote_high, uint64_t remote_low, uint64_t local_high, uint64_t local_low,
                     uint32_t mark);
// A raw socket for ICMP lets in only what tells that a packet was too large.
int culvert_accept_too_large_only(int descriptor, uint8_t version);
// Leaves "don't fragment" off: what is too large for the outer path is fragmented, not refused.
int culvert_set_fragmentation_allowed(int descriptor, uint8_t version);
// Sets "don't fragment" in IPv4 headers, whatever the system has heard of the path: too large for the interface is an error.
int culvert_set_fragmentation_forbidden(int descriptor);
// Asks for buffers of `bytes`, beyond the system's limit where we may (CAP_NET_ADMIN). Returns what was granted for
// receiving.
int culvert_set_buffers(int descriptor, int bytes);

// One instruction of a classic BPF program, as the kernel has it.
struct culvert_filter_instruction {
    uint16_t code;
    uint8_t jump_true, jump_false;
    uint32_t operand;
};
// The program chooses which socket of a SO_REUSEPORT group gets a packet.
int culvert_attach_reuse_port_filter(int descriptor, const struct culvert_filter_instruction *program, unsigned count);
// The program chooses which packets the socket gets at all.
int culvert_attach_filter(int descriptor, const struct culvert_filter_instruction *program, unsigned count);

// Opens one queue of the TUN interface `name` and makes the interface if there is none; a name with %d gets a free number.
// The name as it is goes to `actual` (16 bytes). `exclusive`: refuses (EBUSY) an interface that is there already.
// Every packet has a virtual header in front.
int culvert_tun_open(const char *name, bool exclusive, char *actual);
// From now on what comes from the interface may be larger than it lets through, and lack checksums. EINVAL: it cannot be.
int culvert_tun_accept_large(int descriptor, bool tcp, bool udp);

// What stands in front of a packet of a TUN interface: struct virtio_net_hdr, numbers in the machine's order.
struct culvert_virtual_header {
    uint8_t flags, segmentation;
    uint16_t header_length, segment_size, checksum_start, checksum_offset;
};
enum {
    CULVERT_NEEDS_CHECKSUM = 1,
    CULVERT_TCP4 = 1,
    CULVERT_TCP6 = 4,
    CULVERT_UDP = 5 // VIRTIO_NET_HDR_GSO_UDP_L4, since Linux 6.2
};
// Reads one packet of at most `count` bytes. Returns its size.
int64_t culvert_tun_read(int descriptor, struct culvert_virtual_header *header, void *start, size_t count);
// Writes one packet in pieces, its virtual header the first of them.
int culvert_tun_write(int descriptor, const struct iovec *vectors, unsigned count);

int culvert_eventfd(void);
int culvert_eventfd_signal(int descriptor);
int culvert_eventfd_clear(int descriptor);

int culvert_epoll_create(void);
int culvert_epoll_add(int epoll, int descriptor, uint32_t token);
int culvert_epoll_remove(int epoll, int descriptor);
// Waits up to `timeout_nanoseconds` (negative: for ever). Sets one bit of `ready` per token (0 to 63) that is readable or
// broken; returns how many there are.
int culvert_epoll_wait(int epoll, int64_t timeout_nanoseconds, uint64_t *ready);

// From now on each of the `count` signals is told as one byte, its number, on the writing end of a pipe.
int culvert_watch_signals(int pipe_descriptor, const int *signals, unsigned count);
// Gives the signals their default meaning back.
int culvert_unwatch_signals(const int *signals, unsigned count);
// Names the calling thread; the kernel keeps 15 bytes.
void culvert_name_thread(const char *name);
// Keeps signals away from the calling thread.
int culvert_block_all_signals(void);

uint64_t culvert_monotonic_nanoseconds(void);
int64_t culvert_wall_seconds(void);

// Keeps all memory out of swap, now and later.
int culvert_lock_memory(void);
// Keeps keys out of core dumps and from other processes of the same user.
int culvert_forbid_dumps(void);
// The capabilities in effect, one bit each.
int culvert_effective_capabilities(uint64_t *capabilities);

// What SO_PEERCRED tells of the process at the other end of a UNIX socket.
struct culvert_credentials {
    int32_t process;
    uint32_t user, group;
};

// A pipe that does not block and is closed on exec; the reading end comes first.
int culvert_pipe(int *ends);

// For tests: gives the calling thread a network namespace of its own.
int culvert_enter_new_network_namespace(void);
// For tests: changes the user of the calling thread only.
int culvert_set_thread_user(uint32_t user);
