/*-------------------------------------------------------------------------
 *
 * page_check.c
 *	  Whether the objects of a page are rows, each of which came once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "protocol/json/json_rows.h"
#include "reading/page_again.h"
#include "reading/page_check.h"
#include "reading/page_overlap.h"
#include "reading/page_repeat.h"
#include "reading/pager.h"
#include "reading/pager_private.h"
#include "reading/row_twice.h"
#include "table/columns.h"
#include "table/text.h"

/* ---- rows ---- */

void
onec_pager_find_key(OnecPager *pager)
{
	pager->key_at = palloc(sizeof(int) * (pager->nnames + 1));
	pager->nkey = 0;
	if (pager->options->key == NULL || pager->options->function != NULL)
		return;
	for (int i = 0; i < pager->nnames; i++)
		if (onec_columns_names_contain(onec_utf8(pager->options->key), pager->names[i]))
			pager->key_at[pager->nkey++] = i;
}

static bool
has_any(const OnecPager *pager, const OnecField *fields)
{
	for (int i = 0; i < pager->nnames; i++)
		if (fields[i].kind != ONEC_FIELD_ABSENT)
			return true;
	return pager->nnames == 0 || pager->options->missing_null || pager->options->function != NULL;
}

pg_noreturn static void
raise_no_row(const OnecPager *pager, const char *what, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_REPLY_HANDLE),
			 errmsg("the answer for \"%s\" holds an object that is no row", pager->options->entity_set),
			 errdetail("Object " INT64_FORMAT " of the page %s%s.", pager->page_rows, what,
					   name ? psprintf(" \"%s\"", onec_server_text(name)) : "")));
}

void
onec_pager_check_row(const OnecPager *pager, const OnecField *fields)
{
	for (int i = 0; i < pager->nkey; i++)
	{
		const OnecField *field = &fields[pager->key_at[i]];

		if (field->kind <= ONEC_FIELD_NULL)
			raise_no_row(pager, field->kind == ONEC_FIELD_NULL ? "has an empty key" : "lacks its key",
						 pager->names[pager->key_at[i]]);
	}
	if (pager->nkey == 0 && pager->nnames > 0 && fields[0].kind == ONEC_FIELD_ABSENT &&
		!has_any(pager, fields))
		raise_no_row(pager, "has none of the properties asked for", NULL);
}

/* ---- the rows of a page ---- */

void
onec_pager_begin_set(OnecPager *pager)
{
	OnecTwice	last = pager->last_set;
	OnecTwice	before = pager->before_set;

	onec_twice_clear(&last);
	onec_twice_clear(&before);
	if (pager->page_twice > 0 && !pager->by_date && !pager->scattered)
	{
		pager->last_set = pager->page_set;
		pager->before_set = before;
		pager->page_set = last;
	}
	else
	{
		pager->last_set = last;
		pager->before_set = pager->page_set;
		pager->page_set = before;
	}
	pager->page_twice = 0;
}

bool
onec_pager_is_twice(OnecPager *pager, const OnecField *fields)
{
	if (!onec_tie_has_key(pager->tie))
		return false;
	pager->row_hash = onec_tie_hash_all(fields, pager->nnames);
	if (onec_twice_add(&pager->page_set, pager->row_hash, pager->context))
		return false;
	pager->page_twice++;
	pager->way.twice++;
	return true;
}

bool
onec_pager_has_come(const OnecPager *pager)
{
	return pager->last_set.count > 0 && onec_twice_has(&pager->last_set, pager->row_hash);
}

int64
onec_pager_page_rows(const OnecPager *pager)
{
	return pager->page_rows - pager->page_twice;
}

const char *
onec_pager_missing(const OnecPager *pager)
{
	if (pager->page_rows == 0 || !pager->walks || pager->options->missing_null)
		return NULL;
	for (int i = 0; i < pager->nnames; i++)
		if (!onec_rows_has(pager->rows, i) && !(i < pager->noptional && pager->optional[i]))
			return pager->names[i];
	return NULL;
}

