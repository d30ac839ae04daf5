/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Executor callbacks: one foreign scan from its plan to its rows.
 *
 * Nothing is asked of 1C before the first row is.  Memory of a run is reset at rescan, that of
 * rows with one of the next.  When the base refuses an order that the plan promised, the scan reads all rows
 * and sorts them; when it refuses to count, the scan counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "compat.h"
#include "fdw/async.h"
#include "fdw/generated.h"
#include "fdw/plan.h"
#include "fdw/scan.h"
#include "fdw/turnovers.h"
#include "protocol/json/json_rows.h"
#include "protocol/odata/edm_types.h"
#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "reading/page_check.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "reading/readings.h"
#include "session/session.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/text.h"
#include "table/types.h"

/* ---- from plan to state ---- */

static void
read_order(OnecScan *scan, List *order)
{
	ListCell   *lc;

	scan->order = palloc0(sizeof(OnecOrder) * (list_length(order) + 1));
	scan->order_attnums = palloc0(sizeof(int) * (list_length(order) + 1));
	scan->order_nulls_first = palloc0(sizeof(bool) * (list_length(order) + 1));
	foreach(lc, order)
	{
		List	   *key = lfirst(lc);
		int			attnum = linitial_int(key);

		scan->order[scan->norder].property = onec_utf8(scan->columns[attnum - 1].property);
		scan->order[scan->norder].descending = lsecond_int(key) != 0;
		scan->order_nulls_first[scan->norder] = lthird_int(key) != 0;
		scan->order_attnums[scan->norder++] = attnum;
	}
}

/* A property that costs little, for scans that want rows but no columns. */
static const char *
cheap_property(const OnecScan *scan)
{
	List	   *keys = scan->options->key ? onec_columns_names(onec_utf8(scan->options->key)) : NIL;

	if (keys != NIL)
		return linitial(keys);
	for (int i = 0; i < scan->ncolumns; i++)
		if (scan->columns[i].attnum > 0 && scan->columns[i].argument == NULL)
			return onec_utf8(scan->columns[i].property);
	return NULL;
}

static void
read_wanted(OnecScan *scan, List *attrs)
{
	ListCell   *lc;

	scan->reader = onec_row_reader(scan->relid, scan->options, list_length(attrs));
	foreach(lc, attrs)
	{
		const OnecColumn *column = &scan->columns[lfirst_int(lc) - 1];

		if (column->attnum != 0 && column->argument == NULL)
			onec_row_want(&scan->reader, column);
	}
	scan->wanted = (OnecWanted) {
		.names = scan->reader.names,
		.nnames = scan->reader.nwanted,
		.optional = scan->reader.optional,
		.fallback = cheap_property(scan),
		.date = onec_columns_date(scan->columns, scan->ncolumns),
	};
}

static OnecScan *
read_plan(ForeignScan *plan)
{
	List	   *private = plan->fdw_private;
	OnecScan   *scan = palloc0(sizeof(OnecScan));
	ListCell   *lc;

	scan->relid = (Oid) intVal(list_nth(private, ONEC_PRIVATE_RELID));
	scan->options = onec_options_of_table(scan->relid);
	scan->columns = onec_columns_of_table(scan->relid, &scan->ncolumns);
	scan->quals = list_nth(private, ONEC_PRIVATE_QUALS);
	scan->turnovers = boolVal(list_nth(private, ONEC_PRIVATE_TURNOVERS));
	scan->periods = list_nth(private, ONEC_PRIVATE_PERIODS);
	scan->arguments = list_nth(private, ONEC_PRIVATE_ARGUMENTS);
	scan->hint = intVal(list_nth(private, ONEC_PRIVATE_HINT));
	scan->count = boolVal(list_nth(private, ONEC_PRIVATE_COUNT));
	scan->deparse = onec_deparse_of(scan->options, intVal(list_nth(private, ONEC_PRIVATE_VARNO)),
									scan->columns,
									scan->ncolumns);
	scan->deparse.params = list_nth(private, ONEC_PRIVATE_PARAMS);
	scan->lookup = -1;
	foreach(lc, scan->deparse.params)
		if (IsA(lfirst(lc), CaseTestExpr))
			scan->lookup = foreach_current_index(lc);
	scan->nulls = intVal(list_nth(private, ONEC_PRIVATE_NULLS));
	if (scan->turnovers)
	{
		scan->columns = onec_turnovers_columns(scan->options, scan->columns, scan->ncolumns);
		scan->options = onec_turnovers_options(scan->options);
	}
	read_order(scan, list_nth(private, ONEC_PRIVATE_ORDER));
	read_wanted(scan, list_nth(private, ONEC_PRIVATE_ATTRS));
	return scan;
}

