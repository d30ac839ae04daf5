/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Columns that give 1C's functions their arguments: what gives them a value, and what cannot.
 *
 * A function is asked once for one value of each argument, which "column = value" gives, or the current row
 * of a table that a nested loop reads before.  Lists, ranges and plans that read the function first cannot:
 * without the argument it would answer something else, and the condition then find nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"

#include "fdw/arguments.h"
#include "fdw/rel.h"
#include "pushdown/deparse.h"

static bool
is_argument(const OnecRel *info, int attnum)
{
	return info->columns[attnum - 1].attnum > 0 && info->columns[attnum - 1].argument != NULL;
}

bool
onec_arguments_gives(const OnecRel *info, RelOptInfo *rel, Expr *clause)
{
	OnecDeparse deparse = onec_rel_deparse(info, rel, false);

	for (int attnum = 1; attnum <= info->ncolumns; attnum++)
		if (is_argument(info, attnum) && onec_deparse_equal(&deparse, list_make1(clause), attnum) != NULL)
			return true;
	return false;
}

/* Whether an expression speaks of a column, other than to ask whether it has no value. */
static bool
is_about(RelOptInfo *rel, Node *expr, int attnum)
{
	Bitmapset  *used = NULL;

	if (IsA(expr, NullTest) && ((NullTest *) expr)->nulltesttype == IS_NULL)
		return false;
	pull_varattnos(expr, rel->relid, &used);
	return bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used);
}

static bool
any_is_about(RelOptInfo *rel, List *exprs, int attnum)
{
	ListCell   *lc;

	foreach(lc, exprs)
	{
		Node	   *expr = lfirst(lc);

		if (is_about(rel, IsA(expr, RestrictInfo) ? (Node *) ((RestrictInfo *) expr)->clause : expr, attnum))
			return true;
	}
	return false;
}

Relids
onec_arguments_joined(PlannerInfo *root, RelOptInfo *rel, OnecRel *info, List *clauses)
{
	OnecDeparse deparse = onec_rel_deparse(info, rel, false);
	List	   *own = extract_actual_clauses(rel->baserestrictinfo, false);
	Relids		needed = NULL;
	ListCell   *lc;

	for (int attnum = 1; attnum <= info->ncolumns; attnum++)
	{
		if (!is_argument(info, attnum) || onec_deparse_equal(&deparse, own, attnum) != NULL)
			continue;
		if (any_is_about(rel, rel->joininfo, attnum) || any_is_about(rel, clauses, attnum))
			info->argument_joins = bms_add_member(info->argument_joins, attnum);
		foreach(lc, clauses)
		{
			RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

			if (onec_deparse_equal(&deparse, list_make1(rinfo->clause), attnum) != NULL)
				needed = bms_union(needed, bms_difference(rinfo->clause_relids, rel->relids));
		}
	}
	return needed;
}

void
onec_arguments_check(const OnecRel *info, RelOptInfo *rel, List *given, List *quals)
{
	for (int attnum = 1; attnum <= info->ncolumns; attnum++)
	{
		if (!is_argument(info, attnum) || list_member_int(given, attnum) ||
			!(bms_is_member(attnum, info->argument_joins) || any_is_about(rel, quals, attnum)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("argument \"%s\" of 1C's function has no value", info->columns[attnum - 1].argument),
				 errdetail("Column \"%s\" of \"%s\" takes one value, by =, which is known before the "
						   "function is asked.",
						   get_attname(info->relid, attnum, false), get_rel_name(info->relid)),
				 errhint("Join a table of the values, each of which is then asked for: FROM (VALUES (…), "
						 "(…)) v(x) JOIN %s ON %s = v.x.",
						 get_rel_name(info->relid), get_attname(info->relid, attnum, false))));
	}
}
