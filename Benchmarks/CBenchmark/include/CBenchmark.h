/* What the benchmarks count and time that Swift cannot. */
#pragma once

#include <stdint.h>

/* How many times this process asked for memory: malloc, calloc, realloc and the aligned ones, of all threads. */
uint64_t culvert_allocation_count(void);
/* How many bytes this process has taken from the allocator and not given back, its headers included. */
int64_t culvert_heap_bytes(void);
/* Nanoseconds that this thread has run: time in which others had the processor does not count. */
uint64_t culvert_nanoseconds(void);
