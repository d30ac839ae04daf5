/*-------------------------------------------------------------------------
 *
 * page_request.c
 *	  Requests of a query: its parts, one page of them, its count.
 *
 * A query is one request, or several: where a list of keys does not fit into one address, and where
 * rows without a date have to come apart from the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/odata/odata.h"
#include "pushdown/filter.h"
#include "reading/doubt.h"
#include "reading/page_overlap.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "reading/pager_private.h"
#include "reading/read_ahead.h"
#include "reading/request.h"
#include "reading/scattered.h"
#include "session/capability.h"
#include "session/metadata.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/text.h"
#include "table/types.h"

/* ---- columns ---- */

/* Copy the wanted names and see to it that the date is among them. */
void
onec_pager_keep_names(OnecPager *pager, const char *const *names, int nnames, const char *date)
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

int
onec_pager_find_name(const OnecPager *pager, const char *name)
{
	for (int i = 0; i < pager->nnames; i++)
		if (strcmp(pager->names[i], name) == 0)
			return i;
	return -1;
}

OnecTie *
onec_pager_make_tie(const OnecPager *pager)
{
	List	   *names = pager->options->key ? onec_columns_names(onec_utf8(pager->options->key)) : NIL;
	int		   *key = palloc(sizeof(int) * (pager->nnames + 1));
	int			nkey = 0;
	ListCell   *lc;

	foreach(lc, names)
	{
		int			at = onec_pager_find_name(pager, lfirst(lc));

		if (at < 0 || nkey == pager->nnames)
			return onec_tie_create(NULL, 0);
		key[nkey++] = at;
	}
	return onec_tie_create(key, nkey);
}

/* ---- parts ---- */

/* Bytes of an address for " and Period ge datetime'…' and Period lt datetime'…'", encoded. */
#define DATES_OF_PAGE 150

/* … for "&$top=20000&$skip=1000000", and for "&$filter=". */
#define PAGE_OPTIONS 30
#define FILTER_OPTION 11

/* How the first page is ordered. */
static OnecOrdering
first_ordering(const OnecPager *pager)
{
	if (pager->known.order)
		return ONEC_ORDERING_NONE;
	return pager->by_date ? ONEC_ORDERING_DATE : ONEC_ORDERING_TOTAL;
}

const OnecExpr *
onec_pager_filter_by_date(const OnecPager *pager, const OnecExpr *filter, const char *op, const char *value)
{
	OnecExpr   *compare = onec_make_expr(ONEC_EXPR_COMPARE, 2);

	compare->op = op;
	compare->args[0] = onec_make_expr(ONEC_EXPR_FIELD, 0);
	compare->args[0]->name = pager->date;
	compare->args[1] = onec_make_literal(ONEC_LIT_DATETIME, value);
	if (filter == NULL)
		return compare;
	return onec_make_list(ONEC_EXPR_AND, list_make2((void *) filter, compare));
}

/* The whole set by one filter; rows without a date apart from the others where the order wants that. */
static List *
whole_parts(OnecPager *pager, const OnecExpr *filter)
{
	const OnecExpr *empty;
	const OnecExpr *rest;

	if (pager->query.nulls == ONEC_NULLS_ALIKE || pager->unordered)
		return list_make1((void *) filter);
	empty = onec_pager_filter_by_date(pager, filter, "eq", ONEC_EMPTY_DATE);
	rest = onec_pager_filter_by_date(pager, filter, "ne", ONEC_EMPTY_DATE);
	pager->part_at = onec_pager_find_name(pager, pager->date);
	pager->dateless = pager->query.nulls == ONEC_NULLS_FIRST ? 0 : 1;
	if (pager->dateless == 0)
		return list_make2((void *) empty, (void *) rest);
	return list_make2((void *) rest, (void *) empty);
}

/* Bytes of the address of a first page with this filter and the columns by name, or all of them. */
static size_t
address_size(const OnecPager *pager, const OnecExpr *filter, bool all)
{
	OnecQuery	query = pager->query;
	OnecDraft	draft;

	query.filter = filter;
	onec_draft_request(&draft, pager->options, &query, first_ordering(pager), pager->date);
	onec_draft_select(&draft, pager->names, pager->nnames, pager->fallback);
	if (all && draft.request.nselect > 1)
		onec_draft_select_all(&draft);
	return onec_draft_url_size(pager->options->root, &draft.request) + PAGE_OPTIONS +
		(pager->by_date || pager->query.nulls != ONEC_NULLS_ALIKE ? DATES_OF_PAGE : 0);
}

/* The filter with its list cut so that each part fits into an address; NIL when there is room for none. */
static List *
list_parts(const OnecPager *pager, const OnecExpr *filter, const OnecExpr *list, bool all)
{
	size_t		rest = address_size(pager, filter, all) - onec_odata_encoded_size(list);

	return rest < (size_t) pager->url_budget ? onec_draft_parts(filter, list, pager->url_budget - rest) : NIL;
}

/*
 * A list of keys in parts.  All columns of few rows cost less than requests, so they are not named where that
 * would leave room for less than half of the keys, or take a second request.
 */
