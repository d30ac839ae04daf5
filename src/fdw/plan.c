/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Planner callbacks: estimates, paths, the plan, and the count that 1C answers.
 *
 * Nothing here talks to 1C.  What 1C answers is decided by deparse; the planner only learns
 * what it may rely on: rows, order, and whether a count is exact.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "fdw/arguments.h"
#include "fdw/generated.h"
#include "fdw/plan.h"
#include "fdw/rel.h"
#include "fdw/turnovers.h"
#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "pushdown/operand.h"
#include "reading/pager.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/text.h"
#include "table/types.h"

#define DEFAULT_ROWS 10000.0	/* of a table never analyzed */
#define PLANNED_PAGE 1000.0		/* rows of a page, for costs */
#define IMPOSSIBLE 1e13			/* cost of a plan that is taken only for the error it ends in */

static bool
goes(const OnecRel *info, RelOptInfo *rel, Expr *qual)
{
	OnecDeparse deparse = onec_rel_deparse(info, rel, false);

	if (!info->options->push_filter)
		return false;
	return onec_deparse_qual(&deparse, qual).verdict != ONEC_NO;
}

/* ---- estimates ---- */

/* Whether "quals" fix every property of the key. */
static bool
fixes_key(const OnecRel *info, RelOptInfo *rel, List *quals)
{
	OnecDeparse deparse = onec_rel_deparse(info, rel, false);
	ListCell   *lc;

	if (info->options->key == NULL || info->options->function != NULL)
		return false;
	foreach(lc, onec_columns_names(info->options->key))
	{
		const char *key = lfirst(lc);
		bool		found = false;

		for (int i = 0; i < info->ncolumns && !found; i++)
			if (info->columns[i].attnum > 0 && strcmp(info->columns[i].property, key) == 0)
				found = onec_deparse_equal(&deparse, quals, i + 1) != NULL;
		if (!found)
			return false;
	}
	return true;
}

void
onec_plan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	OnecRel    *info = palloc0(sizeof(OnecRel));
	List	   *remote = NIL;
	ListCell   *lc;

	rel->fdw_private = info;
	info->relid = relid;
	info->options = onec_options_of_table(relid);
	info->columns = onec_columns_of_table(relid, &info->ncolumns);
	if (rel->tuples < 0)
		rel->tuples = DEFAULT_ROWS;
	set_baserel_size_estimates(root, rel);
	if (fixes_key(info, rel, extract_actual_clauses(rel->baserestrictinfo, false)))
		rel->rows = 1;
	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (goes(info, rel, rinfo->clause))
			remote = lappend(remote, rinfo);
	}
	info->remote_rows = Max(clamp_row_est(rel->tuples *
										  clauselist_selectivity(root, remote, 0, JOIN_INNER, NULL)),
							rel->rows);
	if (rel->rows <= 1)
		info->remote_rows = 1;
}

/* Cost of reading "rows" rows from 1C. */
static void
cost_read(const OnecRel *info, double rows, Cost *startup, Cost *total)
{
	double		pages = info->options->function ? 1 : 1 + floor(rows / PLANNED_PAGE);

	*startup = info->options->request_cost;
	*total = info->options->request_cost * pages +
		rows * (info->options->tuple_cost + cpu_tuple_cost);
}

/* ---- paths ---- */

/* A qual that no row with NULL in the column passes. */
static bool
excludes_null(const OnecDeparse *deparse, Node *qual, const OnecColumn *column)
{
	ListCell   *lc;

	if (IsA(qual, NullTest))
		return ((NullTest *) qual)->nulltesttype == IS_NOT_NULL &&
			onec_operand_column(deparse, (Node *) ((NullTest *) qual)->arg) == column;
	if (!IsA(qual, OpExpr) || !op_strict(((OpExpr *) qual)->opno))
		return false;
	foreach(lc, ((OpExpr *) qual)->args)
		if (onec_operand_column(deparse, lfirst(lc)) == column)
			return true;
	return false;
}

static bool
never_null(const OnecDeparse *deparse, RelOptInfo *rel, const OnecColumn *column)
{
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
		if (excludes_null(deparse, (Node *) lfirst_node(RestrictInfo, lc)->clause, column))
			return true;
	return false;
}

