/*-------------------------------------------------------------------------
 *
 * rel.h
 *	  What planning knows of a foreign table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_REL_H
#define ONEC_REL_H

#include "postgres.h"

#include "nodes/pathnodes.h"

#include "pushdown/deparse.h"
#include "table/columns.h"
#include "table/options.h"

/* fdw_private of a base relation. */
typedef struct OnecRel
{
	Oid			relid;
	OnecOptions *options;
	OnecColumn *columns;
	int			ncolumns;
	double		remote_rows;	/* rows that 1C returns for the base quals */
	Bitmapset  *argument_joins; /* arguments of the function that only join clauses speak of (arguments.h) */
} OnecRel;

/* What deparse needs to know of the table; "exact" as in deparse.h. */
extern OnecDeparse onec_rel_deparse(const OnecRel *info, RelOptInfo *rel, bool exact);

#endif							/* ONEC_REL_H */
