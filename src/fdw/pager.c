/*-------------------------------------------------------------------------
 *
 * pager.c
 *	  Pages of an entity set by $top and $skip over a total order.
 *
 * 1C has no server paging: a set ends with the first page that is not full.  A page that breaks
 * after some of its rows were delivered is not read again from its start: the next request skips what was
 * delivered, which promises no more and no less than paging does anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fdw/pager.h"
#include "fdw/types.h"
#include "protocol/names.h"

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
	const char *const *names;
	int			nnames;
	const char *fallback;

	/* of the current start */
	OnecQuery	query;
	const OnecExpr **parts;		/* filters of the requests that make up the query */
	int			nparts;
	int			part;
	int			url_budget;		/* bytes */
	bool		unordered;
	bool		ended;
	int64		skip;			/* rows of this part that came with earlier pages */
	int64		top;			/* rows asked for; < 0: all */
	int64		page_rows;		/* rows delivered of this page */
	int64		page_bytes;		/* consumed of this page */
	int64		delivered;		/* rows delivered since the start */
	int			page_target;	/* rows of the next page */
	size_t		eaten;			/* bytes at the front that the current row uses */
	OnecAttempts attempts;
};

/* Room for the parts of one request. */
typedef struct Draft
{
	OnecRequest request;
	const char *select[1];
	OnecOrder  *order;
} Draft;

/* ---- the request ---- */

/* Whether the set is read by pages: results of functions and single entities are not. */
static bool
is_paged(const OnecOptions *options, const OnecQuery *query)
{
	return options->function == NULL && query->key == NULL;
}

static bool
is_ordered_by(const OnecOrder *order, int norder, const char *property)
{
	for (int i = 0; i < norder; i++)
		if (strcmp(order[i].property, property) == 0)
			return true;
	return false;
}

static int
count_commas(const char *list)
{
	int			count = 0;

	for (; list != NULL && *list; list++)
		count += *list == ',';
	return count;
}

/*
 * The order that makes paging safe: what was promised, then Period or Date, then the key.
 * Without a known key there is only the order of the server.
 */
static int
total_order(const OnecOptions *options, const OnecQuery *query, OnecOrder **result)
{
	int			room = query->norder + count_commas(options->key) + 2;
	OnecOrder  *order = palloc0(sizeof(OnecOrder) * room);
	int			norder = query->norder;
	char	   *keys;

	*result = order;
	if (norder > 0)
		memcpy(order, query->order, sizeof(OnecOrder) * norder);
	if (options->key == NULL)
		return norder;
	keys = pstrdup(onec_utf8(options->key));
	/* rows of a register by time first: that is how 1C keeps them */
	if (norder == 0 && onec_name_rank(options->entity_set) == 0)
		order[norder++].property = "Period";
	for (char *key = strtok(keys, ","); key != NULL; key = strtok(NULL, ","))
	{
		/* the type of a recorder adds nothing to its reference */
		if (is_ordered_by(order, norder, key) || strcmp(key, "Recorder_Type") == 0)
			continue;
		order[norder++].property = key;
	}
	return norder;
}

/* Whether a wanted property is a tabular section cannot be known here: "*" has them all. */
static void
select_all(Draft *draft)
{
	draft->select[0] = "*";
	draft->request.select = draft->select;
	draft->request.nselect = 1;
}

static void
draft_request(Draft *draft, const OnecOptions *options, const OnecQuery *query, bool ordered)
{
	OnecRequest *request = &draft->request;

	memset(draft, 0, sizeof(*draft));
	request->entity_set = onec_utf8(options->entity_set);
	request->function = options->function ? onec_utf8(options->function) : NULL;
	request->arguments = query->arguments;
	request->narguments = query->narguments;
	request->key = query->key;
	request->filter = query->key ? NULL : query->filter;
	request->top = -1;
	request->skip = -1;
	request->allowed_only = options->allowed_only && query->key == NULL;
	if (ordered && is_paged(options, query))
	{
		request->norder = total_order(options, query, &draft->order);
		request->order = draft->order;
	}
}

static void
draft_select(Draft *draft, const char *const *names, int nnames, const char *fallback)
{
	/* what $select does to results of functions is not documented */
	if (draft->request.function != NULL)
		return;
	draft->request.select = names;
	draft->request.nselect = nnames;
	if (nnames == 0 && fallback != NULL)
	{
		draft->select[0] = fallback;
		draft->request.select = draft->select;
		draft->request.nselect = 1;
	}
}

static size_t
url_size(const char *root, const OnecRequest *request)
{
	OnecBuf		buf;
	size_t		size;

	onec_buf_init(&buf);
	onec_odata_url(root, request, &buf);
	size = buf.len;
	onec_buf_free(&buf);
	return size;
}

/* ---- key lists that are longer than an address ---- */

