/*-------------------------------------------------------------------------
 *
 * lookup_path.c
 *	  Planning of joins that look many keys up at a time.
 *
 * A path is offered for each join of anything with a foreign table of ours by an equality that 1C can
 * answer.  Its plan has two children: the outer side, and a foreign scan whose list of keys is
 * filled in at run time (a CaseTestExpr stands for it).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "compat.h"
#include "fdw/lookup.h"
#include "fdw/lookup_path.h"
#include "fdw/plan.h"
#include "fdw/rel.h"
#include "protocol/odata/edm_types.h"
#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "pushdown/filter.h"
#include "pushdown/operand.h"
#include "reading/pager.h"
#include "reading/request.h"
#include "table/columns.h"
#include "table/types.h"

#define LITERAL_SIZE 46			/* bytes that a key takes in an address, about */
#define PAGE_SIZE 200			/* … and what pages add to it: dates, $top and $skip */

bool		onec_enable_lookup = true;

static set_join_pathlist_hook_type previous_hook = NULL;

/* A join in the making. */
typedef struct LookupJoin
{
	PlannerInfo *root;
	RelOptInfo *joinrel;
	RelOptInfo *outer;
	RelOptInfo *inner;
	JoinType	jointype;
	JoinPathExtraData *extra;

	/* the clause that is looked up */
	RestrictInfo *clause;
	Expr	   *outer_key;
	Expr	   *inner_key;
	Oid			operator;		/* outer = inner */
	const OnecColumn *column;
	int			room;			/* bytes that the keys may take in one address */
} LookupJoin;

/* ---- whether ---- */

static bool
is_ours(const RelOptInfo *rel)
{
	return rel->reloptkind == RELOPT_BASEREL && rel->fdwroutine != NULL &&
		rel->fdwroutine->GetForeignPaths == onec_plan_paths && rel->fdw_private != NULL;
}

static bool
has_pseudoconstant(List *rinfos)
{
	ListCell   *lc;

	foreach(lc, rinfos)
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return true;
	return false;
}

/* Rows that are locked may have to be joined again one by one, which this join cannot do. */
static bool
is_possible(const LookupJoin *join)
{
	const OnecRel *info;
	const Query *parse = join->root->parse;

	if (!onec_enable_lookup || !is_ours(join->inner) || parse->rowMarks != NIL ||
		(parse->commandType != CMD_SELECT && parse->commandType != CMD_INSERT))
		return false;
	info = join->inner->fdw_private;
	return info->options->push_filter && info->options->function == NULL &&
		bms_is_empty(join->inner->lateral_relids) && bms_is_empty(join->joinrel->lateral_relids) &&
		!has_pseudoconstant(join->inner->baserestrictinfo) &&
		!has_pseudoconstant(join->extra->restrictlist);
}

/* Whether the clause compares a column of the inner side with a key of the outer; then remember it. */
static bool
use_clause(LookupJoin *join, RestrictInfo *rinfo)
{
	OpExpr	   *op = (OpExpr *) rinfo->clause;
	OnecDeparse deparse = onec_rel_deparse(join->inner->fdw_private, join->inner, false);
	bool		outer_left;
	const char *why;

	if (!rinfo->can_join || !OidIsValid(rinfo->hashjoinoperator) || !IsA(op, OpExpr))
		return false;
	outer_left = bms_is_subset(rinfo->left_relids, join->outer->relids) &&
		bms_is_subset(rinfo->right_relids, join->inner->relids);
	if (!outer_left && !(bms_is_subset(rinfo->right_relids, join->outer->relids) &&
						 bms_is_subset(rinfo->left_relids, join->inner->relids)))
		return false;
	join->outer_key = outer_left ? linitial(op->args) : lsecond(op->args);
	join->inner_key = outer_left ? lsecond(op->args) : linitial(op->args);
	join->operator = outer_left ? op->opno : get_commutator(op->opno);
	join->column = onec_operand_column(&deparse, (Node *) join->inner_key);
	join->clause = rinfo;
	return join->column != NULL && join->column->argument == NULL && OidIsValid(join->operator) &&
		onec_type_compare(join->column, ONEC_EQ, &why) != ONEC_NO;
}

