/*-------------------------------------------------------------------------
 *
 * doubt.c
 *	  A page that fails: what a base refuses, what is halved, what is asked for again.
 *
 * A refusal is believed only after it was tried both ways: with the part refused, without it answered, with
 * it refused again.  Between the first two the reading is in doubt, and goes a way that does without the
 * part: the order, an arm of the condition, the whole of it, or both.  When the first row comes that way, the
 * old request is sent once more: if it is refused again, that is remembered of the base; if it is answered,
 * the reading goes on with that answer, and nothing was learned.
 *
 * Only before the first row: rows of another order cannot follow.  What fails for any other reason may pass:
 * it is asked for again, in smaller pages where that may help, which is for this reading only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "onec_error.h"
#include "protocol/odata/odata.h"
#include "pushdown/filter.h"
#include "reading/doubt.h"
#include "reading/page_check.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "reading/pager_private.h"
#include "reading/paging.h"
#include "reading/read_ahead.h"
#include "reading/request.h"
#include "reading/scattered.h"
#include "session/capability.h"
#include "session/error.h"
#include "session/reply.h"
#include "session/retry.h"
#include "table/types.h"

#define MOST_ARMS 8				/* of a condition that are left out one by one; more are all at once */

/* ---- the way of a reading ---- */

/* The arms of the query's condition that the base is not known to refuse. */
static List *
open_arms(const OnecPager *pager)
{
	const OnecExpr *filter = pager->known.filter ? NULL : pager->query.filter;
	List	   *arms = NIL;

	if (filter == NULL)
		return NIL;
	if (filter->kind != ONEC_EXPR_AND)
		return onec_refusals_hold(pager->refusals, filter) ? NIL : list_make1((void *) filter);
	/* its arms are well, but not together */
	if (onec_refusals_hold_whole(pager->refusals, filter))
		return NIL;
	for (int i = 0; i < filter->nargs; i++)
		if (!onec_refusals_hold(pager->refusals, filter->args[i]))
			arms = lappend(arms, filter->args[i]);
	return arms;
}

void
onec_pager_choose_filter(OnecPager *pager)
{
	const OnecDoubt *doubt = &pager->doubt;
	List	   *arms = NIL;

	pager->arms = open_arms(pager);
	for (int i = 0; i < list_length(pager->arms); i++)
		if (doubt->step != ONEC_DOUBT_ARM || doubt->arm != i)
			arms = lappend(arms, list_nth(pager->arms, i));
	pager->filter = arms == NIL || doubt->step >= ONEC_DOUBT_FILTER ? NULL :
		list_length(arms) == 1 ? linitial(arms) :
		list_length(arms) == (pager->query.filter->kind == ONEC_EXPR_AND ? pager->query.filter->nargs : 1) ?
		pager->query.filter : onec_make_list(ONEC_EXPR_AND, arms);
}

bool
onec_pager_takes_dates(const OnecPager *pager)
{
	return pager->refusals->conditions == NIL ||
		!(onec_refusals_hold(pager->refusals,
							 onec_pager_filter_by_date(pager, NULL, "ge", ONEC_EMPTY_DATE)) ||
		  onec_refusals_hold(pager->refusals,
							 onec_pager_filter_by_date(pager, NULL, "lt", ONEC_EMPTY_DATE)));
}

/* ---- doubt ---- */

/* Whether a text of 1C names a function or a property of the condition. */
static bool
is_named(const OnecExpr *expr, const char *text)
{
	if ((expr->kind == ONEC_EXPR_CALL || expr->kind == ONEC_EXPR_FIELD) && strstr(text, expr->name) != NULL)
		return true;
	for (int i = 0; i < expr->nargs; i++)
		if (is_named(expr->args[i], text))
			return true;
	return false;
}

/* The arm that is left out at a place in the row: those that the error names go first. */
static int
suspect(const OnecPager *pager, int place)
{
	int			count = list_length(pager->arms);
	int			first = 0;

	for (int i = 0; i < count; i++)
		if (is_named(list_nth(pager->arms, i), pager->doubt.error.message))
		{
			first = i;
			break;
		}
	return (first + place) % count;
}

/* The next way that may work; false when there is none left. */
static bool
doubt_more(OnecPager *pager)
{
	OnecDoubt  *doubt = &pager->doubt;
	const OnecRefusals *refusals = pager->refusals;
	int			count = list_length(pager->arms);
	bool		ordered = (doubt->parts & ONEC_PART_ORDER) != 0 && !refusals->order &&
		(pager->options->key != NULL || pager->query.norder > 0);
	bool		filtered = (doubt->parts & ONEC_PART_FILTER) != 0 && !refusals->filter;

	/*
	 * dates of its own are all the condition: without order they would not be sent either, which proves
	 * nothing
	 */
	if (doubt->step == ONEC_DOUBT_NONE && filtered && count == 0)
		doubt->step = ONEC_DOUBT_DATES;
	else if (doubt->step < ONEC_DOUBT_ORDER && ordered)
		doubt->step = ONEC_DOUBT_ORDER;
	else if (doubt->step < ONEC_DOUBT_FILTER && filtered && count > 1 && count <= MOST_ARMS &&
			 doubt->tried < count)
	{
		doubt->step = ONEC_DOUBT_ARM;
		doubt->arm = suspect(pager, doubt->tried++);
	}
	else if (doubt->step < ONEC_DOUBT_FILTER && filtered)
		doubt->step = ONEC_DOUBT_FILTER;
	else if (doubt->step < ONEC_DOUBT_BOTH && filtered && ordered)
		doubt->step = ONEC_DOUBT_BOTH;
	else
		return false;
	return true;
}

