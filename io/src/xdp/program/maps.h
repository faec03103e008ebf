/* What the program shares with the process that loaded it. io/src/xdp/maps.rs mirrors these structures. */
#pragma once
#include "kernel.h"

/* Read by `cargo xtask bpf`, which writes them into the generated file; the kernel never sees this section. */
struct map {
	u32 kind;
	u32 key;
	u32 value;
	u32 entries;
	u32 flags;
};
#define MAP __attribute__((section("maps"), used)) struct map

/* IPv6, or IPv4 as ::ffff:a.b.c.d. */
struct address {
	u32 word[4];
};

INLINE struct address mapped(u32 ipv4)
{
	return (struct address){ { 0, 0, 0xffff0000, ipv4 } };
}

/* A token bucket as the instant at which it is full again: what one packet costs and what a full bucket holds, in
 * nanoseconds. An interval of 0 is no limit. */
struct pace {
	u64 interval;
	u64 depth;
};

struct settings {
	/* Wall clock less monotonic clock, in nanoseconds. */
	u64 wall_offset;
	struct pace stranger;
	struct pace local;
	struct pace all;
	u8 mac[6];
	/* As in a probe: units of 100 us. */
	u16 min_interval;
	/* Octets of the longest frame on the wire; what is longer are several that a device is to cut. */
	u16 longest;
	u16 reserved;
	u32 flags;
};

/* Structured probes are answered here. */
#define ANSWERS_PROBES 1
/* What the stack left to a device is lost with a packet that goes back: there is no socket buffer that remembers it. */
#define IS_NATIVE 2

struct endpoint {
	struct address address;
	/* Network byte order. */
	u16 port;
	u16 reserved;
};

/* An IPv4 address, or the upper half of an IPv6 address, in one of the two services. */
struct source {
	u64 high;
	u32 low;
	u32 service;
};

struct prefix {
	u32 bits;
	struct address address;
};

struct session {
	/* Bit n: the request n before the highest has arrived. */
	u64 arrived[2];
	u32 received;
	u32 highest;
	/* How many bits mean anything. */
	u32 span;
	u32 reserved;
};

/* What the access list says of a source; the last is not in the list, but nobody's source. */
enum { IS_DENIED, IS_ALLOWED, IS_ODD };

enum { SERVICE_UDP, SERVICE_IP, SERVICES };

/* How a packet can end here: with an answer, or for one of the reasons of base/src/count.rs. */
enum { REPLIED, DENIED, REFLECTION_PORT, OWN_PORT, RATE_LIMITED, RATE_LIMITED_ALL, ENDINGS };

struct counters {
	u64 received;
	u64 received_bytes;
	u64 replied_bytes;
	u64 endings[ENDINGS];
};

/* Entries of 0 are set by the process. */
MAP settings = { MAP_ARRAY, sizeof(u32), sizeof(struct settings), 1, 0 };
MAP listeners = { MAP_HASH, sizeof(struct endpoint), sizeof(u32), 4096, 0 };
MAP echo_addresses = { MAP_HASH, sizeof(struct address), sizeof(u32), 1024, 0 };
MAP access = { MAP_LPM_TRIE, sizeof(struct prefix), sizeof(u32), 65536, NO_PREALLOC };
/* Two bits for each source port: refused because it would answer, because we serve it. */
MAP ports = { MAP_ARRAY, sizeof(u32), sizeof(u32), 4096, 0 };
MAP sources = { MAP_LRU_HASH, sizeof(struct source), sizeof(u64), 0, 0 };
MAP all_sources = { MAP_ARRAY, sizeof(u32), sizeof(u64), SERVICES, 0 };
MAP sessions = { MAP_LRU_HASH, sizeof(u64), sizeof(struct session), 0, 0 };
MAP counters = { MAP_PERCPU_ARRAY, sizeof(u32), sizeof(struct counters), SERVICES, 0 };
