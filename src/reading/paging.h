/*-------------------------------------------------------------------------
 *
 * paging.h
 *	  Which page comes next, and which are asked for ahead.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGING_H
#define ONEC_PAGING_H

#include "postgres.h"

#include "reading/pager.h"
#include "reading/set_end.h"

/* Rows to pass by so that a page begins with the first row of the date reached. */
extern int64 onec_pager_date_begin(const OnecPager *pager);

/*
 * The base does not take, or not heed, conditions of dates: from here on the page at "at", and all that
 * follow, begin with the date reached by $skip, and have no end.
 */
extern void onec_pager_leave_bounds(OnecPager *pager);

/* Have the page at "at" come, and such as follow it while there is room. */
extern void onec_pager_send(OnecPager *pager);
extern void onec_pager_go_ahead(OnecPager *pager);

/*
 * The next request begins behind the rows that have come ("doubtful": it likely brings none); or with the
 * next window.
 */
extern void onec_pager_go_on(OnecPager *pager, bool doubtful);
extern void onec_pager_next_window(OnecPager *pager);

/* Learn how dense the rows of a page were. */
extern void onec_pager_note_density(OnecPager *pager, OnecPageEnd verdict);

#endif							/* ONEC_PAGING_H */
