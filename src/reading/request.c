/*-------------------------------------------------------------------------
 *
 * request.c
 *	  The request for one page: order, columns, length, and key lists in parts.
 *
 * Plain building of request trees from a query; asks nothing and keeps nothing.  Everything is
 * palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "protocol/buf.h"
#include "protocol/odata/odata.h"
#include "pushdown/filter.h"
#include "reading/pager.h"
#include "reading/request.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/text.h"

/* Whether the set is read by pages: results of functions and single entities are not. */
bool
onec_draft_is_paged(const OnecOptions *options, const OnecQuery *query)
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

/*
 * The order that makes paging by $skip safe: what was promised, then the date, then the key.
 * Without a known key there is only the order of the server.
 */
static int
total_order(const OnecOptions *options, const OnecQuery *query, const char *date,
			OnecOrder **result)
{
	List	   *keys = options->key ? onec_columns_names(onec_utf8(options->key)) : NIL;
	OnecOrder  *order = palloc0(sizeof(OnecOrder) * (query->norder + list_length(keys) + 1));
	int			norder = query->norder;
	ListCell   *lc;

	*result = order;
	if (norder > 0)
		memcpy(order, query->order, sizeof(OnecOrder) * norder);
	if (norder == 0 && date != NULL)
		order[norder++].property = date;
	foreach(lc, keys)
	{
		const char *key = lfirst(lc);

		/* the type of a recorder adds nothing to its reference */
		if (is_ordered_by(order, norder, key) || strcmp(key, "Recorder_Type") == 0)
			continue;
		order[norder++].property = key;
	}
	return norder;
}

/* Whether a wanted property is a tabular section cannot be known here: "*" has them all. */
void
onec_draft_select_all(OnecDraft *draft)
{
	draft->select[0] = "*";
	draft->request.select = draft->select;
	draft->request.nselect = 1;
}

/* The order by which pages of dates are cut: what was promised begins with the date, or nothing was. */
static int
date_order(const OnecQuery *query, const char *date, OnecOrder **result)
{
	*result = palloc0(sizeof(OnecOrder) * (query->norder + 1));
	if (query->norder > 0)
	{
		memcpy(*result, query->order, sizeof(OnecOrder) * query->norder);
		return query->norder;
	}
	(*result)[0].property = date;
	return 1;
}

/*
 * Whether pages may begin at dates, which takes a condition and an order: the promised order, if any, must
 * begin with the date.
 */
bool
onec_draft_may_go_by_date(const OnecOptions *options, const OnecQuery *query, const char *date)
{
	if (date == NULL || !onec_draft_is_paged(options, query) || options->paging == ONEC_PAGING_SKIP ||
		!options->push_filter || !options->push_order)
		return false;
	return query->norder == 0 || strcmp(query->order[0].property, date) == 0;
}

/* A function takes its condition as an argument. */
static void
add_condition(OnecRequest *request, const OnecExpr *filter)
{
	OnecArgument *arguments = palloc(sizeof(OnecArgument) * (request->narguments + 1));

	if (request->narguments > 0)
		memcpy(arguments, request->arguments, sizeof(OnecArgument) * request->narguments);
	arguments[request->narguments++] = (OnecArgument) {ONEC_CONDITION, filter};
	request->arguments = arguments;
}

void
onec_draft_request(OnecDraft *draft, const OnecOptions *options, const OnecQuery *query,
				   OnecOrdering ordering, const char *date)
{
	OnecRequest *request = &draft->request;

	memset(draft, 0, sizeof(*draft));
	request->entity_set = onec_utf8(options->entity_set);
	request->function = options->function ? onec_utf8(options->function) : NULL;
	request->arguments = query->arguments;
	request->narguments = query->narguments;
	request->key = query->key;
	if (request->function != NULL && query->filter != NULL)
		add_condition(request, query->filter);
	else
		request->filter = query->key ? NULL : query->filter;
	request->top = -1;
	request->skip = -1;
	request->allowed_only = options->allowed_only && query->key == NULL;
	if (ordering == ONEC_ORDERING_NONE || !onec_draft_is_paged(options, query))
		return;
	request->norder = ordering == ONEC_ORDERING_DATE ? date_order(query, date, &draft->order) :
		total_order(options, query, date, &draft->order);
	request->order = draft->order;
}

void
onec_draft_select(OnecDraft *draft, const char *const *names, int nnames, const char *fallback)
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

size_t
onec_draft_url_size(const char *root, const OnecRequest *request)
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
const OnecExpr *
onec_draft_find_list(const OnecExpr *filter)
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

