// User-Mode Linux of 6.1 keeps a process's vector registers in a buffer of fixed size, and hands that much back. A kernel
// whose processor has more of them (AMX) takes back all or nothing: "ptrace set fp regs failed", and no guest boots.
// Preloaded into User-Mode Linux, this hands back all: what the buffer has, and behind it what is there already.
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// linux/elf.h
enum { NT_X86_XSTATE = 0x202 };

long ptrace(enum __ptrace_request request, ...) {
    va_list arguments;
    va_start(arguments, request);
    long process = va_arg(arguments, int);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    static char state[65536] __attribute__((aligned(64)));
    struct iovec whole = {state, sizeof state};
    const struct iovec *given = data;
    if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE &&
        syscall(SYS_ptrace, PTRACE_GETREGSET, process, address, &whole) == 0 && given->iov_len < whole.iov_len) {
        memcpy(state, given->iov_base, given->iov_len);
        data = &whole;
    }
    if (request != PTRACE_PEEKTEXT && request != PTRACE_PEEKDATA && request != PTRACE_PEEKUSER)
        return syscall(SYS_ptrace, request, process, address, data);
    // As the C library does it: what was read is the result.
    long word = 0;
    long failed = syscall(SYS_ptrace, request, process, address, &word);
    if (failed < 0) return failed;
    errno = 0;
    return word;
}
