/*-------------------------------------------------------------------------
 *
 * rel.c
 *	  What planning knows of a foreign table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/rel.h"
#include "pushdown/deparse.h"

OnecDeparse
onec_rel_deparse(const OnecRel *info, RelOptInfo *rel, bool exact)
{
	return (OnecDeparse) {
		.varno = rel->relid,
		.columns = info->columns,
		.ncolumns = info->ncolumns,
		.empty_as_null = info->options->empty_as_null,
		.ignores_case = info->options->ignores_case,
		.composites = info->options->push_composite,
		.exact = exact,
	};
}
