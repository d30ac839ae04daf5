/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA: $metadata becomes foreign tables.
 *
 * The remote schema is "StandardODATA" (all sets) or a family such as "Catalog".  PostgreSQL
 * itself keeps only tables whose name here is in LIMIT TO; we know the real names too, so a
 * set asked for by its real name in quotes is created under just that name.
 *
 * Names are reserved words, keys of other tables, or SQL in disguise as 1C pleases: every one
 * goes through quote_identifier() or quote_literal_cstr().
 *
 * Memory: the caller's context.  Errors: ereport; the network's by session.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/heap.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"

#include "fdw/import.h"
#include "fdw/import_told.h"
#include "protocol/odata/edm.h"
#include "protocol/odata/edm_types.h"
#include "protocol/odata/names.h"
#include "session/metadata.h"
#include "session/session.h"
#include "table/options.h"
#include "table/text.h"
#include "table/types.h"

#define WHOLE_SERVICE "StandardODATA"

typedef struct Family
{
	const char *name;
	const char *russian;
} Family;

static const Family families[] = {
	{"Catalog", "Справочник"},
	{"Document", "Документ"},
	{"DocumentJournal", "Журнал документов"},
	{"Constant", "Константа"},
	{"ExchangePlan", "План обмена"},
	{"ChartOfAccounts", "План счетов"},
	{"ChartOfCalculationTypes", "План видов расчета"},
	{"ChartOfCharacteristicTypes", "План видов характеристик"},
	{"InformationRegister", "Регистр сведений"},
	{"AccumulationRegister", "Регистр накопления"},
	{"CalculationRegister", "Регистр расчета"},
	{"AccountingRegister", "Регистр бухгалтерии"},
	{"BusinessProcess", "Бизнес-процесс"},
	{"Task", "Задача"}
};

/* Options of the statement. */
typedef struct ImportOptions
{
	bool		fold;
	bool		tabular;
	bool		functions;
} ImportOptions;

/* ---- families ---- */

char *
onec_import_family(const char *entity_set)
{
	return pnstrdup(entity_set, strcspn(entity_set, "_"));
}

const char *
onec_import_family_russian(const char *family)
{
	for (size_t i = 0; i < lengthof(families); i++)
		if (strcmp(families[i].name, family) == 0)
			return families[i].russian;
	return NULL;
}

/* The family meant by the remote schema, NULL for the whole service. */
static const char *
wanted_family(const char *remote_schema)
{
	StringInfoData list;

	if (pg_strcasecmp(remote_schema, WHOLE_SERVICE) == 0)
		return NULL;
	initStringInfo(&list);
	for (size_t i = 0; i < lengthof(families); i++)
	{
		if (pg_strcasecmp(remote_schema, families[i].name) == 0)
			return families[i].name;
		appendStringInfo(&list, ", \"%s\"", families[i].name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
			 errmsg("1C has no schema \"%s\"", remote_schema),
			 errhint("Remote schemas are \"%s\" for everything%s.", WHOLE_SERVICE, list.data)));
}

bool
onec_import_is_of_family(const OnecEntitySet *set, const char *family)
{
	size_t		len;

	if (family == NULL)
		return true;
	len = strlen(family);
	return strncmp(set->name, family, len) == 0 && set->name[len] == '_';
}

/* ---- tables ---- */

/* Rows of a tabular section: key Ref_Key and LineNumber, name extends the owner's. */
static bool
is_tabular(const OnecEdm *edm, const OnecEntitySet *set)
{
	char	   *owner;
	char	   *cut;

	if (set->type == NULL || set->type->nkeys != 2 ||
		strcmp(set->type->keys[0], "Ref_Key") != 0 || strcmp(set->type->keys[1], "LineNumber") != 0)
		return false;
	owner = pstrdup(set->name);
	while ((cut = strrchr(owner, '_')) != NULL)
	{
		*cut = '\0';
		if (onec_edm_find_set(edm, owner) != NULL)
			return true;
	}
	return false;
}

/*
 * What the name of a virtual table is made from: Set_Function, the set's name cut so that the function's
 * stays readable.
 */
