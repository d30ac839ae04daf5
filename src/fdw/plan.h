/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  What the planner hands to the executor in ForeignScan.fdw_private.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PLAN_H
#define ONEC_PLAN_H

/* Members of the list fdw_private, in this order. */
typedef enum OnecPrivate
{
	ONEC_PRIVATE_RELID,			/* Integer: the foreign table, as an OID */
	ONEC_PRIVATE_VARNO,			/* Integer: its number in the quals */
	ONEC_PRIVATE_QUALS,			/* List of Expr: all quals of the scan, as the planner saw them */
	ONEC_PRIVATE_PARAMS,		/* List of Expr: run-time values in the quals; fdw_exprs has them for
								 * evaluation, in the same order, then the arguments */
	ONEC_PRIVATE_ARGUMENTS,		/* IntList: attnums of argument columns that have a value */
	ONEC_PRIVATE_ATTRS,			/* IntList: attnums that are used */
	ONEC_PRIVATE_ORDER,			/* List of IntList (attnum, descending) that is promised */
	ONEC_PRIVATE_HINT,			/* Integer: rows probably enough; -1: unknown */
	ONEC_PRIVATE_COUNT			/* Boolean: the scan returns the number of rows */
} OnecPrivate;

#endif							/* ONEC_PLAN_H */