/* ---- the query ---- */

/* The literal that "filter" compares the entity key with, or NULL. */
static const OnecExpr *
find_key(const OnecScan *scan, const OnecExpr *filter)
{
	const OnecExpr *key = NULL;

	if (filter == NULL || scan->options->key == NULL || scan->options->function != NULL)
		return NULL;
	if (filter->kind == ONEC_EXPR_COMPARE && strcmp(filter->op, "eq") == 0 &&
		filter->args[0]->kind == ONEC_EXPR_FIELD && filter->args[1]->kind == ONEC_EXPR_LITERAL &&
		filter->args[1]->lit_kind != ONEC_LIT_STRING &&
		strcmp(filter->args[0]->name, onec_utf8(scan->options->key)) == 0)
		return filter->args[1];
	for (int i = 0; filter->kind == ONEC_EXPR_AND && i < filter->nargs && key == NULL; i++)
		if (filter->args[i]->kind == ONEC_EXPR_COMPARE)
			key = find_key(scan, filter->args[i]);
	return key;
}

static OnecExpr *
argument_literal(const OnecColumn *column, const OnecValue *value, int number)
{
	OnecExpr   *literal = palloc0(sizeof(OnecExpr));
	OnecConstant constant;
	OnecColumn	plain = *column;

	literal->kind = ONEC_EXPR_LITERAL;
	if (value == NULL)
	{
		literal->lit_kind = ONEC_LIT_PARAM;
		literal->lit_text = psprintf("$%d", number);
		return literal;
	}
	/* text of an argument is text, whatever the column was declared as */
	if (plain.edm == ONEC_EDM_UNKNOWN)
		plain.edm = ONEC_EDM_STRING;
	onec_type_encode(&plain, plain.type, value->value, &constant);
	if (constant.sent != ONEC_SENT_AS_IS)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("argument \"%s\" of 1C's function cannot be written", column->argument),
				 column->type == TIMESTAMPOID || column->type == TIMESTAMPTZOID ?
				 errhint("1C's dates are whole seconds of the years 1 to 9999: use date_trunc('second', "
						 "…).") : 0));
	literal->lit_kind = constant.kind;
	literal->lit_text = constant.text;
	return literal;
}

/* Arguments of the function, from columns; the condition is added with each request. */
static void
query_arguments(OnecScan *scan, bool *nothing)
{
	int			nparams = list_length(scan->deparse.params);
	OnecArgument *arguments = palloc0(sizeof(OnecArgument) * (list_length(scan->arguments) + 3));
	OnecExpr   *bounds[2] = {NULL, NULL};
	int			count = 0;
	ListCell   *lc;

	foreach(lc, scan->arguments)
	{
		const OnecColumn *column = &scan->columns[lfirst_int(lc) - 1];
		const OnecValue *value = scan->values ? &scan->values[nparams + count] : NULL;

		if (value != NULL && value->isnull)
			*nothing = true;
		if (*nothing)
			return;
		arguments[count].name = onec_utf8(column->argument);
		arguments[count].value = argument_literal(column, value, nparams + count + 1);
		count++;
	}
	if (scan->turnovers && !onec_turnovers_period(&scan->deparse, scan->periods, &bounds[0], &bounds[1]))
		*nothing = true;
	for (int i = 0; i < 2; i++)
		if (bounds[i] != NULL)
			arguments[count++] = (OnecArgument) {i == 0 ? "StartPeriod" : "EndPeriod", bounds[i]};
	scan->query.arguments = arguments;
	scan->query.narguments = count;
}