static char *
short_label(const OnecTable *table)
{
	size_t		room = ONEC_NAME_SIZE - 2 - strlen(table->function->name);
	size_t		len = strlen(table->set->name);

	if (strlen(table->function->name) >= ONEC_NAME_SIZE / 2 || len <= room)
		return pstrdup(table->real);
	for (len = room; (table->set->name[len] & 0xC0) == 0x80; len--)
		;						/* no cut within a character */
	return psprintf("%.*s_%s", (int) len, table->set->name, table->function->name);
}

/* The labels of all tables: the whole name again where cut ones are alike, so that they get suffixes. */
static const char **
make_labels(const OnecTable *tables, int count)
{
	const char **labels = palloc(sizeof(char *) * (count + 1));
	bool	   *alike = palloc0(sizeof(bool) * (count + 1));

	for (int i = 0; i < count; i++)
	{
		labels[i] = tables[i].function ? short_label(&tables[i]) : tables[i].real;
		if (strlen(tables[i].real) < ONEC_NAME_SIZE)
			continue;
		for (int j = 0; tables[i].function != NULL && j < i; j++)
			if (tables[j].function != NULL && strcmp(labels[i], labels[j]) == 0)
				alike[i] = alike[j] = true;
	}
	for (int i = 0; i < count; i++)
		if (alike[i])
			labels[i] = tables[i].real;
	return labels;
}

/* The places of all names at once, folded or exact. */
static OnecName *
place_names(const OnecTable *tables, int count, bool fold)
{
	OnecName   *names = palloc0(sizeof(OnecName) * (count + 1));
	const char **labels = make_labels(tables, count);

	for (int i = 0; i < count; i++)
	{
		names[i].real = labels[i];
		names[i].rank = tables[i].function ? 2 : onec_name_rank(tables[i].set->name);
	}
	if (!onec_names_assign(names, count, fold))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	return names;
}

bool
onec_import_is_empty(const OnecEntitySet *set)
{
	return set->type == NULL || set->type->nproperties == 0;
}

static int
collect_sets(const OnecEdm *edm, OnecTable *tables)
{
	int			n = 0;

	for (int i = 0; i < edm->nsets; i++)
	{
		const OnecEntitySet *set = &edm->sets[i];

		/* a set declared twice counts once */
		if (onec_edm_find_set(edm, set->name) != set || onec_import_is_empty(set))
			continue;
		tables[n].set = set;
		tables[n].type = set->type;
		tables[n].real = set->name;
		tables[n].tabular = is_tabular(edm, set);
		n++;
	}
	return n;
}

static bool
is_repeated(const OnecTable *tables, int count, const OnecTable *table)
{
	for (int i = count - 1; i >= 0 && tables[i].set == table->set; i--)
		if (tables[i].function != NULL && strcmp(tables[i].real, table->real) == 0)
			return true;
	return false;
}

static int
collect_functions(const OnecEdm *edm, OnecTable *tables)
{
	int			n = 0;

	for (int i = 0; i < edm->nfunctions; i++)
	{
		const OnecFunction *function = &edm->functions[i];
		OnecTable  *table = &tables[n];

		if (function->bound_to == NULL || function->result == NULL ||
			function->result->nproperties == 0)
			continue;
		table->set = onec_edm_find_set(edm, function->bound_to);
		if (table->set == NULL)
			continue;
		table->function = function;
		table->type = function->result;
		table->real = psprintf("%s_%s", table->set->name, function->name);
		if (!is_repeated(tables, n, table))
			n++;
	}
	return n;
}

/* Tell records of registers of their Turnovers, which know what is a dimension and what a resource. */
static void
link_turnovers(OnecTable *tables, int nsets, int count)
{
	for (int i = nsets; i < count; i++)
	{
		size_t		len = strlen(tables[i].set->name);

		if (strcmp(tables[i].function->name, "Turnovers") != 0 ||
			strncmp(tables[i].set->name, "AccumulationRegister_", 21) != 0)
			continue;
		for (int j = 0; j < nsets; j++)
			if (strncmp(tables[j].set->name, tables[i].set->name, len) == 0 &&
				strcmp(tables[j].set->name + len, "_RecordType") == 0)
				tables[j].turnovers = &tables[i];
	}
}