/* "column = ANY (keys)", or NULL when 1C cannot be asked so. */
static Expr *
make_lookup(const LookupJoin *join)
{
	OnecDeparse deparse = onec_rel_deparse(join->inner->fdw_private, join->inner, false);
	ScalarArrayOpExpr *list = makeNode(ScalarArrayOpExpr);
	CaseTestExpr *keys = makeNode(CaseTestExpr);
	Oid			operator = get_commutator(join->operator);

	keys->typeId = get_array_type(exprType((Node *) join->outer_key));
	keys->typeMod = -1;
	if (!OidIsValid(keys->typeId) || !OidIsValid(operator))
		return NULL;
	list->opno = operator;
	list->useOr = true;
	list->inputcollid = ((OpExpr *) join->clause->clause)->inputcollid;
	list->args = list_make2(copyObject(join->inner_key), keys);
	list->location = -1;
	return onec_deparse_qual(&deparse, (Expr *) list).verdict == ONEC_NO ? NULL : (Expr *) list;
}

/* ---- what it costs ---- */

/*
 * Bytes that the keys may take in one address, beside all else that is asked: where it must be, columns go
 * unnamed.
 */
static int
room_for_keys(const LookupJoin *join)
{
	const OnecRel *info = join->inner->fdw_private;
	OnecDeparse deparse = onec_rel_deparse(info, join->inner, false);
	OnecTerm	term = onec_deparse_quals(&deparse, extract_actual_clauses(join->inner->baserestrictinfo,
																		   false));
	OnecQuery	query = {.filter = term.verdict != ONEC_NO && term.kind == ONEC_TERM_TREE ? term.expr : NULL};
	OnecDraft	draft;

	onec_draft_request(&draft, info->options, &query, ONEC_ORDERING_TOTAL,
					   onec_columns_date(info->columns, info->ncolumns));
	onec_draft_select_all(&draft);
	return Max(info->options->max_url - PAGE_SIZE - (int) onec_draft_url_size(info->options->root,
																			  &draft.request),
			   LITERAL_SIZE);
}

/* Bytes of "column eq '' or ". */
static int
size_beside_key(const LookupJoin *join)
{
	return (int) onec_odata_encoded_size(onec_make_field(join->column)) + 24;
}

static double
estimate_requests(const LookupJoin *join, double keys)
{
	return ceil(keys / Max(join->room / (size_beside_key(join) + LITERAL_SIZE), 1));
}

/* Rows of the inner side that have one of so many keys. */
static double
estimate_rows(const LookupJoin *join, double keys)
{
	const OnecRel *info = join->inner->fdw_private;
	double		distinct = estimate_num_groups(join->root, list_make1(join->inner_key),
											   Max(join->inner->tuples, 1), NULL, NULL);

	if (info->options->key != NULL && strcmp(join->column->property, info->options->key) == 0)
		distinct = Max(join->inner->tuples, 1);
	return clamp_row_est(Min(info->remote_rows, keys * info->remote_rows / Max(distinct, 1)));
}

/* The first clause of the join itself that can be looked up, the entity key before all others. */
static Expr *
find_lookup(LookupJoin *join, List *joinquals)
{
	const char *key = ((OnecRel *) join->inner->fdw_private)->options->key;
	Expr	   *found = NULL;
	LookupJoin	best = *join;
	ListCell   *lc;

	foreach(lc, joinquals)
	{
		Expr	   *lookup;

		if (!use_clause(join, lfirst(lc)))
			continue;
		lookup = make_lookup(join);
		if (lookup == NULL)
			continue;
		if (found == NULL || (key != NULL && strcmp(join->column->property, key) == 0))
		{
			found = lookup;
			best = *join;
		}
	}
	*join = best;
	if (found != NULL)
		join->room = room_for_keys(join);
	return found;
}

/* ---- the path ---- */

static Plan *plan_lookup(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist,
						 List *clauses, List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = "Onec Lookup Join",
	.PlanCustomPath = plan_lookup,
};

static const CustomScanMethods plan_methods = {
	.CustomName = "Onec Lookup Join",
	.CreateCustomScanState = onec_lookup_create_state,
};

