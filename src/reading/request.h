/*-------------------------------------------------------------------------
 *
 * request.h
 *	  The request for one page: order, columns, length, and key lists in parts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_REQUEST_H
#define ONEC_REQUEST_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "protocol/odata/odata.h"
#include "reading/pager.h"
#include "table/options.h"

/* How the rows of a request are ordered. */
typedef enum OnecOrdering
{
	ONEC_ORDERING_NONE,
	ONEC_ORDERING_TOTAL,		/* safe for $skip: what was promised, then the date, then the key */
	ONEC_ORDERING_DATE			/* cheap: what was promised, or the date alone */
} OnecOrdering;

/* A request with room for its smaller parts. */
typedef struct OnecDraft
{
	OnecRequest request;
	const char *select[1];
	OnecOrder  *order;
} OnecDraft;

/* Whether the set is read by pages: results of functions and single entities are not. */
extern bool onec_draft_is_paged(const OnecOptions *options, const OnecQuery *query);

/* Whether pages may begin at dates: the promised order, if any, must begin with the date. */
extern bool onec_draft_may_go_by_date(const OnecOptions *options, const OnecQuery *query,
									  const char *date);

/* Everything but columns and page; "date" may be NULL unless ordering is DATE. */
extern void onec_draft_request(OnecDraft *draft, const OnecOptions *options,
							   const OnecQuery *query, OnecOrdering ordering, const char *date);

/* Select the named properties, or "fallback" when there are none. */
extern void onec_draft_select(OnecDraft *draft, const char *const *names, int nnames,
							  const char *fallback);

/* Select all properties: shorter than naming many. */
extern void onec_draft_select_all(OnecDraft *draft);

/* Bytes of the encoded address. */
extern size_t onec_draft_url_size(const char *root, const OnecRequest *request);

/* The IN of a filter that may be answered in parts: the filter itself or an arm of its AND; or NULL. */
extern const OnecExpr *onec_draft_find_list(const OnecExpr *filter);

/*
 * A filter that every row passes that "filter" lets pass, of at most "room" encoded bytes: long texts are
 * asked for by how they begin, and what does not fit is left out.  NULL when nothing is left.
 */
extern const OnecExpr *onec_draft_shorten(const OnecExpr *filter, size_t room);

/* The condition of a filter that names the keys of the rows it lets pass: that itself or an arm; or NULL. */
extern const OnecExpr *onec_draft_keys(const OnecOptions *options, const OnecExpr *filter);

/*
 * The filter in parts (List of OnecExpr), "list" cut so that it takes at most "room" encoded bytes in each.
 */
extern List *onec_draft_parts(const OnecExpr *filter, const OnecExpr *list, size_t room);

#endif							/* ONEC_REQUEST_H */