/* The date by which the set is kept is there in every row, if only as the empty date. */
static bool
is_date_of_set(const OnecRel *info, const OnecColumn *column)
{
	const char *date = onec_columns_date(info->columns, info->ncolumns);

	return date != NULL && strcmp(date, onec_utf8(column->property)) == 0 &&
		info->options->empty_as_null && info->options->push_filter;
}

/* A part of the entity key is never null (and no empty value reads so unless it is a date or a reference). */
static bool
is_in_key(const OnecRel *info, const OnecColumn *column)
{
	OnecLiteralKind kind;

	return onec_columns_names_contain(info->options->key, column->property) &&
		onec_type_empty(column, info->options->empty_as_null, &kind) == NULL;
}

/*
 * The column by which 1C can order as the pathkey asks, or NULL.  *nulls: rows without a date, which are 1C's
 * least, stand at the other end.
 */
static const OnecColumn *
column_of_pathkey(const OnecDeparse *deparse, RelOptInfo *rel, PathKey *pathkey, OnecNulls *nulls)
{
	bool		descending = onec_pathkey_descends(pathkey);
	ListCell   *lc;

	*nulls = ONEC_NULLS_ALIKE;
	if (pathkey->pk_eclass->ec_has_volatile)
		return NULL;
	foreach(lc, pathkey->pk_eclass->ec_members)
	{
		EquivalenceMember *member = lfirst(lc);
		const OnecColumn *column;

		if (!IsA(member->em_expr, Var))
			continue;
		column = onec_operand_column(deparse, (Node *) member->em_expr);
		if (column == NULL || column->argument != NULL || !onec_type_orders(column))
			continue;
		if (lookup_type_cache(column->type, TYPECACHE_BTREE_OPFAMILY)->btree_opf !=
			pathkey->pk_opfamily)
			continue;
		if (pathkey->pk_nulls_first == descending && !never_null(deparse, rel, column) &&
			!is_in_key(rel->fdw_private, column))
			*nulls = descending ? ONEC_NULLS_FIRST : ONEC_NULLS_LAST;
		return column;
	}
	return NULL;
}

/* The query's order as a list of (attnum, descending, nulls first), or NIL. */
static List *
order_for_query(PlannerInfo *root, RelOptInfo *rel, OnecRel *info, OnecNulls *nulls)
{
	OnecDeparse deparse = onec_rel_deparse(info, rel, false);
	List	   *order = NIL;
	ListCell   *lc;

	*nulls = ONEC_NULLS_ALIKE;
	if (!info->options->push_order || info->options->function != NULL)
		return NIL;
	foreach(lc, root->query_pathkeys)
	{
		PathKey    *pathkey = lfirst_node(PathKey, lc);
		OnecNulls	these;
		const OnecColumn *column = column_of_pathkey(&deparse, rel, pathkey, &these);

		if (column == NULL)
			return NIL;
		if (these != ONEC_NULLS_ALIKE)
		{
			/* only the first key can be cut in two */
			if (order != NIL || !is_date_of_set(info, column))
				return NIL;
			*nulls = these;
		}
		order = lappend(order, list_make3_int(column->attnum,
											  onec_pathkey_descends(pathkey),
											  pathkey->pk_nulls_first));
	}
	return order;
}

/* Rows that will probably do: only a query of this table alone is limited as its scan is. */
static double
limit_hint(PlannerInfo *root, RelOptInfo *rel, bool in_order)
{
	if (root->limit_tuples < 1 || !bms_equal(rel->relids, root->all_baserels))
		return -1;
	if (!in_order && root->query_pathkeys != NIL)
		return -1;
	if (root->parse->groupClause || root->parse->hasAggs || root->parse->distinctClause ||
		root->parse->hasWindowFuncs || root->parse->hasTargetSRFs)
		return -1;
	return root->limit_tuples;
}

static List *
path_plan(List *order, OnecNulls nulls, double hint)
{
	OnecPathPlan *plan = palloc0(sizeof(OnecPathPlan));

	plan->order = order;
	plan->nulls = nulls;
	plan->hint = hint;
	return list_make1(plan);
}

