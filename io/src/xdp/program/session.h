/* Which requests of a session have arrived, with the meaning that protocols/src/echo/sessions.rs gives it. */
#pragma once
#include "maps.h"

#define WINDOW 96

struct observation {
	u32 received;
	u32 window;
	u32 window_length;
};

/* The lowest 32 bits of what the window shows `behind` requests before the highest: at most 95. */
INLINE u32 view(const struct session *session, u32 behind)
{
	u64 low = session->arrived[0], high = session->arrived[1];
	u32 span = session->span;

	if (span < 64) {
		low &= (1ull << span) - 1;
		high = 0;
	} else if (span < 128) {
		high &= (1ull << (span - 64)) - 1;
	}
	if (behind >= 64)
		return high >> ((behind - 64) & 63);
	if (behind == 0)
		return low;
	return low >> behind | high << (64 - behind);
}

INLINE struct observation advance(struct session *session, u32 by, u32 seq)
{
	u64 low = session->arrived[0], high = session->arrived[1];

	if (by >= 128) {
		low = high = 0;
	} else if (by >= 64) {
		high = low << ((by - 64) & 63);
		low = 0;
	} else {
		high = high << by | low >> (64 - by);
		low = low << by;
	}
	session->arrived[0] = low | 1;
	session->arrived[1] = high;
	session->highest = seq;
	session->received += 1;
	session->span = by >= WINDOW || session->span + by > WINDOW ? WINDOW : session->span + by;
	return (struct observation){ session->received, view(session, 0), session->span };
}

INLINE struct observation fill_in(struct session *session, u32 behind)
{
	u64 bit = 1ull << (behind & 63);

	if (behind >= WINDOW) {
		session->received += 1;
		return (struct observation){ session->received, 1, 1 };
	}
	if (behind < 64) {
		session->received += !(session->arrived[0] & bit);
		session->arrived[0] |= bit;
	} else {
		session->received += !(session->arrived[1] & bit);
		session->arrived[1] |= bit;
	}
	return (struct observation){ session->received, view(session, behind) | 1,
				     session->span > behind ? session->span - behind : 1 };
}

/* Notes that request `seq` of a session arrived. */
INLINE struct observation observe(u64 token, u32 seq)
{
	struct session *session = map_lookup(&sessions, &token);
	u32 ahead;

	if (!session) {
		struct session fresh = { { 1, 0 }, 1, seq, 1, 0 };

		map_update(&sessions, &token, &fresh, 0);
		return (struct observation){ 1, 1, 1 };
	}
	/* More than half the number space ahead is behind: the sequence wraps. */
	ahead = seq - session->highest;
	if (ahead != 0 && ahead <= 0x7fffffff)
		return advance(session, ahead, seq);
	return fill_in(session, session->highest - seq);
}
