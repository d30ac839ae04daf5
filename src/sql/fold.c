/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  What aggregates in C add up and sort by: exact numbers, days, identifiers.
 *
 * Memory: the caller's context.  Errors: those of numeric.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "sql/fold.h"

Numeric
onec_numeric_zero(void)
{
	return int64_to_numeric(0);
}

int
onec_numeric_compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

Numeric
onec_numeric_sum(Numeric a, Numeric b)
{
	return a ? numeric_add_opt_error(a, b, NULL) : b;
}

int
onec_compare_uuid(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(pg_uuid_t));
}

/* Days, and numbers of words. */
int
onec_by_number(const void *a, const void *b)
{
	int32		left = *(const int32 *) a;
	int32		right = *(const int32 *) b;

	return (left > right) - (left < right);
}

int
onec_distinct_days(DateADT *day, int n)
{
	int			kept_days = 0;

	qsort(day, n, sizeof(DateADT), onec_by_number);
	for (int i = 0; i < n; i++)
		if (i == 0 || day[i] != day[kept_days - 1])
			day[kept_days++] = day[i];
	return kept_days;
}

ArrayType *
onec_array(Datum *value, bool *isnull, int n, Oid type, int length, bool by_value, char align)
{
	int			lower = 1;

	if (n == 0)
		return construct_empty_array(type);
	return construct_md_array(value, isnull, 1, &n, &lower, type, length, by_value, align);
}
