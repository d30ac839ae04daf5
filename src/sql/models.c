/*-------------------------------------------------------------------------
 *
 * models.c
 *	  SQL functions over stats/clv.c; the only file of this folder that knows PostgreSQL.
 *
 * Memory: the caller's context.  Errors: ereport on impossible arguments; a horizon that the
 * series cannot follow gives NULL.  A fit, and a long series, lets itself be cancelled from its callback: the
 * code it leaves by that holds nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "stats/clv.h"
#include "stats/fit.h"
#include "stats/spend.h"

PG_FUNCTION_INFO_V1(onec_bgnbd_palive);
PG_FUNCTION_INFO_V1(onec_mbgnbd_palive);
PG_FUNCTION_INFO_V1(onec_bgnbd_expected);
PG_FUNCTION_INFO_V1(onec_mbgnbd_expected);
PG_FUNCTION_INFO_V1(onec_bgnbd_value);
PG_FUNCTION_INFO_V1(onec_mbgnbd_value);
PG_FUNCTION_INFO_V1(onec_gamma_gamma_expected);
PG_FUNCTION_INFO_V1(onec_fit_visits);
PG_FUNCTION_INFO_V1(onec_fit_spend);

/* The first seven arguments of all functions of the two models. */
static OnecClvParams
params_and_customer(FunctionCallInfo fcinfo, OnecClvModel model, OnecClvRow *customer)
{
	OnecClvParams params = {
		model, PG_GETARG_FLOAT8(3), PG_GETARG_FLOAT8(4), PG_GETARG_FLOAT8(5), PG_GETARG_FLOAT8(6)
	};

	*customer = (OnecClvRow) {PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), 1};
	if (!onec_clv_row_valid(customer))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no customer has x = %g, t_x = %g and T = %g", customer->x, customer->tx,
						customer->t),
				 errhint("x counts visits after the first one; t_x and T are times from the first visit to "
						 "the last one and to today.")));
	if (!onec_clv_params_valid(&params))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameters r, alpha, a and b of the model must be above 0")));
	return params;
}

static Datum
palive(FunctionCallInfo fcinfo, OnecClvModel model)
{
	OnecClvRow	customer;
	OnecClvParams params = params_and_customer(fcinfo, model, &customer);

	PG_RETURN_FLOAT8(onec_clv_palive(&params, &customer));
}

static Datum
expected(FunctionCallInfo fcinfo, OnecClvModel model)
{
	OnecClvRow	customer;
	OnecClvParams params = params_and_customer(fcinfo, model, &customer);
	float8		horizon = PG_GETARG_FLOAT8(7);
	float8		visits;

	if (!isfinite(horizon) || horizon < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the horizon must be a number not below 0")));
	visits = onec_clv_expected(&params, &customer, horizon);
	if (isnan(visits))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(visits);
}

static bool
check_interrupts(void *arg)
{
	CHECK_FOR_INTERRUPTS();
	return false;
}

/* Weeks: 30.44 days a month, as spec and literature have it. */
static Datum
value(FunctionCallInfo fcinfo, OnecClvModel model)
{
	OnecClvRow	customer;
	OnecClvParams params = params_and_customer(fcinfo, model, &customer);
	float8		spend = PG_GETARG_FLOAT8(7);
	OnecClvHorizon horizon = {
		.months = PG_GETARG_INT32(8), .units = 30.44 / 7, .discount = PG_GETARG_FLOAT8(9),
		.stop = check_interrupts
	};
	float8		money;

	if (!isfinite(spend) || horizon.months < 1 || horizon.months > 1200 || !(horizon.discount > -1) ||
		!isfinite(horizon.discount))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a customer's value needs a spend, 1 to 1200 months and a discount above -1")));
	money = onec_clv_value(&params, &customer, spend, &horizon);
	if (isnan(money))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(money);
}

Datum
onec_bgnbd_palive(PG_FUNCTION_ARGS)
{
	return palive(fcinfo, ONEC_CLV_BGNBD);
}

Datum
onec_mbgnbd_palive(PG_FUNCTION_ARGS)
{
	return palive(fcinfo, ONEC_CLV_MBGNBD);
}

Datum
onec_bgnbd_expected(PG_FUNCTION_ARGS)
{
	return expected(fcinfo, ONEC_CLV_BGNBD);
}

Datum
onec_mbgnbd_expected(PG_FUNCTION_ARGS)
{
	return expected(fcinfo, ONEC_CLV_MBGNBD);
}

Datum
onec_bgnbd_value(PG_FUNCTION_ARGS)
{
	return value(fcinfo, ONEC_CLV_BGNBD);
}

Datum
onec_mbgnbd_value(PG_FUNCTION_ARGS)
{
	return value(fcinfo, ONEC_CLV_MBGNBD);
}

/* x, m, p, q, v */
Datum
onec_gamma_gamma_expected(PG_FUNCTION_ARGS)
{
	OnecSpendParams params = {PG_GETARG_FLOAT8(2), PG_GETARG_FLOAT8(3), PG_GETARG_FLOAT8(4)};
	float8		spend = onec_spend_expected(&params, PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1));

	if (isnan(spend))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expected spend needs x and m not below 0, p and v above 0, and q above 1")));
	PG_RETURN_FLOAT8(spend);
}

