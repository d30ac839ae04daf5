/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  A join that looks many keys up at a time.
 *
 * The outer side is read in batches; the keys of a batch go to 1C as a list, and the rows that come are
 * joined as they arrive.  A nested loop would ask once per key, a hash join would read the whole set.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_LOOKUP_H
#define ONEC_LOOKUP_H

#include "postgres.h"

#include "nodes/extensible.h"

/* Members of CustomScan.custom_private, in this order. */
typedef enum OnecLookupPrivate
{
	ONEC_LOOKUP_JOINTYPE,		/* Integer: INNER, LEFT, SEMI or ANTI */
	ONEC_LOOKUP_OPERATOR,		/* Integer: hash-joinable equality "outer = inner", as an OID */
	ONEC_LOOKUP_COLLATION,		/* Integer: of that comparison, as an OID */
	ONEC_LOOKUP_ONE_REQUEST,	/* Integer: bytes that the keys of a batch may take; 0: any number */
	ONEC_LOOKUP_KEY_SIZE,		/* Integer: bytes that each takes there beside its text */
	ONEC_LOOKUP_SOURCES			/* IntList by column of custom_scan_tlist: number of the outer side's column,
								 * or minus that of the inner side's */
} OnecLookupPrivate;

/* Members of CustomScan.custom_exprs. */
typedef enum OnecLookupExprs
{
	ONEC_LOOKUP_QUALS,			/* List: conditions of the join */
	ONEC_LOOKUP_OUTER_KEY,
	ONEC_LOOKUP_INNER_KEY
} OnecLookupExprs;

/* Makes the executor's node of a plan; of CustomScanMethods. */
extern Node *onec_lookup_create_state(CustomScan *plan);

#endif							/* ONEC_LOOKUP_H */
