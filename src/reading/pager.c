/*-------------------------------------------------------------------------
 *
 * pager.c
 *	  Pages of an entity set: by its dates where it has some, else by $skip.
 *
 * 1C has no server paging: a set ends with the first page that is not full.  It pays for skipped rows
 * as for returned ones, so a set with a date is read in its order, each page beginning at the
 * date where the last one ended (page_overlap.h tells the rows that come twice).  Other sets are read by
 * $skip over a total order.  A page that breaks after some of its rows were delivered is not read again: the
 * next request goes on where it broke, which promises no more and no less than paging does anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "onec_error.h"
#include "protocol/json/json_rows.h"
#include "reading/date_windows.h"
#include "reading/doubt.h"
#include "reading/key_parts.h"
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
#include "session/capability.h"
#include "session/largest_page.h"
#include "session/replies.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/options.h"

int			onec_page_size = 0;
bool		onec_short_page_ends = true;

/* ---- life ---- */

static void
free_rows(void *arg)
{
	OnecPager  *pager = arg;

	onec_rows_free(pager->rows);
	pager->rows = NULL;
}

/* What is to be read of each row: if nothing, then what tells that it is one. */
static void
keep_wanted(OnecPager *pager, const OnecWanted *wanted)
{
	const char *date = pager->options->paging == ONEC_PAGING_SKIP ? NULL : wanted->date;
	bool		none = wanted->nnames == 0 && wanted->fallback != NULL && pager->options->function == NULL;

	onec_pager_keep_names(pager, none ? &wanted->fallback : wanted->names, none ? 1 : wanted->nnames, date);
	pager->optional = wanted->optional;
	pager->noptional = wanted->optional ? wanted->nnames : 0;
	pager->date = wanted->date;
	pager->fallback = wanted->fallback;
	onec_pager_find_key(pager);
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
	keep_wanted(pager, wanted);
	pager->tie = onec_pager_make_tie(pager);
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
	onec_session_note_page(pager->session, onec_pager_page_rows(pager));
	pager->page_rows = 0;
	onec_ahead_drop(&pager->ahead);
	pager->later = false;
	pager->ended = true;
}

/* Begin with the first page of a part. */
static void
begin_part(OnecPager *pager, int part)
{
	pager->at = (OnecPlace) {.part = part};
	pager->part_delivered = 0;
	pager->part_keyed = 0;
	pager->part_foreign = 0;
	onec_tie_reset(pager->tie, pager->descending);
	onec_windows_reset(&pager->windows);
	if (pager->scattered)
		onec_scatter_begin(pager);
}

/* Decide how to page, from the query and what the base was found to refuse. */
static void
choose_way(OnecPager *pager)
{
	OnecRefusals *known = &pager->known;

	*known = *pager->refusals;
	known->order |= pager->doubt.step == ONEC_DOUBT_ORDER || pager->doubt.step == ONEC_DOUBT_BOTH;
	known->filter |= pager->doubt.step >= ONEC_DOUBT_FILTER || pager->doubt.step == ONEC_DOUBT_DATES;
	onec_pager_choose_filter(pager);
	pager->unordered = pager->query.norder > 0 &&
		(known->order || (pager->query.nulls != ONEC_NULLS_ALIKE && known->filter));
	pager->by_date = pager->query.skip == 0 && pager->date_at >= 0 &&
		onec_draft_may_go_by_date(pager->options, &pager->query, pager->date) &&
		!known->order && !known->filter && !known->dates && onec_pager_takes_dates(pager);
	pager->scattered = pager->walks && known->order && pager->query.skip == 0;
	pager->descending = !pager->scattered && pager->query.norder > 0 && pager->query.order[0].descending;
	pager->windowed = pager->by_date && !pager->descending &&
		(pager->options->prefetch > 1 || pager->options->paging == ONEC_PAGING_WINDOWS);
	pager->unfiltered = false;
	begin_part(pager, 0);
	pager->at.skip = pager->query.skip;
}

