/*-------------------------------------------------------------------------
 *
 * scattered.c
 *	  Sets whose order the base refuses: read so that no row is lost.
 *
 * Without an order, $skip passes by other rows each time.  So a page counts only if it is the whole answer;
 * if it is not, its rows are delivered, but remembered, and the question is put anew: with half the dates
 * where the set has some, down to one second, else for everything at once.  Of rows that come again as many
 * are left out as have been delivered.  That nothing follows a page can be told by $skip in any order.  Only
 * where even that fails are pages put together by $skip, and the reading is known to be shaky.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "onec_error.h"
#include "protocol/json/json_rows.h"
#include "reading/date_windows.h"
#include "reading/doubt.h"
#include "reading/page_check.h"
#include "reading/page_overlap.h"
#include "reading/pager.h"
#include "reading/pager_private.h"
#include "reading/scattered.h"
#include "reading/set_end.h"

#define WHOLE_PAGE 1000000		/* rows to ask for where all are wanted at once */

typedef char DateText[ONEC_DATE_SIZE];

/* How many rows of this hash have been delivered and are to come again. */
typedef struct Known
{
	uint64		hash;
	int64		count;
} Known;

struct OnecScatter
{
	MemoryContext context;		/* of all below, for one part of the query */
	HTAB	   *known;
	uint64	   *page;			/* hashes of the rows of this page */
	DateText   *dates;			/* … and their dates, where it may be cut by them */
	int			room;			/* for so many rows */
	bool		dated;			/* it may be cut by dates */
	bool		whole;			/* all rows are asked for at once */
	bool		piecemeal;		/* nothing helped: by $skip */
	List	   *limits;			/* ends (char *) of the stretches behind the current one, the next first */
};