/* Rows of Turnovers in place of the records: fewer, by as much as sales repeat. */
static void
add_totals_path(PlannerInfo *root, RelOptInfo *rel, OnecRel *info)
{
	List	   *private = path_plan(NIL, ONEC_NULLS_ALIKE, -1);
	double		rows = clamp_row_est(rel->rows / 10);

	((OnecPathPlan *) linitial(private))->turnovers = true;
	add_path(rel, (Path *)
			 onec_make_foreign_path(root, rel, rows, info->options->request_cost,
									info->options->request_cost +
									rows * (info->options->tuple_cost + cpu_tuple_cost), NIL, NULL, private));
}

static void
add_base_paths(PlannerInfo *root, RelOptInfo *rel, OnecRel *info)
{
	OnecNulls	nulls;
	List	   *order = order_for_query(root, rel, info, &nulls);
	Cost		startup;
	Cost		total;

	cost_read(info, info->remote_rows, &startup, &total);
	if (!bms_is_empty(info->argument_joins))
		total += IMPOSSIBLE;
	if (onec_turnovers_possible(root, rel, info))
		add_totals_path(root, rel, info);
	add_path(rel, (Path *)
			 onec_make_foreign_path(root, rel, rel->rows, startup, total, NIL, rel->lateral_relids,
									path_plan(NIL, ONEC_NULLS_ALIKE, limit_hint(root, rel, false))));
	if (order == NIL)
		return;
	/* pages come in some order anyway, so this one costs next to nothing more */
	add_path(rel, (Path *)
			 onec_make_foreign_path(root, rel, rel->rows, startup, total + cpu_operator_cost,
									root->query_pathkeys,
									rel->lateral_relids, path_plan(order, nulls,
																   limit_hint(root, rel, true))));
}

/* ---- paths with values of other tables ---- */

/* The member under test by generate_implied_equalities_for_column(). */
typedef struct ColumnMatch
{
	OnecDeparse deparse;
	bool		push_filter;
	const OnecColumn *argument; /* only this one; NULL: any that gives no argument */
} ColumnMatch;

static bool
member_is_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec, EquivalenceMember *em,
				 void *arg)
{
	ColumnMatch *match = arg;
	const OnecColumn *column = onec_operand_column(&match->deparse, (Node *) em->em_expr);
	const char *why;

	(void) root;
	(void) rel;
	(void) ec;
	if (column == NULL || column->argument != NULL)
		return column != NULL && column == match->argument;
	return match->argument == NULL && match->push_filter &&
		onec_type_compare(column, ONEC_EQ, &why) != ONEC_NO;
}

/* Equalities that follow from others: of an argument, or of the first column that 1C can compare. */
static List *
implied_clauses(PlannerInfo *root, RelOptInfo *rel, OnecRel *info, const OnecColumn *argument)
{
	ColumnMatch match = {onec_rel_deparse(info, rel, false), info->options->push_filter, argument};

	return generate_implied_equalities_for_column(root, rel, member_is_column, &match,
												  rel->lateral_referencers);
}

/* Join clauses whose other side, once known, 1C can use. */
static List *
usable_join_clauses(PlannerInfo *root, RelOptInfo *rel, OnecRel *info)
{
	List	   *clauses = NIL;
	ListCell   *lc;

	foreach(lc, rel->joininfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (join_clause_is_movable_to(rinfo, rel) &&
			(goes(info, rel, rinfo->clause) || onec_arguments_gives(info, rel, rinfo->clause)))
			clauses = lappend(clauses, rinfo);
	}
	if (!rel->has_eclass_joins)
		return clauses;
	clauses = list_concat(clauses, implied_clauses(root, rel, info, NULL));
	for (int i = 0; i < info->ncolumns; i++)
		if (info->columns[i].attnum > 0 && info->columns[i].argument != NULL)
			clauses = list_concat(clauses, implied_clauses(root, rel, info, &info->columns[i]));
	return clauses;
}

static void
add_param_path(PlannerInfo *root, RelOptInfo *rel, OnecRel *info, Relids outer)
{
	ParamPathInfo *param = get_baserel_parampathinfo(root, rel, outer);
	List	   *clauses = NIL;
	double		rows = param->ppi_rows;
	Cost		startup;
	Cost		total;
	ListCell   *lc;

	foreach(lc, param->ppi_clauses)
		clauses = lappend(clauses, lfirst_node(RestrictInfo, lc)->clause);
	clauses = list_concat(clauses, extract_actual_clauses(rel->baserestrictinfo, false));
	if (fixes_key(info, rel, clauses))
		rows = param->ppi_rows = 1;
	cost_read(info, rows, &startup, &total);
	add_path(rel, (Path *)
			 onec_make_foreign_path(root, rel, rows, startup, total, NIL, param->ppi_req_outer,
									path_plan(NIL, ONEC_NULLS_ALIKE, -1)));
}

