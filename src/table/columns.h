/*-------------------------------------------------------------------------
 *
 * columns.h
 *	  What the columns of a foreign table are on the wire.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_COLUMNS_H
#define ONEC_COLUMNS_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/pg_list.h"

#include "protocol/odata/edm_types.h"

/* What a foreign table's column is on the wire. */
typedef struct OnecColumn
{
	AttrNumber	attnum;
	Oid			type;
	int32		typmod;
	Oid			collation;
	const char *property;		/* 1C's name; the column's own when not given */
	const char *argument;		/* function parameter that its "=" qual supplies, or NULL */
	bool		computed;		/* by a function: 1C takes no conditions on it */
	bool		converts_zones; /* as the table does */
	const char *timezone;		/* of the server, or NULL */
	bool		declared;		/* option edm_type is given */
	OnecEdmType edm;			/* declared, else inferred from the column's type */
} OnecColumn;

/*
 * The columns of a foreign table, indexed by attnum - 1; dropped ones have attnum 0, and so have those of
 * which 1C knows nothing.
 */
extern OnecColumn *onec_columns_of_table(Oid relid, int *natts);

/* Whether "name" is one of the comma-separated "names", which may be NULL (options key, dimensions). */
extern bool onec_columns_names_contain(const char *names, const char *name);

/* The names one by one (List of char *), which may be changed; NIL for NULL. */
extern List *onec_columns_names(const char *names);

/* The property by whose dates 1C keeps a set (Period of registers, Date of documents), or NULL. */
extern const char *onec_columns_date(const OnecColumn *columns, int ncolumns);

#endif							/* ONEC_COLUMNS_H */
