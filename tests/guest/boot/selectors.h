// Segment selectors and boot protocol numbers shared by the assembly and C++ parts of the test guest.
#pragma once

#define SELECTOR_CODE_64 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_CODE_32 0x18
#define SELECTOR_USER_DATA 0x23
#define SELECTOR_USER_CODE 0x2b
#define SELECTOR_TASK_STATE 0x30

#define BOOT_PROTOCOL_PVH 1
#define BOOT_PROTOCOL_LINUX 2
#define BOOT_PROTOCOL_LINUX_64 3

// Where the start-up code of application processors is copied: below 1 MiB, page aligned (SIPI vector 0x08).
#define PROCESSOR_START_ADDRESS 0x8000

// Vectors with an entry stub: 0..31 exceptions, the rest ours. The last is the spurious one.
#define VECTOR_COUNT 96