void
onec_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	OnecRel    *info = rel->fdw_private;
	bool		function = info->options->function != NULL;
	List	   *clauses = info->options->push_filter || function ? usable_join_clauses(root, rel, info) : NIL;
	Relids		needed = function ? onec_arguments_joined(root, rel, info, clauses) : NULL;
	List	   *seen = NIL;
	ListCell   *lc;

	(void) relid;
	add_base_paths(root, rel, info);
	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Relids		outer = bms_difference(rinfo->clause_relids, rel->relids);
		bool		known = false;
		ListCell   *other;

		outer = bms_union(bms_union(outer, rel->lateral_relids), needed);
		foreach(other, seen)
			known |= bms_equal(lfirst(other), outer);
		if (known || bms_is_empty(outer))
			continue;
		seen = lappend(seen, outer);
		add_param_path(root, rel, info, outer);
	}
}

/* ---- a path with the keys of a look-up join ---- */

ForeignPath *
onec_plan_lookup_path(PlannerInfo *root, RelOptInfo *rel, Expr *lookup, double rows,
					  double requests)
{
	OnecRel    *info = rel->fdw_private;
	List	   *private = path_plan(NIL, ONEC_NULLS_ALIKE, -1);
	Cost		total = requests * info->options->request_cost +
		rows * (info->options->tuple_cost + cpu_tuple_cost);

	((OnecPathPlan *) linitial(private))->lookup = lookup;
	return onec_make_foreign_path(root, rel, rows, info->options->request_cost, total, NIL, NULL, private);
}

/* ---- the plan ---- */

static List *
used_columns(RelOptInfo *rel, const OnecRel *info, List *quals)
{
	Bitmapset  *used = NULL;
	List	   *attrs = NIL;
	bool		all;

	/* generated columns among them have no property, but others that they are computed from */
	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	pull_varattnos((Node *) quals, rel->relid, &used);
	all = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	for (int i = 0; i < info->ncolumns; i++)
		if (all || bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, used))
			attrs = lappend_int(attrs, i + 1);
	return onec_generated_sources(info->relid, attrs);
}

/* Columns that give a function its arguments, and the expressions of their values. */
static List *
argument_columns(OnecDeparse *deparse, List *quals, List **values)
{
	List	   *attrs = NIL;

	*values = NIL;
	for (int i = 0; i < deparse->ncolumns; i++)
	{
		Expr	   *value;

		if (deparse->columns[i].attnum == 0 || deparse->columns[i].argument == NULL)
			continue;
		value = onec_deparse_equal(deparse, quals, i + 1);
		if (value == NULL)
			continue;
		attrs = lappend_int(attrs, i + 1);
		*values = lappend(*values, value);
	}
	return attrs;
}

/* Everything the executor needs; *exprs gets the run-time values. */
static List *
scan_private(RelOptInfo *rel, const OnecRel *info, List *quals, const OnecPathPlan *path,
			 List **exprs)
{
	OnecDeparse deparse = onec_rel_deparse(info, rel, false);
	List	   *arguments;
	List	   *values;
	List	   *periods = NIL;
	OnecExpr   *bounds[2];
	ListCell   *lc;

	if (path->turnovers)
	{
		quals = onec_turnovers_quals(info, rel, quals, &periods);
		(void) onec_turnovers_period(&deparse, periods, &bounds[0], &bounds[1]);
	}
	if (path->lookup != NULL)
		quals = lappend(list_copy(quals), path->lookup);
	if (info->options->push_filter)
		(void) onec_deparse_quals(&deparse, quals);
	arguments = argument_columns(&deparse, quals, &values);
	*exprs = list_concat(copyObject(deparse.params), values);
	/* the keys are put in their place by the join */
	foreach(lc, *exprs)
		if (IsA(lfirst(lc), CaseTestExpr))
			lfirst(lc) = makeNullConst(((CaseTestExpr *) lfirst(lc))->typeId, -1, InvalidOid);
	return lcons(makeInteger((int) info->relid),
				 list_concat(list_make5(makeInteger(rel->relid), copyObject(quals),
										deparse.params, arguments,
										used_columns(rel, info, quals)),
							 list_concat(list_make4(path->order, makeInteger(path->nulls),
													makeInteger((int) Min(path->hint, 1e9)),
													makeBoolean(false)),
										 list_make2(makeBoolean(path->turnovers),
													copyObject(periods)))));
}

