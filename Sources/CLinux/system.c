#define _GNU_SOURCE
#include "CLinux.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { EPOLL_EVENTS_MAXIMUM = 64 };

static int result(int returned) { return returned < 0 ? -errno : returned; }

int culvert_tun_open(const char *name, bool exclusive, char *actual) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    if (strlen(name) >= sizeof request.ifr_name) return -ENAMETOOLONG;
    strcpy(request.ifr_name, name);
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR;
    if (exclusive) request.ifr_flags |= (short)IFF_TUN_EXCL;
    int descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    if (ioctl(descriptor, TUNSETIFF, &request) < 0) {
        int failure = errno;
        close(descriptor);
        return -failure;
    }
    memcpy(actual, request.ifr_name, sizeof request.ifr_name);
    actual[sizeof request.ifr_name - 1] = 0;
    return descriptor;
}

// Since Linux 6.2; Debian's headers are older than the kernels that containers run on.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

int culvert_tun_accept_large(int descriptor, bool tcp, bool udp) {
    unsigned long offloads = 0;
    if (tcp) offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if (udp) offloads |= TUN_F_USO4 | TUN_F_USO6;
    return result(ioctl(descriptor, TUNSETOFFLOAD, offloads));
}

static_assert(sizeof(struct culvert_virtual_header) == sizeof(struct virtio_net_hdr), "one layout");
static_assert(CULVERT_NEEDS_CHECKSUM == VIRTIO_NET_HDR_F_NEEDS_CSUM && CULVERT_TCP4 == VIRTIO_NET_HDR_GSO_TCPV4 &&
              CULVERT_TCP6 == VIRTIO_NET_HDR_GSO_TCPV6, "one meaning");

int64_t culvert_tun_read(int descriptor, struct culvert_virtual_header *header, void *start, size_t count) {
    struct iovec vectors[] = {{header, sizeof *header}, {start, count}};
    ssize_t got = readv(descriptor, vectors, 2);
    if (got < 0) return -errno;
    return got < (ssize_t)sizeof *header ? 0 : got - (ssize_t)sizeof *header;
}

int culvert_tun_write(int descriptor, const struct iovec *vectors, unsigned count) {
    return writev(descriptor, vectors, (int)count) < 0 ? -errno : 0;
}

int culvert_eventfd(void) { return result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

int culvert_eventfd_signal(int descriptor) {
    uint64_t one = 1;
    // EAGAIN: the counter is full, so the reader has been told more than once already.
    return write(descriptor, &one, sizeof one) < 0 && errno != EAGAIN ? -errno : 0;
}

int culvert_eventfd_clear(int descriptor) {
    uint64_t count;
    return read(descriptor, &count, sizeof count) < 0 && errno != EAGAIN ? -errno : 0;
}

int culvert_pipe(int *ends) { return result(pipe2(ends, O_NONBLOCK | O_CLOEXEC)); }

int culvert_epoll_create(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

int culvert_epoll_add(int epoll, int descriptor, uint32_t token) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = token};
    return result(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event));
}

int culvert_epoll_remove(int epoll, int descriptor) {
    return result(epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, NULL));
}

int culvert_epoll_wait(int epoll, int64_t timeout_nanoseconds, uint64_t *ready) {
    struct epoll_event events[EPOLL_EVENTS_MAXIMUM];
    int milliseconds = -1;
    if (timeout_nanoseconds >= 0) {
        // Rounded up, so that a deadline has passed when we wake for it.
        int64_t rounded = timeout_nanoseconds / 1000000 + (timeout_nanoseconds % 1000000 != 0);
        milliseconds = rounded > 3600000 ? 3600000 : (int)rounded;
    }
    *ready = 0;
    int count = epoll_wait(epoll, events, EPOLL_EVENTS_MAXIMUM, milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int index = 0; index < count; index++) *ready |= UINT64_C(1) << (events[index].data.u32 & 63);
    return count;
}

static volatile sig_atomic_t signal_pipe = -1;

static void tell_signal(int number) {
    int saved = errno;
    uint8_t byte = (uint8_t)number;
    // A full pipe means that the reader has more than enough to act on.
    if (write(signal_pipe, &byte, 1) < 0) errno = saved;
    errno = saved;
}

int culvert_watch_signals(int pipe_descriptor, const int *signals, unsigned count) {
    struct sigaction action = {.sa_handler = tell_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    signal_pipe = pipe_descriptor;
    for (unsigned index = 0; index < count; index++) {
        if (sigaction(signals[index], &action, NULL) < 0) return -errno;
    }
    return 0;
}

int culvert_unwatch_signals(const int *signals, unsigned count) {
    for (unsigned index = 0; index < count; index++) {
        if (signal(signals[index], SIG_DFL) == SIG_ERR) return -errno;
    }
    signal_pipe = -1;
    return 0;
}

int culvert_block_all_signals(void) {
    sigset_t set;
    sigfillset(&set);
    // What a fault of our own raises stays deliverable, or the process would spin instead of die.
    sigdelset(&set, SIGSEGV);
    sigdelset(&set, SIGBUS);
    sigdelset(&set, SIGILL);
    sigdelset(&set, SIGFPE);
    sigdelset(&set, SIGTRAP);
    sigdelset(&set, SIGABRT);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void culvert_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

uint64_t culvert_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

int64_t culvert_wall_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

int culvert_forbid_dumps(void) {
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0) return -errno;
    return result(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

int culvert_lock_memory(void) {
    // On a fault: what is never touched needs no memory. MCL_ONFAULT is since Linux 4.4.
    return result(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
}

int culvert_effective_capabilities(uint64_t *capabilities) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, data) < 0) return -errno;
    *capabilities = (uint64_t)data[1].effective << 32 | data[0].effective;
    return 0;
}

int culvert_set_thread_user(uint32_t user) { return result((int)syscall(SYS_setresuid, user, user, user)); }

int culvert_enter_new_network_namespace(void) { return result(unshare(CLONE_NEWNET)); }
