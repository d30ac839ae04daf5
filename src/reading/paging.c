/*-------------------------------------------------------------------------
 *
 * paging.c
 *	  Which page comes next, and which are asked for ahead.
 *
 * The way through a set is decided here page by page; what is asked for ahead follows the same way as far as
 * it can be foreseen: by $skip, by windows of dates, or by the last date of a page that has arrived.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"

#include "protocol/json/json_rows.h"
#include "protocol/json/json_tail.h"
#include "reading/date_windows.h"
#include "reading/page_check.h"
#include "reading/page_overlap.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "reading/pager_private.h"
#include "reading/paging.h"
#include "reading/read_ahead.h"
#include "reading/request.h"
#include "reading/scattered.h"
#include "reading/set_end.h"
#include "session/reply.h"

#define CROWDED 2				/* windows that what is left of one had better be cut into */

/* Rows to pass by so that a page begins with the first row of the date reached. */
int64
onec_pager_date_begin(const OnecPager *pager)
{
	return pager->unfiltered ? pager->part_delivered + pager->part_foreign - onec_tie_seen(pager->tie) : 0;
}

void
onec_pager_leave_bounds(OnecPager *pager)
{
	pager->unfiltered = true;
	pager->windowed = false;
	pager->at.limit[0] = '\0';
	/* a window may begin far behind the last row, whose date is where $skip begins: its rows come again */
	onec_tie_bound(pager->tie, pager->at.bound);
	pager->at.skip = onec_pager_date_begin(pager);
}

/* Whether neither the user, nor a page that failed, nor the server has said how large pages may be. */
static bool
is_free(const OnecPager *pager)
{
	return pager->page_size == 0 && pager->page_limit == 0 && pager->cap == 0;
}

/*
 * Rows to ask for at a place.  A window is made for 950 rows where a page has 1000, but sales are not even:
 * it may hold 1200.  So its request has $top=1500, and one request does; $top=1000 would take another for the
 * 200.  Where somebody has said how large pages may be, that is kept.
 */
static int64
place_top(const OnecPager *pager, const OnecPlace *place)
{
	int64		top = onec_pager_top(pager);

	if (pager->scattered)
		return onec_scatter_top(pager, top);
	return place->limit[0] != '\0' && is_free(pager) ? top * 3 / 2 : top;
}

/*
 * Rows that a window is meant to hold: a few less than a page, so that most take one request, and that is not
 * in doubt.
 */
static int64
window_rows(const OnecPager *pager)
{
	int64		top = onec_pager_top(pager);

	return Max(is_free(pager) ? top * 95 / 100 : top * 8 / 10, 1);
}

static OnecReply *
send_request(OnecPager *pager, const OnecPlace *place)
{
	MemoryContext old = MemoryContextSwitchTo(pager->scratch);
	OnecDraft	draft;
	OnecReply  *reply;

	onec_pager_draft(pager, place, &draft);
	reply = onec_session_start(pager->session, pager->options, &draft.request, pager->spent);
	onec_reply_attach(reply, pager->context);
	MemoryContextSwitchTo(old);
	return reply;
}

/* ---- pages asked for ahead ---- */

/* Whether it is time: the query goes on beyond what its limit made probable, and in pages. */
static bool
may_go_ahead(const OnecPager *pager)
{
	return pager->options->prefetch > 0 && pager->options->min_interval == 0 && pager->delivered > 0 &&
		(pager->query.hint < 0 || pager->delivered > pager->query.hint) && !pager->unfiltered &&
		pager->at.top > 0 && !pager->scattered && onec_draft_is_paged(pager->options, &pager->query);
}

/*
 * Whether the current page is likely to be full: it has arrived whole, and its first rows tell how large they
 * are.
 */
static bool
looks_full(const OnecPager *pager, size_t unread)
{
	double		rows;

	if (pager->page_rows < Min(pager->at.top / 4, 100) || pager->page_bytes <= 0)
		return false;
	rows = pager->page_rows * (1 + (double) unread / pager->page_bytes);
	return rows >= pager->at.top * 0.98;
}

