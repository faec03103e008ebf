/* What the program needs of the kernel's interface (linux/bpf.h), and no more: so that it compiles anywhere. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define INLINE static inline __attribute__((always_inline))
#define NULL ((void *)0)

/* struct xdp_md */
struct context {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

enum { XDP_DROP = 1, XDP_PASS = 2, XDP_TX = 3 };

enum {
	MAP_HASH = 1,
	MAP_ARRAY = 2,
	MAP_PERCPU_ARRAY = 6,
	MAP_LRU_HASH = 9,
	MAP_LPM_TRIE = 11,
	NO_PREALLOC = 1,
};

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static long (*const map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*const mono_now)(void) = (void *)5;
static s64 (*const sum_over)(const void *from, u32 from_size, const void *to, u32 to_size, u32 seed) = (void *)28;

/* All machines that this runs on are little endian (x86-64, aarch64). */
INLINE u16 swap16(u16 value) { return __builtin_bswap16(value); }
INLINE u32 swap32(u32 value) { return __builtin_bswap32(value); }
INLINE u64 swap64(u64 value) { return __builtin_bswap64(value); }

/* The ones' complement sum in 16 bits. */
INLINE u16 fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}