void
onec_scan_query(OnecScan *scan, bool exact, bool *nothing)
{
	OnecTerm	term = {.verdict = ONEC_EXACT, .kind = ONEC_TERM_ALL};

	memset(&scan->query, 0, sizeof(scan->query));
	scan->deparse.exact = exact;
	if (scan->options->push_filter)
		term = onec_deparse_quals(&scan->deparse, scan->quals);
	else if (scan->quals != NIL)
		term.verdict = ONEC_NO;
	*nothing = term.verdict != ONEC_NO && term.kind == ONEC_TERM_NONE;
	if (term.verdict != ONEC_NO && term.kind == ONEC_TERM_TREE)
		scan->query.filter = term.expr;
	scan->query.filter_exact = term.verdict == ONEC_EXACT;
	scan->query.key = scan->count ? NULL : find_key(scan, scan->query.filter);
	scan->query.order = scan->order;
	scan->query.norder = scan->query.key ? 0 : scan->norder;
	scan->query.nulls = scan->query.norder > 0 ? scan->nulls : ONEC_NULLS_ALIKE;
	scan->query.hint = scan->hint;
	if (scan->options->function != NULL)
		query_arguments(scan, nothing);
}

/* ---- begin ---- */

/*
 * The slot of the scan's rows.  That of the node is made for tuples: to store its values in a table,
 * PostgreSQL would make a tuple of them and copy that.
 */
static void
make_slot(OnecScan *scan, ForeignScanState *node)
{
	TupleDesc	desc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;

	if (scan->count)
	{
		Relation	rel = table_open(scan->relid, NoLock);

		desc = CreateTupleDescCopy(RelationGetDescr(rel));
		table_close(rel, NoLock);
	}
	scan->slot = ExecInitExtraTupleSlot(node->ss.ps.state, desc, &TTSOpsVirtual);
}

/* Times of the base that become instants need to know where the base is. */
static void
warn_of_zone(const OnecScan *scan)
{
	for (int i = 0; i < scan->reader.nwanted; i++)
		if (scan->reader.decoders[i].type == TIMESTAMPTZOID && scan->options->timezone == NULL)
		{
			ereport(WARNING,
					(errmsg("local time of 1C is read in the time zone of the session, \"%s\"",
							pg_get_timezone_name(session_timezone)),
					 errdetail("The column for \"%s\" of \"%s\" is a timestamp with time zone, and the "
							   "server has no option timezone.",
							   scan->reader.decoders[i].column.property, scan->options->entity_set),
					 errhint("ALTER SERVER %s OPTIONS (ADD timezone 'Europe/Moscow'), or another zone.",
							 quote_identifier(scan->options->server_name))));
			return;
		}
}

void
onec_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	OnecScan   *scan = read_plan(plan);
	MemoryContext query_context = node->ss.ps.state->es_query_cxt;

	node->fdw_state = scan;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	warn_of_zone(scan);
	onec_async_begin(node);
	scan->run = AllocSetContextCreate(query_context, "onec_fdw run", ALLOCSET_SMALL_SIZES);
	scan->reader.memory = AllocSetContextCreate(query_context, "onec_fdw row", ALLOCSET_DEFAULT_SIZES);
	make_slot(scan, node);
	scan->reader.generated = onec_generated_begin(scan->relid,
												  list_nth(plan->fdw_private, ONEC_PRIVATE_ATTRS));
	scan->expr_states = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	scan->session = onec_session_get(scan->options, onec_foreign_scan_user(node));
	scan->pager = onec_pager_create(scan->session, scan->options, &scan->wanted, &scan->spent);
}

/* ---- start of a run ---- */

