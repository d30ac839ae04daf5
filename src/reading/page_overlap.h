/*-------------------------------------------------------------------------
 *
 * page_overlap.h
 *	  Rows that share the date where a page was cut.
 *
 * A page of a set in the order of its dates ends amid the rows of some date.  The next one begins at that
 * date again, so some rows come twice.  Three rows a page, of "date key sum":
 *
 *	 page 1				page 2, "date ge 10:05"		delivered of page 2
 *	 10:00 a 5			10:05 b 7					no: b has come
 *	 10:05 b 7			10:05 c 7					no: c has come
 *	 10:05 c 7			10:05 d 7					yes
 *
 * They are known again by their key.  Where the query does not want the key, b, c and d are all "10:05 7":
 * which of them is which is of no interest to it, only how many there are.  So it is counted: two such rows
 * have come, so the first two of the second page are left out.  Both by a hash of 64 bits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGE_OVERLAP_H
#define ONEC_PAGE_OVERLAP_H

#include "postgres.h"

#include "protocol/json/json_rows.h"
#include "table/dates.h"

typedef struct OnecTie OnecTie;

/*
 * Lives in the current context.  "key": which fields make the entity key; a row is known again by them.
 * Without any (nkey 0) by all its fields.
 */
extern OnecTie *onec_tie_create(const int *key, int nkey);

/* Forget everything; rows will come in ascending or descending order. */
extern void onec_tie_reset(OnecTie *tie, bool descending);

/*
 * A page begins that was asked for from date "bound" on ("" for the first).  "on": it goes on within the rows
 * of that date, so that rows expected of the page before may still come.
 */
extern void onec_tie_page(OnecTie *tie, const char *bound, bool on);

/* Whether rows are known by their key. */
extern bool onec_tie_has_key(const OnecTie *tie);

/* The hash by which a row is known, where there are no dates; with dates, that of the last row. */
extern uint64 onec_tie_hash(const OnecTie *tie, const OnecField *fields, int nfields);
extern uint64 onec_tie_last(const OnecTie *tie);

/* The hash of all fields of a row. */
extern uint64 onec_tie_hash_all(const OnecField *fields, int nfields);

/* Rows of the page before that this one should repeat, and has not yet. */
extern int	onec_tie_expected(const OnecTie *tie);

/* Rows of the date reached that have come. */
extern int	onec_tie_seen(const OnecTie *tie);

/* Note a row; false when it has come already. */
extern bool onec_tie_row(OnecTie *tie, const OnecField *fields, int nfields, const OnecField *date);

/* Whether the last row's date lies beyond the page's bound. */
extern bool onec_tie_moved(const OnecTie *tie);

/* The last row's date: where the next page begins. */
extern void onec_tie_bound(const OnecTie *tie, char bound[ONEC_DATE_SIZE]);

/* Whether rows came out of order, before the bound, or without a date. */
extern bool onec_tie_disorder(const OnecTie *tie);

#endif							/* ONEC_PAGE_OVERLAP_H */
