/* Who is answered, and how often: what serve/src decides in user space, in the same order and from the same data. */
#pragma once
#include "headers.h"
#include "maps.h"

/* Counts a packet that ends here; all others are counted by whoever gets them. */
INLINE void count(u32 service, u32 ending, u64 bytes)
{
	struct counters *these = map_lookup(&counters, &service);

	if (!these || ending >= ENDINGS)
		return;
	these->received += 1;
	these->received_bytes += bytes;
	these->endings[ending] += 1;
	if (ending == REPLIED)
		these->replied_bytes += bytes;
}

/* What the access list says of a source; the longest prefix decides. */
INLINE u32 access_of(const struct address *source)
{
	struct prefix key = { 128, *source };
	u32 *told = map_lookup(&access, &key);

	return told ? *told : IS_ALLOWED;
}

/* 0, or why this source port is not answered. */
INLINE u32 port_refusal(u16 from, u16 to)
{
	u32 port = swap16(from);
	u32 key = port >> 4;
	u32 *word = map_lookup(&ports, &key);
	u32 bits = word ? *word >> ((port & 15) * 2) & 3 : 0;

	if (from == to || bits & 2)
		return OWN_PORT;
	return bits & 1 ? REFLECTION_PORT : 0;
}

/* Loopback, private and link-local addresses: an answer to them stays in our own networks. */
INLINE int is_local_ipv4(u32 address)
{
	u32 bits = swap32(address);

	return bits >> 24 == 127 || bits >> 24 == 10 || bits >> 20 == 0xac1 || bits >> 16 == 0xc0a8 ||
	       bits >> 16 == 0xa9fe;
}

INLINE int is_local_ipv6(const u32 *address)
{
	u32 bits = swap32(address[0]);

	return (bits >> 25) == (0xfc >> 1) || bits >> 22 == 0x3fa;
}

/* The bucket that would be full at `full_at` after so many packets more; 0 if it does not hold them. */
INLINE u64 draw(const struct pace *pace, u64 full_at, u64 now, u32 packets)
{
	full_at = (full_at > now ? full_at : now) + pace->interval * packets;
	return full_at - now <= pace->depth ? full_at : 0;
}

INLINE int draw_from_source(const struct pace *pace, const struct source *source, u64 now, u32 packets)
{
	u64 *bucket, full_at;

	if (!pace->interval)
		return 1;
	bucket = map_lookup(&sources, source);
	full_at = draw(pace, bucket ? *bucket : 0, now, packets);
	if (!full_at)
		return 0;
	if (bucket)
		*bucket = full_at;
	else
		map_update(&sources, source, &full_at, 0);
	return 1;
}

/* Takes a packet that stands for so many out of the buckets of its source and of all, or of neither; 0, or why not. Two
 * processors that take at the same instant may both find the last one. */
INLINE u32 rate_refusal(const struct settings *set, const struct source *source, int is_local, u64 now, u32 packets)
{
	u32 service = source->service;
	u64 *all, full_at = 0;

	if (is_local)
		return draw_from_source(&set->local, source, now, packets) ? 0 : RATE_LIMITED;
	all = map_lookup(&all_sources, &service);
	if (all && set->all.interval) {
		full_at = draw(&set->all, *all, now, packets);
		if (!full_at)
			return RATE_LIMITED_ALL;
	}
	if (!draw_from_source(&set->stranger, source, now, packets))
		return RATE_LIMITED;
	if (all && full_at)
		*all = full_at;
	return 0;
}
