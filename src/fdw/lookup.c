/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Execution of joins that look many keys up at a time.
 *
 * A batch of outer rows is kept, by the hash of its keys; the rows that 1C returns for these keys are
 * joined as they arrive.  Memory is that of one batch, whatever the number of rows that match.  The scan
 * slot holds what conditions and output use of both sides, in the order of custom_scan_tlist.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "fdw/lookup.h"
#include "fdw/scan.h"

#define BATCH_ROWS 10000		/* at most, and what work_mem holds */
#define BUCKETS 16384			/* a power of two */
#define LONGEST_KEY 1000000		/* bytes: longer ones are no different, and their sum must not overflow */

/* A row of the outer side. */
typedef struct BatchRow
{
	MinimalTuple tuple;
	Datum		key;
	uint32		hash;
	int			next;			/* in its bucket; -1: none */
	bool		has_key;
	bool		matched;
} BatchRow;

typedef enum LookupPhase
{
	PHASE_LOAD,
	PHASE_PROBE,				/* rows of the inner side against the batch */
	PHASE_UNMATCHED				/* rows of the batch that found none */
} LookupPhase;

typedef struct LookupState
{
	CustomScanState css;		/* first */
	JoinType	jointype;
	Oid			collation;
	FmgrInfo	hash_outer;
	FmgrInfo	hash_inner;
	Oid			key_type;
	int16		key_len;
	bool		key_byval;
	char		key_align;
	int			one_request;	/* bytes for keys, 0: any number */
	int			key_size;		/* bytes that each key takes beside its text */
	int		   *sources;		/* by column of the scan slot */
	int			nsources;
	ExprState  *quals;
	ExprState  *outer_key;
	ExprState  *inner_key;
	PlanState  *outer;
	PlanState  *inner;
	TupleTableSlot *outer_slot; /* of minimal tuples */

	/* the batch */
	MemoryContext context;		/* of its rows and keys */
	BatchRow   *rows;			/* BATCH_ROWS of them */
	int		   *buckets;
	int			nrows;
	LookupPhase phase;
	bool		outer_done;
	TupleTableSlot *held;		/* a row that had no room in the batch; NULL: none */
	TupleTableSlot *inner_slot; /* the row being joined, or NULL */
	TupleTableSlot *result;		/* for the caller, whose triggers may write to it; unless there is a
								 * projection */
	uint32		inner_hash;
	int			next;			/* row of the batch to look at */

	int64		batches;
	int64		keys;
} LookupState;

/* ---- rows in the scan slot ---- */

/* Put one side's row into the scan slot; NULL puts NULLs. */
static void
put_side(LookupState *state, TupleTableSlot *side, bool outer)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

	if (side != NULL)
		slot_getallattrs(side);
	for (int i = 0; i < state->nsources; i++)
	{
		int			source = outer ? state->sources[i] : -state->sources[i];

		if (source <= 0)
			continue;
		slot->tts_values[i] = side ? side->tts_values[source - 1] : (Datum) 0;
		slot->tts_isnull[i] = side ? side->tts_isnull[source - 1] : true;
	}
}

static void
put_outer(LookupState *state, int row)
{
	ExecStoreMinimalTuple(state->rows[row].tuple, state->outer_slot, false);
	put_side(state, state->outer_slot, true);
}

/* The row in the scan slot for a caller that gets no projection of it. */
static TupleTableSlot *
put_result(LookupState *state)
{
	const TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

	ExecClearTuple(state->result);
	memcpy(state->result->tts_values, slot->tts_values, sizeof(Datum) * state->nsources);
	memcpy(state->result->tts_isnull, slot->tts_isnull, sizeof(bool) * state->nsources);
	return ExecStoreVirtualTuple(state->result);
}

/* Make the slot's values those of its columns, for expressions. */
static ExprContext *
ready_slot(LookupState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

	slot->tts_flags &= ~TTS_FLAG_EMPTY;
	slot->tts_nvalid = slot->tts_tupleDescriptor->natts;
	econtext->ecxt_scantuple = slot;
	return econtext;
}

static Datum
evaluate_key(LookupState *state, ExprState *key, bool *isnull)
{
	return ExecEvalExprSwitchContext(key, ready_slot(state), isnull);
}