const OnecExpr *
onec_draft_keys(const OnecOptions *options, const OnecExpr *filter)
{
	const OnecExpr *keys = NULL;

	if (filter == NULL || options->key == NULL)
		return NULL;
	for (int i = 0; filter->kind == ONEC_EXPR_AND && i < filter->nargs && keys == NULL; i++)
		keys = onec_draft_keys(options, filter->args[i]);
	if (filter->kind != ONEC_EXPR_IN && !(filter->kind == ONEC_EXPR_COMPARE && strcmp(filter->op, "eq") == 0))
		return keys;
	if (filter->args[0]->kind != ONEC_EXPR_FIELD ||
		strcmp(filter->args[0]->name, onec_utf8(options->key)) != 0)
		return keys;
	return filter;
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

List *
onec_draft_parts(const OnecExpr *filter, const OnecExpr *list, size_t room)
{
	size_t		field = onec_odata_encoded_size(list->args[0]);
	size_t		used = 0;
	int			from = 1;
	List	   *parts = NIL;

	for (int i = 1; i < list->nargs; i++)
	{
		/* "field eq value" and " or " before it, blanks taking three bytes */
		size_t		size = field + onec_odata_encoded_size(list->args[i]) + 16;

		if (i > from && used + size > room)
		{
			parts = lappend(parts, (void *) filter_part(filter, list, from, i));
			from = i;
			used = 0;
		}
		used += size;
	}
	return lappend(parts, (void *) filter_part(filter, list, from, list->nargs));
}

/* ---- filters that are longer than an address ---- */

#define LONGEST_TEXT 240		/* encoded bytes of a text that is worth its room: 40 letters in Cyrillic */

/* The beginning of a text, in whole characters and without a blank at its end, which 1C may not have kept. */
static char *
beginning(const char *text)
{
	size_t		len = 0;

	while (text[len] != '\0')
	{
		size_t		next = len + pg_encoding_mblen(PG_UTF8, text + len);

		if (next * 3 > LONGEST_TEXT)
			break;
		len = next;
	}
	while (len > 0 && text[len - 1] == ' ')
		len--;
	return pnstrdup(text, len);
}

static bool
is_long_text(const OnecExpr *expr)
{
	return expr->kind == ONEC_EXPR_LITERAL && expr->lit_kind == ONEC_LIT_STRING &&
		onec_odata_encoded_size(expr) > LONGEST_TEXT + 6;
}

/* "field eq value", as startswith() where the value is a long text. */
static OnecExpr *
shorten_equal(OnecExpr *field, OnecExpr *value)
{
	OnecExpr   *equal;

	if (is_long_text(value))
		return onec_make_call("startswith", field, onec_make_literal(ONEC_LIT_STRING,
																	 beginning(value->lit_text)));
	equal = onec_make_expr(ONEC_EXPR_COMPARE, 2);
	equal->op = "eq";
	equal->args[0] = field;
	equal->args[1] = value;
	return equal;
}

/* Long texts of comparisons by their beginning, wherever more rows do no harm. */
static const OnecExpr *
shorten_texts(const OnecExpr *expr)
{
	List	   *arms = NIL;
	bool		equal = expr->kind == ONEC_EXPR_COMPARE && strcmp(expr->op, "eq") == 0;

	if (expr->kind == ONEC_EXPR_AND || expr->kind == ONEC_EXPR_OR)
	{
		for (int i = 0; i < expr->nargs; i++)
			arms = lappend(arms, (void *) shorten_texts(expr->args[i]));
		return onec_make_list(expr->kind, arms);
	}
	if (equal && is_long_text(expr->args[1]))
		return shorten_equal(expr->args[0], expr->args[1]);
	if (expr->kind != ONEC_EXPR_IN || expr->args[1]->lit_kind != ONEC_LIT_STRING)
		return expr;
	for (int i = 1; i < expr->nargs; i++)
		arms = lappend(arms, shorten_equal(expr->args[0], expr->args[i]));
	return onec_make_list(ONEC_EXPR_OR, arms);
}

/* The filter without the longest arm of its AND; NULL when there is but one. */
static const OnecExpr *
without_longest(const OnecExpr *filter)
{
	int			longest = 0;
	List	   *arms = NIL;

	if (filter->kind != ONEC_EXPR_AND)
		return NULL;
	for (int i = 1; i < filter->nargs; i++)
		if (onec_odata_encoded_size(filter->args[i]) > onec_odata_encoded_size(filter->args[longest]))
			longest = i;
	for (int i = 0; i < filter->nargs; i++)
		if (i != longest)
			arms = lappend(arms, filter->args[i]);
	return onec_make_list(ONEC_EXPR_AND, arms);
}

const OnecExpr *
onec_draft_shorten(const OnecExpr *filter, size_t room)
{
	filter = shorten_texts(filter);
	while (filter != NULL && onec_odata_encoded_size(filter) > room)
		filter = without_longest(filter);
	return filter;
}
