/*-------------------------------------------------------------------------
 *
 * page_again.c
 *	  Pages that are asked for a second time, with their key.
 *
 * Where the key of the rows is not wanted, rows may be alike in all that is: a page that brings nothing but
 * values that came before, or more rows than were asked for, may be honest or not.  Only its key tells, so
 * the same page is asked for once more, with the key; and so are all that follow, so that this is paid for
 * once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "onec_error.h"
#include "protocol/json/json_rows.h"
#include "reading/page_again.h"
#include "reading/page_check.h"
#include "reading/page_overlap.h"
#include "reading/page_repeat.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "reading/pager_private.h"
#include "reading/read_ahead.h"
#include "reading/request.h"
#include "reading/row_twice.h"
#include "session/error.h"
#include "session/metadata.h"
#include "table/columns.h"
#include "table/text.h"

/* What the second answer holds. */
typedef struct Again
{
	int64		rows;
	int64		twice;			/* of them, whose key came before */
	uint64		values;			/* sum of the hashes of what was wanted at first */
	uint64		keys;			/* … of their keys */
	uint64		first;			/* hash of the first key */
	uint64		last;
} Again;

/* Have the pager want the key too. */
static void
want_key(OnecPager *pager)
{
	List	   *keys = onec_columns_names(onec_utf8(pager->options->key));
	const char **names = palloc(sizeof(char *) * (pager->nnames + list_length(keys) + 1));
	ListCell   *lc;

	memcpy(names, pager->names, sizeof(char *) * pager->nnames);
	pager->names = names;
	foreach(lc, keys)
		if (onec_pager_find_name(pager, lfirst(lc)) < 0)
			names[pager->nnames++] = lfirst(lc);
	pager->tie = onec_pager_make_tie(pager);
	onec_pager_find_key(pager);
}

static void
sum_rows(OnecPager *pager, OnecPager *keyed, OnecRows *rows, const char *body, size_t len, Again *again)
{
	OnecTwice	keys = {0};
	OnecError	error = {0};
	size_t		at = 0;
	size_t		consumed;

	while (onec_rows_next(rows, body + at, len - at, true, &consumed, &error) == ONEC_ROWS_ROW)
	{
		const OnecField *fields = onec_rows_fields(rows);
		uint64		key = onec_tie_hash(keyed->tie, fields, keyed->nnames);

		keyed->page_rows = ++again->rows;
		/* a key that is empty is one that differs from all others, and proves nothing */
		onec_pager_check_row(keyed, fields);
		again->values += onec_tie_hash(pager->tie, fields, pager->nnames);
		again->keys += key;
		again->first = again->rows == 1 ? key : again->first;
		again->last = key;
		again->twice += !onec_twice_add(&keys, key, pager->scratch);
		at += consumed;
	}
	if (error.kind != ONEC_OK)
		ereport(ERROR, (errcode(ERRCODE_FDW_REPLY_HANDLE), errmsg("%s", error.message)));
}

/* Ask for as many rows as have come, at "skip" of the current walk, with their key. */
static Again
ask_again(OnecPager *pager, int64 skip)
{
	OnecPager	keyed = *pager;
	OnecPlace	place = pager->at;
	OnecError	error = {0};
	OnecRows   *rows;
	OnecDraft	draft;
	Again		again = {0};
	char	   *body;
	size_t		len;

	place.skip = skip;
	place.top = Max(place.top, pager->page_rows);
	want_key(&keyed);
	onec_pager_draft(&keyed, &place, &draft);
	if (!onec_session_fetch(pager->session, pager->options, &draft.request, pager->spent, &body, &len,
							&error))
		onec_session_raise(pager->session, pager->options, &draft.request, &error);
	rows = onec_rows_create(keyed.names, keyed.nnames);
	if (rows == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	PG_TRY();
	{
		sum_rows(pager, &keyed, rows, body, len, &again);
	}
	PG_FINALLY();
	{
		onec_rows_free(rows);
	}
	PG_END_TRY();
	return again;
}

/* From the next page on the rows come with their key. */
static void
go_on_with_key(OnecPager *pager, const Again *again)
{
	MemoryContext old = MemoryContextSwitchTo(pager->context);
	OnecMark	page = {pager->at.skip, again->rows, again->keys, again->first, again->last};
	OnecRows   *rows;

	want_key(pager);
	MemoryContextSwitchTo(old);
	rows = onec_rows_create(pager->names, pager->nnames);
	if (rows == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	onec_rows_free(pager->rows);
	pager->rows = rows;
	/* what was asked for ahead comes without it */
	onec_ahead_drop(&pager->ahead);
	onec_repeat_begin(&pager->repeat, &pager->at, &page, pager->context);
}

static void
check_again(OnecPager *pager, const OnecMark *earlier)
{
	Again		now = ask_again(pager, pager->at.skip);

	if (now.rows != pager->page_rows || now.values != pager->page_sum)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_REPLY_HANDLE),
				 errmsg("1C answers the same request for \"%s\" differently", pager->options->entity_set),
				 errdetail(INT64_FORMAT " rows came, then " INT64_FORMAT " or others.", pager->page_rows,
						   now.rows)));
	if (now.twice > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_REPLY_HANDLE),
				 errmsg("1C sends rows of \"%s\" twice", pager->options->entity_set),
				 errdetail("Of the " INT64_FORMAT " rows of a page " INT64_FORMAT " have a key that came "
						   "before.",
						   now.rows, now.twice)));
	if (earlier != NULL)
	{
		Again		before = ask_again(pager, earlier->skip);

		if (before.rows == now.rows && before.keys == now.keys)
			onec_pager_raise_repeated(pager, earlier);
	}
	/* dates that were reached are known by rows without their key */
	if (!pager->by_date && !pager->scattered)
		go_on_with_key(pager, &now);
}

void
onec_pager_check_again(OnecPager *pager, const OnecMark *earlier)
{
	MemoryContext old;

	if (pager->options->key == NULL)
	{
		if (earlier != NULL && onec_pager_is_same_row(pager, earlier->skip, pager->at.skip))
			onec_pager_raise_repeated(pager, earlier);
		return;
	}
	old = MemoryContextSwitchTo(pager->scratch);
	check_again(pager, earlier);
	MemoryContextSwitchTo(old);
}