static bool
make_list_parts(OnecPager *pager, const OnecExpr *filter)
{
	const OnecExpr *list = onec_draft_find_list(filter);
	List	   *named;
	List	   *all;

	/* parts of an ordered set would have to be merged */
	if (list == NULL || pager->query.norder > 0)
		return false;
	named = list_parts(pager, filter, list, false);
	all = list_parts(pager, filter, list, true);
	if (all == NIL)
	{
		/* what else is asked leaves no room: it is checked here */
		pager->shortened = true;
		all = list_parts(pager, list, list, true);
	}
	if (all == NIL)
		return false;
	pager->select_all = named == NIL || (list_length(named) > list_length(all) &&
										 (list_length(all) == 1 ||
										  list_length(named) > 2 * list_length(all)));
	pager->parts = pager->select_all ? all : named;
	if (list_length(pager->parts) > 1 && list->args[0]->kind == ONEC_EXPR_FIELD)
		pager->part_at = onec_pager_find_name(pager, list->args[0]->name);
	return true;
}

void
onec_pager_make_parts(OnecPager *pager)
{
	const OnecExpr *filter = pager->filter;
	size_t		budget = pager->url_budget;
	size_t		rest;

	pager->select_all = false;
	pager->shortened = false;
	pager->part_at = -1;
	pager->dateless = -1;
	pager->members = NULL;
	/* the condition of a function goes as it is */
	if (filter != NULL && pager->options->function == NULL && address_size(pager, filter, false) > budget)
	{
		if (make_list_parts(pager, filter))
			return;
		/*
		 * the names of columns spare bytes, the filter rows: pages without room for both ask for all columns
		 */
		rest = address_size(pager, NULL, true) + FILTER_OPTION;
		pager->shortened = address_size(pager, filter, true) > budget;
		if (pager->shortened)
			filter = onec_draft_shorten(filter, rest < budget ? budget - rest : 0);
	}
	pager->parts = whole_parts(pager, filter);
}

/* ---- one page ---- */

/* Rows to ask for next. */
int64
onec_pager_top(const OnecPager *pager)
{
	int64		top = pager->page_target;
	int64		hint = pager->query.hint;

	if (pager->page_limit > 0)
		top = Min(top, pager->page_limit);
	if (pager->cap > 0)
		top = Min(top, pager->cap);
	/* a hint is good for the first page only: who goes on is not served by small ones */
	if (hint >= 0 && pager->delivered == 0 && !pager->unordered)
		top = Min(top, Max(hint, 1));
	return top;
}

void
onec_pager_adapt(OnecPager *pager, int64 rows, int64 bytes)
{
	int64		target;

	if (pager->page_size > 0 || rows < 20 || bytes <= 0)
		return;
	target = pager->options->page_bytes / Max(bytes / rows, 1);
	/* not by leaps: one page says little of the next */
	target = Min(target, Max(rows * 4, FIRST_PAGE));
	pager->page_target = Max(Min(target, LARGEST_PAGE), SMALLEST_PAGE);
}

static OnecOrdering
page_ordering(const OnecPager *pager, const OnecPlace *place)
{
	OnecOrdering first = first_ordering(pager);

	return first == ONEC_ORDERING_DATE && place->in_tie ? ONEC_ORDERING_TOTAL : first;
}

void
onec_pager_draft(const OnecPager *pager, const OnecPlace *place, OnecDraft *draft)
{
	OnecQuery	query = pager->query;

	query.filter = list_nth(pager->parts, place->part);
	if (place->bound[0] != '\0' && !pager->unfiltered)
		query.filter = onec_pager_filter_by_date(pager, query.filter, pager->descending ? "le" : "ge",
									  place->bound);
	if (place->limit[0] != '\0')
		query.filter = onec_pager_filter_by_date(pager, query.filter, "lt", place->limit);
	onec_draft_request(draft, pager->options, &query, page_ordering(pager, place),
					   pager->date);
	onec_draft_select(draft, pager->names, pager->nnames, pager->fallback);
	if (onec_draft_is_paged(pager->options, &pager->query))
	{
		draft->request.top = place->top;
		draft->request.skip = place->skip;
	}
	if (draft->request.nselect > 1 &&
		(pager->select_all ||
		 onec_draft_url_size(pager->options->root, &draft->request) > (size_t) pager->url_budget))
		onec_draft_select_all(draft);
}

void
onec_pager_note_asked(OnecPager *pager)
{
	OnecWay    *way = &pager->way;

	way->page_rows = Max(way->page_rows, pager->at.top);
	way->unfiltered |= pager->unfiltered || pager->shortened ||
		(pager->query.filter != NULL &&
		 (pager->filter != pager->query.filter || list_nth(pager->parts, pager->at.part) == NULL));
}

/*
 * An order holds from page to page if it is total, which takes the key; pages that begin with the first row
 * of a date need only the order of the dates.
 */
void
onec_pager_note_reached(OnecPager *pager)
{
	OnecOrdering ordering = page_ordering(pager, &pager->at);

	if (!pager->walks || pager->at.skip <= 0)
		return;
	pager->way.by_skip = true;
	pager->way.shaky |= pager->scattered ? onec_scatter_is_shaky(pager) :
		ordering == ONEC_ORDERING_NONE || (ordering == ONEC_ORDERING_TOTAL && pager->options->key == NULL);
}

