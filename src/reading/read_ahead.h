/*-------------------------------------------------------------------------
 *
 * read_ahead.h
 *	  Pages asked for before they are needed.
 *
 * What is asked for ahead is a guess: the pager goes its way and takes an answer from here only if it is that
 * of the very page it needs next.  A wrong guess costs a request, never a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_READ_AHEAD_H
#define ONEC_READ_AHEAD_H

#include "postgres.h"

#include "table/dates.h"
#include "session/reply.h"

#define ONEC_AHEAD_MAX 16		/* twice the largest value of the option prefetch: onec_pager_go_ahead() */

/* Which page of a query. */
typedef struct OnecPlace
{
	int			part;			/* of the requests that make up the query */
	bool		in_tie;			/* in an order that $skip can rely on */
	char		bound[ONEC_DATE_SIZE];	/* it begins at this date; empty: open */
	char		limit[ONEC_DATE_SIZE];	/* it ends before this date; empty: open */
	int64		skip;
	int64		top;			/* < 0: all rows */
} OnecPlace;

typedef struct OnecAhead
{
	int			count;
	OnecPlace	places[ONEC_AHEAD_MAX];
	OnecReply  *replies[ONEC_AHEAD_MAX];
} OnecAhead;

/* Add a request that was just sent as number "at"; there must be room. */
extern void onec_ahead_add(OnecAhead *ahead, int at, const OnecPlace *place, OnecReply *reply);

/*
 * The answer for "wanted", whose top becomes that of the request.  NULL when it was not asked
 * for; then all are dropped, unless they will be needed after it.
 */
extern OnecReply *onec_ahead_take(OnecAhead *ahead, OnecPlace *wanted);

/* Drop all: the query has ended, or goes on elsewhere. */
extern void onec_ahead_drop(OnecAhead *ahead);

#endif							/* ONEC_READ_AHEAD_H */
