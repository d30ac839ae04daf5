/*-------------------------------------------------------------------------
 *
 * page_repeat.c
 *	  Pages reached by $skip that have come before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "reading/page_repeat.h"
#include "reading/read_ahead.h"

/* Whether pages differ in nothing but $skip. */
static bool
is_same_walk(const OnecPlace *a, const OnecPlace *b)
{
	return a->part == b->part && a->in_tie == b->in_tie && strcmp(a->bound, b->bound) == 0 &&
		strcmp(a->limit, b->limit) == 0;
}

static void
add_mark(OnecRepeat *repeat, const OnecMark *mark, MemoryContext context)
{
	if (repeat->count == repeat->room)
	{
		repeat->room = repeat->room ? repeat->room * 2 : 16;
		repeat->marks = repeat->marks ? repalloc(repeat->marks, sizeof(OnecMark) * repeat->room) :
			MemoryContextAlloc(context, sizeof(OnecMark) * repeat->room);
	}
	repeat->marks[repeat->count++] = *mark;
}

bool
onec_repeat_is_most(const OnecPlace *place, const OnecMark *page, const OnecMark *earlier)
{
	return 2 * page->rows > earlier->rows || (place->top > 0 && page->rows >= place->top);
}

/*
 * Whether the page is the earlier one again.  Its last row alone tells that of a page as long: behind a
 * page that lacked a row, and behind rows that came in front meanwhile, a few of that page's last rows
 * come once more.  Behind a page with rows twice the next one may begin and end with its last row.
 */
static bool
is_repeated(const OnecPlace *place, const OnecMark *page, const OnecMark *earlier, bool keyed,
			bool behind_twice)
{
	if (page->rows == earlier->rows && page->sum == earlier->sum)
		return true;
	if (!keyed)
		return false;
	if (page->first != 0 && page->first == earlier->first && (!behind_twice || earlier->rows > 1))
		return true;
	return page->last != 0 && page->last == earlier->last && !behind_twice &&
		onec_repeat_is_most(place, page, earlier);
}

const OnecMark *
onec_repeat_find(OnecRepeat *repeat, const OnecPlace *place, const OnecMark *page, bool keyed,
				 bool behind_twice, MemoryContext context)
{
	/* a page that begins further on is no news of what came before a tie or a window was read anew */
	if (!is_same_walk(&repeat->place, place) ||
		(repeat->count > 0 && place->skip <= repeat->marks[repeat->count - 1].skip))
		repeat->count = 0;
	repeat->place = *place;
	for (int i = 0; page->rows > 0 && i < repeat->count; i++)
		if (is_repeated(place, page, &repeat->marks[i], keyed, behind_twice))
			return &repeat->marks[i];
	add_mark(repeat, page, context);
	return NULL;
}

bool
onec_repeat_begins(const OnecRepeat *repeat, const OnecPlace *place, uint64 first)
{
	if (first == 0 || !is_same_walk(&repeat->place, place) || repeat->count == 0 ||
		place->skip <= repeat->marks[repeat->count - 1].skip)
		return false;
	for (int i = 0; i < repeat->count; i++)
		if (repeat->marks[i].first == first)
			return true;
	return false;
}

void
onec_repeat_begin(OnecRepeat *repeat, const OnecPlace *place, const OnecMark *page, MemoryContext context)
{
	repeat->place = *place;
	repeat->count = 0;
	add_mark(repeat, page, context);
}