void
onec_pager_choose_again(OnecPager *pager)
{
	MemoryContext old = MemoryContextSwitchTo(pager->scratch);

	choose_way(pager);
	onec_pager_make_parts(pager);
	MemoryContextSwitchTo(old);
}

void
onec_pager_start(OnecPager *pager, const OnecQuery *query)
{
	onec_pager_stop(pager);
	MemoryContextReset(pager->scratch);
	pager->query = *query;
	pager->ended = false;
	pager->way.runs++;
	pager->url_budget = pager->options->max_url;
	pager->page_rows = 0;
	pager->delivered = 0;
	pager->eaten = 0;
	pager->page_size = onec_page_size > 0 ? onec_page_size : pager->options->page_size;
	pager->page_target = pager->page_size > 0 ? pager->page_size : FIRST_PAGE;
	memset(&pager->attempts, 0, sizeof(pager->attempts));
	pager->timed_out = false;
	pager->page_limit = 0;
	pager->doubt.step = ONEC_DOUBT_NONE;
	pager->settled = 0;
	pager->doubted = 0;
	pager->probing = false;
	pager->asked_again = false;
	pager->walks = onec_draft_is_paged(pager->options, query);
	onec_pager_choose_again(pager);
}

bool
onec_pager_unordered(const OnecPager *pager)
{
	return pager->unordered;
}

const OnecWay *
onec_pager_way(const OnecPager *pager)
{
	return &pager->way;
}

void
onec_pager_raise_dates(OnecPager *pager, const char *what)
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
 * The base does not order by the date, which the first page shows: its dates are 3, 1, 2.  Asking for "date
 * ge 2" next would lose what is older and has not come yet, so from here on the rows that have come are
 * passed by with $skip, in whatever order the base has.  That is an error where the executor was promised the
 * order, and where the page itself began at a date: rows before that date were left out by then.
 */
static void
leave_dates(OnecPager *pager)
{
	pager->refusals->dates = pager->known.dates = true;
	pager->by_date = false;
	if (pager->query.norder == 0 && pager->at.bound[0] == '\0')
		return;
	if (pager->query.norder > 0)
		pager->refusals->order = true;
	onec_pager_raise_dates(pager, "order");
}

/* 1C, or what stands before it, has left out rows of an answer that has no pages. */
static void
raise_cut(const OnecPager *pager)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_REPLY_HANDLE),
			 errmsg("the answer for \"%s\" is only a part of it", pager->options->entity_set),
			 errdetail("It names an address for the rest (odata.nextLink), which is not followed here.")));
}

/* Nothing follows the page: on to the next window, or part. */
static void
end_page(OnecPager *pager)
{
	pager->probing = false;
	pager->asked_again = false;
	if (pager->at.limit[0] != '\0')
	{
		onec_pager_next_window(pager);
		return;
	}
	begin_part(pager, pager->at.part + 1);
	pager->ended = pager->at.part >= list_length(pager->parts);
	if (!pager->ended)
		return;
	pager->way.finished++;
	onec_ahead_drop(&pager->ahead);
}

/* The page is complete: is there another? */
static void
page_done(OnecPager *pager)
{
	bool		cut = onec_rows_next_link(pager->rows) != NULL;
	OnecPageEnd verdict;

	if (!onec_pager_settle(pager))
		return;
	onec_reply_rows(pager->reply, pager->page_rows);
	onec_reply_free(pager->reply);
	pager->reply = NULL;
	memset(&pager->attempts, 0, sizeof(pager->attempts));
	if (pager->spent)
		pager->spent->pages++;
	onec_pager_check_page(pager);
	onec_pager_adapt(pager, pager->page_rows, pager->page_bytes);
	if (onec_pager_is_lost(pager) && !pager->asked_again)
	{
		pager->asked_again = true;
		return;
	}
	verdict = onec_pager_judge(pager, cut);
	if (cut && verdict == ONEC_PAGE_LAST)
		raise_cut(pager);
	if (pager->scattered)
	{
		if (!onec_scatter_done(pager, verdict))
			end_page(pager);
		return;
	}
	onec_pager_note_density(pager, verdict);
	if (pager->by_date && onec_tie_disorder(pager->tie) &&
		(verdict == ONEC_PAGE_FULL || pager->at.bound[0] != '\0'))
		leave_dates(pager);
	pager->doubted = verdict == ONEC_PAGE_DOUBTFUL ? pager->page_rows : 0;
	if (verdict == ONEC_PAGE_LAST)
		end_page(pager);
	else
		onec_pager_go_on(pager, verdict == ONEC_PAGE_DOUBTFUL);
}

