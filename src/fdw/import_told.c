/*-------------------------------------------------------------------------
 *
 * import_told.c
 *	  What IMPORT FOREIGN SCHEMA tells: names not found, sets and functions left out, names shortened.
 *
 * Memory: the caller's context.  Errors: none but warnings and notices.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "fdw/import_told.h"
#include "table/text.h"

/* Sets that cannot be tables; told where everything was asked for. */
static void
report_empty(const OnecEdm *edm, const char *family)
{
	for (int i = 0; i < edm->nsets; i++)
	{
		const OnecEntitySet *set = &edm->sets[i];

		if (onec_import_is_empty(set) && onec_import_is_of_family(set, family))
			ereport(NOTICE,
					(errmsg("entity set \"%s\" has no properties and is left out",
							onec_server_text(set->name))));
	}
}

/* Functions that are read of no set. */
static void
report_unbound(const OnecEdm *edm)
{
	for (int i = 0; i < edm->nfunctions; i++)
		if (edm->functions[i].bound_to == NULL)
			ereport(NOTICE,
					(errmsg("function \"%s\" of 1C belongs to no entity set and is left out",
							onec_server_text(edm->functions[i].name))));
}

void
onec_import_tell_left_out(const OnecEdm *edm, const char *family, bool functions)
{
	report_empty(edm, family);
	if (functions)
		report_unbound(edm);
}

List *
onec_import_missing(const ImportForeignSchemaStmt *stmt, const OnecTable *tables, int count)
{
	List	   *missing = NIL;
	ListCell   *lc;

	if (stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return NIL;
	foreach(lc, stmt->table_list)
	{
		const char *name = lfirst_node(RangeVar, lc)->relname;
		bool		found = false;

		for (int i = 0; i < count && !found; i++)
			found = strcmp(onec_server_text(tables[i].local), name) == 0 ||
				strcmp(onec_server_text(tables[i].exact), name) == 0;
		if (!found)
			missing = lappend(missing, pstrdup(name));
	}
	return missing;
}

void
onec_import_tell_missing(const List *missing, const char *server)
{
	ListCell   *lc;

	foreach(lc, missing)
		ereport(WARNING,
				(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
				 errmsg("1C server \"%s\" does not publish \"%s\"", server, (char *) lfirst(lc)),
				 errhint("SELECT * FROM onec.entity_sets(%s) lists what it publishes.",
						 quote_literal_cstr(server))));
}

static bool
is_too_long(const char *name)
{
	return strlen(name) >= ONEC_NAME_SIZE;
}

void
onec_import_tell_shortened(const List *tables, const char *server)
{
	int			long_tables = 0;
	int			long_columns = 0;
	ListCell   *lc;

	foreach(lc, tables)
	{
		const OnecTable *table = lfirst(lc);

		long_tables += is_too_long(table->real);
		for (int i = 0; i < table->type->nproperties; i++)
			long_columns += is_too_long(table->type->properties[i].name);
	}
	if (long_tables + long_columns > 0)
		ereport(NOTICE,
				(errmsg("names of %d tables and %d columns were longer than 63 bytes, and are shortened",
						long_tables, long_columns),
				 errhint("onec.entity_sets(%s) and onec.properties() show the names of 1C and those here. "
						 "A whole name without quotes means the same table, unless that ends in a hash.",
						 quote_literal_cstr(server))));
}