/* Keep what was refused, as it was asked for: to be asked for again, and told if nothing else works. */
static void
begin_doubt(OnecPager *pager, const OnecError *error)
{
	if (pager->doubt.step != ONEC_DOUBT_NONE)
		return;
	memset(&pager->doubt, 0, sizeof(pager->doubt));
	pager->doubt.error = *error;
	pager->asked = MemoryContextAlloc(pager->scratch, sizeof(OnecPager));
	*pager->asked = *pager;
}

/* Do without what the base may have refused, best guess first. */
static bool
do_without(OnecPager *pager, const OnecError *error)
{
	bool		filtered = list_nth(pager->parts, pager->at.part) != NULL;

	if (error->kind == ONEC_ERR_URL_TOO_LONG && pager->delivered == 0 && pager->url_budget > 500 &&
		onec_draft_is_paged(pager->options, &pager->query))
	{
		pager->url_budget /= 2;
		onec_pager_choose_again(pager);
		return true;
	}
	if (error->kind != ONEC_ERR_REFUSED || pager->settled > 1)
		return false;
	/* the set was read without a condition of dates until one was needed */
	if (pager->by_date && !pager->unfiltered && pager->at.bound[0] != '\0' &&
		(!filtered || pager->delivered > 0) &&
		(error->parts & ONEC_PART_FILTER))
	{
		begin_doubt(pager, error);
		pager->doubt.step = ONEC_DOUBT_BOUND;
		onec_pager_leave_bounds(pager);
		return true;
	}
	if (pager->scattered && onec_scatter_may_leave_dates(pager) && (error->parts & ONEC_PART_FILTER))
	{
		begin_doubt(pager, error);
		pager->doubt.step = ONEC_DOUBT_BOUND;
		onec_scatter_leave_dates(pager);
		return true;
	}
	if (pager->delivered > 0 || pager->query.key != NULL)
		return false;
	begin_doubt(pager, error);
	pager->doubt.parts |= error->parts;
	if (!doubt_more(pager))
		return false;
	onec_pager_choose_again(pager);
	return true;
}

/* ---- proof ---- */

/* Send a request whose answer only has to come, or not; NULL when it fails, with "error". */
static OnecReply *
ask(OnecPager *pager, const OnecRequest *request, OnecError *error)
{
	OnecReply  *reply = onec_session_start(pager->session, pager->options, request, pager->spent);

	onec_reply_attach(reply, pager->context);
	memset(error, 0, sizeof(*error));
	if (onec_reply_wait(reply, 0, error))
		return reply;
	onec_reply_free(reply);
	return NULL;
}

/* Whether the base refuses the query with this condition alone, and no order. */
static bool
is_refused(OnecPager *pager, const OnecExpr *filter)
{
	OnecPager	lone = *pager->asked;
	OnecPlace	place = {.top = 1};
	OnecDraft	draft;
	OnecError	error;

	lone.parts = list_make1((void *) filter);
	lone.known.order = true;
	onec_pager_draft(&lone, &place, &draft);
	onec_reply_free(ask(pager, &draft.request, &error));
	return error.kind == ONEC_ERR_REFUSED;
}

/* The condition was refused: is it any condition whatever, an arm of it, or more than one? */
static void
learn_filter(OnecPager *pager)
{
	List	   *arms = pager->asked->arms;
	bool		found = false;
	ListCell   *lc;

	/* one that every row meets tells whether the base takes any */
	if (arms == NIL ||
		(pager->date != NULL && pager->options->function == NULL &&
		 is_refused(pager, onec_pager_filter_by_date(pager, NULL, "ge", ONEC_EMPTY_DATE))))
	{
		pager->refusals->filter = true;
		return;
	}
	foreach(lc, arms)
	{
		if (list_length(arms) > 1 && !is_refused(pager, lfirst(lc)))
			continue;
		onec_session_refuse(pager->session, pager->options->entity_set, lfirst(lc));
		found = true;
	}
	if (!found)
		onec_session_refuse(pager->session, pager->options->entity_set, pager->query.filter);
}

/* With the part it was refused twice, without it answered. */
static void
learn(OnecPager *pager, OnecDoubtStep step)
{
	if (step == ONEC_DOUBT_ORDER || step == ONEC_DOUBT_BOTH)
		pager->refusals->order = true;
	if (step == ONEC_DOUBT_ARM)
		onec_session_refuse(pager->session, pager->options->entity_set,
							list_nth(pager->asked->arms, pager->doubt.arm));
	else if (step == ONEC_DOUBT_BOUND && pager->filter != NULL)
		pager->refusals->dates = true;
	else if (step == ONEC_DOUBT_BOUND || step == ONEC_DOUBT_DATES)
		pager->refusals->filter = true;
	else if (step == ONEC_DOUBT_FILTER || step == ONEC_DOUBT_BOTH)
		learn_filter(pager);
}