/* The page after the current one, if what has arrived of it tells which that is. */
static bool
guess_next(OnecPager *pager, OnecPlace *next)
{
	size_t		len;
	bool		done;
	const char *data = onec_reply_data(pager->reply, &len, &done);

	*next = pager->at;
	if (!done || !looks_full(pager, len))
		return false;
	onec_pager_adapt(pager, pager->at.top, pager->page_bytes + (int64) len);
	if (!pager->by_date || pager->at.in_tie)
	{
		next->skip += pager->at.top;
		return true;
	}
	return onec_json_last_text(data, len, pager->names[pager->date_at], next->bound,
							   sizeof(next->bound)) &&
		strcmp(next->bound, pager->at.bound) != 0;
}

/*
 * The end of a window that begins at place->bound, which must not reach into that behind it, if there is one.
 */
static void
set_limit(OnecPager *pager, OnecPlace *place, const OnecPlace *behind)
{
	onec_windows_end(&pager->windows, place->bound, window_rows(pager), GetCurrentStatementStartTimestamp(),
					 place->limit);
	if (behind != NULL && (place->limit[0] == '\0' || strcmp(place->limit, behind->bound) > 0))
		strlcpy(place->limit, behind->bound, sizeof(place->limit));
}

/* How many of the windows asked for ahead follow the current one without a gap. */
static int
count_abutting(const OnecPager *pager)
{
	const OnecAhead *ahead = &pager->ahead;
	const char *end = pager->at.limit;
	int			count = 0;

	while (count < ahead->count && strcmp(ahead->places[count].bound, end) == 0)
		end = ahead->places[count++].limit;
	return count;
}

/* The first window that is not asked for, as number "at" of those ahead; false when the last one is open. */
static bool
next_window(OnecPager *pager, int at, OnecPlace *next)
{
	const OnecAhead *ahead = &pager->ahead;
	const OnecPlace *before = at > 0 ? &ahead->places[at - 1] : &pager->at;

	if (before->limit[0] == '\0')
		return false;
	*next = (OnecPlace) {.part = before->part};
	strlcpy(next->bound, before->limit, sizeof(next->bound));
	set_limit(pager, next, at < ahead->count ? &ahead->places[at] : NULL);
	return true;
}

/* The page behind the last one that is asked for; false when that is not known. */
static bool
next_page(OnecPager *pager, OnecPlace *next)
{
	const OnecAhead *ahead = &pager->ahead;

	if (ahead->count == 0)
		return guess_next(pager, next);
	if (pager->by_date)
		return false;
	*next = ahead->places[ahead->count - 1];
	next->skip += next->top;
	return true;
}

/*
 * Whether one more request may be under way.  A window that holds more than a page needs one when it is its
 * turn.
 */
static bool
is_room(const OnecPager *pager)
{
	int			under_way = onec_session_under_way(pager->session);

	if (pager->windowed && (pager->reply == NULL || !onec_reply_under_way(pager->reply)))
		under_way++;
	return under_way < pager->options->prefetch;
}

/*
 * Ask for as many pages ahead as may be under way.  Where a window was cut, those that fill the gap come on
 * top of those that were asked for behind it, whose answers are kept: at worst there are twice as many.
 */
void
onec_pager_go_ahead(OnecPager *pager)
{
	const OnecAhead *ahead = &pager->ahead;
	int			most = Min(pager->options->prefetch, ONEC_AHEAD_MAX / 2);
	OnecPlace	next;

	while (may_go_ahead(pager) && is_room(pager))
	{
		int			at = pager->windowed ? count_abutting(pager) : ahead->count;

		if (ahead->count >= (at < ahead->count ? 2 * most : most) ||
			!(pager->windowed ? next_window(pager, at, &next) : next_page(pager, &next)))
			break;
		next.top = place_top(pager, &next);
		onec_ahead_add(&pager->ahead, at, &next, send_request(pager, &next));
	}
}

/* ---- the current page ---- */

