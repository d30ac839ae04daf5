/*-------------------------------------------------------------------------
 *
 * callbacks.h
 *	  The functions that PostgreSQL calls: FdwRoutine's members, by file.
 *
 * Their contracts are those of fdwapi.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_CALLBACKS_H
#define ONEC_CALLBACKS_H

#include "postgres.h"

#include "commands/explain.h"
#include "foreign/fdwapi.h"

/* plan.c */
extern void onec_plan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void onec_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *onec_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
								   ForeignPath *path, List *tlist, List *clauses, Plan *outer_plan);
extern void onec_plan_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
								  RelOptInfo *output, void *extra);

/* scan.c */
extern void onec_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *onec_scan_iterate(ForeignScanState *node);
extern void onec_scan_rescan(ForeignScanState *node);
extern void onec_scan_end(ForeignScanState *node);

/* async.c */
extern bool onec_async_is_capable(ForeignPath *path);
extern void onec_async_request(AsyncRequest *areq);
extern void onec_async_configure_wait(AsyncRequest *areq);
extern void onec_async_notify(AsyncRequest *areq);

/* explain.c */
extern void onec_scan_explain(ForeignScanState *node, ExplainState *es);

/* analyze.c */
extern bool onec_analyze_table(Relation relation, AcquireSampleRowsFunc *func,
							   BlockNumber *totalpages);

/* import.c */
extern List *onec_import_schema(ImportForeignSchemaStmt *stmt, Oid serverid);

#endif							/* ONEC_CALLBACKS_H */
