/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  INSERT, UPDATE, DELETE and COPY on foreign tables whose server is updatable.
 *
 * Each row becomes a change in the outbox, in the transaction of the statement: what is rolled back was never
 * sent, what is committed is delivered afterwards.  With write_mode 'direct' it is sent at once (direct.c).
 * What belongs to the SQL statement is done here; what a row may hold is checked by the functions called
 * (outbox.c), by what $metadata says.
 *
 * INSERT sends the columns that are not NULL, so that 1C fills the others; UPDATE those that are set, and
 * those that a trigger changed.  A row is told by Ref_Key, which an INSERT without one is given here.
 *
 * Memory: values live in "row", until the next one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/direct.h"
#include "fdw/modify.h"
#include "fdw/outbox.h"
#include "table/columns.h"
#include "table/encode.h"
#include "table/options.h"
#include "table/types.h"

#define KEY "Ref_Key"
#define VERSION "DataVersion"
#define MARK "DeletionMark"

/* Names of the junk columns that a scan gives beside the values. */
#define KEY_JUNK "onec_key"
#define VERSION_JUNK "onec_version"

typedef struct OnecModify
{
	OnecOptions *options;
	OnecColumn *columns;		/* by attnum - 1 */
	int			ncolumns;
	AttrNumber	key;			/* of the table; 0: it has no such column */
	AttrNumber	key_junk;		/* of the scan's rows: key, version, the row as it was */
	AttrNumber	version_junk;
	AttrNumber	whole_junk;
	List	   *set;			/* attnums that an UPDATE sets */
	bool		triggers;		/* BEFORE triggers may change more */
	OnecDirect *direct;			/* NULL: rows are queued */
	FmgrInfo	enqueue;
	FmgrInfo	enqueue_new;	/* for several rows at once */
	MemoryContext row;
} OnecModify;

/* ---- what may be written ---- */

/* The column of a property, or NULL. */
static const OnecColumn *
column_of(const OnecColumn *columns, int ncolumns, const char *property)
{
	for (int i = 0; i < ncolumns; i++)
		if (columns[i].attnum > 0 && columns[i].argument == NULL &&
			strcmp(columns[i].property, property) == 0)
			return &columns[i];
	return NULL;
}

/* Why rows of a table cannot be written one by one; NULL when they can. */
static const char *
unwritable(const OnecOptions *options)
{
	if (options->function != NULL)
		return "It is a virtual table, which 1C computes.";
	if (onec_columns_names_contain(options->key, "LineNumber"))
		return onec_columns_names_contain(options->key, KEY) ?
			"Rows of a tabular section are written with their owner." :
			"Records of a register are written by the document they belong to.";
	if (onec_columns_names_contain(options->key, "Recorder"))
		return "Records of a register are written by the document they belong to.";
	if (options->key == NULL || strcmp(options->key, KEY) != 0)
		return "Only objects with a reference, Ref_Key, can be written.";
	return NULL;
}

/* Refuse, with the reason, what cannot be written. */
static void
check_writable(Oid relid, const OnecOptions *options, CmdType operation)
{
	const char *why = unwritable(options);

	if (!options->updatable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" is read only", get_rel_name(relid)),
				 errhint("Its owner opens a server, or a table alone: "
						 "ALTER SERVER \"%s\" OPTIONS (ADD updatable 'on').", options->server_name)));
	if (why != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign table \"%s\" cannot be written", get_rel_name(relid)),
				 errdetail("%s", why)));
	if (operation == CMD_DELETE && options->delete_mode == ONEC_DELETE_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of foreign table \"%s\" are not deleted", get_rel_name(relid)),
				 errdetail("Its option delete_mode is 'error'.")));
}

/* Refuse a column that is not the client's to set. */
static void
check_column(const OnecColumn *column)
{
	const char *why = NULL;

	if (column->argument != NULL || column->computed)
		why = "1C computes it.";
	else if (column->edm == ONEC_EDM_STREAM)
		why = "Its bytes are read by an address of their own.";
	else if (strcmp(column->property, VERSION) == 0)
		why = "1C counts the versions of an object.";
	else if (strcmp(column->property, "Posted") == 0)
		why = "A document is posted by onec.post_document(), and onec.unpost_document() undoes it.";
	if (why != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("property \"%s\" cannot be written", column->property),
				 errdetail("%s", why)));
}

