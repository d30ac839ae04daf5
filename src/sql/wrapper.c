/*-------------------------------------------------------------------------
 *
 * wrapper.c
 *	  SQL functions of the wrapper: what a base publishes, what was asked of it, import with comments.
 *
 * Whoever calls them needs USAGE on the server, as for CREATE FOREIGN TABLE; requests are made
 * with the caller's own user mapping.
 *
 * Memory: the caller's per-query context.  Errors: ereport.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "executor/spi.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "fdw/import.h"
#include "protocol/odata/edm.h"
#include "protocol/odata/edm_types.h"
#include "protocol/odata/names.h"
#include "session/log.h"
#include "session/metadata.h"
#include "session/session.h"
#include "sql/wrapper.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/text.h"
#include "table/types.h"

PG_FUNCTION_INFO_V1(onec_entity_sets);
PG_FUNCTION_INFO_V1(onec_properties);
PG_FUNCTION_INFO_V1(onec_last_requests);
PG_FUNCTION_INFO_V1(onec_totals);
PG_FUNCTION_INFO_V1(onec_import_schema_sql);
PG_FUNCTION_INFO_V1(onec_in_transaction_block);

/* A server the caller may use, and its tables. */
typedef struct Base
{
	ForeignServer *server;
	OnecTable  *tables;			/* under their folded names */
	int			count;
} Base;

static Datum
text_datum(const char *utf8)
{
	return CStringGetTextDatum(onec_server_text(utf8));
}

ForeignServer *
onec_wrapper_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, false);
	AclResult	acl = onec_server_aclcheck(server->serverid, GetUserId());
	FdwRoutine *routine;

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_SERVER, server->servername);
	routine = GetFdwRoutineByServerId(server->serverid);
	if (routine->ImportForeignSchema != onec_import_schema)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a server of onec_fdw", server->servername)));
	return server;
}

static Base
open_base(const char *name, bool fresh)
{
	Base		base = {.server = onec_wrapper_server(name)};
	OnecOptions *options = onec_options_of_server(base.server->serverid);
	OnecSession *session = onec_session_get(options, GetUserId());

	base.tables = onec_import_tables(onec_session_edm(session, options, fresh), true, &base.count);
	return base;
}

/* onec.entity_sets(server name) */
Datum
onec_entity_sets(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Base		base = open_base(NameStr(*PG_GETARG_NAME(0)), true);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < base.count; i++)
	{
		const OnecTable *table = &base.tables[i];
		char	   *key = onec_import_key(table);
		Datum		values[5];
		bool		nulls[5] = {false};

		if (table->function != NULL)
			continue;
		values[0] = text_datum(table->real);
		values[1] = text_datum(onec_import_family(table->real));
		values[2] = text_datum(table->local);
		values[3] = key ? text_datum(key) : (Datum) 0;
		nulls[3] = key == NULL;
		values[4] = Int32GetDatum(table->type->nproperties);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

pg_noreturn static void
no_such_set(const char *server, const char *entity_set)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
			 errmsg("1C server \"%s\" does not publish \"%s\"", server, entity_set),
			 errhint("SELECT * FROM onec.entity_sets(%s) lists what it publishes.",
					 quote_literal_cstr(server))));
}

/*
 * The table meant by a name: its real name, its name here, or either in other ASCII case.
 */
static const OnecTable *
find_table(const Base *base, const char *name)
{
	const char *utf8 = onec_utf8(name);
	char		folded[ONEC_NAME_SIZE];

	for (int i = 0; i < base->count; i++)
		if (strcmp(base->tables[i].real, utf8) == 0)
			return &base->tables[i];
	onec_name_local(utf8, true, folded);
	for (int i = 0; i < base->count; i++)
		if (strcmp(base->tables[i].local, utf8) == 0 || strcmp(base->tables[i].local, folded) == 0)
			return &base->tables[i];
	no_such_set(base->server->servername, name);
}