/* Leave the page at hand and begin the set anew; "reply", if any, is the answer to the first request. */
static void
begin_anew(OnecPager *pager, OnecReply *reply)
{
	OnecPlace	at = pager->asked->at;

	onec_reply_free(pager->reply);
	pager->reply = NULL;
	pager->eaten = 0;
	pager->page_rows = 0;
	onec_ahead_drop(&pager->ahead);
	onec_pager_choose_again(pager);
	if (reply == NULL)
		return;
	pager->at = at;
	onec_ahead_add(&pager->ahead, 0, &at, reply);
}

/*
 * The answer came after all while dates were being reached by $skip: nothing was learned, rows come as they
 * are.
 */
static bool
may_begin_anew(const OnecPager *pager, OnecDoubtStep step)
{
	return pager->delivered == 0 && step != ONEC_DOUBT_BOUND;
}

bool
onec_pager_settle(OnecPager *pager)
{
	OnecDoubtStep step = pager->doubt.step;
	OnecDraft	draft;
	OnecError	error;
	OnecReply  *reply;

	if (step == ONEC_DOUBT_NONE)
		return true;
	/* the row at hand lies in an answer */
	onec_reply_pin(pager->reply, true);
	onec_pager_draft(pager->asked, &pager->asked->at, &draft);
	reply = ask(pager, &draft.request, &error);
	if (error.kind == ONEC_ERR_REFUSED)
		learn(pager, step);
	onec_reply_pin(pager->reply, false);
	pager->doubt.step = ONEC_DOUBT_NONE;
	pager->settled++;
	if (may_begin_anew(pager, step) &&
		(reply != NULL || (error.kind == ONEC_ERR_REFUSED && step >= ONEC_DOUBT_FILTER &&
						   !pager->refusals->filter &&
						   open_arms(pager) != NIL)))
	{
		begin_anew(pager, reply);
		return false;
	}
	onec_reply_free(reply);
	return true;
}

/* ---- a page that fails ---- */

/* Halve the page if that may help, for this reading. */
static bool
halve_page(OnecPager *pager, const OnecError *error)
{
	bool		timeout = error->kind == ONEC_ERR_TIMEOUT;

	if (error->kind != ONEC_ERR_SERVER && error->kind != ONEC_ERR_LIMIT && !timeout)
		return false;
	/* a base that does not answer at all must not take its time again and again */
	if (timeout && pager->timed_out)
		return false;
	if (!onec_draft_is_paged(pager->options, &pager->query) || pager->at.top <= SMALLEST_PAGE)
		return false;
	pager->timed_out |= timeout;
	pager->page_limit = Max(pager->at.top / 2, SMALLEST_PAGE);
	onec_session_note_retry(pager->session, pager->spent);
	return true;
}

/* Ask for the same again, later.  What was taken before in this reading is refused by chance, if it is. */
static bool
try_again(OnecPager *pager, const OnecError *error)
{
	OnecError	failure = *error;

	if (failure.kind == ONEC_ERR_REFUSED && (pager->delivered > 0 || pager->at.part > 0))
		failure.kind = ONEC_ERR_PASSING;
	return onec_session_retry(pager->session, pager->options, pager->reply, &failure, &pager->attempts,
							  pager->spent);
}

void
onec_pager_failed(OnecPager *pager, const OnecError *error)
{
	OnecReply  *reply = pager->reply;
	OnecDraft	draft;

	onec_reply_blame(reply, error);
	if (error->kind == ONEC_ERR_NO_ROW && pager->query.key != NULL)
	{
		onec_pager_stop(pager);
		pager->way.finished++;
		return;
	}
	onec_reply_rows(reply, pager->page_rows);
	/* rows of a result that has no pages cannot be skipped */
	if ((onec_draft_is_paged(pager->options, &pager->query) || pager->page_rows == 0) &&
		(do_without(pager, error) || halve_page(pager, error) || try_again(pager, error)))
	{
		pager->reply = NULL;
		onec_ahead_drop(&pager->ahead);
		if (pager->scattered)
			onec_scatter_broken(pager, error);
		else if (pager->page_rows > 0)
		{
			onec_pager_check_broken(pager);
			onec_pager_go_on(pager, false);
		}
		onec_reply_free(reply);
		return;
	}
	/* nothing that was left out was to blame: tell of the request as it was meant */
	if (pager->doubt.step != ONEC_DOUBT_NONE && error->kind == ONEC_ERR_REFUSED)
	{
		onec_pager_draft(pager->asked, &pager->asked->at, &draft);
		onec_session_raise(pager->session, pager->options, &draft.request, &pager->doubt.error);
	}
	onec_pager_draft(pager, &pager->at, &draft);
	onec_session_raise(pager->session, pager->options, &draft.request, error);
}
