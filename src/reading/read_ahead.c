/*-------------------------------------------------------------------------
 *
 * read_ahead.c
 *	  Pages asked for before they are needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "reading/read_ahead.h"
#include "session/reply.h"

void
onec_ahead_add(OnecAhead *ahead, int at, const OnecPlace *place, OnecReply *reply)
{
	Assert(ahead->count < ONEC_AHEAD_MAX);
	memmove(ahead->places + at + 1, ahead->places + at, sizeof(OnecPlace) * (ahead->count - at));
	memmove(ahead->replies + at + 1, ahead->replies + at, sizeof(OnecReply *) * (ahead->count - at));
	ahead->places[at] = *place;
	ahead->replies[at] = reply;
	ahead->count++;
}

/* The same rows from the same one on; how many were asked for does not matter. */
static bool
is_same_place(const OnecPlace *a, const OnecPlace *b)
{
	return a->part == b->part && a->in_tie == b->in_tie && a->skip == b->skip &&
		strcmp(a->bound, b->bound) == 0 && strcmp(a->limit, b->limit) == 0;
}

/* A window that begins where the wanted one ends, or later, will be needed after it. */
static bool
begins_behind(const OnecPlace *place, const OnecPlace *wanted)
{
	return place->part == wanted->part && wanted->limit[0] != '\0' &&
		strcmp(place->bound, wanted->limit) >= 0;
}

OnecReply *
onec_ahead_take(OnecAhead *ahead, OnecPlace *wanted)
{
	OnecReply  *reply;

	if (ahead->count == 0)
		return NULL;
	if (!is_same_place(&ahead->places[0], wanted))
	{
		if (!begins_behind(&ahead->places[0], wanted))
			onec_ahead_drop(ahead);
		return NULL;
	}
	wanted->top = ahead->places[0].top;
	reply = ahead->replies[0];
	ahead->count--;
	memmove(ahead->places, ahead->places + 1, sizeof(OnecPlace) * ahead->count);
	memmove(ahead->replies, ahead->replies + 1, sizeof(OnecReply *) * ahead->count);
	return reply;
}

void
onec_ahead_drop(OnecAhead *ahead)
{
	while (ahead->count > 0)
		onec_reply_free(ahead->replies[--ahead->count]);
}
