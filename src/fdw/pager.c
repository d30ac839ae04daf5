/*-------------------------------------------------------------------------
 *
 * pager.c
 *	  Pages of an entity set: by its dates where it has some, else by $skip.
 *
 * 1C has no server paging: a set ends with the first page that is not full.  It pays for skipped rows
 * as for returned ones, so a set with a date is read in its order, each page beginning at the
 * date where the last one ended (tie.h tells the rows that come twice).  Other sets are read by $skip over a total
 * order.  A page that breaks after some of its rows were delivered is not read again: the next
 * request goes on where it broke, which promises no more and no less than paging does anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fdw/draft.h"
#include "fdw/pager.h"
#include "fdw/tie.h"
#include "fdw/types.h"

#define FIRST_PAGE 1000			/* rows, before anything is known of their size */
#define LARGEST_PAGE 20000
#define SMALLEST_PAGE 50		/* below this a failing page is not halved any more */

struct OnecPager
{
	OnecSession *session;
	const OnecOptions *options;
	OnecRefusals *refusals;
	OnecSpent  *spent;
	OnecRows   *rows;			/* malloc'ed */
	OnecReply  *reply;			/* the page under way, or NULL */
	MemoryContext context;		/* of the pager */
	MemoryContext scratch;		/* reset at each start */
	const char **names;			/* wanted, then the date unless it is among them */
	int			nnames;
	const char *date;			/* the date by which the set is kept, or NULL */
	int			date_at;		/* its place in names; -1: not wanted by anybody */
	const char *fallback;

	/* of the current start */
	OnecQuery	query;
	List	   *parts;			/* of OnecExpr: filters of the requests that make up the query */
	int			part;
	int			url_budget;		/* bytes */
	bool		unordered;
	bool		ended;
	bool		by_date;		/* pages begin at dates */
	bool		descending;		/* … from the newest on */
	bool		unfiltered;		/* the base refuses $filter: dates are reached by $skip */
	bool		in_tie;			/* one date fills a page: its rows are paged by $skip */
	OnecTie	   *tie;			/* the date reached, and its rows; by_date only */
	char		bound[ONEC_DATE_SIZE];	/* where the current page begins; empty: open */
	int64		skip;			/* rows of this part that came with earlier pages */
	int64		top;			/* rows asked for; < 0: all */
	int64		page_rows;		/* rows delivered of this page */
	int64		page_bytes;		/* consumed of this page */
	int64		delivered;		/* rows delivered since the start */
	int64		part_delivered; /* … of this part */
	int			page_target;	/* rows of the next page */
	size_t		eaten;			/* bytes at the front that the current row uses */
	bool		timed_out;		/* a page was halved for want of an answer */
	OnecAttempts attempts;
};

/* ---- the requests that make up a query ---- */

/* "filter and date op value"; "filter" may be NULL. */
static const OnecExpr *
filter_by_date(const OnecPager *pager, const OnecExpr *filter, const char *op, const char *value)
{
	OnecExpr   *parts = palloc0(sizeof(OnecExpr) * 4);
	OnecExpr  **args = palloc(sizeof(OnecExpr *) * 4);

	parts[0].kind = ONEC_EXPR_FIELD;
	parts[0].name = pager->date;
	parts[1].kind = ONEC_EXPR_LITERAL;
	parts[1].lit_kind = ONEC_LIT_DATETIME;
	parts[1].lit_text = value;
	args[0] = &parts[0];
	args[1] = &parts[1];
	parts[2].kind = ONEC_EXPR_COMPARE;
	parts[2].op = op;
	parts[2].nargs = 2;
	parts[2].args = args;
	if (filter == NULL)
		return &parts[2];
	args[2] = (OnecExpr *) filter;
	args[3] = &parts[2];
	parts[3].kind = ONEC_EXPR_AND;
	parts[3].nargs = 2;
	parts[3].args = args + 2;
	return &parts[3];
}

/* The whole set by one filter; rows without a date apart from the others where the order wants that. */
static List *
whole_parts(OnecPager *pager, const OnecExpr *filter)
{
	const OnecExpr *empty;
	const OnecExpr *rest;

	if (pager->query.nulls == ONEC_NULLS_ALIKE || pager->unordered)
		return list_make1((void *) filter);
	empty = filter_by_date(pager, filter, "eq", ONEC_EMPTY_DATE);
	rest = filter_by_date(pager, filter, "ne", ONEC_EMPTY_DATE);
	if (pager->query.nulls == ONEC_NULLS_FIRST)
		return list_make2((void *) empty, (void *) rest);
	return list_make2((void *) rest, (void *) empty);
}

