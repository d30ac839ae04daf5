/*-------------------------------------------------------------------------
 *
 * page_request.h
 *	  The request for the pager's next page, and for display.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGE_REQUEST_H
#define ONEC_PAGE_REQUEST_H

#include "postgres.h"

#include "protocol/odata/odata.h"
#include "reading/page_overlap.h"
#include "reading/pager.h"
#include "reading/read_ahead.h"
#include "reading/request.h"
#include "session/capability.h"
#include "table/options.h"

/* A request for display. */
typedef struct OnecShown
{
	char	   *text;			/* "Catalog_X?$select=…", UTF-8 */
	int			lists;			/* requests among which a list of keys is divided; else 1 */
	bool		shortened;		/* the address has no room for the whole filter */
} OnecShown;

/* Ask for /$count of the query; false when the base refuses that, which is remembered. */
extern bool onec_pager_count(OnecPager *pager, const OnecQuery *query, int64 *count);

/*
 * The request that reads the query's first page, or counts, without what the base is known to refuse.  Needs
 * no session.
 */
extern OnecShown onec_pager_text(const OnecOptions *options, const OnecQuery *query, const OnecWanted *wanted,
								 const OnecRefusals *refusals, bool count);

/* Copy the wanted names and see to it that "date", unless NULL, is among them. */
extern void onec_pager_keep_names(OnecPager *pager, const char *const *names, int nnames,
								  const char *date);

/* The place of a name among those wanted; -1: it is not. */
extern int	onec_pager_find_name(const OnecPager *pager, const char *name);

/* The tie of this pager; rows are known by the entity key where that is wanted whole. */
extern OnecTie *onec_pager_make_tie(const OnecPager *pager);

/* The filters of the requests that make up the query. */
extern void onec_pager_make_parts(OnecPager *pager);

/* "filter and date op value"; "filter" may be NULL. */
extern const OnecExpr *onec_pager_filter_by_date(const OnecPager *pager, const OnecExpr *filter,
												 const char *op,
												 const char *value);

/* Rows to ask for next. */
extern int64 onec_pager_top(const OnecPager *pager);

/* Aim the next page at page_bytes, after one of so many rows and bytes. */
extern void onec_pager_adapt(OnecPager *pager, int64 rows, int64 bytes);

/* The request for a page. */
extern void onec_pager_draft(const OnecPager *pager, const OnecPlace *place, OnecDraft *draft);

/* Take into account what is asked for, and how the rows that come are reached. */
extern void onec_pager_note_asked(OnecPager *pager);
extern void onec_pager_note_reached(OnecPager *pager);

/* Whether pages from these two places, which brought equal rows, begin with the very same one. */
extern bool onec_pager_is_same_row(OnecPager *pager, int64 skip, int64 other);

#endif							/* ONEC_PAGE_REQUEST_H */
