/*-------------------------------------------------------------------------
 *
 * scattered.h
 *	  Sets whose rows come in no order: each is delivered once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SCATTERED_H
#define ONEC_SCATTERED_H

#include "postgres.h"

#include "onec_error.h"
#include "protocol/json/json_rows.h"
#include "reading/pager.h"
#include "reading/set_end.h"

/* Begin to read a part of a set without an order. */
extern void onec_scatter_begin(OnecPager *pager);

/* Rows to ask for where "top" would be asked for else. */
extern int64 onec_scatter_top(const OnecPager *pager, int64 top);

/* Note a row; whether it has not been delivered before. */
extern bool onec_scatter_row(OnecPager *pager, const OnecField *fields);

/* The page is complete: arrange for the next; false when the part is read. */
extern bool onec_scatter_done(OnecPager *pager, OnecPageEnd end);

/* The page broke off: arrange for the next request, which brings its rows again. */
extern void onec_scatter_broken(OnecPager *pager, const OnecError *error);

/* Whether the set is read by dates, none of which has been answered yet. */
extern bool onec_scatter_may_leave_dates(const OnecPager *pager);

/* … then the base takes no condition of dates: ask for everything at once. */
extern void onec_scatter_leave_dates(OnecPager *pager);

/* Whether rows can be lost or come twice after all. */
extern bool onec_scatter_is_shaky(const OnecPager *pager);

#endif							/* ONEC_SCATTERED_H */