/* ---- the batch ---- */

static bool
is_known_key(const LookupState *state, const BatchRow *row)
{
	int			other = state->buckets[row->hash & (BUCKETS - 1)];

	for (; other >= 0; other = state->rows[other].next)
		if (state->rows[other].hash == row->hash &&
			datumIsEqual(state->rows[other].key, row->key, state->key_byval, state->key_len))
			return true;
	return false;
}

/* Bytes that a key takes in an address, when they matter. */
static int
size_of_key(const LookupState *state, Datum key)
{
	if (state->one_request == 0)
		return 0;
	/* each byte may be percent-encoded */
	return 3 * (int) Min(toast_raw_datum_size(key), LONGEST_KEY) + state->key_size;
}

/* Whether a list of "size" bytes has room for a key: the first one is sent alone, however long it is. */
static bool
has_room(const LookupState *state, int size, Datum key)
{
	return state->one_request == 0 || state->nrows == 0 ||
		size + size_of_key(state, key) <= state->one_request;
}

/*
 * Add a row of the outer side, and to "size" the bytes its key adds to the list; false when it must wait for
 * the next batch.
 */
static bool
add_row(LookupState *state, TupleTableSlot *slot, ArrayBuildState **keys, int *size)
{
	BatchRow   *row = &state->rows[state->nrows];
	MemoryContext old;
	Datum		key;
	bool		isnull;
	int		   *bucket;

	memset(row, 0, sizeof(*row));
	put_side(state, slot, true);
	put_side(state, NULL, false);
	ResetExprContext(state->css.ss.ps.ps_ExprContext);
	key = evaluate_key(state, state->outer_key, &isnull);
	if (!isnull && !has_room(state, *size, key))
		return false;
	old = MemoryContextSwitchTo(state->context);
	row->tuple = ExecCopySlotMinimalTuple(slot);
	row->has_key = !isnull;
	row->next = -1;
	if (!isnull)
	{
		row->key = datumCopy(key, state->key_byval, state->key_len);
		if (state->key_len == -1)
			row->key = PointerGetDatum(PG_DETOAST_DATUM(row->key));
		row->hash = DatumGetUInt32(FunctionCall1Coll(&state->hash_outer, state->collation, row->key));
		if (!is_known_key(state, row))
		{
			*keys = accumArrayResult(*keys, row->key, false, state->key_type, state->context);
			*size += size_of_key(state, row->key);
			state->keys++;
		}
		bucket = &state->buckets[row->hash & (BUCKETS - 1)];
		row->next = *bucket;
		*bucket = state->nrows;
	}
	MemoryContextSwitchTo(old);
	state->nrows++;
	return true;
}

/* Read the next batch and ask for its keys; false when the outer side has ended. */
static bool
load_batch(LookupState *state)
{
	OnecScan   *scan = ((ForeignScanState *) state->inner)->fdw_state;
	ArrayBuildState *keys = NULL;
	int			size = 0;

	MemoryContextReset(state->context);
	memset(state->buckets, -1, sizeof(int) * BUCKETS);
	state->nrows = 0;
	while (!state->outer_done && state->nrows < BATCH_ROWS &&
		   MemoryContextMemAllocated(state->context, true) < (Size) work_mem * 1024)
	{
		TupleTableSlot *slot = state->held ? state->held : ExecProcNode(state->outer);

		CHECK_FOR_INTERRUPTS();
		state->held = NULL;
		if (TupIsNull(slot))
			state->outer_done = true;
		else if (!add_row(state, slot, &keys, &size))
		{
			state->held = slot;
			break;
		}
	}
	if (state->nrows == 0)
		return false;
	state->inner_slot = NULL;
	state->next = 0;
	state->phase = PHASE_UNMATCHED;
	if (keys == NULL)
		return true;
	scan->lookup_keys = makeArrayResult(keys, state->context);
	ExecReScan(state->inner);
	state->batches++;
	state->phase = PHASE_PROBE;
	return true;
}

/* ---- joining ---- */

