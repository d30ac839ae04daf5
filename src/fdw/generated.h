/*-------------------------------------------------------------------------
 *
 * generated.h
 *	  Generated columns of foreign tables: 1C knows nothing of them, they are computed here from the others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_GENERATED_H
#define ONEC_GENERATED_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/pg_list.h"

typedef struct OnecGenerated OnecGenerated;

/* "attrs" (of attnums), and behind them those that the generated columns among them are computed from. */
extern List *onec_generated_sources(Oid relid, List *attrs);

/*
 * Get ready to compute the generated columns among "attrs"; NULL when there are none.  Lives in the current
 * context.
 */
extern OnecGenerated *onec_generated_begin(Oid relid, List *attrs);

/* Compute them from the row in "slot", a virtual one.  The values last until the next row. */
extern void onec_generated_fill(OnecGenerated *generated, TupleTableSlot *slot);

#endif							/* ONEC_GENERATED_H */
