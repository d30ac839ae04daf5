/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  What the columns of a foreign table are on the wire.
 *
 * Memory is palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "utils/rel.h"

#include "protocol/odata/edm_types.h"
#include "table/columns.h"
#include "table/types.h"

static const char *
given_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return defGetString(lfirst_node(DefElem, lc));
	return NULL;
}

/*
 * Nothing for a column of which 1C knows nothing: it is computed here, or its property is published no more
 * and it reads NULL.
 */
static void
read_column(OnecColumn *column, Oid relid, Form_pg_attribute attr)
{
	List	   *options = GetForeignColumnOptions(relid, attr->attnum);
	const char *property = given_option(options, "property");
	const char *argument = given_option(options, "argument");
	const char *edm = given_option(options, "edm_type");
	const char *missing = given_option(options, "missing_property");

	if (attr->attisdropped || attr->attgenerated || (missing != NULL && strcmp(missing, "null") == 0))
		return;
	column->attnum = attr->attnum;
	column->type = attr->atttypid;
	column->typmod = attr->atttypmod;
	column->collation = attr->attcollation;
	column->property = pstrdup(property ? property : NameStr(attr->attname));
	column->argument = argument ? pstrdup(argument) : NULL;
	column->declared = edm != NULL && onec_edm_type_from_label(edm, &column->edm);
	if (!column->declared)
		column->edm = onec_type_infer(column->type, column->property);
}

bool
onec_columns_names_contain(const char *names, const char *name)
{
	size_t		len = strlen(name);

	for (const char *at = names; at != NULL; at = strchr(at, ','))
	{
		at += *at == ',';
		if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

List *
onec_columns_names(const char *names)
{
	List	   *list = NIL;

	for (const char *at = names; at != NULL && *at != '\0'; at = strchr(at, ','))
	{
		at += *at == ',';
		if (*at != ',' && *at != '\0')
			list = lappend(list, pnstrdup(at, strcspn(at, ",")));
	}
	return list;
}

OnecColumn *
onec_columns_of_table(Oid relid, int *natts)
{
	Relation	rel = table_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	OnecColumn *columns = palloc0(sizeof(OnecColumn) * (desc->natts + 1));

	ForeignTable *table = GetForeignTable(relid);
	List	   *options = table->options;
	List	   *server = GetForeignServer(table->serverid)->options;
	bool		function = given_option(options, "function") != NULL;
	const char *dimensions = given_option(options, "dimensions");
	const char *suffix = given_option(options, "zone_suffix");

	suffix = suffix ? suffix : given_option(server, "zone_suffix");
	*natts = desc->natts;
	for (int i = 0; i < desc->natts; i++)
	{
		read_column(&columns[i], relid, TupleDescAttr(desc, i));
		if (columns[i].attnum == 0)
			continue;
		columns[i].computed = function && columns[i].argument == NULL &&
			 !onec_columns_names_contain(dimensions, columns[i].property);
		columns[i].converts_zones = suffix != NULL && strcmp(suffix, "convert") == 0;
		columns[i].timezone = given_option(server, "timezone");
	}
	table_close(rel, NoLock);
	return columns;
}

const char *
onec_columns_date(const OnecColumn *columns, int ncolumns)
{
	for (int i = 0; i < ncolumns; i++)
	{
		const OnecColumn *column = &columns[i];

		if (column->attnum > 0 && column->argument == NULL && column->edm == ONEC_EDM_DATETIME &&
			(strcmp(column->property, "Period") == 0 || strcmp(column->property, "Date") == 0))
			return column->property;
	}
	return NULL;
}
