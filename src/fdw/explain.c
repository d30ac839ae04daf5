/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  EXPLAIN: the request as people read it, what became of each qual, and what it took.
 *
 * Run-time values stand as $1, $2 …; nothing is asked of 1C.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "fdw/explain.h"
#include "fdw/scan.h"
#include "pushdown/composite.h"
#include "pushdown/deparse.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "session/capability.h"
#include "table/text.h"
#include "table/types.h"

static const char *const verdict_names[] = {
	[ONEC_NO] = "local",
	[ONEC_SUPERSET] = "sent, superset",
	[ONEC_EXACT] = "sent, exact",
};

/* Whether a qual is the list of keys that a look-up join fills in. */
static bool
is_lookup(Expr *qual)
{
	return IsA(qual, ScalarArrayOpExpr) && IsA(lsecond(((ScalarArrayOpExpr *) qual)->args), CaseTestExpr);
}

/*
 * Values of sub-plans stand as $0, $1 …: without a plan, PostgreSQL cannot tell whose they are, and since 17
 * must not be asked.
 */
static Node *
name_params(Node *node, void *context)
{
	Param	   *param;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Param))
		return expression_tree_mutator(node, name_params, context);
	param = copyObject((Param *) node);
	param->paramkind = PARAM_EXTERN;
	return (Node *) param;
}

/* The text of a qual; those with columns of other tables are only named. */
static char *
qual_text(const OnecScan *scan, Expr *qual)
{
	Relids		varnos = pull_varnos(NULL, (Node *) qual);
	Node	   *copy;

	if (is_lookup(qual))
		return pstrdup("(keys of the look-up join)");

	varnos = bms_del_member(varnos, scan->deparse.varno);
	if (!bms_is_empty(varnos))
		return pstrdup("(join condition)");
	copy = name_params((Node *) qual, NULL);
	ChangeVarNodes(copy, scan->deparse.varno, 1, 0);
	return deparse_expression(copy, deparse_context_for(get_rel_name(scan->relid), scan->relid),
							  false, false);
}

static List *
qual_lines(OnecScan *scan, const OnecRefusals *refusals)
{
	List	   *lines = NIL;
	ListCell   *lc;

	foreach(lc, scan->quals)
	{
		Expr	   *qual = lfirst(lc);
		OnecTerm	term;

		if (!onec_composite_pair(&scan->deparse, scan->quals, qual, &term))
			term = onec_deparse_qual(&scan->deparse, qual);
		if (!scan->options->push_filter)
			term = (OnecTerm) {.verdict = ONEC_NO, .why = "push_filter is off"};
		else if (term.verdict != ONEC_NO && term.kind == ONEC_TERM_TREE &&
				 (refusals->filter || onec_refusals_hold(refusals, term.expr)))
			term = (OnecTerm) {.verdict = ONEC_NO, .why = "1C refuses it"};
		if (term.verdict == ONEC_NO)
			lines = lappend(lines, psprintf("%s: local, %s", qual_text(scan, qual), term.why));
		else
			lines = lappend(lines, psprintf("%s: %s", qual_text(scan, qual),
											verdict_names[term.verdict]));
	}
	return lines;
}

/* A property's name; no element of XML begins with a digit. */
static const char *
label(const char *name, const ExplainState *es)
{
	return es->format == EXPLAIN_FORMAT_XML ? psprintf("OneC%s", name + strlen("1C")) : name;
}

/* A line each for people, a list for programs. */
static void
explain_quals(List *lines, ExplainState *es)
{
	ListCell   *lc;

	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyList(label("1C Quals", es), lines, es);
	else
		foreach(lc, lines)
			ExplainPropertyText(label("1C Qual", es), lfirst(lc), es);
}

static void
explain_spent(const OnecScan *scan, ExplainState *es)
{
	ExplainPropertyInteger(label("1C Requests", es), NULL, scan->spent.requests, es);
	ExplainPropertyInteger(label("1C Pages", es), NULL, scan->spent.pages, es);
	ExplainPropertyInteger(label("1C Rows", es), NULL, scan->spent.rows, es);
	ExplainPropertyInteger(label("1C Bytes", es), NULL, scan->spent.bytes, es);
	if (scan->spent.retries > 0 || es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyInteger(label("1C Retries", es), NULL, scan->spent.retries, es);
	if (es->timing)
		ExplainPropertyFloat(label("1C Wait", es), "ms", scan->spent.wait_ms, 3, es);
}

void
onec_scan_explain(ForeignScanState *node, ExplainState *es)
{
	OnecScan   *scan = node->fdw_state;
	const OnecRefusals *refusals = onec_session_foresee(scan->options, onec_foreign_scan_user(node));
	bool		nothing = false;
	OnecShown	shown;

	/* the state of a run stays as it is: EXPLAIN ANALYZE looks at a finished scan */
	scan->values = NULL;
	scan->deparse.values = NULL;
	onec_scan_query(scan, scan->count, &nothing);
	shown = onec_pager_text(scan->options, &scan->query, &scan->wanted, refusals, scan->count);
	ExplainPropertyText(label("1C Request", es), nothing ? "none, no row can match" :
						onec_server_text(shown.text), es);
	if (!nothing && shown.lists > 1)
		ExplainPropertyInteger(label("1C Parts", es), NULL, shown.lists, es);
	if (!nothing && shown.shortened)
		ExplainPropertyText(label("1C Filter", es), "shortened, for want of room in the address (max_url)",
							es);
	if (scan->turnovers)
		ExplainPropertyText(label("1C Totals", es), "turnovers in place of records", es);
	if (scan->query.nulls != ONEC_NULLS_ALIKE)
		ExplainPropertyText(label("1C Rows Without a Date", es), scan->query.nulls == ONEC_NULLS_FIRST ?
							"first, by a request of their own" : "last, by a request of their own", es);
	if (es->verbose)
		explain_quals(qual_lines(scan, refusals), es);
	if (es->analyze)
		explain_spent(scan, es);
}
