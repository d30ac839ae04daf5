/*-------------------------------------------------------------------------
 *
 * import_told.h
 *	  What IMPORT FOREIGN SCHEMA tells whoever called it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_IMPORT_TOLD_H
#define ONEC_IMPORT_TOLD_H

#include "postgres.h"

#include "nodes/parsenodes.h"

#include "fdw/import.h"

/* Names of LIMIT TO that the base does not know, a list of char *. */
extern List *onec_import_missing(const ImportForeignSchemaStmt *stmt, const OnecTable *tables, int count);

/* Warn of them. */
extern void onec_import_tell_missing(const List *missing, const char *server);

/* Sets that cannot be tables, and functions that are read of no set. */
extern void onec_import_tell_left_out(const OnecEdm *edm, const char *family, bool functions);

/* How many names of these tables (const OnecTable *), and of their columns, PostgreSQL has no room for. */
extern void onec_import_tell_shortened(const List *tables, const char *server);

#endif							/* ONEC_IMPORT_TOLD_H */