OnecTable *
onec_import_tables(const OnecEdm *edm, bool fold, int *count)
{
	/* one more: a candidate that is not taken leaves its place dirty */
	OnecTable  *tables = palloc0(sizeof(OnecTable) * (edm->nsets + edm->nfunctions + 1));
	OnecName   *local;
	OnecName   *exact;
	int			n = collect_sets(edm, tables);
	int			nsets;

	nsets = n;
	n += collect_functions(edm, tables + n);
	link_turnovers(tables, nsets, n);
	local = place_names(tables, n, fold);
	exact = fold ? place_names(tables, n, false) : local;
	for (int i = 0; i < n; i++)
	{
		memcpy(tables[i].local, local[i].local, ONEC_NAME_SIZE);
		memcpy(tables[i].exact, exact[i].local, ONEC_NAME_SIZE);
	}
	*count = n;
	return tables;
}

char *
onec_import_key(const OnecTable *table)
{
	StringInfoData key;

	if (table->function != NULL || table->type->nkeys == 0)
		return NULL;
	initStringInfo(&key);
	for (int i = 0; i < table->type->nkeys; i++)
		appendStringInfo(&key, "%s%s", i > 0 ? "," : "", table->type->keys[i]);
	return key.data;
}

static bool
is_one_of(const char *name, const char *const *list, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

/*
 * Whether 1C applies a condition on the property before it aggregates or takes the last of each.  A condition
 * on anything but a dimension would change what is aggregated (doc/1c-odata.md 5).
 */
static bool
is_dimension(const OnecTable *table, const OnecProperty *property)
{
	static const char *const others[] = {
		"Period", "SecondPeriod", "MinutePeriod", "HourPeriod", "DayPeriod", "WeekPeriod",
		"TenDaysPeriod", "MonthPeriod", "QuarterPeriod", "HalfYearPeriod", "YearPeriod",
		"Recorder", "Recorder_Type", "Recorder_Key", "LineNumber", "Active", "RecordType",
		"Account_Key", "BalancedAccount_Key", "AccountDr_Key", "AccountCr_Key"
	};
	const char *function = table->function->name;

	/* rows as they are: any of these is a condition on rows */
	if (strcmp(function, "RecordsWithExtDimensions") == 0)
		return strcmp(property->name, "Period") == 0 ||
			(property->type == ONEC_EDM_GUID && strncmp(property->name, "Recorder", 8) != 0);
	if (is_one_of(property->name, others, lengthof(others)) ||
		strstr(property->name, "_Type") != NULL)
		return false;
	if (strncmp(function, "Slice", 5) == 0)
		return property->is_key;
	return property->type == ONEC_EDM_GUID || property->type == ONEC_EDM_BOOLEAN ||
		property->type == ONEC_EDM_DATETIME || property->type == ONEC_EDM_STRING;
}

/*
 * Properties of a function's result on which it takes conditions, comma-separated; of a register's records
 * those of its Turnovers; NULL for none.
 */
static char *
dimensions_of(const OnecTable *table)
{
	StringInfoData names;

	if (table->turnovers != NULL)
		table = table->turnovers;
	if (table->function == NULL)
		return NULL;
	initStringInfo(&names);
	for (int i = 0; i < table->type->nproperties; i++)
		if (is_dimension(table, &table->type->properties[i]))
			appendStringInfo(&names, "%s%s", names.len > 0 ? "," : "",
							 table->type->properties[i].name);
	return names.len > 0 ? names.data : NULL;
}

/* Properties that the Turnovers of a register's records add up, comma-separated; NULL for none. */
static char *
resources_of(const OnecTable *table)
{
	StringInfoData names;
	const OnecEdmStruct *type;

	if (table->turnovers == NULL)
		return NULL;
	type = table->turnovers->type;
	initStringInfo(&names);
	for (int i = 0; i < type->nproperties; i++)
	{
		const char *name = type->properties[i].name;
		int			len = (int) strlen(name) - (int) strlen("Turnover");

		if (type->properties[i].type == ONEC_EDM_DOUBLE && len > 0 && strcmp(name + len, "Turnover") == 0)
			appendStringInfo(&names, "%s%.*s", names.len > 0 ? "," : "", len, name);
	}
	return names.len > 0 ? names.data : NULL;
}

/* ---- columns ---- */

/* Conditions come from WHERE; Top returns any rows it likes, and OrderBy does nothing. */
static bool
is_argument(const OnecParameter *parameter)
{
	static const char *const others[] = {"Condition", "Top", "OrderBy"};

	return !is_one_of(parameter->name, others, lengthof(others));
}

static int
collect_columns(const OnecTable *table, OnecTableColumn *columns, OnecName *names)
{
	int			n = 0;

	for (int i = 0; i < table->type->nproperties && n < MaxHeapAttributeNumber; i++, n++)
	{
		const OnecProperty *property = &table->type->properties[i];

		columns[n].property = property;
		columns[n].type = property->type;
		names[n].real = property->name;
		names[n].rank = property->is_key ? 0 : 1;
	}
	for (int i = 0; table->function != NULL && i < table->function->nparameters; i++)
	{
		const OnecParameter *parameter = &table->function->parameters[i];

		if (!is_argument(parameter) || n >= MaxHeapAttributeNumber)
			continue;
		columns[n].argument = parameter;
		columns[n].type = parameter->type;
		names[n].real = psprintf("%s_arg", parameter->name);
		names[n].rank = 2;
		n++;
	}
	return n;
}

OnecTableColumn *
onec_import_columns(const OnecTable *table, bool fold, int *count)
{
	int			room = table->type->nproperties +
		(table->function ? table->function->nparameters : 0);
	OnecTableColumn *columns = palloc0(sizeof(OnecTableColumn) * (room + 1));
	OnecName   *names = palloc0(sizeof(OnecName) * (room + 1));
	int			n = collect_columns(table, columns, names);

	if (!onec_names_assign(names, n, fold))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	for (int i = 0; i < n; i++)
	{
		/* ctid, xmin … are taken in every table */
		if (SystemAttributeByName(names[i].local) != NULL)
			onec_name_suffixed(names[i].real, fold, names[i].local);
		memcpy(columns[i].local, names[i].local, ONEC_NAME_SIZE);
	}
	*count = n;
	return columns;
}

/* ---- the statement ---- */

static bool
bool_option(DefElem *elem)
{
	bool		value;
	char	   *text = defGetString(elem);

	if (!parse_bool(text, &value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", elem->defname, text),
				 errhint("Use on or off.")));
	return value;
}

static bool
fold_option(DefElem *elem)
{
	char	   *text = defGetString(elem);

	if (strcmp(text, "folded") != 0 && strcmp(text, "exact") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", elem->defname, text),
				 errhint("Use folded or exact.")));
	return text[0] == 'f';
}

