/*-------------------------------------------------------------------------
 *
 * import.h
 *	  Which tables and columns $metadata gives, and what they are called here.
 *
 * Names depend on the whole base, not on what is imported of it, so that every import of a set
 * gives the same name.  Everything is palloc'd in the current context, points into the
 * OnecEdm, and is UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_IMPORT_H
#define ONEC_IMPORT_H

#include "postgres.h"

#include "nodes/parsenodes.h"

#include "protocol/odata/edm.h"
#include "protocol/odata/edm_types.h"
#include "protocol/odata/names.h"

/* A foreign table that can be made. */
typedef struct OnecTable
{
	const OnecEntitySet *set;
	const OnecFunction *function;	/* a virtual table; else NULL */
	const OnecEdmStruct *type;	/* of its rows */
	const char *real;			/* Set, or Set_Function */
	const struct OnecTable *turnovers;	/* of a register's records: their virtual table, or NULL */
	bool		tabular;		/* a tabular section of another set */
	char		local[ONEC_NAME_SIZE];	/* its name here */
	char		exact[ONEC_NAME_SIZE];	/* the name it has when not folded */
} OnecTable;

/* A column of such a table: a property or an argument of the function. */
typedef struct OnecTableColumn
{
	const OnecProperty *property;	/* or NULL */
	const OnecParameter *argument;	/* or NULL */
	OnecEdmType type;
	char		local[ONEC_NAME_SIZE];
} OnecTableColumn;

/* IMPORT FOREIGN SCHEMA, as fdwapi.h has it. */
extern List *onec_import_schema(ImportForeignSchemaStmt *stmt, Oid serverid);

/*
 * All tables of the base, sets in the order of $metadata, then virtual tables.  Sets without properties are
 * left out.
 */
extern OnecTable *onec_import_tables(const OnecEdm *edm, bool fold, int *count);

/* The columns of a table; at most as many as PostgreSQL allows. */
extern OnecTableColumn *onec_import_columns(const OnecTable *table, bool fold, int *count);

/* Whether the name of a set begins with a family; all do with NULL. */
extern bool onec_import_is_of_family(const OnecEntitySet *set, const char *family);

/* A set without properties, which cannot be a table. */
extern bool onec_import_is_empty(const OnecEntitySet *set);

/* Properties of the key, comma-separated; NULL for none. */
extern char *onec_import_key(const OnecTable *table);

/* The kind of object: the name up to the first "_", e.g. "Catalog". */
extern char *onec_import_family(const char *entity_set);

/* The family in Russian, in UTF-8; NULL for an unknown one. */
extern const char *onec_import_family_russian(const char *family);

#endif							/* ONEC_IMPORT_H */