static void
make_parts(OnecPager *pager)
{
	const OnecExpr *filter = pager->refusals->filter ? NULL : pager->query.filter;
	const OnecExpr *list = onec_draft_find_list(filter);
	size_t		budget = pager->url_budget;
	OnecDraft	draft;
	size_t		rest;

	pager->part = 0;
	onec_draft_request(&draft, pager->options, &pager->query, ONEC_ORDERING_TOTAL,
					   pager->date);
	onec_draft_select(&draft, pager->names, pager->nnames, pager->fallback);
	rest = onec_draft_url_size(pager->options->root, &draft.request);
	if (filter == NULL || rest <= budget)
	{
		pager->parts = whole_parts(pager, filter);
		return;
	}
	/* parts of an ordered set would have to be merged; then 1C reads it whole */
	if (list == NULL || pager->query.norder > 0)
	{
		pager->parts = whole_parts(pager, NULL);
		return;
	}
	rest -= onec_odata_encoded_size(list);
	pager->parts = onec_draft_parts(filter, list, rest < budget ? budget - rest : 1);
}

/* ---- life ---- */

static void
free_rows(void *arg)
{
	OnecPager  *pager = arg;

	onec_rows_free(pager->rows);
	pager->rows = NULL;
}

/* Copy the wanted names and see to it that the date is among them. */
static void
keep_names(OnecPager *pager, const char *const *names, int nnames, const char *date)
{
	pager->names = palloc(sizeof(char *) * (nnames + 1));
	pager->nnames = nnames;
	pager->date_at = -1;
	for (int i = 0; i < nnames; i++)
	{
		pager->names[i] = names[i];
		if (date != NULL && strcmp(names[i], date) == 0)
			pager->date_at = i;
	}
	if (date == NULL || pager->date_at >= 0)
		return;
	pager->date_at = nnames;
	pager->names[pager->nnames++] = date;
}

