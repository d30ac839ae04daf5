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
	OnecDeparse deparse = onec_deparse_of(info->options, rel->relid, info->columns, info->ncolumns);

	deparse.exact = exact;
	return deparse;
}