int
onec_modify_is_updatable(Relation rel)
{
	OnecOptions *options = onec_options_of_table(RelationGetRelid(rel));

	if (!options->updatable || unwritable(options) != NULL)
		return 0;
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) |
		(options->delete_mode != ONEC_DELETE_ERROR ? 1 << CMD_DELETE : 0);
}

/* ---- planning ---- */

static void
add_target(PlannerInfo *root, Index rtindex, const OnecColumn *column, const char *name)
{
	if (column != NULL)
		add_row_identity_var(root, makeVar(rtindex, column->attnum, column->type, column->typmod,
										   column->collation, 0), rtindex, name);
}

/* Each row that is changed comes with its key, and with the version that was read. */
void
onec_modify_add_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *entry, Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	int			ncolumns;
	OnecColumn *columns = onec_columns_of_table(relid, &ncolumns);
	const OnecColumn *key = column_of(columns, ncolumns, KEY);

	check_writable(relid, onec_options_of_table(relid), root->parse->commandType);
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" has no column for property \"" KEY "\"", get_rel_name(relid)),
				 errdetail("Rows that are changed are told by it.")));
	add_target(root, rtindex, key, KEY_JUNK);
	add_target(root, rtindex, column_of(columns, ncolumns, VERSION), VERSION_JUNK);
	/* RETURNING of a DELETE tells what the row was; an UPDATE has it anyway */
	if (root->parse->commandType == CMD_DELETE && root->parse->returningList != NIL)
		add_row_identity_var(root, makeWholeRowVar(entry, rtindex, 0, false), rtindex, "wholerow");
}

/* The attnums that an UPDATE sets, each of which may be. */
static List *
columns_set(PlannerInfo *root, Index rtindex, Oid relid, const OnecColumn *columns)
{
	Bitmapset  *updated = get_rel_all_updated_cols(root, find_base_rel(root, rtindex));
	List	   *set = NIL;
	int			at = -1;

	while ((at = bms_next_member(updated, at)) >= 0)
	{
		AttrNumber	attnum = at + FirstLowInvalidHeapAttributeNumber;
		const OnecColumn *column = &columns[attnum - 1];

		/* a generated one is computed here, of others that are set */
		if (attnum <= 0 || get_attgenerated(relid, attnum))
			continue;
		if (column->attnum == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" cannot be written", get_attname(relid, attnum, false)),
					 errdetail("1C has no such property (missing_property 'null').")));
		if (strcmp(column->property, KEY) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("property \"" KEY "\" cannot be changed")));
		check_column(column);
		set = lappend_int(set, attnum);
	}
	return set;
}

static void
check_conflict(const ModifyTable *plan)
{
	if (plan->onConflictAction != ONCONFLICT_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT is not supported on foreign tables of 1C"),
				 errhint("Give each row its " KEY ": what is sent twice under one key is written once.")));
}

List *
onec_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rtindex, int subplan_index)
{
	Oid			relid = planner_rt_fetch(rtindex, root)->relid;
	int			ncolumns;
	OnecColumn *columns = onec_columns_of_table(relid, &ncolumns);

	check_writable(relid, onec_options_of_table(relid), plan->operation);
	check_conflict(plan);
	if (plan->operation != CMD_UPDATE)
		return list_make1(NIL);
	return list_make1(columns_set(root, rtindex, relid, columns));
}

/* ---- execution ---- */

static OnecModify *
begin(ResultRelInfo *result, EState *estate, CmdType operation)
{
	OnecModify *modify = palloc0(sizeof(OnecModify));
	Relation	rel = result->ri_RelationDesc;
	Oid			relid = RelationGetRelid(rel);
	const OnecColumn *key;

	modify->options = onec_options_of_table(relid);
	check_writable(relid, modify->options, operation);
	modify->columns = onec_columns_of_table(relid, &modify->ncolumns);
	key = column_of(modify->columns, modify->ncolumns, KEY);
	modify->key = key ? key->attnum : 0;
	modify->triggers = rel->trigdesc != NULL && rel->trigdesc->trig_update_before_row;
	modify->row = AllocSetContextCreate(estate->es_query_cxt, "onec_fdw row to write",
										ALLOCSET_DEFAULT_SIZES);
	if (modify->options->write_mode == ONEC_WRITE_DIRECT)
		modify->direct = onec_direct_begin(result, estate, modify->options, modify->columns,
										   modify->ncolumns);
	else
	{
		onec_outbox_find(ONEC_TAKER_ENQUEUE, &modify->enqueue);
		onec_outbox_find(ONEC_TAKER_ENQUEUE_NEW, &modify->enqueue_new);
	}
	return modify;
}