OnecPager *
onec_pager_create(OnecSession *session, const OnecOptions *options, const OnecWanted *wanted,
				  OnecSpent *spent)
{
	OnecPager  *pager = palloc0(sizeof(OnecPager));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	pager->session = session;
	pager->options = options;
	pager->refusals = onec_session_refusals(session, options->entity_set);
	pager->spent = spent;
	keep_names(pager, wanted->names, wanted->nnames,
			   options->paging == ONEC_PAGING_SKIP ? NULL : wanted->date);
	pager->date = wanted->date;
	pager->fallback = wanted->fallback;
	pager->tie = onec_tie_create();
	pager->context = CurrentMemoryContext;
	pager->scratch = AllocSetContextCreate(CurrentMemoryContext, "onec_fdw pager",
										   ALLOCSET_SMALL_SIZES);
	pager->ended = true;
	callback->func = free_rows;
	callback->arg = pager;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	pager->rows = onec_rows_create(pager->names, pager->nnames);
	if (pager->rows == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return pager;
}

void
onec_pager_stop(OnecPager *pager)
{
	if (pager->reply != NULL)
		onec_reply_rows(pager->reply, pager->page_rows);
	onec_reply_free(pager->reply);
	pager->reply = NULL;
	pager->ended = true;
}

/* Decide how to page, from the query and what the base was found to refuse. */
static void
choose_way(OnecPager *pager)
{
	pager->unordered = pager->query.norder > 0 &&
		(pager->refusals->order ||
		 (pager->query.nulls != ONEC_NULLS_ALIKE && pager->refusals->filter));
	pager->by_date = pager->query.skip == 0 && pager->date_at >= 0 &&
		onec_draft_may_go_by_date(pager->options, &pager->query, pager->date) &&
		!pager->refusals->order && !pager->refusals->filter && !pager->refusals->dates;
	pager->descending = pager->query.norder > 0 && pager->query.order[0].descending;
	pager->in_tie = false;
	pager->unfiltered = false;
	pager->part_delivered = 0;
	pager->bound[0] = '\0';
	onec_tie_reset(pager->tie, pager->descending);
}

void
onec_pager_start(OnecPager *pager, const OnecQuery *query)
{
	MemoryContext old;

	onec_pager_stop(pager);
	MemoryContextReset(pager->scratch);
	pager->query = *query;
	pager->ended = false;
	pager->url_budget = pager->options->max_url;
	pager->skip = query->skip;
	pager->page_rows = 0;
	pager->delivered = 0;
	pager->eaten = 0;
	pager->page_target = pager->options->page_size > 0 ? pager->options->page_size : FIRST_PAGE;
	memset(&pager->attempts, 0, sizeof(pager->attempts));
	pager->timed_out = false;
	old = MemoryContextSwitchTo(pager->scratch);
	choose_way(pager);
	make_parts(pager);
	MemoryContextSwitchTo(old);
}

bool
onec_pager_unordered(const OnecPager *pager)
{
	return pager->unordered;
}

/* ---- one page ---- */

/* Rows to ask for next. */
static int64
page_top(const OnecPager *pager)
{
	int64		top = pager->page_target;
	int64		hint = pager->query.hint;

	if (pager->refusals->page_rows > 0)
		top = Min(top, pager->refusals->page_rows);
	/* a hint is good for the first page only: who goes on is not served by small ones */
	if (hint >= 0 && pager->delivered == 0 && !pager->unordered)
		top = Min(top, Max(hint, 1));
	return top;
}

static OnecOrdering
page_ordering(const OnecPager *pager)
{
	if (pager->refusals->order)
		return ONEC_ORDERING_NONE;
	return pager->by_date && !pager->in_tie ? ONEC_ORDERING_DATE : ONEC_ORDERING_TOTAL;
}

static void
draft_page(const OnecPager *pager, OnecDraft *draft)
{
	OnecQuery	query = pager->query;

	query.filter = list_nth(pager->parts, pager->part);
	if (pager->bound[0] != '\0' && !pager->unfiltered)
		query.filter = filter_by_date(pager, query.filter, pager->descending ? "le" : "ge",
									  pager->bound);
	onec_draft_request(draft, pager->options, &query, page_ordering(pager),
				  pager->date);
	onec_draft_select(draft, pager->names, pager->nnames, pager->fallback);
	if (onec_draft_is_paged(pager->options, &pager->query))
	{
		draft->request.top = pager->top;
		draft->request.skip = pager->skip;
	}
	if (draft->request.nselect > 1 &&
		onec_draft_url_size(pager->options->root, &draft->request) > (size_t) pager->url_budget)
		onec_draft_select_all(draft);
}

/* Rows to pass by so that a page begins with the first row of the date reached. */
static int64
date_begin(const OnecPager *pager)
{
	return pager->unfiltered ? pager->part_delivered - onec_tie_seen(pager->tie) : 0;
}

static void
send_page(OnecPager *pager)
{
	MemoryContext old = MemoryContextSwitchTo(pager->scratch);
	OnecDraft		draft;

	pager->top = page_top(pager);
	pager->page_rows = 0;
	pager->page_bytes = 0;
	pager->eaten = 0;
	draft_page(pager, &draft);
	onec_tie_page(pager->tie, pager->bound, pager->in_tie && pager->skip > date_begin(pager));
	onec_rows_reset(pager->rows);
	pager->reply = onec_session_start(pager->session, pager->options, &draft.request,
									  pager->spent);
	onec_reply_attach(pager->reply, pager->context);
	MemoryContextSwitchTo(old);
}

/* Halve the page if that may help; what worked is remembered for the set. */
static bool
halve_page(OnecPager *pager, const OnecError *error)
{
	bool		timeout = error->kind == ONEC_ERR_TIMEOUT;

	if (error->kind != ONEC_ERR_SERVER && error->kind != ONEC_ERR_LIMIT && !timeout)
		return false;
	/* a base that does not answer at all must not take its time again and again */
	if (timeout && pager->timed_out)
		return false;
	if (!onec_draft_is_paged(pager->options, &pager->query) || pager->top <= SMALLEST_PAGE)
		return false;
	pager->timed_out |= timeout;
	pager->refusals->page_rows = Max(pager->top / 2, SMALLEST_PAGE);
	if (pager->spent)
		pager->spent->retries++;
	return true;
}

/*
 * Do without what the base may have refused, best guess first: the order, then the filter.
 * Only before the first row: rows of another order cannot follow.
 */
static bool
do_without(OnecPager *pager, const OnecError *error)
{
	MemoryContext old;
	bool		filtered = list_nth(pager->parts, pager->part) != NULL;

	/* the set was read without a condition until a date was needed */
	if (pager->by_date && error->kind == ONEC_ERR_REFUSED && !pager->unfiltered &&
		pager->bound[0] != '\0' && !filtered)
	{
		pager->refusals->filter = true;
		pager->unfiltered = true;
		pager->skip = date_begin(pager);
		return true;
	}
	if (pager->delivered > 0 || !onec_draft_is_paged(pager->options, &pager->query))
		return false;
	if (error->kind == ONEC_ERR_URL_TOO_LONG && pager->url_budget > 500)
		pager->url_budget /= 2;
	else if (error->kind != ONEC_ERR_REFUSED)
		return false;
	else if (!pager->refusals->order &&
			 (pager->options->key != NULL || pager->query.norder > 0))
		pager->refusals->order = true;
	else if (filtered)
		pager->refusals->filter = true;
	else
		return false;
	old = MemoryContextSwitchTo(pager->scratch);
	choose_way(pager);
	make_parts(pager);
	MemoryContextSwitchTo(old);
	return true;
}

/* The next request begins behind the rows that have come. */
static void
go_on(OnecPager *pager)
{
	if (pager->by_date && onec_tie_moved(pager->tie))
	{
		onec_tie_bound(pager->tie, pager->bound);
		pager->in_tie = false;
		pager->skip = date_begin(pager);
	}
	else if (pager->by_date && !pager->in_tie)
	{
		/* once more from its beginning, in an order that $skip can rely on */
		pager->in_tie = true;
		pager->skip = date_begin(pager);
	}
	else
		pager->skip += pager->page_rows;
}

/* The page failed: arrange for the next request, or raise. */
static void
page_failed(OnecPager *pager, const OnecError *error)
{
	OnecReply  *reply = pager->reply;
	OnecDraft		draft;

	if (error->kind == ONEC_ERR_NO_ROW && pager->query.key != NULL)
	{
		onec_pager_stop(pager);
		return;
	}
	/* rows of a result that has no pages cannot be skipped */
	if (onec_draft_is_paged(pager->options, &pager->query) || pager->page_rows == 0)
	{
		if (do_without(pager, error) || halve_page(pager, error) ||
			onec_session_retry(pager->session, pager->options, reply, error,
							   &pager->attempts, pager->spent))
		{
			pager->reply = NULL;
			if (pager->page_rows > 0)
				go_on(pager);
			onec_reply_free(reply);
			return;
		}
	}
	draft_page(pager, &draft);
	onec_session_raise(pager->session, pager->options, &draft.request, error);
}

/* Aim the next page at page_bytes. */
static void
adapt_page(OnecPager *pager)
{
	int64		target;

	if (pager->options->page_size > 0 || pager->page_rows < 20 || pager->page_bytes <= 0)
		return;
	target = pager->options->page_bytes / Max(pager->page_bytes / pager->page_rows, 1);
	/* not by leaps: one page says little of the next */
	target = Min(target, Max(pager->page_rows * 4, FIRST_PAGE));
	pager->page_target = Max(Min(target, LARGEST_PAGE), SMALLEST_PAGE);
}

static void
raise_dates(OnecPager *pager, const char *what)
{
	pager->refusals->dates = true;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("1C does not %s \"%s\" by date as it was asked to", what,
					pager->options->entity_set),
			 errhint("Run the query again, it will go another way; the option paging 'skip' "
					 "makes that permanent.")));
}

