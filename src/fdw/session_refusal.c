/*-------------------------------------------------------------------------
 *
 * session_refusal.c
 *	  What a base was found to refuse, by entity set.
 *
 * A session learns by itself; what onec.remember_refusals() wrote to the table onec.refusal is
 * where a new session begins, so that not each backend has to be refused first.  Names are UTF-8 here, and in
 * the encoding of the database there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/session_private.h"

PG_FUNCTION_INFO_V1(onec_session_refusals_sql);
PG_FUNCTION_INFO_V1(onec_forget_session_refusals_sql);

typedef struct SetRefusals
{
	char	   *entity_set;
	OnecRefusals refusals;
} SetRefusals;

/* Columns of onec.refusal. */
enum
{
	COLUMN_SERVER = 1,
	COLUMN_ENTITY_SET,
	COLUMN_CAPABILITY,
	COLUMN_PAGE_ROWS
};

/* Capabilities as users read them. */
static const char *const capability_names[] = {"filter", "order", "count", "dates", "page_rows"};

#define CAPABILITIES ((int) lengthof(capability_names))

static bool *
flag_of(OnecRefusals *refusals, int capability)
{
	bool	   *const flags[] = {
		&refusals->filter, &refusals->order, &refusals->count, &refusals->dates, NULL
	};

	return flags[capability];
}

/* ---- remembered ---- */

/* The table, opened; NULL when the extension lies elsewhere or is being made. */
static Relation
open_table(void)
{
	Oid			schema = get_namespace_oid("onec", true);
	Oid			table = OidIsValid(schema) ? get_relname_relid("refusal", schema) : InvalidOid;

	return OidIsValid(table) ? table_open(table, AccessShareLock) : NULL;
}

static bool
text_is(HeapTuple tuple, int column, TupleDesc desc, const char *utf8)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return !isnull && strcmp(onec_server_text(utf8), TextDatumGetCString(value)) == 0;
}

static void
take_row(SetRefusals *set, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		rows;

	for (int i = 0; i < CAPABILITIES; i++)
	{
		if (!text_is(tuple, COLUMN_CAPABILITY, desc, capability_names[i]))
			continue;
		if (flag_of(&set->refusals, i) != NULL)
			*flag_of(&set->refusals, i) = true;
		rows = heap_getattr(tuple, COLUMN_PAGE_ROWS, desc, &isnull);
		if (!isnull)
			set->refusals.page_rows = Max(DatumGetInt32(rows), 1);
	}
}

static void
recall(const OnecSession *session, SetRefusals *set)
{
	Relation	rel = open_table();
	SysScanDesc scan;
	HeapTuple	tuple;

	if (rel == NULL)
		return;
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		server = heap_getattr(tuple, COLUMN_SERVER, RelationGetDescr(rel), &isnull);

		if (!isnull && strcmp(NameStr(*DatumGetName(server)), session->server_name) == 0 &&
			text_is(tuple, COLUMN_ENTITY_SET, RelationGetDescr(rel), set->entity_set))
			take_row(set, tuple, RelationGetDescr(rel));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* ---- of a session ---- */

OnecRefusals *
onec_session_refusals(OnecSession *session, const char *entity_set)
{
	MemoryContext old;
	SetRefusals *set;
	ListCell   *lc;

	foreach(lc, session->refusals)
	{
		set = lfirst(lc);
		if (strcmp(set->entity_set, entity_set) == 0)
			return &set->refusals;
	}
	old = MemoryContextSwitchTo(session->context);
	set = palloc0(sizeof(SetRefusals));
	set->entity_set = pstrdup(entity_set);
	session->refusals = lappend(session->refusals, set);
	MemoryContextSwitchTo(old);
	recall(session, set);
	return &set->refusals;
}

void
onec_session_forget_refusals(OnecSession *session)
{
	ListCell   *lc;

	foreach(lc, session->refusals)
		memset(&((SetRefusals *) lfirst(lc))->refusals, 0, sizeof(OnecRefusals));
}

static void
put_set(ReturnSetInfo *result, const OnecSession *session, SetRefusals *set)
{
	for (int i = 0; i < CAPABILITIES; i++)
	{
		bool	   *flag = flag_of(&set->refusals, i);
		Datum		values[4];
		bool		nulls[4] = {false};

		if (flag ? !*flag : set->refusals.page_rows == 0)
			continue;
		values[0] = DirectFunctionCall1(namein, CStringGetDatum(session->server_name));
		values[1] = CStringGetTextDatum(onec_server_text(set->entity_set));
		values[2] = CStringGetTextDatum(capability_names[i]);
		values[3] = Int32GetDatum(set->refusals.page_rows);
		nulls[3] = flag != NULL;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* onec.session_refusals() */
Datum
onec_session_refusals_sql(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *sessions = onec_session_all();
	ListCell   *lc;
	ListCell   *set;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, sessions)
	{
		OnecSession *session = lfirst(lc);

		foreach(set, session->refusals)
			put_set(result, session, lfirst(set));
	}
	return (Datum) 0;
}

/* onec._forget_session_refusals(server): this session tries everything again. */
Datum
onec_forget_session_refusals_sql(PG_FUNCTION_ARGS)
{
	const char *server = NameStr(*PG_GETARG_NAME(0));
	ListCell   *lc;

	foreach(lc, onec_session_all())
	{
		OnecSession *session = lfirst(lc);

		if (strcmp(session->server_name, server) == 0)
			onec_session_forget_refusals(session);
	}
	PG_RETURN_VOID();
}
