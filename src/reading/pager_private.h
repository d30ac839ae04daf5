/*-------------------------------------------------------------------------
 *
 * pager_private.h
 *	  The structures that the files of the pager share and nobody else may see.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGER_PRIVATE_H
#define ONEC_PAGER_PRIVATE_H

#include "postgres.h"

#include "onec_error.h"
#include "protocol/json/json_rows.h"
#include "protocol/odata/odata.h"
#include "reading/date_windows.h"
#include "reading/page_overlap.h"
#include "reading/page_repeat.h"
#include "reading/pager.h"
#include "reading/read_ahead.h"
#include "reading/row_twice.h"
#include "session/capability.h"
#include "session/reply.h"
#include "session/retry.h"
#include "session/session.h"
#include "table/options.h"

#define FIRST_PAGE 1000			/* rows, before anything is known of their size */
#define LARGEST_PAGE 20000
#define LOOK_ROWS 128			/* between looks at what else might be asked for */
#define SMALLEST_PAGE 50		/* below this a failing page is not halved any more */

/* What a reading leaves out because the base may refuse it, in the order in which that is tried. */
typedef enum OnecDoubtStep
{
	ONEC_DOUBT_NONE,
	ONEC_DOUBT_BOUND,			/* the condition by which a page begins at a date */
	ONEC_DOUBT_DATES,			/* all conditions of its own; the query has none */
	ONEC_DOUBT_ORDER,
	ONEC_DOUBT_ARM,				/* one arm of the condition */
	ONEC_DOUBT_FILTER,
	ONEC_DOUBT_BOTH				/* order and condition */
} OnecDoubtStep;

typedef struct OnecDoubt
{
	OnecDoubtStep step;
	int			arm;			/* of pager->arms, which is left out */
	int			tried;			/* arms so far */
	unsigned	parts;			/* that 1C's words may mean: ONEC_PART bits */
	OnecError	error;			/* what 1C said first */
} OnecDoubt;

typedef struct OnecScatter OnecScatter;

struct OnecPager
{
	OnecSession *session;
	const OnecOptions *options;
	OnecRefusals *refusals;		/* of the session: others may change it at any time */
	OnecRefusals known;			/* what the current start goes by, its doubt included */
	OnecDoubt	doubt;			/* settled by the first answer */
	int			settled;		/* doubts of the current start */
	OnecPager  *asked;			/* as it was when the doubt began */
	OnecSpent  *spent;
	OnecWay		way;
	int			page_size;		/* rows, as the user wants them; 0: automatic */
	OnecRows   *rows;			/* malloc'ed */
	OnecReply  *reply;			/* the page under way, or NULL */
	MemoryContext context;		/* of the pager */
	MemoryContext scratch;		/* reset at each start */
	const char **names;			/* wanted, then the date unless it is among them */
	int			nnames;
	const char *date;			/* the date by which the set is kept, or NULL */
	int			date_at;		/* its place in names; -1: not wanted by anybody */
	const bool *optional;		/* which of the wanted rows may lack; NULL: none */
	int			noptional;		/* of how many names that tells */
	int		   *key_at;			/* places of what is wanted of the key */
	int			nkey;
	const char *fallback;

	/* of the current start */
	OnecQuery	query;
	List	   *arms;			/* of OnecExpr: those of the query's filter that the base is not known to
								 * refuse */
	const OnecExpr *filter;		/* what goes of the query's filter */
	int			page_limit;		/* rows: larger pages failed in this reading; 0: none did */
	List	   *parts;			/* of OnecExpr: filters of the requests that make up the query */
	int			url_budget;		/* bytes */
	bool		select_all;		/* the address has no room for the names of columns */
	bool		shortened;		/* … nor for the whole filter: more rows come than were asked for */
	int			part_at;		/* place in names of what tells the parts apart; -1: there is one, or it is
								 * not wanted */
	int			dateless;		/* the part of the rows that have no date; -1: the parts are lists of keys */
	struct HTAB *members;		/* of which part each key is, see key_parts.c; NULL: not needed yet */
	bool		unordered;
	bool		ended;
	bool		patient;		/* it may wait */
	bool		later;			/* it may not, but would have to */
	bool		walks;			/* there are pages */
	bool		scattered;		/* … whose rows come in no order */
	OnecScatter *scatter;		/* how these are read; NULL: never yet */
	bool		by_date;		/* pages begin at dates */
	bool		descending;		/* … from the newest on */
	bool		unfiltered;		/* the base refuses $filter: dates are reached by $skip */
	bool		windowed;		/* … and end at dates, so that several may be under way */
	OnecTie	   *tie;			/* the date reached, and its rows; by_date only */
	OnecPlace	at;				/* the current page */
	OnecAhead	ahead;			/* pages asked for beyond it */
	OnecWindows windows;
	char		middle[ONEC_DATE_SIZE]; /* date of a row amid the current page */
	int64		page_rows;		/* rows that have come of this page */
	int64		page_begin;		/* rows delivered before it */
	int64		page_twice;		/* of its rows, those that came twice with it */
	uint64		row_hash;		/* of all values of its last row, where the key is wanted */
	OnecTwice	page_set;		/* its rows, where the key is wanted */
	OnecTwice	before_set;		/* those of the page before, if none came twice */
	OnecTwice	last_set;		/* those of the page before, if any came twice: $skip may be short of its
								 * end */
	uint64		page_sum;		/* of the hashes of its rows */
	uint64		page_first;		/* hash of its first row */
	uint64		page_last;
	OnecRepeat	repeat;			/* pages that have come by $skip */
	int64		doubted;		/* rows of the page before, if it was doubtful; else 0 */
	int64		short_rows;		/* rows of the last page that was doubted for good reason */
	int64		cap;			/* rows of a page, where the server cuts all at so many; 0: it does not */
	bool		probing;		/* this page only tells whether rows follow those of its date */
	bool		asked_again;	/* for a page that was empty against reason */
	int64		page_bytes;		/* consumed of this page */
	int64		delivered;		/* rows delivered since the start */
	int64		part_delivered; /* … of this part */
	int64		part_keyed;		/* … that have one of the keys it asks for */
	int64		part_foreign;	/* rows of other parts that came with it */
	const OnecExpr *part_keys;	/* the condition that names them; NULL: it does not ask for keys */
	int			part_key_at;	/* place of the key in names; -1: it is not wanted */
	int			page_target;	/* rows of the next page */
	size_t		eaten;			/* bytes at the front that the current row uses */
	size_t		seen;			/* unread bytes that do not make a row */
	bool		timed_out;		/* a page was halved for want of an answer */
	OnecAttempts attempts;
};

#endif							/* ONEC_PAGER_PRIVATE_H */