/* The next row of the inner side that may have a match. */
static bool
next_inner(LookupState *state)
{
	Datum		key;
	bool		isnull;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		state->inner_slot = ExecProcNode(state->inner);
		if (TupIsNull(state->inner_slot))
			return false;
		put_side(state, state->inner_slot, false);
		ResetExprContext(state->css.ss.ps.ps_ExprContext);
		key = evaluate_key(state, state->inner_key, &isnull);
		if (isnull)
			continue;
		state->inner_hash = DatumGetUInt32(FunctionCall1Coll(&state->hash_inner, state->collation,
															 key));
		state->next = state->buckets[state->inner_hash & (BUCKETS - 1)];
		if (state->next >= 0)
			return true;
	}
}

/* Whether row "at" of the batch and the inner row belong together, and something is to be returned for it. */
static bool
joins(LookupState *state, int at)
{
	BatchRow   *row = &state->rows[at];
	bool		once = state->jointype == JOIN_SEMI || state->jointype == JOIN_ANTI;

	if (row->hash != state->inner_hash || (once && row->matched))
		return false;
	put_outer(state, at);
	ResetExprContext(state->css.ss.ps.ps_ExprContext);
	if (!ExecQual(state->quals, ready_slot(state)))
		return false;
	row->matched = true;
	return state->jointype != JOIN_ANTI &&
		ExecQual(state->css.ss.ps.qual, state->css.ss.ps.ps_ExprContext);
}

/* The next joined row is in the scan slot; false when the inner side has ended. */
static bool
probe(LookupState *state)
{
	for (;;)
	{
		if (state->inner_slot == NULL && !next_inner(state))
			return false;
		while (state->next >= 0)
		{
			int			at = state->next;

			state->next = state->rows[at].next;
			if (joins(state, at))
				return true;
		}
		state->inner_slot = NULL;
	}
}

/* The next row of the batch that found none, with NULLs beside it. */
static bool
next_unmatched(LookupState *state)
{
	if (state->jointype != JOIN_LEFT && state->jointype != JOIN_ANTI)
		return false;
	while (state->next < state->nrows)
	{
		int			at = state->next++;

		if (state->rows[at].matched)
			continue;
		put_side(state, NULL, false);
		put_outer(state, at);
		ResetExprContext(state->css.ss.ps.ps_ExprContext);
		if (ExecQual(state->css.ss.ps.qual, ready_slot(state)))
			return true;
	}
	return false;
}

static TupleTableSlot *
exec_lookup(CustomScanState *node)
{
	LookupState *state = (LookupState *) node;

	for (;;)
	{
		if (state->phase == PHASE_LOAD && !load_batch(state))
			return NULL;
		if (state->phase == PHASE_PROBE && !probe(state))
		{
			state->phase = PHASE_UNMATCHED;
			state->next = 0;
		}
		if (state->phase == PHASE_UNMATCHED && !next_unmatched(state))
		{
			state->phase = PHASE_LOAD;
			continue;
		}
		if (node->ss.ps.ps_ProjInfo == NULL)
			return put_result(state);
		return ExecProject(node->ss.ps.ps_ProjInfo);
	}
}

/* ---- life ---- */

