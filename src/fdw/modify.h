/*-------------------------------------------------------------------------
 *
 * modify.h
 *	  INSERT, UPDATE, DELETE and COPY on foreign tables whose server is updatable.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_MODIFY_H
#define ONEC_MODIFY_H

#include "postgres.h"

#include "foreign/fdwapi.h"

#include "compat.h"

/*
 * As fdwapi.h has them.  What cannot be written is refused while the statement is planned, with the reason:
 * ERROR 55000 for a server or table that is read only, 0A000 for what 1C writes with something else, for
 * ON CONFLICT, and for columns that 1C computes.  Errors of rows: as onec.enqueue, and onec_direct_send().
 */
extern int	onec_modify_is_updatable(Relation rel);
extern void onec_modify_add_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *entry, Relation rel);
extern List *onec_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rtindex, int subplan_index);
extern void onec_modify_begin(ModifyTableState *mtstate, ResultRelInfo *result, List *fdw_private,
							  int subplan_index, int eflags);
extern void onec_modify_begin_insert(ModifyTableState *mtstate, ResultRelInfo *result);
extern TupleTableSlot *onec_modify_insert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
										  TupleTableSlot *plan_slot);
extern int	onec_modify_batch_size(ResultRelInfo *result);
extern TupleTableSlot **onec_modify_insert_batch(EState *estate, ResultRelInfo *result,
												 TupleTableSlot **slots, TupleTableSlot **plan_slots,
												 int *count);
extern TupleTableSlot *onec_modify_update(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
										  TupleTableSlot *plan_slot);
extern TupleTableSlot *onec_modify_delete(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
										  TupleTableSlot *plan_slot);
extern void onec_modify_explain(ModifyTableState *mtstate, ResultRelInfo *result, List *fdw_private,
								int subplan_index, ExplainState *es);

#endif							/* ONEC_MODIFY_H */