/* Evaluate the run-time values into the memory of the run. */
static void
evaluate(OnecScan *scan, ForeignScanState *node)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	int			i = 0;
	ListCell   *lc;

	scan->values = MemoryContextAllocZero(scan->run, sizeof(OnecValue) *
										  (list_length(scan->expr_states) + 1));
	foreach(lc, scan->expr_states)
	{
		ExprState  *state = lfirst(lc);
		OnecValue  *value = &scan->values[i++];
		MemoryContext old;
		int16		len;
		bool		byval;

		value->value = ExecEvalExprSwitchContext(state, econtext, &value->isnull);
		if (value->isnull)
			continue;
		get_typlenbyval(exprType((Node *) state->expr), &len, &byval);
		old = MemoryContextSwitchTo(scan->run);
		value->value = datumCopy(value->value, byval, len);
		MemoryContextSwitchTo(old);
	}
	if (scan->lookup >= 0)
		scan->values[scan->lookup] = (OnecValue) {.value = scan->lookup_keys};
	scan->deparse.values = scan->values;
}

static void
start(OnecScan *scan, ForeignScanState *node)
{
	MemoryContext old;

	scan->started = true;
	MemoryContextReset(scan->run);
	evaluate(scan, node);
	old = MemoryContextSwitchTo(scan->run);
	onec_scan_query(scan, scan->count, &scan->nothing);
	MemoryContextSwitchTo(old);
	if (!scan->nothing)
		onec_pager_start(scan->pager, &scan->query);
}

/* ---- rows ---- */

/* Values of argument columns: what the query gave. */
static void
fill_arguments(const OnecScan *scan, TupleTableSlot *slot)
{
	int			at = list_length(scan->deparse.params);
	ListCell   *lc;

	foreach(lc, scan->arguments)
	{
		slot->tts_values[lfirst_int(lc) - 1] = scan->values[at].value;
		slot->tts_isnull[lfirst_int(lc) - 1] = scan->values[at].isnull;
		at++;
	}
}

static void
fill_slot(OnecScan *scan, const OnecField *fields)
{
	onec_row_decode(&scan->reader, scan->pager, fields, scan->spent.rows, scan->slot);
	fill_arguments(scan, scan->slot);
	onec_row_store(&scan->reader, scan->slot);
}

/* ---- an order that was promised but refused ---- */

static void
sort_rows(OnecScan *scan, const OnecField *fields)
{
	TupleDesc	desc = scan->slot->tts_tupleDescriptor;
	AttrNumber *attnums = palloc(sizeof(AttrNumber) * scan->norder);
	Oid		   *operators = palloc(sizeof(Oid) * scan->norder);
	Oid		   *collations = palloc0(sizeof(Oid) * scan->norder);

	for (int i = 0; i < scan->norder; i++)
	{
		TypeCacheEntry *type;

		attnums[i] = scan->order_attnums[i];
		type = lookup_type_cache(TupleDescAttr(desc, attnums[i] - 1)->atttypid,
								 TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
		operators[i] = scan->order[i].descending ? type->gt_opr : type->lt_opr;
	}
	scan->sort = tuplesort_begin_heap(desc, scan->norder, attnums, operators, collations,
									  scan->order_nulls_first, work_mem, NULL, TUPLESORT_NONE);
	for (; fields != NULL; fields = onec_pager_next(scan->pager))
	{
		CHECK_FOR_INTERRUPTS();
		fill_slot(scan, fields);
		tuplesort_puttupleslot(scan->sort, scan->slot);
	}
	tuplesort_performsort(scan->sort);
	if (scan->sort_slot == NULL)
		scan->sort_slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(desc),
												   &TTSOpsMinimalTuple);
}

/* The next row; NULL at the end, or "pending". */
static const OnecField *
next_fields(OnecScan *scan)
{
	const OnecField *fields;

	if (!scan->async)
		return onec_pager_next(scan->pager);
	scan->pending = !onec_pager_try(scan->pager, &fields);
	return fields;
}

