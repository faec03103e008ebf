/* Headers on the wire; numbers are in network byte order. Every field lies where the compiler would put it, and the
 * machine reads words at any address. */
#pragma once
#include "kernel.h"

struct ethernet {
	u8 to[6];
	u8 from[6];
	u16 kind;
};

struct ipv4 {
	u8 version_and_length;
	u8 tos;
	u16 total_length;
	u16 identification;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
};

struct ipv6 {
	u32 version_class_flow;
	u16 payload_length;
	u8 next;
	u8 hop_limit;
	u32 source[4];
	u32 destination[4];
};

struct udp {
	u16 from;
	u16 to;
	u16 length;
	u16 checksum;
};

/* The beginning of RFC 8489's header. */
struct stun {
	u16 type;
	u16 length;
	u32 cookie;
};

/* The base section of docs/wire/probe.md. */
struct probe {
	u32 magic;
	u8 version;
	u8 flags;
	u16 length;
	u64 token;
	u32 seq;
	u32 received;
	u64 t1;
	u64 t2;
	u32 residence;
	u32 follow_up;
	u32 window;
	u8 distance;
	u8 ttl;
	u8 tos;
	u8 window_length;
	u16 port;
	u16 min_interval;
	u32 ipv4;
};

#define TYPE_IPV4 0x0008
#define TYPE_IPV6 0xdd86
#define PLAIN_IPV4 0x45
#define DO_NOT_FRAGMENT 0x0040
/* More fragments, or an offset. */
#define IS_FRAGMENT 0xff3f
#define IS_LATER_FRAGMENT 0xff1f
#define HOPS 64

enum { ICMP = 1, TCP = 6, UDP = 17, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51, ICMPV6 = 58, DESTINATION_OPTIONS = 60,
       SCTP = 132 };

/* Where the checksums lie in their headers. */
#define CHECKSUM_OF_TCP 16
#define CHECKSUM_OF_UDP 6

#define MAGIC 0x6f6c68f7
#define BINDING_REQUEST 1
#define STUN_HEADER 20
#define STUN_COOKIE 0x42a41221
#define PROBE_VERSION 1
#define IS_REPLY 0x80
#define KERNEL_STAMP 0x40
#define AUTHENTICATED 0x20

INLINE int is_same_station(const u8 *one, const u8 *other)
{
	return *(const u32 *)one == *(const u32 *)other && *(const u16 *)(one + 4) == *(const u16 *)(other + 4);
}

INLINE void swap_stations(struct ethernet *frame)
{
	u8 other[6];

	__builtin_memcpy(other, frame->to, 6);
	__builtin_memcpy(frame->to, frame->from, 6);
	__builtin_memcpy(frame->from, other, 6);
}

INLINE void swap_ports(struct udp *udp)
{
	u16 from = udp->from;

	udp->from = udp->to;
	udp->to = from;
}