/* The plan of "SELECT count(*)": one row, and its quals for a base that does not count. */
static ForeignScan *
plan_count(RelOptInfo *rel, ForeignPath *path, List *tlist)
{
	OnecPathPlan count_path = {.hint = -1};
	RelOptInfo *base = linitial(path->fdw_private);
	OnecRel    *info = base->fdw_private;
	List	   *quals = extract_actual_clauses(base->baserestrictinfo, false);
	List	   *scan_tlist = make_tlist_from_pathtarget(rel->reltarget);
	List	   *exprs;
	List	   *private = scan_private(base, info, quals, &count_path, &exprs);

	list_nth_cell(private, ONEC_PRIVATE_COUNT)->ptr_value = makeBoolean(true);
	return make_foreignscan(tlist, NIL, 0, exprs, private, scan_tlist, NIL, NULL);
}

ForeignScan *
onec_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path, List *tlist,
			   List *clauses, Plan *outer_plan)
{
	List	   *quals;
	List	   *exprs;
	List	   *private;
	List	   *periods;

	(void) root;
	(void) relid;
	if (IS_UPPER_REL(rel))
		return plan_count(rel, path, tlist);
	quals = extract_actual_clauses(clauses, false);
	private = scan_private(rel, rel->fdw_private, quals, linitial(path->fdw_private), &exprs);
	onec_arguments_check(rel->fdw_private, rel, list_nth(private, ONEC_PRIVATE_ARGUMENTS), quals);
	/* conditions that Turnovers has answered have no columns left to be checked by */
	if (((OnecPathPlan *) linitial(path->fdw_private))->turnovers)
		quals = onec_turnovers_quals(rel->fdw_private, rel, quals, &periods);
	return make_foreignscan(tlist, quals, rel->relid, exprs, private, NIL, NIL, outer_plan);
}

/* ---- count ---- */

/* Whether the query's grouping step is nothing but one count(*). */
static bool
is_plain_count(PlannerInfo *root, RelOptInfo *output, const GroupPathExtraData *extra)
{
	Query	   *parse = root->parse;
	Aggref	   *agg;

	if (parse->groupClause != NIL || parse->groupingSets != NIL || extra->havingQual != NULL ||
		list_length(output->reltarget->exprs) != 1)
		return false;
	agg = linitial(output->reltarget->exprs);
	return IsA(agg, Aggref) && agg->aggfnoid == F_COUNT_ && agg->aggfilter == NULL;
}

/* Whether 1C would return exactly the rows of the base relation. */
static bool
is_exact(RelOptInfo *base, const OnecRel *info)
{
	OnecDeparse deparse = onec_rel_deparse(info, base, true);
	List	   *quals = extract_actual_clauses(base->baserestrictinfo, false);
	ListCell   *lc;

	foreach(lc, base->baserestrictinfo)
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return false;
	if (quals != NIL && !info->options->push_filter)
		return false;
	return onec_deparse_quals(&deparse, quals).verdict == ONEC_EXACT;
}

void
onec_plan_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
					  RelOptInfo *output, void *extra)
{
	OnecRel    *info = input->fdw_private;
	Cost		cost;

	if (stage != UPPERREL_GROUP_AGG || input->reloptkind != RELOPT_BASEREL || info == NULL)
		return;
	if (!info->options->push_count || info->options->function != NULL ||
		!bms_is_empty(input->lateral_relids) || !is_plain_count(root, output, extra) ||
		!is_exact(input, info))
		return;
	cost = info->options->request_cost + info->options->tuple_cost;
	add_path(output, (Path *)
			 onec_make_upper_path(root, output, output->reltarget, 1, cost, cost, list_make1(input)));
}
