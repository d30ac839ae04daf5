/*-------------------------------------------------------------------------
 *
 * set_end.c
 *	  Whether more rows follow a page.
 *
 * 1C answers with as many rows as it was asked for, or with all that are left.  A server before it may cut a
 * page shorter, at a number that only it knows, and nothing in the answer tells.  So a shorter page is taken
 * for the last one only where a larger one has come from the same base before, and where it lacks too much to
 * be the work of a row that was deleted meanwhile; else one more request asks what follows, which costs sets
 * smaller than any before one request each, and all others nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "reading/key_parts.h"
#include "reading/page_check.h"
#include "reading/page_overlap.h"
#include "reading/pager.h"
#include "reading/pager_private.h"
#include "reading/paging.h"
#include "reading/request.h"
#include "reading/set_end.h"
#include "session/largest_page.h"

#define ENOUGH 0.9				/* of the rows asked for: a page with fewer is short */

/* Whether the page begins with rows that came with the one before. */
static bool
begins_with_known(const OnecPager *pager)
{
	return pager->by_date && pager->at.bound[0] != '\0' && pager->at.skip <= onec_pager_date_begin(pager);
}

bool
onec_pager_is_lost(const OnecPager *pager)
{
	return pager->page_rows == 0 && begins_with_known(pager) && onec_tie_expected(pager->tie) > 0;
}

/* A server that cuts two pages at the same number, with more behind them, cuts all of them there. */
static void
note_cut(OnecPager *pager)
{
	if (pager->doubted == 0 || pager->delivered == pager->page_begin)
		return;
	if (pager->doubted == pager->short_rows)
		pager->cap = pager->doubted;
	pager->short_rows = pager->doubted;
}

OnecPageEnd
onec_pager_judge(OnecPager *pager, bool cut)
{
	int64		rows = pager->page_rows;
	int64		larger = onec_session_largest_page(pager->session);

	note_cut(pager);
	onec_session_note_page(pager->session, onec_pager_page_rows(pager));
	if (!pager->walks || rows == 0)
		return ONEC_PAGE_LAST;
	/* rows that came twice may stand in the place of others */
	if (rows >= pager->at.top || cut || pager->page_twice > 0)
		return ONEC_PAGE_FULL;
	if (onec_pager_keys_left(pager) == 0)
		return ONEC_PAGE_LAST;
	return onec_short_page_ends && rows < pager->at.top * ENOUGH && rows < larger ? ONEC_PAGE_LAST :
		ONEC_PAGE_DOUBTFUL;
}
