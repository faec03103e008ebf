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

/* A datagram, whichever version of IP carries it. */
struct datagram {
	struct address source;
	struct address destination;
	struct source bucket;
	int is_local;
	u8 hops;
	u8 tos;
	u8 protocol;
	/* The source, 0 if it is no IPv4 address. */
	u32 ipv4;
	/* Both addresses as they lie in the header. */
	void *addresses;
	u32 addresses_size;
	/* What the header carries, and how many octets the header says that is. */
	void *inner;
	u32 inner_size;
};

/* The sum that a transport's checksum has over addresses, protocol and length. */
INLINE u64 pseudo_sum(const struct datagram *datagram)
{
	u32 rest = swap16(datagram->protocol) + swap16(datagram->inner_size);

	return sum_over(NULL, 0, datagram->addresses, datagram->addresses_size, rest);
}

/* Whether a checksum covers only the pseudo header, so that a device is to complete it: never on a wire, but between
 * machines that share a memory. Where the kernel keeps that with the packet it stays right; elsewhere it is lost. */
INLINE int is_left_to_device(const struct packet *packet, const struct datagram *datagram, u32 place)
{
	u16 *check = datagram->inner + place;

	return packet->set->flags & IS_NATIVE && (void *)(check + 1) <= packet->end &&
	       *check == fold(pseudo_sum(datagram));
}

INLINE u64 sum_of_probe(struct udp *udp, u64 pseudo)
{
	return sum_over(NULL, 0, udp, sizeof(struct udp) + sizeof(struct probe), pseudo);
}

