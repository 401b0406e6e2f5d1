#include "CAllocationCounter.h"

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CULVERT_CANNOT_COUNT
#endif
#endif
#if !defined(__GLIBC__)
#include <stdlib.h>
#if !defined(__GLIBC__)
#define CULVERT_CANNOT_COUNT
#endif
#endif

#ifdef CULVERT_CANNOT_COUNT

long culvert_allocation_count(void) { return -1; }
long culvert_heap_bytes(void) { return -1; }

#else

#include <errno.h>
#include <malloc.h>

// A definition in the executable takes the place of the library's, for the libraries too; glibc's own functions stay
// reachable under these names.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

extern void __libc_free(void *memory);

static __thread long allocations, bytes;

long culvert_allocation_count(void) { return allocations; }
long culvert_heap_bytes(void) { return bytes; }

static void *counted(void *memory) {
    bytes += (long)malloc_usable_size(memory);
    return memory;
}

void free(void *memory) {
    bytes -= (long)malloc_usable_size(memory);
    __libc_free(memory);
}

void *malloc(size_t size) {
    allocations++;
    return counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    allocations++;
    return counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size) {
    allocations++;
    bytes -= (long)malloc_usable_size(memory);
    void *result = __libc_realloc(memory, size);
    // What could not be made larger is still there.
    counted(result == NULL && size > 0 ? memory : result);
    return result;
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    allocations++;
    void *result = counted(__libc_memalign(alignment, size));
    if (result == NULL) return ENOMEM;
    *memory = result;
    return 0;
}

#endif