static ImportOptions
read_options(List *list)
{
	ImportOptions options = {.fold = true,.tabular = true,.functions = true};
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *elem = lfirst_node(DefElem, lc);

		if (strcmp(elem->defname, "names") == 0)
			options.fold = fold_option(elem);
		else if (strcmp(elem->defname, "tabular") == 0)
			options.tabular = bool_option(elem);
		else if (strcmp(elem->defname, "functions") == 0)
			options.functions = bool_option(elem);
		else
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\" for IMPORT FOREIGN SCHEMA", elem->defname),
					 errhint("Valid options in this context are: names, tabular, functions")));
	}
	return options;
}

/* Is the table wanted, apart from LIMIT TO and EXCEPT? */
static bool
is_wanted(const OnecTable *table, const ImportOptions *import, const char *family)
{
	return onec_import_is_of_family(table->set, family) && (import->tabular || !table->tabular) &&
		(import->functions || table->function == NULL);
}

static bool
is_listed(const List *list, const char *name)
{
	ListCell   *lc;

	foreach(lc, list)
		if (strcmp(lfirst_node(RangeVar, lc)->relname, name) == 0)
			return true;
	return false;
}

static void
append_columns(StringInfo sql, const OnecTable *table, bool fold)
{
	int			count;
	OnecTableColumn *columns = onec_import_columns(table, fold, &count);

	if (table->type->nproperties > count)
		ereport(NOTICE,
				(errmsg("entity set \"%s\" has %d properties; the table has the first %d",
						onec_server_text(table->set->name), table->type->nproperties, count)));
	for (int i = 0; i < count; i++)
	{
		const OnecTableColumn *column = &columns[i];

		appendStringInfo(sql, "%s\n\t%s pg_catalog.%s OPTIONS (%s %s, edm_type %s)", i > 0 ? "," : "",
						 quote_identifier(column->local), onec_type_sql(column->type),
						 column->property ? "property" : "argument",
						 quote_literal_cstr(column->property ? column->property->name :
											column->argument->name),
						 quote_literal_cstr(onec_edm_type_label(column->type)));
	}
}

