/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  INSERT, UPDATE, DELETE and COPY on foreign tables whose server is updatable.
 *
 * Each row becomes one call of onec.enqueue() in the transaction of the statement: what is rolled back
 * was never sent, what is committed is delivered afterwards.  What belongs to the SQL statement is done
 * here; what a row may hold is checked there, by what $metadata says.
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
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/modify.h"
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

/* What onec.enqueue() is asked for. */
#define ENQUEUE \
	"SELECT onec.enqueue($1, $2, $3, key => $4, body => $5, data_version => $6)"
enum
{
	ARG_SERVER, ARG_SET, ARG_OPERATION, ARG_KEY, ARG_BODY, ARG_VERSION, ENQUEUE_ARGS
};

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
check_writable(Oid relid, const OnecOptions *options)
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
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
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

	check_writable(relid, onec_options_of_table(relid));
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
columns_set(PlannerInfo *root, Index rtindex, const OnecColumn *columns)
{
	Bitmapset  *updated = get_rel_all_updated_cols(root, find_base_rel(root, rtindex));
	List	   *set = NIL;
	int			at = -1;

	while ((at = bms_next_member(updated, at)) >= 0)
	{
		AttrNumber	attnum = at + FirstLowInvalidHeapAttributeNumber;
		const OnecColumn *column = &columns[attnum - 1];

		/* a generated one is computed here, of others that are set */
		if (attnum <= 0 || column->attnum == 0)
			continue;
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

	check_writable(relid, onec_options_of_table(relid));
	check_conflict(plan);
	if (plan->operation != CMD_UPDATE)
		return list_make1(NIL);
	return list_make1(columns_set(root, rtindex, columns));
}

/* ---- execution ---- */

static OnecModify *
begin(Relation rel, EState *estate)
{
	OnecModify *modify = palloc0(sizeof(OnecModify));
	Oid			relid = RelationGetRelid(rel);
	const OnecColumn *key;

	modify->options = onec_options_of_table(relid);
	check_writable(relid, modify->options);
	modify->columns = onec_columns_of_table(relid, &modify->ncolumns);
	key = column_of(modify->columns, modify->ncolumns, KEY);
	modify->key = key ? key->attnum : 0;
	modify->triggers = rel->trigdesc != NULL && rel->trigdesc->trig_update_before_row;
	modify->row = AllocSetContextCreate(estate->es_query_cxt, "onec_fdw row to write",
										ALLOCSET_DEFAULT_SIZES);
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
	modify = begin(result->ri_RelationDesc, mtstate->ps.state);
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
		result->ri_FdwState = begin(result->ri_RelationDesc, mtstate->ps.state);
}

/* The call, planned once for the whole session. */
static SPIPlanPtr
planned_enqueue(void)
{
	static SPIPlanPtr planned = NULL;
	Oid			types[ENQUEUE_ARGS] = {NAMEOID, TEXTOID, TEXTOID, UUIDOID, JSONBOID, TEXTOID};
	SPIPlanPtr	plan;

	if (planned != NULL)
		return planned;
	plan = SPI_prepare(ENQUEUE, ENQUEUE_ARGS, types);
	if (plan == NULL)
		elog(ERROR, "onec.enqueue cannot be prepared: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return planned = plan;
}

/* Queue one change; body and version may be (Datum) 0 for none. */
static void
enqueue(const OnecModify *modify, const char *operation, Datum key, Datum body, Datum version)
{
	Datum		values[ENQUEUE_ARGS];
	char		nulls[ENQUEUE_ARGS + 1] = "      ";
	NameData	server;

	namestrcpy(&server, modify->options->server_name);
	values[ARG_SERVER] = NameGetDatum(&server);
	values[ARG_SET] = CStringGetTextDatum(modify->options->entity_set);
	values[ARG_OPERATION] = CStringGetTextDatum(operation);
	values[ARG_KEY] = key;
	values[ARG_BODY] = body;
	values[ARG_VERSION] = version;
	nulls[ARG_BODY] = body == (Datum) 0 ? 'n' : ' ';
	nulls[ARG_VERSION] = version == (Datum) 0 ? 'n' : ' ';

	SPI_connect();
	if (SPI_execute_plan(planned_enqueue(), values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "onec.enqueue failed");
	SPI_finish();
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

TupleTableSlot *
onec_modify_insert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	OnecModify *modify = result->ri_FdwState;
	MemoryContext old;
	Datum		key;

	slot_getallattrs(slot);
	MemoryContextReset(modify->row);
	old = MemoryContextSwitchTo(modify->row);
	if (modify->key > 0 && !slot->tts_isnull[modify->key - 1])
		key = slot->tts_values[modify->key - 1];
	else
		key = DirectFunctionCall1(gen_random_uuid, (Datum) 0);
	enqueue(modify, "create", key, body_of_new(modify, slot), (Datum) 0);
	MemoryContextSwitchTo(old);
	if (modify->key > 0 && slot->tts_isnull[modify->key - 1])
		give_key(slot, modify->key, key);
	return slot;
}

TupleTableSlot *
onec_modify_update(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	OnecModify *modify = result->ri_FdwState;
	MemoryContext old;

	slot_getallattrs(slot);
	MemoryContextReset(modify->row);
	old = MemoryContextSwitchTo(modify->row);
	enqueue(modify, "patch", key_of(modify, plan_slot), body_of_changed(modify, slot, plan_slot),
			version_of(modify, plan_slot));
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
	enqueue(modify, "mark", key_of(modify, plan_slot), (Datum) 0, (Datum) 0);
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
	if (es->verbose)
		ExplainPropertyText("1C Write", "queued in onec.outbox", es);
}