static void
begin_lookup(CustomScanState *node, EState *estate, int eflags)
{
	LookupState *state = (LookupState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	List	   *private = plan->custom_private;
	Expr	   *key = list_nth(plan->custom_exprs, ONEC_LOOKUP_OUTER_KEY);
	RegProcedure outer_hash;
	RegProcedure inner_hash;
	ListCell   *lc;

	state->jointype = intVal(list_nth(private, ONEC_LOOKUP_JOINTYPE));
	state->collation = (Oid) intVal(list_nth(private, ONEC_LOOKUP_COLLATION));
	state->one_request = intVal(list_nth(private, ONEC_LOOKUP_ONE_REQUEST));
	state->key_size = intVal(list_nth(private, ONEC_LOOKUP_KEY_SIZE));
	state->nsources = list_length(list_nth(private, ONEC_LOOKUP_SOURCES));
	state->sources = palloc(sizeof(int) * (state->nsources + 1));
	foreach(lc, list_nth(private, ONEC_LOOKUP_SOURCES))
		state->sources[foreach_current_index(lc)] = lfirst_int(lc);

	state->outer = ExecInitNode(linitial(plan->custom_plans), estate, eflags);
	state->inner = ExecInitNode(lsecond(plan->custom_plans), estate, eflags);
	node->custom_ps = list_make2(state->outer, state->inner);
	state->quals = ExecInitQual(list_nth(plan->custom_exprs, ONEC_LOOKUP_QUALS), &node->ss.ps);
	state->outer_key = ExecInitExpr(key, &node->ss.ps);
	state->inner_key = ExecInitExpr(list_nth(plan->custom_exprs, ONEC_LOOKUP_INNER_KEY), &node->ss.ps);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	if (!get_op_hash_functions((Oid) intVal(list_nth(private, ONEC_LOOKUP_OPERATOR)), &outer_hash,
							   &inner_hash))
		elog(ERROR, "look-up join: the operator cannot be hashed");
	fmgr_info(outer_hash, &state->hash_outer);
	fmgr_info(inner_hash, &state->hash_inner);
	state->key_type = exprType((Node *) key);
	get_typlenbyvalalign(state->key_type, &state->key_len, &state->key_byval, &state->key_align);
	state->outer_slot = MakeSingleTupleTableSlot(ExecGetResultType(state->outer),
												 &TTSOpsMinimalTuple);
	if (node->ss.ps.ps_ProjInfo == NULL)
		state->result = ExecInitExtraTupleSlot(estate, node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
											   &TTSOpsVirtual);
	state->context = AllocSetContextCreate(estate->es_query_cxt, "onec_fdw batch",
										   ALLOCSET_DEFAULT_SIZES);
	state->rows = palloc(sizeof(BatchRow) * BATCH_ROWS);
	state->buckets = palloc(sizeof(int) * BUCKETS);
}

static void
rescan_lookup(CustomScanState *node)
{
	LookupState *state = (LookupState *) node;
	Bitmapset  *changed = node->ss.ps.chgParam;

	if (changed != NULL)
	{
		UpdateChangedParamSet(state->outer, changed);
		UpdateChangedParamSet(state->inner, changed);
	}
	/* a changed child starts anew by itself; the inner side does with each batch anyway */
	if (state->outer->chgParam == NULL)
		ExecReScan(state->outer);
	state->phase = PHASE_LOAD;
	state->outer_done = false;
	state->held = NULL;
	state->nrows = 0;
}

static void
end_lookup(CustomScanState *node)
{
	LookupState *state = (LookupState *) node;

	if (state->outer_slot != NULL)
		ExecDropSingleTupleTableSlot(state->outer_slot);
	ExecEndNode(state->outer);
	ExecEndNode(state->inner);
}

static void
explain_lookup(CustomScanState *node, List *ancestors, ExplainState *es)
{
	LookupState *state = (LookupState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	List	   *context = set_deparse_context_plan(es->deparse_cxt, &plan->scan.plan, ancestors);
	List	   *quals = list_nth(plan->custom_exprs, ONEC_LOOKUP_QUALS);
	static const char *const names[] = {
		[JOIN_INNER] = "Inner",[JOIN_LEFT] = "Left",[JOIN_SEMI] = "Semi",[JOIN_ANTI] = "Anti"
	};

	ExplainPropertyText("Join Type", names[state->jointype], es);
	ExplainPropertyText("Join Cond", deparse_expression((Node *) make_ands_explicit(quals), context,
														true, false), es);
	if (es->analyze)
	{
		ExplainPropertyInteger("Batches", NULL, state->batches, es);
		ExplainPropertyInteger("Keys", NULL, state->keys, es);
	}
}

static const CustomExecMethods exec_methods = {
	.CustomName = "Onec Lookup Join",
	.BeginCustomScan = begin_lookup,
	.ExecCustomScan = exec_lookup,
	.EndCustomScan = end_lookup,
	.ReScanCustomScan = rescan_lookup,
	.ExplainCustomScan = explain_lookup,
};

Node *
onec_lookup_create_state(CustomScan *plan)
{
	LookupState *state = (LookupState *) newNode(sizeof(LookupState), T_CustomScanState);

	state->css.methods = &exec_methods;
	return (Node *) state;
}
