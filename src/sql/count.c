/*-------------------------------------------------------------------------
 *
 * count.c
 *	  How many rows 1C itself says windows of a table have: /$count, and never a scan in its place.
 *
 * The planner's count(*) reads the rows where 1C does not count.  A proof needs 1C's own number or none,
 * hence onec_internal.count_in_1c(), which asks once and says NULL where the base refuses to count, or an
 * option forbids it.
 *
 * Memory: the caller's context.  Errors: ereport; a request that fails in passing is an answer of NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "protocol/odata/odata.h"
#include "pushdown/filter.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/types.h"

PG_FUNCTION_INFO_V1(onec_count);

/* "column op moment", or NULL where that leaves out nothing; *known is cleared where 1C cannot be asked. */
static OnecExpr *
bound(const OnecColumn *column, OnecCompare op, Timestamp moment, bool *known)
{
	OnecConstant constant;

	if (TIMESTAMP_NOT_FINITE(moment))
		return NULL;
	onec_type_encode(column, TIMESTAMPOID, TimestampGetDatum(moment), &constant);
	if (constant.sent == ONEC_SENT_AS_IS)
		return onec_make_compare(column, op, onec_make_literal(constant.kind, constant.text));
	*known = false;
	return NULL;
}

/* The column of that name, which must be a date without a zone. */
static const OnecColumn *
date_column(Oid relid, const char *name)
{
	int			natts;
	OnecColumn *columns = onec_columns_of_table(relid, &natts);
	AttrNumber	attnum = get_attnum(relid, name);

	if (attnum <= 0 || columns[attnum - 1].type != TIMESTAMPOID)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("\"%s\" is not a date of the table", name)));
	return &columns[attnum - 1];
}

/* From its first moment to before its end; empty dates belong to an open beginning, as in 1C. */
static const OnecExpr *
window_filter(Oid relid, const char *name, Timestamp from, Timestamp till, bool *known)
{
	List	   *arms = NIL;
	OnecExpr   *low;
	OnecExpr   *high;

	if (TIMESTAMP_NOT_FINITE(from) && TIMESTAMP_NOT_FINITE(till))
		return NULL;
	low = bound(date_column(relid, name), ONEC_GE, from, known);
	high = bound(date_column(relid, name), ONEC_LT, till, known);
	if (low != NULL)
		arms = lappend(arms, low);
	if (high != NULL)
		arms = lappend(arms, high);
	return arms == NIL ? NULL : onec_make_list(ONEC_EXPR_AND, arms);
}

/* One of the windows; NULL: all rows.  Lists of one length without NULLs, from
 * onec_internal.count_window_in_1c. */
static const OnecExpr *
windows_filter(Oid relid, const char *name, ArrayType *from, ArrayType *till, bool *known)
{
	List	   *arms = NIL;
	Datum	   *lows;
	Datum	   *highs;
	int			count;
	int			high_count;

	deconstruct_array(from, TIMESTAMPOID, sizeof(Timestamp), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &lows, NULL,
					  &count);
	deconstruct_array(till, TIMESTAMPOID, sizeof(Timestamp), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &highs, NULL,
					  &high_count);
	Assert(count == high_count);
	for (int i = 0; i < count; i++)
	{
		const OnecExpr *arm = window_filter(relid, name, DatumGetTimestamp(lows[i]),
											DatumGetTimestamp(highs[i]), known);

		if (arm == NULL)
			return NULL;
		arms = lappend(arms, unconstify(OnecExpr *, arm));
	}
	return list_length(arms) == 1 ? linitial(arms) : onec_make_list(ONEC_EXPR_OR, arms);
}

/* onec_internal.count_in_1c(relation regclass, date_column name, from_list timestamp[], till_list
 * timestamp[]) */
Datum
onec_count(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	AclResult	acl;
	OnecOptions *options;
	OnecQuery	query = {.filter_exact = true, .hint = -1};
	OnecWanted	wanted = {0};
	OnecSpent	spent = {0};
	OnecPager  *pager;
	bool		known = true;
	int64		count;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		PG_RETURN_NULL();
	acl = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	options = onec_options_of_table(relid);
	query.filter = windows_filter(relid, NameStr(*PG_GETARG_NAME(1)), PG_GETARG_ARRAYTYPE_P(2),
								  PG_GETARG_ARRAYTYPE_P(3), &known);
	if (!known || !options->push_count || options->function != NULL ||
		(query.filter != NULL && !options->push_filter))
		PG_RETURN_NULL();
	pager = onec_pager_create(onec_session_get(options, GetUserId()), options, &wanted, &spent);
	if (!onec_pager_count(pager, &query, &count))
		PG_RETURN_NULL();
	PG_RETURN_INT64(count);
}