/* onec.properties(server name, entity_set text) */
Datum
onec_properties(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Base		base = open_base(NameStr(*PG_GETARG_NAME(0)), false);
	const OnecTable *table = find_table(&base, name);
	int			count;
	OnecTableColumn *columns = onec_import_columns(table, true, &count);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < count; i++)
	{
		const OnecProperty *property = columns[i].property;
		Datum		values[7];
		bool		nulls[7] = {false};

		values[0] = text_datum(property ? property->name : columns[i].argument->name);
		values[1] = text_datum(onec_edm_type_label(columns[i].type));
		values[2] = text_datum(onec_type_sql(columns[i].type));
		values[3] = BoolGetDatum(property != NULL && property->is_key);
		values[4] = BoolGetDatum(property == NULL || property->nullable);
		values[5] = text_datum(columns[i].local);
		values[6] = Int32GetDatum(i + 1);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* onec_internal.session_totals() */
Datum
onec_totals(PG_FUNCTION_ARGS)
{
	OnecCounters counters = onec_log_counters();
	Datum		values[3];
	bool		nulls[3] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "onec_internal.session_totals() must return a row");
	values[0] = Int64GetDatum(counters.requests);
	values[1] = Int64GetDatum(counters.retries);
	values[2] = Int64GetDatum(counters.bytes);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * onec.last_requests().  Addresses hold keys and telephones, and a pooler gives a backend from one role to
 * the next: of another role's requests only the account is shown, as pg_stat_statements does.
 */
Datum
onec_last_requests(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const OnecLogged **entries;
	int			count = onec_session_log(&entries);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < count; i++)
	{
		const OnecLogged *entry = entries[i];
		bool		mine = has_privs_of_role(GetUserId(), entry->userid);
		Datum		values[8];
		bool		nulls[8] = {false};

		values[0] = TimestampTzGetDatum(entry->at);
		values[1] = CStringGetTextDatum(entry->server ? entry->server : "");
		values[2] = text_datum(!mine ? "<insufficient privilege>" : entry->url ? entry->url : "");
		values[3] = Int32GetDatum(entry->status);
		nulls[3] = entry->status == 0;
		values[4] = Float8GetDatum(entry->ms);
		values[5] = Int64GetDatum(entry->rows);
		nulls[5] = entry->rows < 0;
		values[6] = Int64GetDatum(entry->bytes);
		values[7] = entry->error ? text_datum(entry->error) : (Datum) 0;
		nulls[7] = entry->error == NULL || !mine;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- import with comments ---- */

/* " LIMIT TO (…)" for the names wanted; NULL when none is. */
static char *
limit_clause(const Base *base, ArrayType *names)
{
	StringInfoData clause;
	Datum	   *elems;
	bool	   *nulls;
	int			count;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &count);
	initStringInfo(&clause);
	for (int i = 0; i < count; i++)
	{
		const OnecTable *table;

		if (nulls[i])
			continue;
		table = find_table(base, TextDatumGetCString(elems[i]));
		appendStringInfo(&clause, "%s%s", clause.len > 0 ? ", " : " LIMIT TO (",
						 quote_identifier(onec_server_text(table->local)));
	}
	if (clause.len == 0)
		return NULL;
	appendStringInfoChar(&clause, ')');
	return clause.data;
}

/* Foreign tables of the server in a schema, a list of oid. */
static List *
tables_in_schema(const ForeignServer *server, const char *schema)
{
	Oid			types[2] = {OIDOID, TEXTOID};
	Datum		values[2] = {ObjectIdGetDatum(server->serverid), CStringGetTextDatum(schema)};
	List	   *list = NIL;

	if (SPI_execute_with_args("SELECT t.ftrelid FROM pg_catalog.pg_foreign_table t "
							  "JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.ftrelid "
							  "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
							  "WHERE t.ftserver OPERATOR(pg_catalog.=) $1 "
							  "AND n.nspname OPERATOR(pg_catalog.=) $2::pg_catalog.name",
							  2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list the foreign tables of schema \"%s\"", schema);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		oid = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		list = lappend_oid(list, DatumGetObjectId(oid));
	}
	SPI_freetuptable(SPI_tuptable);
	return list;
}

static const char *
type_in_russian(OnecEdmType type)
{
	switch (type)
	{
		case ONEC_EDM_STRING:
			return "строка";
		case ONEC_EDM_GUID:
			return "ссылка или идентификатор";
		case ONEC_EDM_DATETIME:
			return "дата и время";
		case ONEC_EDM_DOUBLE:
			return "число";
		case ONEC_EDM_INT16:
		case ONEC_EDM_INT32:
		case ONEC_EDM_INT64:
			return "целое число";
		case ONEC_EDM_BOOLEAN:
			return "да или нет";
		case ONEC_EDM_BINARY:
		case ONEC_EDM_STREAM:
			return "двоичные данные";
		case ONEC_EDM_COMPOSITE:
			return "значение составного типа";
		case ONEC_EDM_COLLECTION:
			return "табличная часть";
		case ONEC_EDM_COMPLEX:
			return "структура";
		case ONEC_EDM_UNKNOWN:
			break;
	}
	return "тип неизвестен";
}

static void
comment_table(Oid relid)
{
	OnecOptions *options = onec_options_of_table(relid);
	char	   *family = onec_import_family(options->entity_set);
	const char *russian = onec_import_family_russian(family);
	int			natts;
	OnecColumn *columns = onec_columns_of_table(relid, &natts);

	CreateComments(relid, RelationRelationId, 0,
				   psprintf("%s: %s%s%s", onec_server_text(russian ? russian : family),
							options->entity_set, options->function ? ", " : "",
							options->function ? options->function : ""));
	for (int i = 0; i < natts; i++)
	{
		const OnecColumn *column = &columns[i];
		bool		argument = column->argument != NULL;

		if (column->attnum > 0)
			CreateComments(relid, RelationRelationId, column->attnum,
						   psprintf("%s (%s)", argument ? column->argument : column->property,
									onec_server_text(argument ? "параметр, задается условием =" :
											  type_in_russian(column->edm))));
	}
}

static int
comment_tables(const List *tables)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "onec comments",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	ListCell   *lc;

	foreach(lc, tables)
	{
		CHECK_FOR_INTERRUPTS();
		comment_table(lfirst_oid(lc));
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	CommandCounterIncrement();
	return list_length(tables);
}

/* Import, then comment what is new; the number of new tables. */
static int
import_with_comments(const ForeignServer *server, const char *schema, const char *remote,
					 const char *limit)
{
	char	   *sql;
	List	   *before;
	int			count;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	before = tables_in_schema(server, schema);
	sql = psprintf("IMPORT FOREIGN SCHEMA %s%s FROM SERVER %s INTO %s", quote_identifier(remote),
				   limit, quote_identifier(server->servername), quote_identifier(schema));
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not import schema \"%s\"", remote);
	CommandCounterIncrement();
	count = comment_tables(list_difference_oid(tables_in_schema(server, schema), before));
	SPI_finish();
	return count;
}

/* onec.import_schema(server name, local_schema name, remote_schema text, limit_to text[]) */
Datum
onec_import_schema_sql(PG_FUNCTION_ARGS)
{
	const char *server_name;
	const char *schema;
	char	   *remote;
	char	   *limit = "";

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("server, local schema and remote schema must not be null")));
	server_name = NameStr(*PG_GETARG_NAME(0));
	schema = NameStr(*PG_GETARG_NAME(1));
	remote = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(3))
	{
		Base		base = open_base(server_name, true);

		limit = limit_clause(&base, PG_GETARG_ARRAYTYPE_P(3));
		if (limit == NULL)
			PG_RETURN_INT32(0);
	}
	PG_RETURN_INT32(import_with_comments(onec_wrapper_server(server_name), schema, remote, limit));
}

/*
 * Can the procedure that asks not commit: in a block, under an exception handler, in a function? Comparing
 * clocks does not tell: in the extended protocol a transaction begins with Parse, the statement's time is
 * that of Bind.
 */
Datum
onec_in_transaction_block(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(IsTransactionBlock() || IsSubTransaction() || !SPI_inside_nonatomic_context());
}