void
onec_modify_begin(ModifyTableState *mtstate, ResultRelInfo *result, List *fdw_private, int subplan_index,
				  int eflags)
{
	OnecModify *modify;
	List	   *targets;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	modify = begin(result, mtstate->ps.state, mtstate->operation);
	modify->set = linitial(fdw_private);
	if (mtstate->operation != CMD_INSERT)
	{
		targets = outerPlanState(mtstate)->plan->targetlist;
		modify->key_junk = ExecFindJunkAttributeInTlist(targets, KEY_JUNK);
		modify->version_junk = ExecFindJunkAttributeInTlist(targets, VERSION_JUNK);
		modify->whole_junk = ExecFindJunkAttributeInTlist(targets, "wholerow");
	}
	result->ri_FdwState = modify;
}

/* COPY, and rows that are routed to a partition. */
void
onec_modify_begin_insert(ModifyTableState *mtstate, ResultRelInfo *result)
{
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);

	if (plan != NULL)
		check_conflict(plan);
	/* a partition that is updated, too, has its state already, and takes rows of others by the same */
	if (result->ri_FdwState == NULL)
		result->ri_FdwState = begin(result, mtstate->ps.state, CMD_INSERT);
}

/* ---- one change ---- */

/* Queue it; body and version may be (Datum) 0 for none. */
static void
enqueue(OnecModify *modify, const char *operation, Datum key, Datum body, Datum version)
{
	NameData	server;
	NullableDatum arguments[9];

	for (size_t i = 0; i < lengthof(arguments); i++)
		arguments[i] = onec_outbox_argument((Datum) 0);
	namestrcpy(&server, modify->options->server_name);
	arguments[0] = onec_outbox_argument(NameGetDatum(&server));
	arguments[1] = onec_outbox_argument(CStringGetTextDatum(modify->options->entity_set));
	arguments[2] = onec_outbox_argument(CStringGetTextDatum(operation));
	arguments[3] = onec_outbox_argument(key);
	arguments[4] = onec_outbox_argument(body);
	/* [5] depends_on, [6] idempotency, [8] merge_by: none */
	arguments[7] = onec_outbox_argument(version);
	(void) onec_outbox_call(&modify->enqueue, arguments, lengthof(arguments));
}

/* Queue many new objects; keys and bodies lie beside each other. */
static void
enqueue_new(OnecModify *modify, Datum *keys, Datum *bodies, int count)
{
	NameData	server;
	NullableDatum arguments[4];

	namestrcpy(&server, modify->options->server_name);
	arguments[0] = onec_outbox_argument(NameGetDatum(&server));
	arguments[1] = onec_outbox_argument(CStringGetTextDatum(modify->options->entity_set));
	arguments[2] = onec_outbox_argument(PointerGetDatum(construct_array(keys, count, UUIDOID, UUID_LEN, false,
																		TYPALIGN_CHAR)));
	arguments[3] = onec_outbox_argument(PointerGetDatum(construct_array(bodies, count, JSONBOID, -1, false,
																		TYPALIGN_INT)));
	(void) onec_outbox_call(&modify->enqueue_new, arguments, lengthof(arguments));
}

/* Who wants to see a row after it was written. */
static bool
is_seen(const ResultRelInfo *result)
{
	const TriggerDesc *triggers = result->ri_TrigDesc;

	return result->ri_projectReturning != NULL ||
		(triggers != NULL && (triggers->trig_insert_after_row || triggers->trig_update_after_row));
}

/* Queue a change, or send it; in "slot" is then what is known of the row. */
static void
change(ResultRelInfo *result, const char *operation, Datum key, Datum body, Datum version,
	   TupleTableSlot *slot)
{
	OnecModify *modify = result->ri_FdwState;

	if (modify->direct == NULL)
		enqueue(modify, operation, key, body, version);
	else if (result->ri_WithCheckOptions != NIL)
		/* it would be checked when nothing can be taken back */
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a view WITH CHECK OPTION cannot be written where rows are sent to 1C at once")));
	else
		onec_direct_send(modify->direct, operation, key, body, version,
						 slot != NULL && is_seen(result) ? slot : NULL);
}