/* Writes what a responder writes, and keeps the checksum as whole as it was. 0: it is neither whole nor left to a device. */
INLINE int reflect(const struct packet *packet, const struct datagram *datagram, struct udp *udp, struct probe *probe)
{
	struct observation seen;
	u64 residence, pseudo = pseudo_sum(datagram);
	u16 check = udp->checksum;
	int is_whole = check && fold(sum_of_probe(udp, pseudo)) == 0xffff;

	if (check && !is_whole && check != fold(pseudo))
		return 0;
	seen = observe(swap64(probe->token), swap32(probe->seq));
	probe->flags = IS_REPLY | KERNEL_STAMP;
	probe->received = swap32(seen.received);
	probe->t2 = swap64(packet->now + packet->set->wall_offset);
	probe->follow_up = 0;
	probe->window = swap32(seen.window);
	probe->distance = 0;
	probe->ttl = datagram->hops;
	probe->tos = datagram->tos;
	probe->window_length = seen.window_length > 32 ? 32 : seen.window_length;
	probe->port = udp->from;
	probe->min_interval = swap16(packet->set->min_interval);
	probe->ipv4 = datagram->ipv4;
	residence = mono_now() - packet->now;
	probe->residence = swap32(residence > 0xffffffff ? 0xffffffff : residence);
	if (is_whole) {
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

/* Whether a payload is a STUN Binding request as far as its header tells (RFC 8489 section 5): user space answers those. */
INLINE int asks_for_address(const struct packet *packet, struct udp *udp, u32 size)
{
	struct stun *stun = (void *)(udp + 1);

	return size >= STUN_HEADER && (void *)(stun + 1) <= packet->end && stun->type == swap16(BINDING_REQUEST) &&
	       stun->cookie == STUN_COOKIE;
}

INLINE struct probe *as_probe(const struct packet *packet, struct udp *udp, u32 size)
{
	struct probe *probe = (void *)(udp + 1);

	/* Of just this size: several probes that a device is to cut, and that are short together, have no other sign. */
	if (!(packet->set->flags & ANSWERS_PROBES) || size != sizeof(*probe) || (void *)(probe + 1) > packet->end)
		return NULL;
	if (probe->version != PROBE_VERSION || probe->flags & (IS_REPLY | AUTHENTICATED))
		return NULL;
	return probe->length == swap16(sizeof(*probe)) ? probe : NULL;
}

/* What a wire would carry as several frames counts as so many. */
INLINE u32 rate_of(const struct packet *packet, const struct datagram *datagram)
{
	u32 packets = 1 + datagram->inner_size / packet->set->longest;

	return rate_refusal(packet->set, &datagram->bucket, datagram->is_local, packet->now, packets);
}

/* Decides about a UDP datagram. XDP_TX: the payload is the answer's, and the ports are turned round. */
INLINE int echo_udp(const struct packet *packet, struct datagram *datagram)
{
	struct udp *udp = datagram->inner;
	struct probe *probe = NULL;
	u32 size = datagram->inner_size - sizeof(*udp), access, ending;

	if (datagram->protocol != UDP || (void *)(udp + 1) > packet->end)
		return XDP_PASS;
	if (datagram->inner_size < sizeof(*udp) || swap16(udp->length) != datagram->inner_size || !udp->from)
		return XDP_PASS;
	/* Over IPv6 it is no datagram without a checksum (RFC 8200 section 8.1). */
	if (!udp->checksum && !datagram->ipv4)
		return XDP_PASS;

	struct endpoint here = { datagram->destination, udp->to, 0 };

	if (!map_lookup(&listeners, &here) || is_left_to_device(packet, datagram, CHECKSUM_OF_UDP))
		return XDP_PASS;
	if (asks_for_address(packet, udp, size))
		return XDP_PASS;
	if (has_magic(packet, udp, size)) {
		probe = as_probe(packet, udp, size);
		if (!probe)
			return XDP_PASS;
	}
	access = access_of(&datagram->source);
	if (access == IS_ODD)
		return XDP_PASS;
	datagram->bucket.service = SERVICE_UDP;
	ending = access == IS_DENIED ? DENIED : port_refusal(udp->from, udp->to);
	if (!ending)
		ending = rate_of(packet, datagram);
	if (!ending) {
		if (probe && !reflect(packet, datagram, udp, probe))
			return XDP_PASS;
		swap_ports(udp);
	}
	count(SERVICE_UDP, ending, size);
	return ending ? XDP_DROP : XDP_TX;
}

/* Whether something in the datagram may be left to a device that will not do it. */
INLINE int is_unfinished(const struct packet *packet, const struct datagram *datagram)
{
	if (datagram->protocol == TCP)
		return is_left_to_device(packet, datagram, CHECKSUM_OF_TCP);
	if (datagram->protocol == UDP)
		return is_left_to_device(packet, datagram, CHECKSUM_OF_UDP);
	/* Only computing it would tell. */
	return datagram->protocol == SCTP && packet->set->flags & IS_NATIVE;
}

/* Whether the source port is of a service that answers every datagram (echo, daytime, quote of the day, character
 * generator, time): user space refuses to keep it talking. */
INLINE int would_loop(const struct packet *packet, const struct datagram *datagram)
{
	struct udp *udp = datagram->inner;
	u16 port;

	if (datagram->protocol != UDP || (void *)(udp + 1) > packet->end)
		return 0;
	port = swap16(udp->from);
	return port == 7 || port == 13 || port == 17 || port == 19 || port == 37;
}

/* Decides about a datagram of `size` octets to an echo address. XDP_TX: it may go back. */
INLINE int echo_ip(const struct packet *packet, struct datagram *datagram, u32 size)
{
	u32 access, ending;

	if (datagram->hops <= 1 || map_lookup(&echo_addresses, &datagram->source) || is_unfinished(packet, datagram) ||
	    would_loop(packet, datagram))
		return XDP_PASS;
	access = access_of(&datagram->source);
	if (access == IS_ODD)
		return XDP_PASS;
	datagram->bucket.service = SERVICE_IP;
	ending = access == IS_DENIED ? DENIED : rate_of(packet, datagram);
	count(SERVICE_IP, ending, size);
	return ending ? XDP_DROP : XDP_TX;
}

INLINE u64 sum_of_ipv4(struct ipv4 *ip)
{
	return sum_over(NULL, 0, ip, sizeof(*ip), 0);
}

/* Whether only user space may judge this address: no host has it, or a datagram with it never leaves its host, so that
 * even a socket bound to it does not expect one from a wire. */
INLINE int is_odd_ipv4(u32 address)
{
	u32 first = address & 0xff;

	return first == 0 || first == 127 || first >= 224;
}

/* The marks of an answer: those of the request, but that congestion is not handed on. CE becomes ECT(0). */
INLINE u8 marks_of_answer(u8 tos)
{
	return (tos & 3) == 3 ? tos - 1 : tos;
}

INLINE int ipv4(const struct packet *packet)
{
	struct ipv4 *ip = (void *)(packet->frame + 1);
	struct datagram datagram = {};
	u32 size, check;
	int verdict;

	if ((void *)(ip + 1) > packet->end || ip->version_and_length != PLAIN_IPV4)
		return XDP_PASS;
	size = swap16(ip->total_length);
	if (size < sizeof(*ip) || (void *)ip + size > packet->end || fold(sum_of_ipv4(ip)) != 0xffff)
		return XDP_PASS;
	if (is_odd_ipv4(ip->source) || is_odd_ipv4(ip->destination) || ip->source == ip->destination)
		return XDP_PASS;
	datagram.source = mapped(ip->source);
	datagram.destination = mapped(ip->destination);
	datagram.bucket.low = ip->source;
	datagram.is_local = is_local_ipv4(ip->source);
	datagram.hops = ip->ttl;
	datagram.tos = ip->tos;
	datagram.protocol = ip->protocol;
	datagram.ipv4 = ip->source;
	datagram.addresses = &ip->source;
	datagram.addresses_size = 8;
	datagram.inner = ip + 1;
	datagram.inner_size = size - sizeof(*ip);

	if (map_lookup(&echo_addresses, &datagram.destination)) {
		if (ip->protocol == ICMP)
			return XDP_PASS;
		/* It holds no transport header, whatever its first octets look like. */
		if (ip->fragment & IS_LATER_FRAGMENT)
			datagram.protocol = 0;
		verdict = echo_ip(packet, &datagram, size);
		if (verdict != XDP_TX)
			return verdict;
		/* RFC 1624: the TTL is the upper octet of its word. */
		check = ip->checksum + 1;
		ip->checksum = check + (check >= 0xffff);
		ip->ttl -= 1;
	} else {
		if (ip->fragment & IS_FRAGMENT)
			return XDP_PASS;
		verdict = echo_udp(packet, &datagram);
		if (verdict != XDP_TX)
			return verdict;
		/* A datagram of this host's own, as the kernel would send it. */
		ip->tos = marks_of_answer(ip->tos);
		ip->fragment = DO_NOT_FRAGMENT;
		ip->ttl = HOPS;
		ip->checksum = 0;
		ip->checksum = ~fold(sum_of_ipv4(ip));
	}
	ip->source = ip->destination;
	ip->destination = datagram.ipv4;
	return XDP_TX;
}

INLINE int is_extension(u8 next)
{
	return next == 0 || next == ROUTING || next == FRAGMENT || next == AUTHENTICATION || next == DESTINATION_OPTIONS;
}

/* The same for IPv6: unspecified, loopback, mapped, multicast, link-local. */
INLINE int is_odd_ipv6(const u32 *address)
{
	u32 bits = swap32(address[0]);

	return (!address[0] && !address[1]) || bits >> 24 == 0xff || bits >> 22 == 0x3fa;
}

INLINE int ipv6(const struct packet *packet)
{
	struct ipv6 *ip = (void *)(packet->frame + 1);
	struct datagram datagram = {};
	u32 size, first;
	int verdict;

	if ((void *)(ip + 1) > packet->end)
		return XDP_PASS;
	first = swap32(ip->version_class_flow);
	size = sizeof(*ip) + swap16(ip->payload_length);
	if (first >> 28 != 6 || (void *)ip + size > packet->end)
		return XDP_PASS;
	if (is_odd_ipv6(ip->source) || is_odd_ipv6(ip->destination))
		return XDP_PASS;
	if (is_extension(ip->next) || ip->next == ICMPV6)
		return XDP_PASS;
	__builtin_memcpy(&datagram.source, ip->source, 16);
	__builtin_memcpy(&datagram.destination, ip->destination, 16);
	__builtin_memcpy(&datagram.bucket.high, ip->source, 8);
	datagram.is_local = is_local_ipv6(ip->source);
	datagram.hops = ip->hop_limit;
	datagram.tos = first >> 20;
	datagram.protocol = ip->next;
	datagram.addresses = ip->source;
	datagram.addresses_size = 32;
	datagram.inner = ip + 1;
	datagram.inner_size = size - sizeof(*ip);

	if (map_lookup(&echo_addresses, &datagram.destination)) {
		verdict = echo_ip(packet, &datagram, size);
		if (verdict != XDP_TX)
			return verdict;
		ip->hop_limit -= 1;
	} else {
		verdict = echo_udp(packet, &datagram);
		if (verdict != XDP_TX)
			return verdict;
		ip->version_class_flow = swap32(6u << 28 | (u32)marks_of_answer(datagram.tos) << 20);
		ip->hop_limit = HOPS;
	}
	__builtin_memcpy(ip->source, &datagram.destination, 16);
	__builtin_memcpy(ip->destination, &datagram.source, 16);
	return XDP_TX;
}

/* Whether a frame is for this station alone, and from another. */
INLINE int is_between_stations(const struct ethernet *frame, const u8 *ours)
{
	return is_same_station(frame->to, ours) && !is_same_station(frame->from, ours) && !(frame->from[0] & 1);
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
	if (!is_between_stations(frame, packet.set->mac))
		return XDP_PASS;
	if (frame->kind == TYPE_IPV4)
		verdict = ipv4(&packet);
	else if (frame->kind == TYPE_IPV6)
		verdict = ipv6(&packet);
	if (verdict == XDP_TX)
		swap_stations(frame);
	return verdict;
}