static void
add_lookup_path(LookupJoin *join, Path *outer, Expr *lookup)
{
	CustomPath *path = makeNode(CustomPath);
	double		keys = estimate_num_groups(join->root, list_make1(join->outer_key),
										   Max(outer->rows, 1), NULL, NULL);
	double		rows = estimate_rows(join, keys);
	ForeignPath *inner = onec_plan_lookup_path(join->root, join->inner, lookup, rows,
											   estimate_requests(join, keys));

	path->path.pathtype = T_CustomScan;
	path->path.parent = join->joinrel;
	path->path.pathtarget = join->joinrel->reltarget;
	path->path.rows = join->joinrel->rows;
	path->path.startup_cost = outer->startup_cost + inner->path.startup_cost;
	path->path.total_cost = outer->total_cost + inner->path.total_cost +
		cpu_operator_cost * (outer->rows + rows) + cpu_tuple_cost * join->joinrel->rows;
	onec_take_disabled(&path->path, outer);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make2(outer, inner);
	/* texts that 1C holds for equal must not come in answers of two requests to one batch */
	path->custom_private = list_make5(makeInteger(join->jointype),
									  makeInteger((int) join->operator),
									  makeInteger((int) ((OpExpr *) join->clause->clause)->inputcollid),
									  makeInteger(join->column->edm == ONEC_EDM_STRING ?
												  join->room : 0),
									  makeInteger(size_beside_key(join)));
	path->custom_private = list_concat(path->custom_private,
									   list_make3(join->outer_key, join->inner_key,
												  join->extra->restrictlist));
	path->methods = &path_methods;
	add_path(join->joinrel, (Path *) path);
}

/* Conditions of the join itself; those above an outer join are not. */
static List *
join_conditions(const LookupJoin *join)
{
	List	   *conditions = NIL;
	ListCell   *lc;

	foreach(lc, join->extra->restrictlist)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (!IS_OUTER_JOIN(join->jointype) || !RINFO_IS_PUSHED_DOWN(rinfo, join->joinrel->relids))
			conditions = lappend(conditions, rinfo);
	}
	return conditions;
}

static void
consider_lookup(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel, RelOptInfo *innerrel,
				JoinType jointype, JoinPathExtraData *extra)
{
	LookupJoin	join = {
		.root = root,.joinrel = joinrel,.outer = outerrel,.inner = innerrel,
		.jointype = jointype,.extra = extra
	};
	Path	   *outer = outerrel->cheapest_total_path;
	Expr	   *lookup;

	if (previous_hook)
		previous_hook(root, joinrel, outerrel, innerrel, jointype, extra);
	if (outer == NULL || outer->param_info != NULL || !is_possible(&join))
		return;
	if (jointype == JOIN_UNIQUE_OUTER)
	{
		outer = (Path *) create_unique_path(root, outerrel, outer, extra->sjinfo);
		join.jointype = JOIN_INNER;
	}
	else if (jointype != JOIN_INNER && jointype != JOIN_LEFT && jointype != JOIN_SEMI &&
			 jointype != JOIN_ANTI)
		return;
	lookup = outer ? find_lookup(&join, join_conditions(&join)) : NULL;
	if (lookup != NULL)
		add_lookup_path(&join, outer, lookup);
}

/* ---- the plan ---- */

/* Number of the column of "tlist" that holds what "node" stands for, or 0. */
static int
find_source(List *tlist, Node *node)
{
	ListCell   *lc;

	foreach(lc, tlist)
	{
		TargetEntry *entry = lfirst(lc);
		Node	   *expr = (Node *) entry->expr;

		if (IsA(node, Var) && IsA(expr, Var) && ((Var *) node)->varno == ((Var *) expr)->varno &&
			((Var *) node)->varattno == ((Var *) expr)->varattno)
			return entry->resno;
		if (IsA(node, PlaceHolderVar) && IsA(expr, PlaceHolderVar) &&
			((PlaceHolderVar *) node)->phid == ((PlaceHolderVar *) expr)->phid)
			return entry->resno;
	}
	return 0;
}

static bool
has_value(List *custom_plans, Node *value)
{
	return find_source(((Plan *) linitial(custom_plans))->targetlist, value) != 0 ||
		find_source(((Plan *) lsecond(custom_plans))->targetlist, value) != 0;
}

/*
 * The values of either side that the expressions use.  What is computed at this join, such as a constant of a
 * sub-query below an outer join, is no value of a side: those that it is made of are.
 */
