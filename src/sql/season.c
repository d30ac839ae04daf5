/*-------------------------------------------------------------------------
 *
 * season.c
 *	  The seasons of a customer, drawn to those of the shop (doc/definitions.md 3.2).
 *
 * Twelve numbers for each of all customers: in SQL most of the time goes into calling.
 *
 * Memory: the caller's context.  Errors: those of numeric; months that lack what they are compared with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "sql/fold.h"

PG_FUNCTION_INFO_V1(onec_season_index);

/* The twelve numbers of an array, NULL where it has none. */
static void
read_months(ArrayType *array, Numeric *month)
{
	Datum	   *value;
	bool	   *isnull;
	int			n;

	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &value, &isnull, &n);
	for (int m = 0; m < 12; m++)
		month[m] = m >= n || isnull[m] ? NULL : DatumGetNumeric(value[m]);
}

/*
 * onec_internal.season_index(receipts, sold, observed, curve, prior): for each month of the year
 * 12 * (receipts * share + prior * curve) / (receipts + prior), share being that of the month in what was
 * sold by observed month; 12 * curve where nothing was
 */
Datum
onec_season_index(PG_FUNCTION_ARGS)
{
	Numeric		receipts = int64_to_numeric(PG_GETARG_INT32(0));
	Numeric		prior = PG_GETARG_NUMERIC(4);
	Numeric		weight = onec_numeric_sum(receipts, prior);
	Numeric		sold[12];
	Numeric		observed[12];
	Numeric		usual[12];
	Numeric		total = NULL;
	Datum		value[12];
	bool		isnull[12] = {false};

	read_months(PG_GETARG_ARRAYTYPE_P(1), sold);
	read_months(PG_GETARG_ARRAYTYPE_P(2), observed);
	read_months(PG_GETARG_ARRAYTYPE_P(3), usual);
	for (int m = 0; m < 12; m++)
		if (usual[m] == NULL || (sold[m] && observed[m] == NULL))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("month %d has nothing to be compared with", m + 1)));
	for (int m = 0; m < 12; m++)
		if (sold[m])
		{
			sold[m] = numeric_div_opt_error(sold[m], observed[m], NULL);
			total = onec_numeric_sum(total, sold[m]);
		}
	for (int m = 0; m < 12; m++)
	{
		Numeric		part = usual[m];

		if (PG_GETARG_INT32(0) > 0 && total)
		{
			Numeric		own = numeric_mul_opt_error(receipts, sold[m] ? sold[m] : onec_numeric_zero(), NULL);

			own = numeric_div_opt_error(own, total, NULL);
			own = onec_numeric_sum(own, numeric_mul_opt_error(prior, part, NULL));
			part = numeric_div_opt_error(own, weight, NULL);
		}
		part = numeric_mul_opt_error(part, int64_to_numeric(12), NULL);
		value[m] = DirectFunctionCall2(numeric_round, NumericGetDatum(part), Int32GetDatum(4));
	}
	PG_RETURN_ARRAYTYPE_P(onec_array(value, isnull, 12, NUMERICOID, -1, false, TYPALIGN_INT));
}
