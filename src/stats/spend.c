/*-------------------------------------------------------------------------
 *
 * spend.c
 *	  Gamma-Gamma: what a visit of a customer is worth on average.
 *
 * Memory: none.  Errors: NaN or a status.
 *
 *-------------------------------------------------------------------------
 */
#include "stats/spend.h"

#include <math.h>

#include "stats/fit.h"
#include "stats/minimum.h"

#define MAX_LOG_PARAMETER 35.0	/* v is money, in whatever currency */

bool
onec_spend_params_valid(const OnecSpendParams *params)
{
	return onec_fit_positive(params->p) && onec_fit_positive(params->q) && onec_fit_positive(params->v) &&
		params->q > 1;
}

static int
compare_rows(const void *left, const void *right)
{
	const OnecSpendRow *a = left;
	const OnecSpendRow *b = right;
	int			diff = onec_fit_order(a->x, b->x);

	return diff ? diff : onec_fit_order(a->m, b->m);
}

size_t
onec_spend_collapse(OnecSpendRow *rows, size_t count)
{
	return onec_fit_collapse(rows, count, sizeof(*rows), offsetof(OnecSpendRow, count), compare_rows);
}

double
onec_spend_loglik(const OnecSpendParams *params, const OnecSpendRow *rows, size_t count)
{
	double		p = params->p;
	double		q = params->q;
	double		v = params->v;
	double		sum = 0;
	double		last_x = 0;
	double		of_x = 0;

	if (!onec_fit_positive(p) || !onec_fit_positive(q) || !onec_fit_positive(v))
		return NAN;
	for (size_t i = 0; i < count; i++)
	{
		double		x = rows[i].x;
		double		m = rows[i].m;

		if (!onec_fit_positive(x) || !onec_fit_positive(m))
			return NAN;
		if (x != last_x)
			of_x = onec_fit_log_gamma(p * x + q) - onec_fit_log_gamma(p * x) - onec_fit_log_gamma(q);
		last_x = x;
		/* v^q m^(px-1) x^(px) / (xm+v)^(px+q), the powers taken of ratios */
		sum += rows[i].count * (of_x - log(m) - p * x * log1p(v / (x * m)) - q * log1p(x * m / v));
	}
	return sum;
}

/* What the search for a maximum needs to know. */
typedef struct Search
{
	const OnecSpendRow *rows;
	size_t		count;
	const OnecClvOptions *options;
	double		repeaters;
} Search;

static OnecSpendParams
params_at(const double *point)
{
	OnecSpendParams params = {exp(point[0]), exp(point[1]), exp(point[2])};

	return params;
}

static double
search_value(const double *point, void *arg)
{
	const Search *search = arg;
	OnecSpendParams params = params_at(point);

	for (int i = 0; i < 3; i++)
	{
		if (fabs(point[i]) > MAX_LOG_PARAMETER)
			return INFINITY;
	}
	return -onec_spend_loglik(&params, search->rows, search->count) / search->repeaters +
		search->options->penalizer * (params.p * params.p + params.q * params.q + params.v * params.v);
}

/* Count the repeaters, their mean spend and its correlation with x; false on unusable rows. */
static bool
look_over(const OnecSpendRow *rows, size_t count, OnecSpendFit *fit, double *mean_m)
{
	double		mean_x = 0;
	double		xx = 0;
	double		mm = 0;
	double		xm = 0;

	*mean_m = 0;
	for (size_t i = 0; i < count; i++)
	{
		double		weight = rows[i].count;
		double		dx = rows[i].x - mean_x;
		double		dm = rows[i].m - *mean_m;

		if (!onec_fit_positive(rows[i].x) || !onec_fit_positive(rows[i].m) || !onec_fit_positive(weight))
			return false;
		/* means and squares in one pass, without the loss of sums of squares */
		fit->repeaters += weight;
		mean_x += dx * weight / fit->repeaters;
		*mean_m += dm * weight / fit->repeaters;
		xx += weight * dx * (rows[i].x - mean_x);
		mm += weight * dm * (rows[i].m - *mean_m);
		xm += weight * dx * (rows[i].m - *mean_m);
	}
	if (xx > 0 && mm > 0)
		fit->correlation = xm / sqrt(xx) / sqrt(mm);
	return true;
}

OnecClvStatus
onec_spend_fit(const OnecSpendRow *rows, size_t count, const OnecClvOptions *options, OnecSpendFit *fit)
{
	Search		search = {rows, count, options, 0};
	OnecMinimum task = {
		.dimensions = 3, .value = search_value, .arg = &search,
		.stop = options->stop, .stop_arg = options->stop_arg
	};
	double		mean_m;

	*fit = (OnecSpendFit) {.status = ONEC_CLV_OK};
	if (!look_over(rows, count, fit, &mean_m))
		return fit->status = ONEC_CLV_BAD_DATA;
	if (fit->repeaters < ONEC_CLV_MIN_REPEATERS)
		return fit->status = ONEC_CLV_FEW_REPEATERS;
	search.repeaters = fit->repeaters;
	/* p v / (q - 1) is the mean spend of all */
	task.point[0] = log(2);
	task.point[1] = log(3);
	task.point[2] = log(mean_m);
	onec_minimum(&task);
	fit->evaluations = task.evaluations;
	if (task.stopped)
		return fit->status = ONEC_CLV_STOPPED;
	fit->params = params_at(task.point);
	fit->loglik = onec_spend_loglik(&fit->params, rows, count);
	if (!task.converged)
		fit->status = ONEC_CLV_NOT_CONVERGED;
	else if (fit->params.q <= 1)
		fit->status = ONEC_CLV_NO_MEAN;
	return fit->status;
}

double
onec_spend_expected(const OnecSpendParams *params, double x, double m)
{
	if (!onec_spend_params_valid(params) || !isfinite(x) || x < 0)
		return NAN;
	if (x == 0)
		return params->p * params->v / (params->q - 1);
	if (!isfinite(m) || m < 0)
		return NAN;
	return params->p * (params->v + x * m) / (params->p * x + params->q - 1);
}