static List *
used_values(List *custom_plans, Node *exprs)
{
	List	   *used = NIL;
	ListCell   *lc;

	foreach(lc, pull_var_clause(exprs, PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
								PVC_INCLUDE_PLACEHOLDERS))
	{
		PlaceHolderVar *computed = lfirst(lc);

		if (IsA(computed, PlaceHolderVar) && !has_value(custom_plans, (Node *) computed))
			used = list_union(used, used_values(custom_plans, (Node *) computed->phexpr));
		else
			used = list_append_unique(used, lfirst(lc));
	}
	return used;
}

/*
 * One value may stand in two forms.  In "a LEFT JOIN b … JOIN c ON c.k = b.k" PostgreSQL marks b.k above the
 * outer join as one that may have become NULL there (varnullingrels); below it, where b is read, it has no
 * such mark.  setrefs.c would not take them for the same and fail, so one column serves both: the mark of the
 * value above is put on the one below.
 */
static Node *
mark_as_above(Node *node, void *context)
{
	TargetEntry *entry;
	int			at;

	if (node == NULL)
		return NULL;
	at = find_source((List *) context, node);
	if (at == 0 && IsA(node, Var))
		return node;
	if (at == 0)
		return expression_tree_mutator(node, mark_as_above, context);
	entry = list_nth((List *) context, at - 1);
	return copyObject((Node *) entry->expr);
}

static List *
add_values(List *tlist, List *values)
{
	ListCell   *lc;

	foreach(lc, values)
		if (find_source(tlist, lfirst(lc)) == 0)
			tlist = lappend(tlist, makeTargetEntry(lfirst(lc), list_length(tlist) + 1, NULL, false));
	return tlist;
}

/* Where each column of the scan tuple comes from. */
static List *
find_sources(List *tlist, List *custom_plans)
{
	List	   *outer = ((Plan *) linitial(custom_plans))->targetlist;
	List	   *inner = ((Plan *) lsecond(custom_plans))->targetlist;
	List	   *sources = NIL;
	ListCell   *lc;

	foreach(lc, tlist)
	{
		Node	   *value = (Node *) lfirst_node(TargetEntry, lc)->expr;
		int			from_outer = find_source(outer, value);
		int			from_inner = from_outer ? 0 : find_source(inner, value);

		if (!from_outer && !from_inner)
			elog(ERROR, "look-up join: neither side has a value that is used above it");
		sources = lappend_int(sources, from_outer ? from_outer : -from_inner);
	}
	return sources;
}

static Plan *
plan_lookup(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist, List *clauses,
			List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	List	   *private = best_path->custom_private;
	JoinType	jointype = intVal(linitial(private));
	Expr	   *outer_key = list_nth(private, ONEC_LOOKUP_SOURCES);
	Expr	   *inner_key = list_nth(private, ONEC_LOOKUP_SOURCES + 1);
	List	   *restrictlist = list_nth(private, ONEC_LOOKUP_SOURCES + 2);
	List	   *joinquals;
	List	   *otherquals = NIL;
	List	   *above;
	List	   *below;

	if (IS_OUTER_JOIN(jointype))
		extract_actual_join_clauses(restrictlist, rel->relids, &joinquals, &otherquals);
	else
		joinquals = extract_actual_clauses(restrictlist, false);
	below = list_make3(joinquals, outer_key, inner_key);
	/* core may put another target list in the place of ours, of anything that the join can give */
	above = list_make3(rel->reltarget->exprs, tlist, otherquals);
	scan->custom_scan_tlist = add_values(NIL, used_values(custom_plans, (Node *) above));
	scan->custom_exprs = (List *) mark_as_above((Node *) below, scan->custom_scan_tlist);
	scan->custom_scan_tlist = add_values(scan->custom_scan_tlist,
										 used_values(custom_plans, (Node *) scan->custom_exprs));
	/* what describes the join stays as it is */
	scan->custom_private = lappend(list_copy_head(private, ONEC_LOOKUP_SOURCES),
								   find_sources(scan->custom_scan_tlist, custom_plans));
	scan->custom_plans = custom_plans;
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = otherquals;
	scan->scan.scanrelid = 0;
	scan->flags = best_path->flags;
	scan->methods = &plan_methods;
	return &scan->scan.plan;
}

void
onec_lookup_init(void)
{
	RegisterCustomScanMethods(&plan_methods);
	previous_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = consider_lookup;
}
