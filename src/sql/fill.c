/*-------------------------------------------------------------------------
 *
 * fill.c
 *	  A query's rows into a table, many at a time.
 *
 * INSERT … SELECT and CREATE TABLE … AS put one row after the other: each takes its page, its lock and a
 * record of the log.  onec_internal.insert_many() gathers rows as COPY does and fills pages with them.  That
 * is right only where a row needs nothing else, so a table with an index, a trigger, a rule, a constraint
 * or rights of its rows, and a query whose columns are not those of the table, go by INSERT … SELECT.
 *
 * Memory: a context of its own, for the rows gathered, some 64 kB and one row.  Errors: those of the query
 * and of the insert; a query that gives no rows is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(onec_insert_many);

/* As COPY has it: so many rows, or rows of so many bytes, are put at once. */
#define MOST_ROWS 1000
#define MOST_BYTES 65535

typedef struct Filler
{
	DestReceiver pub;			/* first, for the executor knows no more */
	Relation	rel;
	BulkInsertState bulk;
	CommandId	command;
	MemoryContext rows;			/* what has been gathered */
	MemoryContext putting;		/* what putting it takes */
	TupleTableSlot *slots[MOST_ROWS];
	int			nslots;			/* made so far */
	int			count;			/* gathered */
	Size		bytes;
	int64		done;
} Filler;

/* ---- rows that come ---- */

static void
put_gathered(Filler *filler)
{
	MemoryContext old = MemoryContextSwitchTo(filler->putting);

	if (filler->count > 0)
		table_multi_insert(filler->rel, filler->slots, filler->count, filler->command, 0, filler->bulk);
	MemoryContextSwitchTo(old);
	MemoryContextReset(filler->putting);
	for (int i = 0; i < filler->count; i++)
		ExecClearTuple(filler->slots[i]);
	filler->done += filler->count;
	filler->count = 0;
	filler->bytes = 0;
}

static bool
receive(TupleTableSlot *row, DestReceiver *self)
{
	Filler	   *filler = (Filler *) self;
	TupleTableSlot *slot;

	if (filler->count == filler->nslots)
	{
		MemoryContext old = MemoryContextSwitchTo(filler->rows);

		filler->slots[filler->nslots++] = table_slot_create(filler->rel, NULL);
		MemoryContextSwitchTo(old);
	}
	slot = filler->slots[filler->count++];
	ExecCopySlot(slot, row);
	filler->bytes += ExecFetchSlotHeapTuple(slot, true, NULL)->t_len;
	if (filler->count == MOST_ROWS || filler->bytes > MOST_BYTES)
		put_gathered(filler);
	return true;
}

static void
begin_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	(void) self;
	(void) operation;
	(void) desc;
}

static void
end_rows(DestReceiver *self)
{
	(void) self;
}

static Filler *
begin_filling(Relation rel)
{
	Filler	   *filler = palloc0(sizeof(Filler));

	filler->pub = (DestReceiver) {receive, begin_rows, end_rows, end_rows, DestIntoRel};
	filler->rel = rel;
	filler->bulk = GetBulkInsertState();
	filler->command = GetCurrentCommandId(true);
	filler->rows = AllocSetContextCreate(CurrentMemoryContext, "onec_fdw fill", ALLOCSET_DEFAULT_SIZES);
	filler->putting = AllocSetContextCreate(CurrentMemoryContext, "onec_fdw put", ALLOCSET_DEFAULT_SIZES);
	return filler;
}

static int64
end_filling(Filler *filler)
{
	put_gathered(filler);
	for (int i = 0; i < filler->nslots; i++)
		ExecDropSingleTupleTableSlot(filler->slots[i]);
	FreeBulkInsertState(filler->bulk);
	table_finish_bulk_insert(filler->rel, 0);
	MemoryContextDelete(filler->rows);
	MemoryContextDelete(filler->putting);
	return filler->done;
}

/* ---- what may go this way ---- */

/* Whether a row needs nothing but its place. */
static bool
is_plain(Relation rel)
{
	Form_pg_class form = rel->rd_rel;

	return form->relkind == RELKIND_RELATION && form->relam == HEAP_TABLE_AM_OID &&
		!form->relispartition && !form->relhasindex && !form->relhassubclass && !form->relrowsecurity &&
		rel->trigdesc == NULL && rel->rd_rules == NULL && RelationGetDescr(rel)->constr == NULL &&
		!RELATION_IS_OTHER_TEMP(rel);
}

/* Whether rows of "desc" are rows of the table as they are. */
static bool
is_same_row(TupleDesc table, TupleDesc desc)
{
	if (table->natts != desc->natts)
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute here = TupleDescAttr(table, i);
		Form_pg_attribute there = TupleDescAttr(desc, i);

		if (here->attisdropped || here->atttypid != there->atttypid ||
			(here->atttypmod >= 0 && here->atttypmod != there->atttypmod))
			return false;
	}
	return true;
}

/* The query, planned as one that fills a new table is. */
static SPIPlanPtr
prepare(const char *query, TupleDesc *desc)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(query, 0, NULL, CURSOR_OPT_PARALLEL_OK);
	List	   *sources;

	if (plan == NULL)
		elog(ERROR, "the query could not be prepared: %s", SPI_result_code_string(SPI_result));
	sources = SPI_plan_get_plan_sources(plan);
	*desc = list_length(sources) == 1 ? ((CachedPlanSource *) linitial(sources))->resultDesc : NULL;
	if (*desc == NULL)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("the query gives no rows")));
	return plan;
}

static int64
insert_gathered(Relation rel, SPIPlanPtr plan)
{
	Filler	   *filler = begin_filling(rel);
	SPIExecuteOptions options = {.must_return_tuples = true,.dest = &filler->pub};
	int			result;

	/* workers may read, and no transaction can get its number while they do */
	(void) GetCurrentTransactionId();
	result = SPI_execute_plan_extended(plan, &options);
	if (result < 0)
		elog(ERROR, "the query failed: %s", SPI_result_code_string(result));
	return end_filling(filler);
}

static int64
insert_plainly(Relation rel, const char *query)
{
	char	   *name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												  RelationGetRelationName(rel));

	if (SPI_execute(psprintf("INSERT INTO %s %s", name, query), false, 0) != SPI_OK_INSERT)
		elog(ERROR, "the rows could not be inserted");
	return (int64) SPI_processed;
}

/* onec_internal.insert_many(regclass, text): how many rows of the query the table has got */
Datum
onec_insert_many(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Relation	rel = table_open(relid, RowExclusiveLock);
	AclResult	may = pg_class_aclcheck(relid, GetUserId(), ACL_INSERT);
	SPIPlanPtr	plan;
	TupleDesc	desc;
	int64		rows;

	if (may != ACLCHECK_OK)
		aclcheck_error(may, get_relkind_objtype(rel->rd_rel->relkind), RelationGetRelationName(rel));
	if (!rel->rd_islocaltemp)
		PreventCommandIfReadOnly("INSERT");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI is not to be had");
	plan = prepare(query, &desc);
	rows = is_plain(rel) && is_same_row(RelationGetDescr(rel), desc) ? insert_gathered(rel, plan) :
		insert_plainly(rel, query);
	SPI_finish();
	table_close(rel, NoLock);
	PG_RETURN_INT64(rows);
}