/* The body of an INSERT: what is not NULL. */
static Datum
body_of_new(OnecModify *modify, TupleTableSlot *slot)
{
	JsonbParseState *object = NULL;

	pushJsonbValue(&object, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < modify->ncolumns; i++)
	{
		const OnecColumn *column = &modify->columns[i];

		if (column->attnum == 0 || column->attnum == modify->key || slot->tts_isnull[i])
			continue;
		check_column(column);
		onec_encode(&object, column, slot->tts_values[i], false);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&object, WJB_END_OBJECT, NULL)));
}

/* Whether a trigger gave a column another value than the row had. */
static bool
is_changed(TupleTableSlot *slot, HeapTupleHeader old, AttrNumber attnum)
{
	Form_pg_attribute attr = TupleDescAttr(slot->tts_tupleDescriptor, attnum - 1);
	bool		was_null;
	Datum		was = GetAttributeByNum(old, attnum, &was_null);

	if (was_null || slot->tts_isnull[attnum - 1])
		return was_null != slot->tts_isnull[attnum - 1];
	return !datum_image_eq(was, slot->tts_values[attnum - 1], attr->attbyval, attr->attlen);
}

/* The body of an UPDATE: what is set, and what a trigger changed. */
static Datum
body_of_changed(OnecModify *modify, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	JsonbParseState *object = NULL;
	bool		isnull = true;
	Datum		whole = modify->whole_junk > 0 ?
		ExecGetJunkAttribute(plan_slot, modify->whole_junk, &isnull) : (Datum) 0;
	HeapTupleHeader old = isnull || !modify->triggers ? NULL : DatumGetHeapTupleHeader(whole);

	pushJsonbValue(&object, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < modify->ncolumns; i++)
	{
		const OnecColumn *column = &modify->columns[i];

		if (column->attnum == 0)
			continue;
		if (!list_member_int(modify->set, column->attnum))
		{
			if (old == NULL || !is_changed(slot, old, column->attnum))
				continue;
			check_column(column);
		}
		onec_encode(&object, column, slot->tts_values[i], slot->tts_isnull[i]);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&object, WJB_END_OBJECT, NULL)));
}

/* The key of a row that a scan gave. */
static Datum
key_of(const OnecModify *modify, TupleTableSlot *plan_slot)
{
	bool		isnull;
	Datum		key = ExecGetJunkAttribute(plan_slot, modify->key_junk, &isnull);

	if (isnull)
		elog(ERROR, "a row of \"%s\" has no " KEY, modify->options->entity_set);
	return key;
}

static Datum
version_of(const OnecModify *modify, TupleTableSlot *plan_slot)
{
	bool		isnull = true;
	Datum		version = modify->version_junk > 0 ?
		ExecGetJunkAttribute(plan_slot, modify->version_junk, &isnull) : (Datum) 0;

	return isnull ? (Datum) 0 : version;
}

/* The row that is returned, and that AFTER triggers see, has the key that it was given here. */
static void
give_key(TupleTableSlot *slot, AttrNumber attnum, Datum key)
{
	slot->tts_values[attnum - 1] = key;
	slot->tts_isnull[attnum - 1] = false;
	ExecForceStoreHeapTuple(heap_form_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull),
							slot, true);
}

/* The key of a new row: the one it has, or one made here. */
static Datum
key_of_new(const OnecModify *modify, TupleTableSlot *slot)
{
	if (modify->key > 0 && !slot->tts_isnull[modify->key - 1])
		return slot->tts_values[modify->key - 1];
	return DirectFunctionCall1(gen_random_uuid, (Datum) 0);
}

TupleTableSlot *
onec_modify_insert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	OnecModify *modify = result->ri_FdwState;
	MemoryContext old;
	Datum		key,
				body;

	slot_getallattrs(slot);
	MemoryContextReset(modify->row);
	old = MemoryContextSwitchTo(modify->row);
	key = key_of_new(modify, slot);
	body = body_of_new(modify, slot);
	if (modify->key > 0 && slot->tts_isnull[modify->key - 1])
		give_key(slot, modify->key, key);
	change(result, "create", key, body, (Datum) 0, slot);
	MemoryContextSwitchTo(old);
	return slot;
}

