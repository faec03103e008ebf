/* Answers in the driver what needs no more than a look: plain UDP echo, the structured probe of 64 octets, and IP echo
 * without options. Whatever is unusual goes up to user space, which decides about it as if this program were not there.
 */
#include "guards.h"
#include "headers.h"
#include "maps.h"
#include "session.h"

/* One packet on its way through. */
struct packet {
	struct ethernet *frame;
	void *end;
	const struct settings *set;
	u64 now;
};

/* Both ends, however they were written. */
struct ends {
	struct address source;
	struct address destination;
	struct source bucket;
	int is_local;
	u8 hops;
	u8 tos;
	u32 ipv4;
};

INLINE u64 sum_of_probe(struct udp *udp, u64 pseudo)
{
	return sum_over(NULL, 0, udp, sizeof(struct udp) + sizeof(struct probe), pseudo);
}

/* Writes what a responder writes. The checksum may be whole, or what a network card would complete (a veth carries such):
 * then it covers the addresses only, which stay what they were. */
INLINE int reflect(const struct packet *packet, struct udp *udp, struct probe *probe, const struct ends *ends, u64 pseudo)
{
	struct observation seen;
	u16 check = udp->checksum;
	int is_whole = fold(sum_of_probe(udp, pseudo)) == 0xffff;
	u64 residence;

	if (check && !is_whole && check != fold(pseudo))
		return 0;
	if (!check && !ends->ipv4)
		return 0;
	seen = observe(swap64(probe->token), swap32(probe->seq));
	probe->flags = IS_REPLY | KERNEL_STAMP;
	probe->received = swap32(seen.received);
	probe->t2 = swap64(packet->now + packet->set->wall_offset);
	probe->follow_up = 0;
	probe->window = swap32(seen.window);
	probe->distance = 0;
	probe->ttl = ends->hops;
	probe->tos = ends->tos;
	probe->window_length = seen.window_length > 32 ? 32 : seen.window_length;
	probe->port = udp->from;
	probe->min_interval = swap16(packet->set->min_interval);
	probe->ipv4 = ends->ipv4;
	residence = mono_now() - packet->now;
	probe->residence = swap32(residence > 0xffffffff ? 0xffffffff : residence);
	if (check && is_whole) {
		udp->checksum = 0;
		check = ~fold(sum_of_probe(udp, pseudo));
		udp->checksum = check ? check : 0xffff;
	}
	return 1;
}

/* Whether a payload begins as one of halloo's probes does. */
INLINE int has_magic(const struct packet *packet, struct udp *udp, u32 size)
{
	u32 *magic = (void *)(udp + 1);

	return size >= sizeof(*magic) && (void *)(magic + 1) <= packet->end && *magic == MAGIC;
}

INLINE struct probe *as_probe(const struct packet *packet, struct udp *udp, u32 size)
{
	struct probe *probe = (void *)(udp + 1);

	/* Of just this size: a packet that the sender's kernel left to be cut has no other sign of it. */
	if (!packet->set->probes || size != sizeof(*probe) || (void *)(probe + 1) > packet->end)
		return NULL;
	if (probe->version != PROBE_VERSION || probe->flags & (IS_REPLY | AUTHENTICATED))
		return NULL;
	return probe->length == swap16(sizeof(*probe)) ? probe : NULL;
}

/* Decides about a datagram that is `length` octets long with its UDP header. XDP_TX: the payload is the answer's, and the
 * ports are turned round. */
INLINE int echo_udp(const struct packet *packet, struct udp *udp, u32 length, struct ends *ends, u64 pseudo)
{
	struct endpoint here = { ends->destination, udp->to, 0 };
	struct probe *probe = NULL;
	u32 size = length - sizeof(*udp), why;

	if (swap16(udp->length) != length || length < sizeof(*udp) || !udp->from)
		return XDP_PASS;
	if (!map_lookup(&listeners, &here))
		return XDP_PASS;
	if (has_magic(packet, udp, size)) {
		probe = as_probe(packet, udp, size);
		if (!probe)
			return XDP_PASS;
	}
	ends->bucket.service = SERVICE_UDP;
	if (!is_allowed(&ends->source))
		return refused(SERVICE_UDP, DENIED, size);
	why = port_refusal(udp->from, udp->to);
	if (!why)
		why = rate_refusal(packet->set, &ends->bucket, ends->is_local, packet->now);
	if (why)
		return refused(SERVICE_UDP, why, size);
	if (probe && !reflect(packet, udp, probe, ends, pseudo))
		return XDP_PASS;
	swap_ports(udp);
	return answered(SERVICE_UDP, size);
}

/* Decides about a datagram to an echo address. XDP_TX: it may go back. */
INLINE int echo_ip(const struct packet *packet, u32 length, struct ends *ends)
{
	u32 why;

	if (ends->hops <= 1 || map_lookup(&echo_addresses, &ends->source))
		return XDP_PASS;
	ends->bucket.service = SERVICE_IP;
	if (!is_allowed(&ends->source))
		return refused(SERVICE_IP, DENIED, length);
	why = rate_refusal(packet->set, &ends->bucket, ends->is_local, packet->now);
	if (why)
		return refused(SERVICE_IP, why, length);
	return answered(SERVICE_IP, length);
}

INLINE u64 sum_of_ipv4(struct ipv4 *ip)
{
	return sum_over(NULL, 0, ip, sizeof(*ip), 0);
}

