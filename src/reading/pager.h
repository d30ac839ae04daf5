/*-------------------------------------------------------------------------
 *
 * pager.h
 *	  Which pages to ask for, and their rows one after the other.
 *
 * A pager belongs to one scan.  It asks for pages by date or by $skip, adapts their size,
 * splits key lists that do not fit into one address, does without what the base refuses, and goes on after
 * a broken page where it broke.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGER_H
#define ONEC_PAGER_H

#include "postgres.h"

#include "compat.h"
#include "protocol/json/json_rows.h"
#include "protocol/odata/odata.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/options.h"

typedef struct OnecPager OnecPager;

/* Where rows without a date stand in the promised order, when 1C would put them elsewhere. */
typedef enum OnecNulls
{
	ONEC_NULLS_ALIKE,			/* where 1C puts them, or there are none */
	ONEC_NULLS_FIRST,
	ONEC_NULLS_LAST
} OnecNulls;

/* What to read; all memory must live until the pager is started anew. */
typedef struct OnecQuery
{
	const OnecExpr *filter;		/* NULL: none */
	bool		filter_exact;	/* all the scan's conditions are in the filter: needed for a count */
	const OnecExpr *key;		/* LITERAL: the one entity with this key */
	const OnecArgument *arguments;	/* of the function */
	int			narguments;
	const OnecOrder *order;		/* promised to the executor */
	int			norder;
	OnecNulls	nulls;			/* of order[0], which is the date then: they take a request of their own */
	int64		skip;			/* rows to pass by, for samples; then dates are of no help */
	int64		hint;			/* rows that are probably enough; < 0: unknown */
} OnecQuery;

/* What is wanted of each row; all memory must live as long as the pager. */
typedef struct OnecWanted
{
	const char *const *names;	/* properties, UTF-8 */
	int			nnames;
	const bool *optional;		/* which of them rows may lack; NULL: none may */
	const char *fallback;		/* selected when no property is wanted; may be NULL */
	const char *date;			/* the property by which the set may be cut, or NULL */
} OnecWanted;

/* How the queries of a pager have been read so far. */
typedef struct OnecWay
{
	int64		runs;			/* queries begun */
	int64		finished;		/* … and read to their end */
	int64		page_rows;		/* rows of the largest page asked for; 0: none had a size */
	int64		twice;			/* rows that came twice with one page, and were passed by once */
	bool		by_skip;		/* a page was reached by $skip */
	bool		shaky;			/* … of an order that need not hold from one page to the next */
	bool		unfiltered;		/* a condition did not go to 1C: the base refuses it, or it is too long */
} OnecWay;

/*
 * Setting onec_fdw.page_size: rows of a page, in place of the option page_size; 0: the option holds.  A
 * second reading is cut elsewhere by it.
 */
extern int	onec_page_size;

/*
 * Setting onec_fdw.short_page_ends: whether a page with fewer rows than were asked for may be the last.  Off:
 * what follows it is always asked for.
 */
extern bool onec_short_page_ends;

/*
 * A pager that delivers the wanted properties, in their order (more may follow them), from the table of
 * "options".  Lives in the current context, and frees with it what is malloc'ed.  "spent" must
 * live as long.
 */
extern OnecPager *onec_pager_create(OnecSession *session, const OnecOptions *options,
									const OnecWanted *wanted, OnecSpent *spent);

/* Begin (again).  Sends nothing yet. */
extern void onec_pager_start(OnecPager *pager, const OnecQuery *query);

/*
 * The fields of the next row, valid until the next call; NULL at the end.  ERROR when 1C cannot be
 * read; "not found" for a key is an end without rows.
 */
extern const OnecField *onec_pager_next(OnecPager *pager);

/*
 * The same without waiting: false when 1C has yet to answer, or when as many requests as may be are under way
 * to its base.  Only a back-off after a failure is waited for.
 */
extern bool onec_pager_try(OnecPager *pager, const OnecField **fields);

/*
 * Whatever else this backend reads, keep the fields where they are: for callers that run other people's code
 * before they are through with a row.  To be ended before the next one is asked for.
 */
extern void onec_pager_hold(OnecPager *pager, bool hold);

/*
 * Whether rows come without the promised order because the base refuses $orderby; known after the first
 * onec_pager_next().
 */
extern bool onec_pager_unordered(const OnecPager *pager);

/* How it went so far, since the pager was made; lives as long as the pager. */
extern const OnecWay *onec_pager_way(const OnecPager *pager);

/*
 * The reader has enough.  What he was given must not be for want of a property: where no row of the page had
 * one so far, it is read on until one has, or it ends; ERROR then.
 */
extern void onec_pager_enough(OnecPager *pager);

/* Drop what is under way. */
extern void onec_pager_stop(OnecPager *pager);

/* Raise an error because 1C does not order, or filter ("what"), by dates; the next query does without. */
pg_noreturn extern void onec_pager_raise_dates(OnecPager *pager, const char *what);

/* Begin the set anew, by what is known and doubted now. */
extern void onec_pager_choose_again(OnecPager *pager);

#endif							/* ONEC_PAGER_H */