/* As postgres_fdw: one by one where somebody wants to see each row in its turn. */
int
onec_modify_batch_size(ResultRelInfo *result)
{
	const OnecModify *modify = result->ri_FdwState;
	const TriggerDesc *triggers = result->ri_TrigDesc;

	if (modify == NULL || modify->direct != NULL || result->ri_projectReturning != NULL ||
		result->ri_WithCheckOptions != NIL ||
		(triggers != NULL && (triggers->trig_insert_before_row || triggers->trig_insert_after_row)))
		return 1;
	return modify->options->batch_size;
}

TupleTableSlot **
onec_modify_insert_batch(EState *estate, ResultRelInfo *result, TupleTableSlot **slots,
						 TupleTableSlot **plan_slots, int *count)
{
	OnecModify *modify = result->ri_FdwState;
	MemoryContext old;
	Datum	   *keys,
			   *bodies;

	MemoryContextReset(modify->row);
	old = MemoryContextSwitchTo(modify->row);
	keys = palloc(sizeof(Datum) * *count);
	bodies = palloc(sizeof(Datum) * *count);
	for (int i = 0; i < *count; i++)
	{
		slot_getallattrs(slots[i]);
		keys[i] = key_of_new(modify, slots[i]);
		bodies[i] = body_of_new(modify, slots[i]);
	}
	enqueue_new(modify, keys, bodies, *count);
	MemoryContextSwitchTo(old);
	return slots;
}

TupleTableSlot *
onec_modify_update(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	OnecModify *modify = result->ri_FdwState;
	MemoryContext old;

	slot_getallattrs(slot);
	MemoryContextReset(modify->row);
	old = MemoryContextSwitchTo(modify->row);
	change(result, "patch", key_of(modify, plan_slot), body_of_changed(modify, slot, plan_slot),
		   version_of(modify, plan_slot), slot);
	MemoryContextSwitchTo(old);
	return slot;
}

/* A row as the scan gave it, into a slot of the table. */
static void
show_row(const OnecModify *modify, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	bool		isnull;
	Datum		whole = ExecGetJunkAttribute(plan_slot, modify->whole_junk, &isnull);
	HeapTupleData tuple = {0};

	if (isnull)
		return;
	tuple.t_data = DatumGetHeapTupleHeader(whole);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	ItemPointerSetInvalid(&tuple.t_self);
	ExecForceStoreHeapTuple(heap_copytuple(&tuple), slot, true);
}

TupleTableSlot *
onec_modify_delete(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	OnecModify *modify = result->ri_FdwState;
	MemoryContext old;

	MemoryContextReset(modify->row);
	old = MemoryContextSwitchTo(modify->row);
	/* what somebody has changed meanwhile may be marked, but is not thrown away */
	if (modify->options->delete_mode == ONEC_DELETE_PHYSICAL)
		change(result, "delete", key_of(modify, plan_slot), (Datum) 0, version_of(modify, plan_slot), NULL);
	else
		change(result, "mark", key_of(modify, plan_slot), (Datum) 0, (Datum) 0, NULL);
	MemoryContextSwitchTo(old);
	if (modify->whole_junk > 0)
		show_row(modify, slot, plan_slot);
	return slot;
}

/* ---- EXPLAIN ---- */

void
onec_modify_explain(ModifyTableState *mtstate, ResultRelInfo *result, List *fdw_private, int subplan_index,
					ExplainState *es)
{
	const OnecOptions *options = onec_options_of_table(RelationGetRelid(result->ri_RelationDesc));
	int			batch = onec_modify_batch_size(result);

	if (!es->verbose)
		return;
	ExplainPropertyText("1C Write", options->write_mode == ONEC_WRITE_DIRECT ?
						"sent at once, not undone by ROLLBACK" : "queued in onec.outbox", es);
	if (mtstate->operation == CMD_DELETE)
		ExplainPropertyText("1C Delete", options->delete_mode == ONEC_DELETE_PHYSICAL ?
							"for good" : "mark of deletion", es);
	if (batch > 1)
		ExplainPropertyInteger("Batch Size", NULL, batch, es);
}