/* An array of numbers as C has it; all arrays of a call have as many as the first one. */
static const float8 *
numbers(FunctionCallInfo fcinfo, int argument, int *count)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(argument);
	int			length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (array_contains_nulls(array) || (*count >= 0 && length != *count))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the arrays must be of one length and without NULL")));
	*count = length;
	return (const float8 *) ARR_DATA_PTR(array);
}

static OnecClvModel
model_named(const char *name)
{
	if (strcmp(name, "bgnbd") == 0)
		return ONEC_CLV_BGNBD;
	if (strcmp(name, "mbgnbd") == 0)
		return ONEC_CLV_MBGNBD;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown model \"%s\"", name),
			 errhint("Models are mbgnbd and bgnbd.")));
}

static float8
penalizer(float8 value)
{
	if (!isfinite(value) || value < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the penalizer must be a number not below 0")));
	return value;
}

/* The row that a function with OUT parameters returns. */
static Datum
result_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* model, x[], t_x[], T[], penalizer -> status, customers, repeaters, r, alpha, a, b, log_likelihood */
Datum
onec_fit_visits(PG_FUNCTION_ARGS)
{
	OnecClvOptions options = {
		.model = model_named(text_to_cstring(PG_GETARG_TEXT_PP(0))),
		.penalizer = penalizer(PG_GETARG_FLOAT8(4)), .stop = check_interrupts
	};
	int			count = -1;
	const float8 *x = numbers(fcinfo, 1, &count);
	const float8 *tx = numbers(fcinfo, 2, &count);
	const float8 *t = numbers(fcinfo, 3, &count);
	OnecClvRow *rows = MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * sizeof(OnecClvRow));
	OnecClvFit	fit;
	Datum		values[8];
	bool		nulls[8] = {false};

	for (int i = 0; i < count; i++)
		rows[i] = (OnecClvRow) {x[i], tx[i], t[i], 1};
	onec_clv_fit(rows, onec_clv_collapse(rows, count), &options, &fit);
	pfree(rows);
	values[0] = CStringGetTextDatum(onec_clv_status_name(fit.status));
	values[1] = Int32GetDatum((int32) fit.customers);
	values[2] = Int32GetDatum((int32) fit.repeaters);
	values[3] = Float8GetDatum(fit.params.r);
	values[4] = Float8GetDatum(fit.params.alpha);
	values[5] = Float8GetDatum(fit.params.a);
	values[6] = Float8GetDatum(fit.params.b);
	values[7] = Float8GetDatum(fit.loglik);
	for (int i = 3; i < 8; i++)
		nulls[i] = !onec_clv_params_valid(&fit.params);
	return result_row(fcinfo, values, nulls);
}

/* x[], m[], penalizer -> status, customers, p, q, v, log_likelihood, correlation */
Datum
onec_fit_spend(PG_FUNCTION_ARGS)
{
	OnecClvOptions options = {.penalizer = penalizer(PG_GETARG_FLOAT8(2)), .stop = check_interrupts};
	int			count = -1;
	const float8 *x = numbers(fcinfo, 0, &count);
	const float8 *m = numbers(fcinfo, 1, &count);
	OnecSpendRow *rows = MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * sizeof(OnecSpendRow));
	OnecSpendFit fit;
	Datum		values[7];
	bool		nulls[7] = {false};

	for (int i = 0; i < count; i++)
		rows[i] = (OnecSpendRow) {x[i], m[i], 1};
	onec_spend_fit(rows, onec_spend_collapse(rows, count), &options, &fit);
	pfree(rows);
	values[0] = CStringGetTextDatum(onec_clv_status_name(fit.status));
	values[1] = Int32GetDatum((int32) fit.repeaters);
	values[2] = Float8GetDatum(fit.params.p);
	values[3] = Float8GetDatum(fit.params.q);
	values[4] = Float8GetDatum(fit.params.v);
	values[5] = Float8GetDatum(fit.loglik);
	values[6] = Float8GetDatum(fit.correlation);
	for (int i = 2; i < 7; i++)
		nulls[i] = !(fit.params.p > 0);
	return result_row(fcinfo, values, nulls);
}