/*
 * The base does not order by the date: from here on rows of the current request are skipped.
 * That serves any order that lasts, but not one that was promised.
 */
static void
leave_dates(OnecPager *pager)
{
	pager->refusals->dates = true;
	pager->by_date = false;
	if (pager->query.norder == 0)
		return;
	pager->refusals->order = true;
	raise_dates(pager, "order");
}

/* The page is complete: is there another? */
static void
page_done(OnecPager *pager)
{
	onec_reply_rows(pager->reply, pager->page_rows);
	onec_reply_free(pager->reply);
	pager->reply = NULL;
	memset(&pager->attempts, 0, sizeof(pager->attempts));
	if (pager->spent)
		pager->spent->pages++;
	adapt_page(pager);
	/* more rows than asked for: the base ignores $top, so this was everything */
	if (onec_draft_is_paged(pager->options, &pager->query) && pager->page_rows == pager->top)
	{
		if (pager->by_date && onec_tie_disorder(pager->tie))
			leave_dates(pager);
		go_on(pager);
		return;
	}
	pager->skip = 0;
	pager->in_tie = false;
	pager->part_delivered = 0;
	pager->bound[0] = '\0';
	onec_tie_reset(pager->tie, pager->descending);
	pager->part++;
	pager->ended = pager->part >= list_length(pager->parts);
}

static void
eat(OnecPager *pager, size_t bytes)
{
	onec_reply_consume(pager->reply, bytes);
	pager->page_bytes += bytes;
	pager->eaten = 0;
}

