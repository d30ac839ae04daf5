/*-------------------------------------------------------------------------
 *
 * pager_private.h
 *	  What the files of the pager share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGER_PRIVATE_H
#define ONEC_PAGER_PRIVATE_H

#include "postgres.h"

#include "reading/read_ahead.h"
#include "reading/request.h"
#include "reading/pager.h"
#include "reading/page_repeat.h"
#include "reading/page_overlap.h"
#include "reading/row_twice.h"
#include "reading/date_windows.h"

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

/* What the number of its rows tells of a page. */
typedef enum OnecPageEnd
{
	ONEC_PAGE_LAST,				/* nothing follows in its part, or window */
	ONEC_PAGE_FULL,				/* more may follow */
	ONEC_PAGE_DOUBTFUL			/* likely nothing follows, but the server may have cut it */
} OnecPageEnd;

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
	List	   *arms;			/* of OnecExpr: those of the query's filter that the base is not known to refuse */
	const OnecExpr *filter;		/* what goes of the query's filter */
	int			page_limit;		/* rows: larger pages failed in this reading; 0: none did */
	List	   *parts;			/* of OnecExpr: filters of the requests that make up the query */
	int			url_budget;		/* bytes */
	bool		select_all;		/* the address has no room for the names of columns */
	bool		shortened;		/* … nor for the whole filter: more rows come than were asked for */
	int			part_at;		/* place in names of what tells the parts apart; -1: there is one, or it is not wanted */
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
	OnecTwice	last_set;		/* those of the page before, if any came twice: $skip may be short of its end */
	uint64		page_sum;		/* of the hashes of its rows */
	OnecRepeat	repeat;			/* pages that have come by $skip */
	int64		doubted;		/* rows of the page before, if it was doubtful; else 0 */
	int64		short_rows;		/* rows of the last page that was doubted for good reason */
	int64		cap;			/* rows of a page, where the server cuts all at so many; 0: it does not */
	bool		probing;		/* this page only tells whether rows follow those of its date */
	bool		asked_again;	/* for a page that was empty against reason */
	int64		page_bytes;		/* consumed of this page */
	int64		delivered;		/* rows delivered since the start */
	int64		part_delivered; /* … of this part */
	int64		part_foreign;	/* rows of other parts that came with it */
	int			page_target;	/* rows of the next page */
	size_t		eaten;			/* bytes at the front that the current row uses */
	size_t		seen;			/* unread bytes that do not make a row */
	bool		timed_out;		/* a page was halved for want of an answer */
	OnecAttempts attempts;
};

/* pager.c: raise an error because 1C does not order, or filter ("what"), by dates; the next query does without. */
extern void onec_pager_raise_dates(OnecPager *pager, const char *what) pg_attribute_noreturn();

/* page_request.c: copy the wanted names and see to it that "date", unless NULL, is among them. */
extern void onec_pager_keep_names(OnecPager *pager, const char *const *names, int nnames,
								  const char *date);

/* page_request.c: the place of a name among those wanted; -1: it is not. */
extern int	onec_pager_find_name(const OnecPager *pager, const char *name);

/* page_request.c: the tie of this pager; rows are known by the entity key where that is wanted whole. */
extern OnecTie *onec_pager_make_tie(const OnecPager *pager);

/* page_request.c: the filters of the requests that make up the query. */
extern void onec_pager_make_parts(OnecPager *pager);

/* page_request.c: "filter and date op value"; "filter" may be NULL. */
extern const OnecExpr *onec_pager_filter_by_date(const OnecPager *pager, const OnecExpr *filter, const char *op,
												 const char *value);

/* pager.c: begin the set anew, by what is known and doubted now. */
extern void onec_pager_choose_again(OnecPager *pager);

/* doubt.c: what goes of the query's filter.  Needs pager->known. */
extern void onec_pager_choose_filter(OnecPager *pager);

/* doubt.c: whether the base takes conditions of the date by which the set is kept. */
extern bool onec_pager_takes_dates(const OnecPager *pager);

/*
 * doubt.c: a row, or the end of an answer, has come.  True: go on with it; false: the set begins anew.  Waits for an
 * answer if the reading is in doubt.
 */
extern bool onec_pager_settle(OnecPager *pager);

/* doubt.c: the page failed: arrange for the next request, or raise. */
extern void onec_pager_failed(OnecPager *pager, const OnecError *error);

/* page_request.c: rows to ask for next. */
extern int64 onec_pager_top(const OnecPager *pager);

/* page_request.c: aim the next page at page_bytes, after one of so many rows and bytes. */
extern void onec_pager_adapt(OnecPager *pager, int64 rows, int64 bytes);

/* page_request.c: the request for a page. */
extern void onec_pager_draft(const OnecPager *pager, const OnecPlace *place, OnecDraft *draft);