static void
reset_scatter(OnecPager *pager)
{
	OnecScatter *scatter = pager->scatter;
	HASHCTL		ctl = {.keysize = sizeof(uint64),.entrysize = sizeof(Known),.hcxt = scatter->context};

	MemoryContextReset(scatter->context);
	scatter->known = hash_create("onec rows", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	scatter->page = NULL;
	scatter->dates = NULL;
	scatter->room = 0;
	scatter->dated = pager->date != NULL && pager->date_at >= 0 && !pager->known.filter &&
		!pager->known.dates &&
		pager->options->push_filter && onec_pager_takes_dates(pager);
	scatter->whole = false;
	scatter->piecemeal = false;
	scatter->limits = NIL;
}

void
onec_scatter_begin(OnecPager *pager)
{
	if (pager->scatter == NULL)
	{
		pager->scatter = MemoryContextAllocZero(pager->context, sizeof(OnecScatter));
		pager->scatter->context = AllocSetContextCreate(pager->context, "onec_fdw scatter",
														ALLOCSET_DEFAULT_SIZES);
	}
	reset_scatter(pager);
}

int64
onec_scatter_top(const OnecPager *pager, int64 top)
{
	return pager->scatter->whole ? WHOLE_PAGE : top;
}

/* ---- rows ---- */

static void
make_room(OnecScatter *scatter)
{
	MemoryContext old = MemoryContextSwitchTo(scatter->context);
	int			room = scatter->room ? scatter->room * 2 : 1024;

	scatter->page = scatter->page ? repalloc_huge(scatter->page, sizeof(uint64) * room) :
		palloc(sizeof(uint64) * room);
	scatter->dates = scatter->dates ? repalloc_huge(scatter->dates, sizeof(DateText) * room) :
		palloc(sizeof(DateText) * room);
	scatter->room = room;
	MemoryContextSwitchTo(old);
}

/* Remember a row's date; a row without one cannot be reached by dates. */
static void
note_date(OnecPager *pager, const OnecField *date, int at)
{
	OnecScatter *scatter = pager->scatter;

	if (date->kind != ONEC_FIELD_STRING || date->len != ONEC_DATE_SIZE - 1)
	{
		scatter->dated = false;
		return;
	}
	memcpy(scatter->dates[at], date->text, ONEC_DATE_SIZE - 1);
	scatter->dates[at][ONEC_DATE_SIZE - 1] = '\0';
	if (strcmp(scatter->dates[at], pager->at.bound) < 0 ||
		(pager->at.limit[0] != '\0' && strcmp(scatter->dates[at], pager->at.limit) >= 0))
		onec_pager_raise_dates(pager, "filter");
}

bool
onec_scatter_row(OnecPager *pager, const OnecField *fields)
{
	OnecScatter *scatter = pager->scatter;
	uint64		hash = onec_tie_hash(pager->tie, fields, pager->nnames);
	int			at = (int) onec_pager_page_rows(pager) - 1;
	Known	   *known;

	pager->page_sum += hash;
	if (at >= scatter->room)
		make_room(scatter);
	scatter->page[at] = hash;
	if (scatter->dated)
		note_date(pager, &fields[pager->date_at], at);
	known = hash_search(scatter->known, &hash, HASH_FIND, NULL);
	if (known == NULL || known->count == 0)
		return true;
	known->count--;
	return false;
}

/* The rows of this page have to come again. */
static void
expect_again(OnecPager *pager)
{
	OnecScatter *scatter = pager->scatter;

	for (int64 i = 0; i < onec_pager_page_rows(pager); i++)
	{
		bool		found;
		Known	   *known = hash_search(scatter->known, &scatter->page[i], HASH_ENTER, &found);

		known->count = found ? known->count + 1 : 1;
	}
}

/* ---- the next page ---- */

static int
compare_dates(const void *a, const void *b)
{
	return memcmp(a, b, ONEC_DATE_SIZE);
}

/*
 * A date that cuts the stretch of the current page in two, each with fewer rows; false when it cannot be cut.
 */
static bool
find_cut(OnecPager *pager, DateText cut)
{
	DateText   *dates = pager->scatter->dates;
	int			last = (int) onec_pager_page_rows(pager) - 1;
	int			middle = last / 2;

	qsort(dates, last + 1, sizeof(DateText), compare_dates);
	while (middle < last && strcmp(dates[middle], dates[0]) == 0)
		middle++;
	strlcpy(cut, dates[middle], sizeof(DateText));
	if (strcmp(cut, dates[0]) > 0 || strcmp(cut, pager->at.bound) > 0)
		return true;
	return onec_windows_next_second(dates[0], cut) && strcmp(cut, pager->at.limit) != 0;
}

/* Ask for fewer dates, or for all rows at once, or else by $skip. */
static void
ask_anew(OnecPager *pager)
{
	OnecScatter *scatter = pager->scatter;
	MemoryContext old = MemoryContextSwitchTo(scatter->context);
	DateText	cut;

	pager->at.skip = 0;
	if (scatter->dated && !scatter->whole && find_cut(pager, cut))
	{
		scatter->limits = lcons(pstrdup(pager->at.limit), scatter->limits);
		strlcpy(pager->at.limit, cut, sizeof(DateText));
	}
	else if (!scatter->whole)
		scatter->whole = true;
	else
	{
		scatter->piecemeal = true;
		scatter->whole = false;
	}
	MemoryContextSwitchTo(old);
}

/* On to the stretch behind the current one; false when there is none. */
static bool
next_stretch(OnecPager *pager)
{
	OnecScatter *scatter = pager->scatter;

	if (pager->at.limit[0] == '\0')
		return false;
	strlcpy(pager->at.bound, pager->at.limit, sizeof(DateText));
	strlcpy(pager->at.limit, linitial(scatter->limits), sizeof(DateText));
	scatter->limits = list_delete_first(scatter->limits);
	scatter->whole = false;
	scatter->piecemeal = false;
	pager->at.skip = 0;
	return true;
}

bool
onec_scatter_done(OnecPager *pager, OnecPageEnd end)
{
	OnecScatter *scatter = pager->scatter;
	bool		more = pager->at.skip > 0 && pager->page_rows > 0;

	if (scatter->piecemeal)
	{
		pager->at.skip += onec_pager_page_rows(pager);
		return end != ONEC_PAGE_LAST || next_stretch(pager);
	}
	if (end == ONEC_PAGE_LAST && !more)
		return next_stretch(pager);
	expect_again(pager);
	if (end == ONEC_PAGE_DOUBTFUL && !more)
		pager->at.skip = onec_pager_page_rows(pager);
	else
		ask_anew(pager);
	return true;
}

bool
onec_scatter_may_leave_dates(const OnecPager *pager)
{
	return pager->at.limit[0] != '\0' && pager->at.bound[0] == '\0';
}

void
onec_scatter_leave_dates(OnecPager *pager)
{
	OnecScatter *scatter = pager->scatter;

	scatter->dated = false;
	scatter->whole = true;
	scatter->limits = NIL;
	pager->at.limit[0] = '\0';
	pager->at.skip = 0;
}

void
onec_scatter_broken(OnecPager *pager, const OnecError *error)
{
	OnecScatter *scatter = pager->scatter;

	if (scatter->piecemeal)
	{
		pager->at.skip += onec_pager_page_rows(pager);
		return;
	}
	expect_again(pager);
	/* everything at once may be too much for the base */
	if (!scatter->whole ||
		(error->kind != ONEC_ERR_SERVER && error->kind != ONEC_ERR_LIMIT && error->kind != ONEC_ERR_TIMEOUT))
		return;
	scatter->whole = false;
	scatter->piecemeal = true;
	pager->at.skip = 0;
}

bool
onec_scatter_is_shaky(const OnecPager *pager)
{
	return pager->scatter->piecemeal;
}