static void
append_option(StringInfo options, const char *name, const char *value)
{
	if (value != NULL)
		appendStringInfo(options, "%s%s %s", options->len > 0 ? ", " : "", name,
						 quote_literal_cstr(value));
}

/* CREATE FOREIGN TABLE for one table under one name, in the database's encoding. */
static char *
table_statement(const OnecTable *table, const char *name, bool fold, const char *server)
{
	StringInfoData sql;
	StringInfoData options;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_identifier(name));
	append_columns(&sql, table, fold);
	initStringInfo(&options);
	append_option(&options, "entity_set", table->set->name);
	append_option(&options, "key", onec_import_key(table));
	append_option(&options, "function", table->function ? table->function->name : NULL);
	append_option(&options, "dimensions", dimensions_of(table));
	append_option(&options, "resources", resources_of(table));
	return psprintf("%s\n) SERVER %s OPTIONS (%s)", pg_any_to_server(sql.data, sql.len, PG_UTF8),
					quote_identifier(server),
					pg_any_to_server(options.data, options.len, PG_UTF8));
}

/* The statements for one table: none, one, or one for each of two spellings in LIMIT TO. */
static List *
add_table(List *commands, const OnecTable *table, const ImportForeignSchemaStmt *stmt, bool fold)
{
	bool		local = is_listed(stmt->table_list, onec_server_text(table->local));
	bool		exact = strcmp(table->local, table->exact) != 0 &&
		is_listed(stmt->table_list, onec_server_text(table->exact));

	if (stmt->list_type == FDW_IMPORT_SCHEMA_ALL ||
		(stmt->list_type == FDW_IMPORT_SCHEMA_EXCEPT && !local && !exact))
		return lappend(commands, table_statement(table, table->local, fold, stmt->server_name));
	if (stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return commands;
	if (local)
		commands = lappend(commands, table_statement(table, table->local, fold, stmt->server_name));
	if (exact)
		commands = lappend(commands, table_statement(table, table->exact, fold, stmt->server_name));
	return commands;
}

List *
onec_import_schema(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	ImportOptions import = read_options(stmt->options);
	const char *family = wanted_family(stmt->remote_schema);
	OnecOptions *options = onec_options_of_server(serverOid);
	OnecSession *session = onec_session_get(options, GetUserId());
	bool		all = stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO;
	const OnecEdm *edm = onec_session_edm(session, options, all);
	int			count;
	OnecTable  *tables = onec_import_tables(edm, import.fold, &count);
	List	   *missing = onec_import_missing(stmt, tables, count);
	List	   *made = NIL;
	List	   *commands = NIL;

	if (missing != NIL)
	{
		/* published since we last looked? */
		edm = onec_session_edm(session, options, true);
		tables = onec_import_tables(edm, import.fold, &count);
		missing = onec_import_missing(stmt, tables, count);
	}
	onec_import_tell_missing(missing, options->server_name);
	if (all)
		onec_import_tell_left_out(edm, family, import.functions);
	for (int i = 0; i < count; i++)
	{
		int			before = list_length(commands);

		CHECK_FOR_INTERRUPTS();
		if (is_wanted(&tables[i], &import, family))
			commands = add_table(commands, &tables[i], stmt, import.fold);
		if (list_length(commands) > before)
			made = lappend(made, &tables[i]);
	}
	onec_import_tell_shortened(made, options->server_name);
	return commands;
}