void
onec_pager_send(OnecPager *pager)
{
	pager->at.top = place_top(pager, &pager->at);
	pager->page_rows = 0;
	pager->page_begin = pager->delivered;
	onec_pager_begin_set(pager);
	pager->page_sum = pager->page_first = pager->page_last = 0;
	pager->page_bytes = 0;
	pager->eaten = 0;
	pager->middle[0] = '\0';
	onec_pager_note_asked(pager);
	onec_tie_page(pager->tie, pager->at.bound,
				  pager->at.in_tie && pager->at.skip > onec_pager_date_begin(pager));
	onec_rows_reset(pager->rows, pager->query.key != NULL);
	pager->reply = onec_ahead_take(&pager->ahead, &pager->at);
	if (pager->reply == NULL)
		pager->reply = send_request(pager, &pager->at);
	onec_pager_go_ahead(pager);
}

/* ---- the next page ---- */

/* Where the window ends that begins at the date reached; what is left of one that holds too much is cut. */
static void
end_window(OnecPager *pager)
{
	OnecPlace  *at = &pager->at;
	OnecPlace	rest = *at;

	strlcpy(rest.bound, at->limit, sizeof(rest.bound));
	if (at->limit[0] == '\0')
		set_limit(pager, at, NULL);
	else if (onec_windows_rows(&pager->windows, at->bound, at->limit) >= CROWDED * window_rows(pager))
		set_limit(pager, at, &rest);
}

/*
 * The next request begins behind the rows that have come.  Where all have the date that it began with, they
 * are read once more, in an order that $skip can rely on; unless likely none follow: that there are no more
 * is told by $skip in whichever order.
 */
void
onec_pager_go_on(OnecPager *pager, bool doubtful)
{
	if (pager->by_date && onec_tie_moved(pager->tie))
	{
		onec_tie_bound(pager->tie, pager->at.bound);
		/* a page of one date: the next would only bring it again */
		pager->at.in_tie = doubtful && onec_tie_seen(pager->tie) == onec_pager_page_rows(pager);
		pager->probing = pager->at.in_tie;
		pager->at.skip = onec_pager_date_begin(pager) + (pager->probing ? onec_pager_page_rows(pager) : 0);
		if (pager->windowed)
			end_window(pager);
	}
	else if (pager->by_date && !pager->at.in_tie)
	{
		pager->at.in_tie = true;
		pager->probing = doubtful;
		pager->at.skip = onec_pager_date_begin(pager) + (doubtful ? onec_pager_page_rows(pager) : 0);
	}
	else
		pager->at.skip += onec_pager_page_rows(pager);
}

/* The window is read: on to the one behind it, as it was asked for ahead if it was. */
void
onec_pager_next_window(OnecPager *pager)
{
	const OnecPlace *ahead = &pager->ahead.places[0];
	OnecPlace	next;

	if (count_abutting(pager) > 0)
		next = *ahead;
	else
		(void) next_window(pager, 0, &next);
	pager->at = next;
}

/* Learn how dense the rows of the page are. */
void
onec_pager_note_density(OnecPager *pager, OnecPageEnd verdict)
{
	const char *begin = pager->at.bound[0] != '\0' ? pager->at.bound : pager->middle;
	int64		half = pager->page_rows - pager->at.top / 2;
	char		last[ONEC_DATE_SIZE];

	/* what only tells that nothing follows a page adds nothing to it */
	if (!pager->windowed || (pager->doubted > 0 && pager->delivered == pager->page_begin))
		return;
	onec_tie_bound(pager->tie, last);
	if (verdict == ONEC_PAGE_FULL && pager->middle[0] != '\0')
	{
		onec_windows_note(&pager->windows, begin == pager->middle ? half : pager->page_rows, begin, last);
		onec_windows_note_end(&pager->windows, half, pager->middle, last);
	}
	else if (verdict != ONEC_PAGE_FULL && pager->at.limit[0] != '\0')
		onec_windows_note(&pager->windows, pager->page_rows, pager->at.bound, pager->at.limit);
}