/* The IN of a filter that may be answered in parts: the filter itself or an arm of its AND. */
static const OnecExpr *
find_list(const OnecExpr *filter)
{
	const OnecExpr *list = NULL;

	if (filter == NULL)
		return NULL;
	if (filter->kind == ONEC_EXPR_IN)
		list = filter;
	for (int i = 0; filter->kind == ONEC_EXPR_AND && i < filter->nargs; i++)
		if (filter->args[i]->kind == ONEC_EXPR_IN &&
			(list == NULL || filter->args[i]->nargs > list->nargs))
			list = filter->args[i];
	/* texts that 1C holds for equal would bring their rows once per part */
	if (list != NULL && list->args[1]->lit_kind == ONEC_LIT_STRING)
		return NULL;
	return list;
}

/* The filter with "list" replaced by its elements from..to. */
static const OnecExpr *
filter_part(const OnecExpr *filter, const OnecExpr *list, int from, int to)
{
	OnecExpr   *part = palloc(sizeof(OnecExpr));
	OnecExpr   *copy;

	*part = *list;
	part->nargs = to - from + 1;
	part->args = palloc(sizeof(OnecExpr *) * part->nargs);
	part->args[0] = list->args[0];
	memcpy(part->args + 1, list->args + from, sizeof(OnecExpr *) * (to - from));
	if (filter == list)
		return part;
	copy = palloc(sizeof(OnecExpr));
	*copy = *filter;
	copy->args = palloc(sizeof(OnecExpr *) * filter->nargs);
	for (int i = 0; i < filter->nargs; i++)
		copy->args[i] = filter->args[i] == list ? part : filter->args[i];
	return copy;
}

static void
add_part(OnecPager *pager, const OnecExpr *filter)
{
	pager->parts = pager->parts ?
		repalloc(pager->parts, sizeof(OnecExpr *) * (pager->nparts + 1)) :
		palloc(sizeof(OnecExpr *));
	pager->parts[pager->nparts++] = filter;
}

/* Cut "list" into parts of at most "room" encoded bytes each (at least one element). */
static void
split_list(OnecPager *pager, const OnecExpr *list, size_t room)
{
	const OnecExpr *filter = pager->query.filter;
	size_t		field = onec_odata_encoded_size(list->args[0]);
	size_t		used = 0;
	int			from = 1;

	for (int i = 1; i < list->nargs; i++)
	{
		/* "field eq value" and " or " before it, blanks taking three bytes */
		size_t		size = field + onec_odata_encoded_size(list->args[i]) + 16;

		if (i > from && used + size > room)
		{
			add_part(pager, filter_part(filter, list, from, i));
			from = i;
			used = 0;
		}
		used += size;
	}
	add_part(pager, filter_part(filter, list, from, list->nargs));
}

/* Decide which requests make up the query. */
static void
make_parts(OnecPager *pager)
{
	const OnecExpr *filter = pager->refusals->filter ? NULL : pager->query.filter;
	const OnecExpr *list = find_list(filter);
	Draft		draft;
	size_t		full;
	size_t		list_size;

	pager->parts = NULL;
	pager->nparts = 0;
	pager->part = 0;
	draft_request(&draft, pager->options, &pager->query, true);
	draft_select(&draft, pager->names, pager->nnames, pager->fallback);
	full = url_size(pager->options->root, &draft.request);
	if (filter == NULL || full <= (size_t) pager->url_budget)
	{
		add_part(pager, filter);
		return;
	}
	list_size = list ? onec_odata_encoded_size(list) : 0;
	/* parts of an ordered set would have to be merged; then 1C reads it whole */
	if (list == NULL || pager->query.norder > 0)
		add_part(pager, NULL);
	else
		split_list(pager, list, full - list_size < (size_t) pager->url_budget ?
				   pager->url_budget - (full - list_size) : 1);
}

/* ---- life ---- */

static void
free_rows(void *arg)
{
	OnecPager  *pager = arg;

	onec_rows_free(pager->rows);
	pager->rows = NULL;
}

