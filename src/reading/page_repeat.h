/*-------------------------------------------------------------------------
 *
 * page_repeat.h
 *	  Pages reached by $skip that have come before.
 *
 * A server that takes no notice of $skip sends the same page for ever.  A page is known again by the number of its rows and
 * the sum of their hashes, whatever their order.
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
} OnecMark;

/* All zero knows of no page. */
typedef struct OnecRepeat
{
	OnecPlace	place;			/* of the last page: what came before counts only where all but $skip is the same */
	OnecMark   *marks;
	int			count;
	int			room;
} OnecRepeat;

/*
 * A page of "rows" rows has come from "place".  Returns the earlier page with the same rows, or NULL; valid until the next
 * call.  "context" is where the marks live.
 */
extern const OnecMark *onec_repeat_find(OnecRepeat *repeat, const OnecPlace *place, int64 rows, uint64 sum,
										MemoryContext context);

/* Forget all pages but this one, whose rows are known by another sum from now on. */
extern void onec_repeat_begin(OnecRepeat *repeat, const OnecPlace *place, int64 rows, uint64 sum, MemoryContext context);

#endif							/* ONEC_PAGE_REPEAT_H */
