/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  What planning keeps of a foreign table, and what it hands to the executor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PLAN_H
#define ONEC_PLAN_H

#include "postgres.h"

#include "nodes/pathnodes.h"

#include "reading/pager.h"

/* The only member of fdw_private of a path of a base relation; turned into the members below. */
typedef struct OnecPathPlan
{
	List	   *order;			/* of IntList */
	OnecNulls	nulls;
	double		hint;
	bool		turnovers;			/* read Turnovers in place of the records (turnovers.h) */
	Expr	   *lookup;			/* "column = ANY (keys)", keys being a CaseTestExpr; or NULL */
} OnecPathPlan;

/* Members of ForeignScan.fdw_private, in this order. */
typedef enum OnecPrivate
{
	ONEC_PRIVATE_RELID,			/* Integer: the foreign table, as an OID */
	ONEC_PRIVATE_VARNO,			/* Integer: its number in the quals */
	ONEC_PRIVATE_QUALS,			/* List of Expr: all quals of the scan, as the planner saw them */
	ONEC_PRIVATE_PARAMS,		/* List of Expr: run-time values in the quals; fdw_exprs has them for
								 * evaluation, in the same order, then the arguments */
	ONEC_PRIVATE_ARGUMENTS,		/* IntList: attnums of argument columns that have a value */
	ONEC_PRIVATE_ATTRS,			/* IntList: attnums that are used */
	ONEC_PRIVATE_ORDER,			/* List of IntList (attnum, descending, nulls first) that is promised */
	ONEC_PRIVATE_NULLS,			/* Integer: OnecNulls of that order */
	ONEC_PRIVATE_HINT,			/* Integer: rows probably enough; -1: unknown */
	ONEC_PRIVATE_COUNT,			/* Boolean: the scan returns the number of rows */
	ONEC_PRIVATE_TURNOVERS,		/* Boolean: it reads Turnovers in place of the records */
	ONEC_PRIVATE_PERIODS		/* List of Expr: then, conditions on the period */
} OnecPrivate;

/* The planner's calls, as fdwapi.h has them. */
extern void onec_plan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void onec_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *onec_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
								   ForeignPath *path, List *tlist, List *clauses, Plan *outer_plan);
extern void onec_plan_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
								  RelOptInfo *output, void *extra);

/*
 * A path that reads the rows of "rel" that belong to the keys which a look-up join gives it (lookup.h),
 * "rows" of them by "requests".
 */
extern ForeignPath *onec_plan_lookup_path(PlannerInfo *root, RelOptInfo *rel, Expr *lookup,
										  double rows, double requests);

#endif							/* ONEC_PLAN_H */