/* Whether the row is to be delivered: it has not come with the page before. */
static bool
is_new(OnecPager *pager, const OnecField *fields)
{
	bool		fresh;

	if (pager->by_date)
	{
		fresh = onec_tie_row(pager->tie, fields, pager->nnames, &fields[pager->date_at]);
		/* a page that begins before its bound is another one than was asked for */
		if (pager->page_rows == 1 && pager->bound[0] != '\0' && onec_tie_disorder(pager->tie))
			raise_dates(pager, "filter");
		if (!fresh)
			return false;
	}
	pager->delivered++;
	pager->part_delivered++;
	if (pager->spent)
		pager->spent->rows++;
	return true;
}

/* Look for a row in what has arrived; true: *fields is it. */
static bool
step(OnecPager *pager, const OnecField **fields)
{
	OnecError	error = {0};
	size_t		len;
	size_t		consumed = 0;
	bool		done;
	const char *data = onec_reply_data(pager->reply, &len, &done);

	switch (onec_rows_next(pager->rows, data, len, done, &consumed, &error))
	{
		case ONEC_ROWS_ROW:
			pager->eaten = consumed;
			pager->page_rows++;
			*fields = onec_rows_fields(pager->rows);
			return is_new(pager, *fields);
		case ONEC_ROWS_MORE:
			eat(pager, consumed);
			if (!onec_reply_wait(pager->reply, len - consumed, &error))
				page_failed(pager, &error);
			return false;
		case ONEC_ROWS_END:
			page_done(pager);
			return false;
		default:
			page_failed(pager, &error);
			return false;
	}
}

const OnecField *
onec_pager_next(OnecPager *pager)
{
	const OnecField *fields;

	while (!pager->ended)
	{
		if (pager->eaten > 0)
			eat(pager, pager->eaten);
		if (pager->reply == NULL)
			send_page(pager);
		else if (step(pager, &fields))
			return fields;
	}
	return NULL;
}

/* ---- counting ---- */

/* The number that is the body of a /$count, which begins with a byte order mark. */
static bool
parse_count(const char *body, int64 *count)
{
	char	   *end;

	if (strncmp(body, "\xEF\xBB\xBF", 3) == 0)
		body += 3;
	errno = 0;
	*count = strtoll(body, &end, 10);
	while (*end == ' ' || *end == '\r' || *end == '\n')
		end++;
	return errno == 0 && end != body && *end == '\0' && *count >= 0;
}

bool
onec_pager_count(OnecPager *pager, const OnecQuery *query, int64 *count)
{
	OnecDraft		draft;
	OnecError	error = {0};
	char	   *body;
	size_t		len;

	if (pager->refusals->count || (query->filter != NULL && pager->refusals->filter))
		return false;
	onec_draft_request(&draft, pager->options, query, ONEC_ORDERING_NONE, NULL);
	draft.request.count = true;
	if (onec_draft_url_size(pager->options->root, &draft.request) > (size_t) pager->options->max_url)
		return false;
	if (onec_session_fetch(pager->session, pager->options, &draft.request, pager->spent,
						   &body, &len, &error) &&
		parse_count(body, count))
		return true;
	/* a set or a right that is missing is for the scan to report */
	if (error.kind == ONEC_OK || error.kind == ONEC_ERR_REFUSED)
		pager->refusals->count = true;
	return false;
}

char *
onec_pager_text(const OnecOptions *options, const OnecQuery *query, const OnecWanted *wanted,
				bool count)
{
	bool		by_date = onec_draft_may_go_by_date(options, query, wanted->date);
	OnecPager	pager = {0};
	OnecDraft		draft;
	OnecBuf		buf;
	char	   *text;

	OnecQuery	shown = *query;

	keep_names(&pager, wanted->names, wanted->nnames, by_date && !count ? wanted->date : NULL);
	pager.date = wanted->date;
	if (query->nulls != ONEC_NULLS_ALIKE)
		shown.filter = filter_by_date(&pager, query->filter, "ne", ONEC_EMPTY_DATE);
	onec_draft_request(&draft, options, &shown, count ? ONEC_ORDERING_NONE : by_date ? ONEC_ORDERING_DATE : ONEC_ORDERING_TOTAL,
				  wanted->date);
	draft.request.count = count;
	if (!count)
		onec_draft_select(&draft, pager.names, pager.nnames, wanted->fallback);
	if (!count && onec_draft_is_paged(options, query))
		draft.request.top = query->hint >= 0 ? Max(query->hint, 1) :
			options->page_size > 0 ? options->page_size : FIRST_PAGE;
	onec_buf_init(&buf);
	onec_odata_text(&draft.request, &buf);
	text = pstrdup(buf.data ? buf.data : "");
	onec_buf_free(&buf);
	return text;
}