static TupleTableSlot *
next_row(OnecScan *scan, ForeignScanState *node)
{
	TupleTableSlot *slot = scan->slot;
	const OnecField *fields;
	MemoryContext old;

	if (!scan->started)
		start(scan, node);
	if (scan->nothing)
		return ExecClearTuple(slot);
	if (scan->sort == NULL)
	{
		fields = next_fields(scan);
		if (fields == NULL)
			return ExecClearTuple(slot);
		if (scan->flowing || !onec_pager_unordered(scan->pager))
		{
			scan->flowing = true;
			fill_slot(scan, fields);
			return slot;
		}
		/* the executor calls us in memory that goes with each row */
		old = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);
		sort_rows(scan, fields);
		MemoryContextSwitchTo(old);
	}
	if (!tuplesort_gettupleslot(scan->sort, true, false, scan->sort_slot, NULL))
		return ExecClearTuple(slot);
	return ExecCopySlot(slot, scan->sort_slot);
}

/* ---- count ---- */

/* Count the rows that pass the quals, which is what 1C would have answered. */
static int64
count_rows(OnecScan *scan, ForeignScanState *node)
{
	List	   *quals = copyObject(scan->quals);
	ExprContext *econtext = CreateExprContext(node->ss.ps.state);
	ExprState  *qual;
	int64		count = 0;

	fix_opfuncids((Node *) quals);
	qual = ExecInitQual(quals, NULL);
	econtext->ecxt_scantuple = scan->slot;
	for (next_row(scan, node); !TupIsNull(scan->slot); next_row(scan, node))
	{
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		count += ExecQual(qual, econtext);
	}
	FreeExprContext(econtext, false);
	return count;
}

static TupleTableSlot *
iterate_count(OnecScan *scan, ForeignScanState *node)
{
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	int64		count = 0;

	ExecClearTuple(slot);
	if (scan->started)
		return slot;
	start(scan, node);
	if (!scan->nothing && !(scan->query.filter_exact &&
							onec_pager_count(scan->pager, &scan->query, &count)))
		count = count_rows(scan, node);
	slot->tts_values[0] = Int64GetDatum(count);
	slot->tts_isnull[0] = false;
	return ExecStoreVirtualTuple(slot);
}

/* ---- callbacks ---- */

TupleTableSlot *
onec_scan_iterate(ForeignScanState *node)
{
	OnecScan   *scan = node->fdw_state;

	if (scan->count)
		return iterate_count(scan, node);
	return next_row(scan, node);
}

static void
forget_run(OnecScan *scan)
{
	if (scan->pager != NULL)
	{
		onec_pager_enough(scan->pager);
		onec_pager_stop(scan->pager);
	}
	if (scan->sort_slot != NULL)
		ExecClearTuple(scan->sort_slot);
	if (scan->sort != NULL)
		tuplesort_end(scan->sort);
	scan->sort = NULL;
	scan->started = false;
	scan->flowing = false;
}

void
onec_scan_rescan(ForeignScanState *node)
{
	forget_run(node->fdw_state);
}

static void
note_reading(const OnecScan *scan)
{
	OnecColumnSet lacked = {0};

	for (int i = 0; i < scan->reader.nwanted; i++)
	{
		int			attnum = scan->reader.decoders[i].column.attnum;

		if (onec_pager_lacked(scan->pager, i))
			lacked.words[attnum / 64] |= UINT64CONST(1) << attnum % 64;
	}
	onec_reading_note(scan->relid, &scan->spent, onec_pager_way(scan->pager), &lacked);
}

void
onec_scan_end(ForeignScanState *node)
{
	OnecScan   *scan = node->fdw_state;

	/* EXPLAIN has no pager */
	if (scan == NULL || scan->pager == NULL)
		return;
	/* a count that 1C gave is no reading */
	if ((scan->started && !scan->count) || onec_pager_way(scan->pager)->runs > 0)
		note_reading(scan);
	forget_run(scan);
}
