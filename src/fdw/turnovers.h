/*-------------------------------------------------------------------------
 *
 * turnovers.h
 *	  Sums over a register of turnovers that 1C answers from its totals.
 *
 * "SELECT sum(Сумма) … GROUP BY Номенклатура_Key" needs no records: the virtual table Turnovers has them
 * added up by dimensions, and the aggregate above adds the rest.  Option push_sum, off at first: 1C may keep
 * no totals for what comes to nothing, so that a group with sum 0 may be missing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TURNOVERS_H
#define ONEC_TURNOVERS_H

#include "postgres.h"

#include "nodes/pathnodes.h"

#include "fdw/rel.h"
#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "table/columns.h"
#include "table/options.h"

/* Whether the query needs nothing of the table but such sums, under conditions that Turnovers takes. */
extern bool onec_turnovers_possible(PlannerInfo *root, RelOptInfo *rel, const OnecRel *info);

/* Of the quals, those on dimensions, which can be checked here too; *periods: those on the period. */
extern List *onec_turnovers_quals(const OnecRel *info, RelOptInfo *rel, List *quals, List **periods);

/*
 * The period that the quals leave, as literals of kind DATETIME (PARAM while planning); NULL: open.  False:
 * no moment is left.
 */
extern bool onec_turnovers_period(OnecDeparse *deparse, List *periods, OnecExpr **start, OnecExpr **end);

/* The options and columns of the register's records, turned into those of its Turnovers.  palloc'd. */
extern OnecOptions *onec_turnovers_options(const OnecOptions *options);
extern OnecColumn *onec_turnovers_columns(const OnecOptions *options, const OnecColumn *columns,
										  int ncolumns);

#endif							/* ONEC_TURNOVERS_H */
