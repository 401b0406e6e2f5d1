// Counts what a thread allocates, for tests that must show how little that is.
#pragma once

/// How many times the calling thread has allocated memory so far; -1 where that cannot be counted.
long culvert_allocation_count(void);

/// How many bytes the calling thread has allocated and not freed, whoever frees them; -1 where that cannot be counted.
long culvert_heap_bytes(void);