INLINE int ipv4(const struct packet *packet)
{
	struct ipv4 *ip = (void *)(packet->frame + 1);
	struct udp *udp = (void *)(ip + 1);
	struct ends ends = {};
	u32 length, first, check;
	int verdict;

	if ((void *)(ip + 1) > packet->end || ip->version_and_length != PLAIN_IPV4)
		return XDP_PASS;
	length = swap16(ip->total_length);
	if (length < sizeof(*ip) || (void *)ip + length > packet->end || fold(sum_of_ipv4(ip)) != 0xffff)
		return XDP_PASS;
	first = ip->source & 0xff;
	if (first == 0 || first == 127 || first >= 224 || ip->source == ip->destination)
		return XDP_PASS;
	ends.source = mapped(ip->source);
	ends.destination = mapped(ip->destination);
	ends.bucket.low = ip->source;
	ends.is_local = is_local_v4(ip->source);
	ends.hops = ip->ttl;
	ends.tos = ip->tos;
	ends.ipv4 = ip->source;

	if (map_lookup(&echo_addresses, &ends.destination)) {
		if (ip->protocol == ICMP)
			return XDP_PASS;
		verdict = echo_ip(packet, length, &ends);
		if (verdict != XDP_TX)
			return verdict;
		/* RFC 1624: the TTL is the upper octet of its word. */
		check = ip->checksum + 1;
		ip->checksum = check + (check >= 0xffff);
		ip->ttl -= 1;
	} else {
		if (ip->protocol != UDP || ip->fragment & IS_FRAGMENT || (void *)(udp + 1) > packet->end)
			return XDP_PASS;
		u64 pseudo = sum_over(NULL, 0, &ip->source, 8, swap16(UDP) + udp->length);

		verdict = echo_udp(packet, udp, length - sizeof(*ip), &ends, pseudo);
		if (verdict != XDP_TX)
			return verdict;
		/* A datagram of this host's own, as the kernel would send it. */
		ip->tos = 0;
		ip->fragment = DO_NOT_FRAGMENT;
		ip->ttl = HOPS;
		ip->checksum = 0;
		ip->checksum = ~fold(sum_of_ipv4(ip));
	}
	ip->source = ip->destination;
	ip->destination = ends.ipv4;
	return XDP_TX;
}

INLINE int is_extension(u8 next)
{
	return next == 0 || next == ROUTING || next == FRAGMENT || next == DESTINATION_OPTIONS;
}

/* Whether only user space may judge this source: unspecified, loopback, mapped, multicast or link-local. */
INLINE int is_odd_v6(const u32 *address)
{
	u32 bits = swap32(address[0]);

	return (!address[0] && !address[1]) || bits >> 24 == 0xff || bits >> 22 == 0x3fa;
}

INLINE int ipv6(const struct packet *packet)
{
	struct ipv6 *ip = (void *)(packet->frame + 1);
	struct udp *udp = (void *)(ip + 1);
	struct ends ends = {};
	u32 length, first;
	int verdict;

	if ((void *)(ip + 1) > packet->end)
		return XDP_PASS;
	first = swap32(ip->version_class_flow);
	length = sizeof(*ip) + swap16(ip->payload_length);
	if (first >> 28 != 6 || (void *)ip + length > packet->end)
		return XDP_PASS;
	if (is_odd_v6(ip->source) || is_extension(ip->next) || ip->next == ICMPV6)
		return XDP_PASS;
	__builtin_memcpy(&ends.source, ip->source, 16);
	__builtin_memcpy(&ends.destination, ip->destination, 16);
	__builtin_memcpy(&ends.bucket.high, ip->source, 8);
	ends.is_local = is_local_v6(ip->source);
	ends.hops = ip->hop_limit;
	ends.tos = first >> 20;

	if (map_lookup(&echo_addresses, &ends.destination)) {
		verdict = echo_ip(packet, length, &ends);
		if (verdict != XDP_TX)
			return verdict;
		ip->hop_limit -= 1;
	} else {
		if (ip->next != UDP || (void *)(udp + 1) > packet->end)
			return XDP_PASS;
		/* Without a checksum it is no datagram over IPv6 (RFC 8200 section 8.1). */
		if (!udp->checksum)
			return XDP_PASS;
		u64 pseudo = sum_over(NULL, 0, ip->source, 32, swap16(UDP) + udp->length);

		verdict = echo_udp(packet, udp, length - sizeof(*ip), &ends, pseudo);
		if (verdict != XDP_TX)
			return verdict;
		ip->version_class_flow = swap32(6u << 28);
		ip->hop_limit = HOPS;
	}
	__builtin_memcpy(ip->source, &ends.destination, 16);
	__builtin_memcpy(ip->destination, &ends.source, 16);
	return XDP_TX;
}

__attribute__((section("xdp"), used)) int echo(struct context *context)
{
	u32 key = 0;
	struct packet packet = {
		.frame = (void *)(u64)context->data,
		.end = (void *)(u64)context->data_end,
		.set = map_lookup(&settings, &key),
		.now = mono_now(),
	};
	struct ethernet *frame = packet.frame;
	int verdict = XDP_PASS;

	if (!packet.set || (void *)(frame + 1) > packet.end)
		return XDP_PASS;
	if (!is_same_station(frame->to, packet.set->mac) || frame->from[0] & 1)
		return XDP_PASS;
	if (frame->kind == TYPE_IPV4)
		verdict = ipv4(&packet);
	else if (frame->kind == TYPE_IPV6)
		verdict = ipv6(&packet);
	if (verdict == XDP_TX)
		swap_stations(frame);
	return verdict;
}