static void
eat(OnecPager *pager, size_t bytes)
{
	onec_reply_consume(pager->reply, bytes);
	pager->page_bytes += bytes;
	pager->eaten = 0;
}

/*
 * Whether a row of a page that was to begin, or end, at a date lies outside: the base takes no notice of
 * $filter.
 */
static bool
is_outside(const OnecPager *pager, const OnecField *date)
{
	int			order;

	if (date->kind != ONEC_FIELD_STRING || date->len != ONEC_DATE_SIZE - 1)
		return false;
	if (pager->at.limit[0] != '\0' && memcmp(date->text, pager->at.limit, date->len) >= 0)
		return true;
	if (pager->page_rows > 1 || pager->at.bound[0] == '\0' || pager->unfiltered)
		return false;
	order = memcmp(date->text, pager->at.bound, date->len);
	return pager->descending ? order > 0 : order < 0;
}

/* From here on dates are reached by $skip; where that would give rows twice, the query has to begin anew. */
static void
leave_filter(OnecPager *pager)
{
	if (list_length(pager->parts) > 1 || pager->at.limit[0] != '\0')
		onec_pager_raise_dates(pager, "filter");
	pager->refusals->filter = pager->known.filter = true;
	onec_pager_leave_bounds(pager);
	onec_reply_free(pager->reply);
	pager->reply = NULL;
	pager->eaten = 0;
	onec_ahead_drop(&pager->ahead);
}

/* Rows follow those of the date after all: they are read in an order that $skip can rely on. */
static void
end_probe(OnecPager *pager)
{
	pager->probing = false;
	pager->at.skip = onec_pager_date_begin(pager);
	onec_reply_free(pager->reply);
	pager->reply = NULL;
	pager->eaten = 0;
}

/* One more row of the page, as it is known. */
static inline void
note_row(OnecPager *pager, uint64 hash)
{
	pager->page_sum += hash;
	pager->page_last = hash;
	if (pager->page_rows == 1)
		pager->page_first = hash;
}

/* Whether the row is to be delivered: it has not come with the page before, nor does it with another part. */
static bool
is_new(OnecPager *pager, const OnecField *fields)
{
	onec_pager_check_row(pager, fields);
	if (pager->page_rows == 1)
	{
		onec_pager_note_reached(pager);
		onec_pager_note_keys(pager);
	}
	if (pager->probing)
	{
		end_probe(pager);
		return false;
	}
	if (pager->walks && onec_pager_is_twice(pager, fields))
		return false;
	if (pager->scattered)
	{
		if (!onec_scatter_row(pager, fields))
			return false;
	}
	else if (pager->by_date)
	{
		const OnecField *date = &fields[pager->date_at];
		bool		is_new;

		if (is_outside(pager, date))
		{
			leave_filter(pager);
			return false;
		}
		is_new = onec_tie_row(pager->tie, fields, pager->nnames, date);
		note_row(pager, onec_tie_last(pager->tie));
		if (!is_new)
			return false;
		if (pager->windowed && pager->page_rows == pager->at.top / 2)
			onec_tie_bound(pager->tie, pager->middle);
	}
	else if (pager->walks)
	{
		note_row(pager, onec_tie_hash(pager->tie, fields, pager->nnames));
		if (onec_pager_has_come(pager))
			return false;
	}
	/* it has its place in the pages all the same */
	if (pager->part_at >= 0 && onec_pager_is_foreign(pager, &fields[pager->part_at]))
	{
		pager->part_foreign++;
		return false;
	}
	if (pager->doubt.step != ONEC_DOUBT_NONE && !onec_pager_settle(pager))
		return false;
	pager->delivered++;
	pager->part_delivered++;
	if (pager->part_keys != NULL && onec_pager_is_asked_for(pager, fields))
		pager->part_keyed++;
	if (pager->spent)
		pager->spent->rows++;
	return true;
}

