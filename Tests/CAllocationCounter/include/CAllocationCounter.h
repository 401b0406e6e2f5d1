// Counts what a thread allocates, for tests that must show that it allocates nothing.
#pragma once

/// How many times the calling thread has allocated memory so far; -1 where that cannot be counted.
long culvert_allocation_count(void);
