/*-------------------------------------------------------------------------
 *
 * doubt.h
 *	  Which part of a request a base refuses: the trial.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DOUBT_H
#define ONEC_DOUBT_H

#include "postgres.h"

#include "onec_error.h"
#include "reading/pager.h"

/* What goes of the query's filter.  Needs pager->known. */
extern void onec_pager_choose_filter(OnecPager *pager);

/* Whether the base takes conditions of the date by which the set is kept. */
extern bool onec_pager_takes_dates(const OnecPager *pager);

/*
 * A row, or the end of an answer, has come.  True: go on with it; false: the set begins anew.  Waits for an
 * answer if the reading is in doubt.
 */
extern bool onec_pager_settle(OnecPager *pager);

/* The page failed: arrange for the next request, or raise. */
extern void onec_pager_failed(OnecPager *pager, const OnecError *error);

#endif							/* ONEC_DOUBT_H */