/* Look for a row in what has arrived; true: *fields is it. */
static bool
step(OnecPager *pager, const OnecField **fields)
{
	OnecError	error;
	size_t		len;
	size_t		consumed = 0;
	bool		done;
	const char *data = onec_reply_data(pager->reply, &len, &done);

	onec_no_error(&error);
	switch (onec_rows_next(pager->rows, data, len, done, &consumed, &error))
	{
		case ONEC_ROWS_ROW:
			pager->eaten = consumed;
			pager->page_rows++;
			*fields = onec_rows_fields(pager->rows);
			/* now and then: answers arrive while rows are read */
			if (pager->page_rows % LOOK_ROWS == 0)
				onec_pager_go_ahead(pager);
			return is_new(pager, *fields);
		case ONEC_ROWS_MORE:
			eat(pager, consumed);
			pager->seen = len - consumed;
			pager->later = !pager->patient && !onec_reply_ready(pager->reply, pager->seen);
			if (pager->later)
				return false;
			if (!onec_reply_wait(pager->reply, pager->seen, &error))
				onec_pager_failed(pager, &error);
			else
				onec_pager_go_ahead(pager);
			return false;
		case ONEC_ROWS_END:
			page_done(pager);
			return false;
		default:
			onec_pager_failed(pager, &error);
			return false;
	}
}

/* Whether the next page may be asked for: it is under way already, or there is room for one more request. */
static bool
may_send(const OnecPager *pager)
{
	if (pager->patient || pager->ahead.count > 0 ||
		onec_session_is_room(pager->session, pager->options->prefetch))
		return true;
	/* those who asked for what is under way may be elsewhere: nobody else would let it come on */
	onec_replies_poll();
	return onec_session_is_room(pager->session, pager->options->prefetch);
}

/* The next row; NULL at the end, or "later". */
static const OnecField *
next_fields(OnecPager *pager)
{
	const OnecField *fields;

	pager->later = false;
	while (!pager->ended && !pager->later)
	{
		if (pager->eaten > 0)
			eat(pager, pager->eaten);
		if (pager->reply == NULL && may_send(pager))
			onec_pager_send(pager);
		else if (pager->reply == NULL)
			pager->later = true;
		else if (step(pager, &fields))
			return fields;
	}
	return NULL;
}

const OnecField *
onec_pager_next(OnecPager *pager)
{
	pager->patient = true;
	return next_fields(pager);
}

/*
 * Whether the page, whose rows have no key, has or may have more of them than were asked for: that is judged
 * at its end.
 */
static bool
may_be_long(const OnecPager *pager)
{
	return pager->walks && pager->page_rows >= pager->at.top && !onec_tie_has_key(pager->tie);
}

void
onec_pager_enough(OnecPager *pager)
{
	const OnecField *fields;
	bool		again = pager->page_rows > 0 && onec_pager_begins_again(pager);

	pager->patient = true;
	while (!pager->ended && pager->reply != NULL && pager->page_rows > 0 &&
		   (again || onec_pager_missing(pager) != NULL || may_be_long(pager)))
	{
		if (pager->eaten > 0)
			eat(pager, pager->eaten);
		(void) step(pager, &fields);
	}
}

void
onec_pager_hold(OnecPager *pager, bool hold)
{
	if (pager->reply != NULL)
		onec_reply_pin(pager->reply, hold);
}

bool
onec_pager_try(OnecPager *pager, const OnecField **fields)
{
	*fields = NULL;
	/* what was not enough for a row is not looked at again */
	if (pager->later && pager->reply != NULL && !onec_reply_ready(pager->reply, pager->seen))
		return false;
	pager->patient = false;
	*fields = next_fields(pager);
	return *fields != NULL || !pager->later;
}