OnecPager *
onec_pager_create(OnecSession *session, const OnecOptions *options, const char *const *names,
				  int nnames, const char *fallback, OnecSpent *spent)
{
	OnecPager  *pager = palloc0(sizeof(OnecPager));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	pager->session = session;
	pager->options = options;
	pager->refusals = onec_session_refusals(session, options->entity_set);
	pager->spent = spent;
	pager->names = names;
	pager->nnames = nnames;
	pager->fallback = fallback;
	pager->context = CurrentMemoryContext;
	pager->scratch = AllocSetContextCreate(CurrentMemoryContext, "onec_fdw pager",
										   ALLOCSET_SMALL_SIZES);
	pager->ended = true;
	callback->func = free_rows;
	callback->arg = pager;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	pager->rows = onec_rows_create(names, nnames);
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

void
onec_pager_start(OnecPager *pager, const OnecQuery *query)
{
	MemoryContext old;

	onec_pager_stop(pager);
	MemoryContextReset(pager->scratch);
	pager->query = *query;
	pager->ended = false;
	pager->unordered = query->norder > 0 && pager->refusals->order;
	pager->url_budget = pager->options->max_url;
	pager->skip = 0;
	pager->page_rows = 0;
	pager->delivered = 0;
	pager->eaten = 0;
	pager->page_target = pager->options->page_size > 0 ? pager->options->page_size : FIRST_PAGE;
	memset(&pager->attempts, 0, sizeof(pager->attempts));
	old = MemoryContextSwitchTo(pager->scratch);
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
	if (hint >= 0 && pager->delivered == 0 && pager->part == 0)
		top = Min(top, Max(hint, 1));
	return top;
}

static void
draft_page(const OnecPager *pager, Draft *draft)
{
	OnecQuery	query = pager->query;

	query.filter = pager->parts[pager->part];
	draft_request(draft, pager->options, &query, !pager->refusals->order);
	draft_select(draft, pager->names, pager->nnames, pager->fallback);
	if (is_paged(pager->options, &pager->query))
	{
		draft->request.top = pager->top;
		draft->request.skip = pager->skip;
	}
	if (draft->request.nselect > 1 &&
		url_size(pager->options->root, &draft->request) > (size_t) pager->url_budget)
		select_all(draft);
}

static void
send_page(OnecPager *pager)
{
	MemoryContext old = MemoryContextSwitchTo(pager->scratch);
	Draft		draft;

	pager->top = page_top(pager);
	pager->page_rows = 0;
	pager->page_bytes = 0;
	pager->eaten = 0;
	draft_page(pager, &draft);
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
	if (error->kind != ONEC_ERR_SERVER && error->kind != ONEC_ERR_TIMEOUT &&
		error->kind != ONEC_ERR_LIMIT)
		return false;
	if (!is_paged(pager->options, &pager->query) || pager->top <= SMALLEST_PAGE)
		return false;
	pager->refusals->page_rows = Max(pager->top / 2, SMALLEST_PAGE);
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
	bool		filtered = pager->parts[pager->part] != NULL;

	if (pager->delivered > 0 || !is_paged(pager->options, &pager->query))
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
	pager->unordered = pager->query.norder > 0 && pager->refusals->order;
	old = MemoryContextSwitchTo(pager->scratch);
	make_parts(pager);
	MemoryContextSwitchTo(old);
	return true;
}

/* The page failed: arrange for the next request, or raise. */
static void
page_failed(OnecPager *pager, const OnecError *error)
{
	OnecReply  *reply = pager->reply;
	Draft		draft;

	if (error->kind == ONEC_ERR_NO_ROW && pager->query.key != NULL)
	{
		onec_pager_stop(pager);
		return;
	}
	/* rows of a result that has no pages cannot be skipped */
	if (is_paged(pager->options, &pager->query) || pager->page_rows == 0)
	{
		if (do_without(pager, error) || halve_page(pager, error) ||
			onec_session_retry(pager->session, pager->options, reply, error,
							   &pager->attempts, pager->spent))
		{
			pager->reply = NULL;
			pager->skip += pager->page_rows;
			onec_reply_free(reply);
			if (pager->spent)
				pager->spent->retries++;
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
	if (is_paged(pager->options, &pager->query) && pager->page_rows == pager->top)
	{
		pager->skip += pager->page_rows;
		return;
	}
	pager->skip = 0;
	pager->part++;
	pager->ended = pager->part >= pager->nparts;
}

static void
eat(OnecPager *pager, size_t bytes)
{
	onec_reply_consume(pager->reply, bytes);
	pager->page_bytes += bytes;
	pager->eaten = 0;
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
			pager->delivered++;
			if (pager->spent)
				pager->spent->rows++;
			*fields = onec_rows_fields(pager->rows);
			return true;
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

	if (pager->eaten > 0)
		eat(pager, pager->eaten);
	while (!pager->ended)
	{
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
	Draft		draft;
	OnecError	error = {0};
	char	   *body;
	size_t		len;

	if (pager->refusals->count || (query->filter != NULL && pager->refusals->filter))
		return false;
	draft_request(&draft, pager->options, query, false);
	draft.request.count = true;
	if (url_size(pager->options->root, &draft.request) > (size_t) pager->options->max_url)
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
onec_pager_text(const OnecOptions *options, const OnecQuery *query, const char *const *names,
				int nnames, const char *fallback, bool count)
{
	Draft		draft;
	OnecBuf		buf;
	char	   *text;

	draft_request(&draft, options, query, !count);
	draft.request.count = count;
	if (!count)
		draft_select(&draft, names, nnames, fallback);
	if (!count && is_paged(options, query))
		draft.request.top = query->hint >= 0 ? Max(query->hint, 1) :
			options->page_size > 0 ? options->page_size : FIRST_PAGE;
	onec_buf_init(&buf);
	onec_odata_text(&draft.request, &buf);
	text = pstrdup(buf.data ? buf.data : "");
	onec_buf_free(&buf);
	return text;
}
