/*-------------------------------------------------------------------------
 *
 * set_end.h
 *	  Whether more rows follow a page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SET_END_H
#define ONEC_SET_END_H

#include "postgres.h"

#include "reading/pager.h"

/* What the number of its rows tells of a page. */
typedef enum OnecPageEnd
{
	ONEC_PAGE_LAST,				/* nothing follows in its part, or window */
	ONEC_PAGE_FULL,				/* more may follow */
	ONEC_PAGE_DOUBTFUL			/* likely nothing follows, but the server may have cut it */
} OnecPageEnd;

/*
 * What the page's rows tell of its end; "cut": it names an address for more.  Notes what they tell of the
 * server.
 */
extern OnecPageEnd onec_pager_judge(OnecPager *pager, bool cut);

/* Whether a page that is empty ought to bring back rows that came already. */
extern bool onec_pager_is_lost(const OnecPager *pager);

#endif							/* ONEC_SET_END_H */
