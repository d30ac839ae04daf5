/*-------------------------------------------------------------------------
 *
 * page_repeat.h
 *	  Pages reached by $skip that have come before.
 *
 * A server that takes no notice of $skip sends the same page for ever.  A page is known again by the
 * number of its rows and the sum of their hashes, whatever their order; and where rows have keys, by its
 * first row, or by its last if it is more than half as long or as long as was asked for, since one of the
 * two may have been longer than that, or have broken off.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGE_REPEAT_H
#define ONEC_PAGE_REPEAT_H

#include "postgres.h"

#include "reading/read_ahead.h"

/* One page. */
typedef struct OnecMark
{
	int64		skip;
	int64		rows;
	uint64		sum;			/* of the hashes of its rows */
	uint64		first;			/* hash of its first row; 0: not known */
	uint64		last;			/* 0: not known, or other rows may be alike */
} OnecMark;

/* All zero knows of no page. */
typedef struct OnecRepeat
{
	OnecPlace	place;			/* of the last page: what came before counts only where all but $skip is the
								 * same */
	OnecMark   *marks;
	int			count;
	int			room;
} OnecRepeat;

/*
 * The page "page" has come from "place".  Returns an earlier page that it repeats, or NULL; valid until the
 * next call.  "keyed": its rows have keys, and one row is enough for that.  "behind_twice": the page before
 * had rows twice.  "context" is where the marks live.
 */
extern const OnecMark *onec_repeat_find(OnecRepeat *repeat, const OnecPlace *place, const OnecMark *page,
										bool keyed, bool behind_twice, MemoryContext context);

/*
 * Whether a page of "place" has too many rows to be the last few of the earlier one come once more, as they
 * do behind rows that came in front meanwhile.
 */
extern bool onec_repeat_is_most(const OnecPlace *place, const OnecMark *page, const OnecMark *earlier);

/* Whether a page of "place" that begins with the row of hash "first" begins as an earlier one did. */
extern bool onec_repeat_begins(const OnecRepeat *repeat, const OnecPlace *place, uint64 first);

/* Forget all pages but this one, whose rows are known by other hashes from now on. */
extern void onec_repeat_begin(OnecRepeat *repeat, const OnecPlace *place, const OnecMark *page,
							  MemoryContext context);

#endif							/* ONEC_PAGE_REPEAT_H */
