/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  Columns that give 1C's functions their arguments: what gives them a value, and what cannot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ARGUMENTS_H
#define ONEC_ARGUMENTS_H

#include "postgres.h"

#include "nodes/pathnodes.h"

#include "fdw/rel.h"

/* Whether a clause is "argument column = value", the value being of other tables or none. */
extern bool onec_arguments_gives(const OnecRel *info, RelOptInfo *rel, Expr *clause);

/*
 * Look at the joins of a function's table: attnums of the arguments that only join clauses speak of go to
 * info->argument_joins.  "clauses" are those whose other side may be known before (of RestrictInfo); the
 * tables that they need for arguments are returned.
 */
extern Relids onec_arguments_joined(PlannerInfo *root, RelOptInfo *rel, OnecRel *info, List *clauses);

/*
 * ERROR 0A000 where a condition is about an argument that has no value: "given" are attnums, "quals" all of
 * the scan's.
 */
extern void onec_arguments_check(const OnecRel *info, RelOptInfo *rel, List *given, List *quals);

#endif							/* ONEC_ARGUMENTS_H */