/*
 * The first row from so many on, with its key, or whole where that is not known; as it stands in the answer.
 * NULL when not to be had.
 */
static char *
first_row(OnecPager *pager, int64 skip)
{
	OnecPlace	place = pager->at;
	OnecError	error = {0};
	OnecDraft	draft;
	char	   *body;
	size_t		len;

	place.skip = skip;
	place.top = 1;
	onec_pager_draft(pager, &place, &draft);
	onec_draft_select_all(&draft);
	if (pager->options->key != NULL)
		draft.select[0] = onec_utf8(pager->options->key);
	return onec_session_fetch(pager->session, pager->options, &draft.request, pager->spent, &body, &len,
							  &error) ?
		body : NULL;
}

bool
onec_pager_is_same_row(OnecPager *pager, int64 skip, int64 other)
{
	MemoryContext old = MemoryContextSwitchTo(pager->scratch);
	char	   *a = first_row(pager, skip);
	char	   *b = a ? first_row(pager, other) : NULL;

	MemoryContextSwitchTo(old);
	return b != NULL && strcmp(a, b) == 0;
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

/* One try at a count; false with "error", which is of kind ONEC_OK where the answer is no number. */
static bool
try_count(OnecPager *pager, const OnecRequest *request, int64 *count, OnecError *error)
{
	char	   *body;
	size_t		len;

	return onec_session_fetch(pager->session, pager->options, request, pager->spent, &body, &len, error) &&
		parse_count(body, count);
}

/*
 * The count is refused; so is it again, while the set with the same condition can be read: then it is the
 * count.
 */
static bool
proves_refusal(OnecPager *pager, const OnecRequest *request, int64 *count)
{
	OnecRequest rows = *request;
	OnecError	error = {0};
	char	   *body;
	size_t		len;

	rows.count = false;
	rows.top = 1;
	if (!onec_session_fetch(pager->session, pager->options, &rows, pager->spent, &body, &len, &error) ||
		try_count(pager, request, count, &error))
		return false;
	return error.kind == ONEC_ERR_REFUSED;
}

bool
onec_pager_count(OnecPager *pager, const OnecQuery *query, int64 *count)
{
	OnecDraft	draft;
	OnecError	error = {0};

	if (pager->refusals->count ||
		(query->filter != NULL && (pager->refusals->filter ||
								   onec_refusals_hold(pager->refusals, query->filter))))
		return false;
	onec_draft_request(&draft, pager->options, query, ONEC_ORDERING_NONE, NULL);
	draft.request.count = true;
	if (onec_draft_url_size(pager->options->root, &draft.request) > (size_t) pager->options->max_url)
		return false;
	if (try_count(pager, &draft.request, count, &error))
		return true;
	/* whatever else it is, the scan will find out and tell */
	if (error.kind == ONEC_ERR_REFUSED && (error.parts & ONEC_PART_COUNT) != 0)
		pager->refusals->count = proves_refusal(pager, &draft.request, count);
	return false;
}

OnecShown
onec_pager_text(const OnecOptions *options, const OnecQuery *query, const OnecWanted *wanted,
				const OnecRefusals *refusals, bool count)
{
	OnecPager	pager = {
		.options = options, .query = *query, .known = *refusals, .refusals = &pager.known,
		.date = wanted->date,
		.fallback = wanted->fallback, .url_budget = options->max_url, .unordered = refusals->order ||
		refusals->filter
	};
	OnecQuery	counted = *query;
	OnecPlace	place = {0};
	OnecDraft	draft;
	OnecBuf		buf;
	OnecShown	shown = {0};

	onec_pager_choose_filter(&pager);
	pager.by_date = !count && onec_draft_may_go_by_date(options, query, wanted->date) && !refusals->filter &&
		!refusals->order && !refusals->dates && onec_pager_takes_dates(&pager);
	onec_pager_keep_names(&pager, wanted->names, wanted->nnames, pager.by_date ? wanted->date : NULL);
	if (count)
	{
		counted.filter = pager.filter;
		onec_draft_request(&draft, options, &counted, ONEC_ORDERING_NONE, NULL);
		draft.request.count = true;
	}
	else
	{
		onec_pager_make_parts(&pager);
		/* of two parts, the rows that have a date */
		place.part = query->nulls == ONEC_NULLS_FIRST && list_length(pager.parts) > 1 ? 1 : 0;
		place.top = query->hint >= 0 ? Max(query->hint, 1) :
			options->page_size > 0 ? options->page_size : FIRST_PAGE;
		onec_pager_draft(&pager, &place, &draft);
		shown.shortened = pager.shortened;
		shown.lists = query->nulls == ONEC_NULLS_ALIKE ? list_length(pager.parts) : 1;
	}
	onec_buf_init(&buf);
	onec_odata_text(&draft.request, &buf);
	shown.text = pstrdup(buf.data ? buf.data : "");
	onec_buf_free(&buf);
	return shown;
}