/* Whether 1C declares more properties of the answers than it fills: that of turnovers does. */
static bool
may_lack(const OnecOptions *options)
{
	return options->missing_null || (options->function != NULL && strcmp(options->function, "Balance") != 0 &&
									 strncmp(options->function, "Slice", 5) != 0);
}

bool
onec_pager_lacked(const OnecPager *pager, int i)
{
	return i < pager->nnames && onec_rows_lacked(pager->rows, i) &&
		!(i < pager->noptional && pager->optional[i]) && !may_lack(pager->options);
}

pg_noreturn static void
raise_missing(const OnecPager *pager, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
			 errmsg("no row of the answer for \"%s\" has the property \"%s\"", pager->options->entity_set,
					onec_server_text(name)),
			 errhint("If the base has it no more, the table has to be imported anew; with the option "
					 "missing_property "
					 "'null' it reads NULL.")));
}

void
onec_pager_raise_repeated(const OnecPager *pager, const OnecMark *earlier)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_REPLY_HANDLE),
			 errmsg("1C sends the same rows of \"%s\" again and again", pager->options->entity_set),
			 errdetail("The " INT64_FORMAT " rows behind the first " INT64_FORMAT
					   " are among those that came behind the first " INT64_FORMAT ": $skip is not heeded.",
					   pager->page_rows, pager->at.skip, earlier->skip)));
}

/* Whether the page ends within the one before and is no short end of it. */
static bool
ends_within_last(const OnecPager *pager, const OnecMark *page)
{
	const OnecRepeat *repeat = &pager->repeat;

	return repeat->count > 1 && pager->page_twice == 0 &&
		onec_twice_has(&pager->before_set, pager->row_hash) &&
		onec_repeat_is_most(&pager->at, page, &repeat->marks[repeat->count - 2]);
}

/* The earlier page that this one repeats, or NULL. */
static const OnecMark *
find_earlier(OnecPager *pager)
{
	bool		keyed = onec_tie_has_key(pager->tie) && !pager->scattered;
	bool		behind_twice = pager->last_set.count > 0;
	OnecMark	page = {
		.skip = pager->at.skip,.rows = onec_pager_page_rows(pager),.sum = pager->page_sum,
		.first = pager->page_first
	};
	const OnecMark *earlier;

	/*
	 * a page with a row twice in place of another one is followed by one that begins, and may end, with its
	 * last row
	 */
	if (keyed && pager->page_twice == 0)
		page.last = pager->page_last;
	earlier = onec_repeat_find(&pager->repeat, &pager->at, &page, keyed, behind_twice, pager->context);
	if (earlier == NULL && keyed && ends_within_last(pager, &page))
		earlier = &pager->repeat.marks[pager->repeat.count - 2];
	return earlier;
}

bool
onec_pager_begins_again(const OnecPager *pager)
{
	return pager->walks && onec_repeat_begins(&pager->repeat, &pager->at, pager->page_first);
}

void
onec_pager_check_broken(OnecPager *pager)
{
	const OnecMark *earlier = find_earlier(pager);

	if (earlier != NULL && onec_tie_has_key(pager->tie))
		onec_pager_raise_repeated(pager, earlier);
}

void
onec_pager_check_page(OnecPager *pager)
{
	const char *missing = onec_pager_missing(pager);
	const OnecMark *earlier;

	if (missing != NULL)
		raise_missing(pager, missing);
	if (!pager->walks)
		return;
	earlier = find_earlier(pager);
	if (earlier != NULL && onec_tie_has_key(pager->tie))
		onec_pager_raise_repeated(pager, earlier);
	/* without the key, rows may be alike in all that is wanted of them */
	if (!onec_tie_has_key(pager->tie) &&
		(earlier != NULL || (pager->at.top > 0 && pager->page_rows > pager->at.top)))
		onec_pager_check_again(pager, earlier);
}