/* page_request.c: take into account what is asked for, and how the rows that come are reached. */
extern void onec_pager_note_asked(OnecPager *pager);
extern void onec_pager_note_reached(OnecPager *pager);

/* paging.c: rows to pass by so that a page begins with the first row of the date reached. */
extern int64 onec_pager_date_begin(const OnecPager *pager);

/*
 * paging.c: the base does not take, or not heed, conditions of dates: from here on the page at "at", and all that follow,
 * begin with the date reached by $skip, and have no end.
 */
extern void onec_pager_leave_bounds(OnecPager *pager);

/* paging.c: have the page at "at" come, and such as follow it while there is room. */
extern void onec_pager_send(OnecPager *pager);
extern void onec_pager_go_ahead(OnecPager *pager);

/* paging.c: the next request begins behind the rows that have come ("doubtful": it likely brings none); or with the next window. */
extern void onec_pager_go_on(OnecPager *pager, bool doubtful);
extern void onec_pager_next_window(OnecPager *pager);

/* paging.c: learn how dense the rows of a page were. */
extern void onec_pager_note_density(OnecPager *pager, OnecPageEnd verdict);

/* page_request.c: whether pages from these two places, which brought equal rows, begin with the very same one. */
extern bool onec_pager_is_same_row(OnecPager *pager, int64 skip, int64 other);

/* set_end.c: find the key among the wanted properties. */
extern void onec_pager_find_key(OnecPager *pager);

/* set_end.c: raise an error if an object is no row: it lacks its key, or all that was asked for. */
extern void onec_pager_check_row(const OnecPager *pager, const OnecField *fields);

/* set_end.c: a wanted property that no row of the page has had so far, and that rows must not lack; or NULL. */
extern const char *onec_pager_missing(const OnecPager *pager);

/* set_end.c: raise an error if the page, which has ended, lacks a property or has come before. */
extern void onec_pager_check_page(OnecPager *pager);

/* set_end.c: the page has the rows of an earlier one. */
extern void onec_pager_raise_repeated(const OnecPager *pager, const OnecMark *earlier) pg_attribute_noreturn();

/*
 * again.c: raise an error if the page, whose rows have no key, holds rows twice, or those of "earlier" (NULL: of no page
 * in particular).  The pages behind it come with their key.
 */
extern void onec_pager_check_again(OnecPager *pager, const OnecMark *earlier);

/* key_parts.c: whether a row with this value of what tells the parts apart belongs to another one. */
extern bool onec_pager_is_foreign(OnecPager *pager, const OnecField *field);

/* set_end.c: a page begins; of the one before only rows that came twice are of interest. */
extern void onec_pager_begin_set(OnecPager *pager);

/* set_end.c: note a row by its values, where its key is wanted; whether it came with this page already. */
extern bool onec_pager_is_twice(OnecPager *pager, const OnecField *fields);

/* set_end.c: whether the row last noted came with the page before, of which $skip passed by too few. */
extern bool onec_pager_has_come(const OnecPager *pager);

/* set_end.c: rows of the page, each once. */
extern int64 onec_pager_page_rows(const OnecPager *pager);

/* set_end.c: what the page's rows tell of its end; "cut": it names an address for more.  Notes what they tell of the server. */
extern OnecPageEnd onec_pager_judge(OnecPager *pager, bool cut);

/* set_end.c: whether a page that is empty ought to bring back rows that came already. */
extern bool onec_pager_is_lost(const OnecPager *pager);

/* scattered.c: begin to read a part of a set without an order. */
extern void onec_scatter_begin(OnecPager *pager);

/* scattered.c: rows to ask for where "top" would be asked for else. */
extern int64 onec_scatter_top(const OnecPager *pager, int64 top);

/* scattered.c: note a row; whether it has not been delivered before. */
extern bool onec_scatter_row(OnecPager *pager, const OnecField *fields);

/* scattered.c: the page is complete: arrange for the next; false when the part is read. */
extern bool onec_scatter_done(OnecPager *pager, OnecPageEnd end);

/* scattered.c: the page broke off: arrange for the next request, which brings its rows again. */
extern void onec_scatter_broken(OnecPager *pager, const OnecError *error);

/* scattered.c: whether the set is read by dates, none of which has been answered yet. */
extern bool onec_scatter_may_leave_dates(const OnecPager *pager);

/* scattered.c: … then the base takes no condition of dates: ask for everything at once. */
extern void onec_scatter_leave_dates(OnecPager *pager);

/* scattered.c: whether rows can be lost or come twice after all. */
extern bool onec_scatter_is_shaky(const OnecPager *pager);

#endif							/* ONEC_PAGER_PRIVATE_H */
