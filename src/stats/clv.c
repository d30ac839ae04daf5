/*-------------------------------------------------------------------------
 *
 * clv.c
 *	  BG/NBD and MBG/NBD: likelihood, fit, P(alive), expected visits, value of a customer.
 *
 * With B = b + x (BG/NBD) or b + x + 1 (MBG/NBD) both models say of a customer who is alive:
 * rate ~ Gamma(r + x, alpha + T), chance to leave ~ Beta(a, B).  So they share the code, and
 * differ only in the odds of being gone.
 *
 * Numbers: everything that may overflow is kept as a logarithm; sums have positive terms only.
 * Memory: none.  Errors: NaN or a status.
 *
 *-------------------------------------------------------------------------
 */
#include "stats/clv.h"

#include <math.h>

#include "stats/fit.h"
#include "stats/minimum.h"

#define MAX_LOG_PARAMETER 14.0	/* a search that passes e^14 looks for a limit that is not there */
#define MAX_TERMS 2000000L		/* of a series: some 20 ms, 100 by logarithms */
#define MAX_VALUE_TERMS (50 * MAX_TERMS)	/* of the series of all months */
#define LOOK_TERMS 65536L		/* between questions whether to stop: a power of two */
#define SERIES_TOLERANCE 1e-16
#define EULER_FROM 0.9			/* of z: where the plain series gets slow */

/* log(1 + e^y) */
static double
softplus(double y)
{
	return y > 0 ? y + log1p(exp(-y)) : log1p(exp(y));
}

bool
onec_clv_row_valid(const OnecClvRow *row)
{
	return isfinite(row->x) && isfinite(row->tx) && isfinite(row->t) &&
		row->tx >= 0 && row->tx <= row->t && (row->x >= 1 || (row->x == 0 && row->tx == 0));
}

bool
onec_clv_params_valid(const OnecClvParams *params)
{
	return onec_fit_positive(params->r) && onec_fit_positive(params->alpha) && onec_fit_positive(params->a) &&
		onec_fit_positive(params->b);
}

static int
compare_rows(const void *left, const void *right)
{
	const OnecClvRow *a = left;
	const OnecClvRow *b = right;
	int			diff = onec_fit_order(a->x, b->x);

	if (diff == 0)
		diff = onec_fit_order(a->tx, b->tx);
	return diff ? diff : onec_fit_order(a->t, b->t);
}

size_t
onec_clv_collapse(OnecClvRow *rows, size_t count)
{
	return onec_fit_collapse(rows, count, sizeof(*rows), offsetof(OnecClvRow, count), compare_rows);
}

/*
 * log of the odds of being gone: [BG] a/(b+x-1) ((alpha+T)/(alpha+t_x))^(r+x) if x > 0, else none;
 * [MBG] a/(b+x) (…) for every x.
 */
static double
log_odds_gone(const OnecClvParams *params, const OnecClvRow *row)
{
	double		left = params->b + row->x - (params->model == ONEC_CLV_BGNBD ? 1 : 0);

	if (params->model == ONEC_CLV_BGNBD && row->x == 0)
		return -INFINITY;
	return log(params->a / left) +
		(params->r + row->x) * log1p((row->t - row->tx) / (params->alpha + row->tx));
}

/* The part of log L that depends on x only: log-gammas, the dear part. */
static double
loglik_of_x(const OnecClvParams *params, double x)
{
	double		a = params->a;
	double		b = params->b;
	double		value;

	/* Gamma(r+x)/Gamma(r) alpha^r · B(a, b+x)/B(a, b) */
	value = onec_fit_log_gamma(params->r + x) - onec_fit_log_gamma(params->r) +
		params->r * log(params->alpha) +
		onec_fit_log_gamma(b + x) - onec_fit_log_gamma(b) + onec_fit_log_gamma(a + b) -
		onec_fit_log_gamma(a + b + x);
	/* B(a, b+x+1) = B(a, b+x) (b+x)/(a+b+x) */
	if (params->model == ONEC_CLV_MBGNBD)
		value += log((b + x) / (a + b + x));
	return value;
}

double
onec_clv_loglik(const OnecClvParams *params, const OnecClvRow *rows, size_t count)
{
	double		sum = 0;
	double		last_x = -1;
	double		of_x = 0;

	if (!onec_clv_params_valid(params))
		return NAN;
	for (size_t i = 0; i < count; i++)
	{
		const OnecClvRow *row = &rows[i];

		if (!onec_clv_row_valid(row))
			return NAN;
		if (row->x != last_x)
		{
			of_x = loglik_of_x(params, row->x);
			last_x = row->x;
		}
		sum += row->count * (of_x - (params->r + row->x) * log(params->alpha + row->t) +
							 softplus(log_odds_gone(params, row)));
	}
	return sum;
}

/* What the search for a maximum needs to know. */
typedef struct Search
{
	const OnecClvRow *rows;
	size_t		count;
	const OnecClvOptions *options;
	double		customers;
} Search;

static OnecClvParams
params_at(const double *point, OnecClvModel model)
{
	OnecClvParams params = {model, exp(point[0]), exp(point[1]), exp(point[2]), exp(point[3])};

	return params;
}

static double
search_value(const double *point, void *arg)
{
	const Search *search = arg;
	OnecClvParams params = params_at(point, search->options->model);

	for (int i = 0; i < 4; i++)
	{
		if (fabs(point[i]) > MAX_LOG_PARAMETER)
			return INFINITY;
	}
	return -onec_clv_loglik(&params, search->rows, search->count) / search->customers +
		search->options->penalizer * (params.r * params.r + params.alpha * params.alpha +
									  params.a * params.a + params.b * params.b);
}

/* Count the customers, and their mean T; false on data that are no histories. */
static bool
look_over(const OnecClvRow *rows, size_t count, OnecClvFit *fit, double *mean_t)
{
	double		sum = 0;

	for (size_t i = 0; i < count; i++)
	{
		if (!onec_clv_row_valid(&rows[i]) || !onec_fit_positive(rows[i].count))
			return false;
		fit->customers += rows[i].count;
		if (rows[i].x > 0)
			fit->repeaters += rows[i].count;
		sum += rows[i].count * rows[i].t;
	}
	*mean_t = fit->customers > 0 ? sum / fit->customers : 0;
	return true;
}

/*
 * Best of several starts: the likelihood has a long flat ridge along which a and b grow together,
 * and one start may end on it.
 */
static void
search_maximum(Search *search, double mean_t, OnecMinimum *best)
{
	static const double starts[][4] = {{0.5, 0.2, 1, 3}, {2, 0.5, 0.5, 1}};

	best->best = INFINITY;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]) && !best->stopped; i++)
	{
		OnecMinimum task = {
			.dimensions = 4, .value = search_value, .arg = search,
			.stop = search->options->stop, .stop_arg = search->options->stop_arg
		};
		int			evaluations = best->evaluations;

		for (int j = 0; j < 4; j++)
			task.point[j] = log(starts[i][j]);
		/* alpha is a time, so it starts as a part of the time looked at */
		task.point[1] += log(fmax(mean_t, 0.01));
		onec_minimum(&task);
		if (!(best->best <= task.best))
			*best = task;
		best->stopped = task.stopped;
		best->evaluations = evaluations + task.evaluations;
	}
}

OnecClvStatus
onec_clv_fit(const OnecClvRow *rows, size_t count, const OnecClvOptions *options, OnecClvFit *fit)
{
	Search		search = {rows, count, options, 0};
	OnecMinimum best = {0};
	double		mean_t;

	*fit = (OnecClvFit) {.status = ONEC_CLV_OK};
	if (!look_over(rows, count, fit, &mean_t))
		return fit->status = ONEC_CLV_BAD_DATA;
	if (fit->customers < ONEC_CLV_MIN_CUSTOMERS)
		return fit->status = ONEC_CLV_FEW_CUSTOMERS;
	if (fit->repeaters < ONEC_CLV_MIN_REPEATERS)
		return fit->status = ONEC_CLV_FEW_REPEATERS;
	search.customers = fit->customers;
	search_maximum(&search, mean_t, &best);
	fit->evaluations = best.evaluations;
	if (best.stopped)
		return fit->status = ONEC_CLV_STOPPED;
	fit->params = params_at(best.point, options->model);
	fit->loglik = onec_clv_loglik(&fit->params, rows, count);
	/* a -> 0 says the same as b -> infinity: nobody is seen to leave */
	if (fit->params.a > ONEC_CLV_MAX_SHAPE || fit->params.b > ONEC_CLV_MAX_SHAPE ||
		fit->params.a * ONEC_CLV_MAX_SHAPE < 1)
		fit->status = ONEC_CLV_NO_DROPOUT;
	else if (!best.converged)
		fit->status = ONEC_CLV_NOT_CONVERGED;
	return fit->status;
}

double
onec_clv_palive(const OnecClvParams *params, const OnecClvRow *customer)
{
	double		odds;

	if (!onec_clv_params_valid(params) || !onec_clv_row_valid(customer))
		return NAN;
	odds = log_odds_gone(params, customer);
	return odds > 0 ? exp(-odds) / (1 + exp(-odds)) : 1 / (1 + exp(odds));
}

/* How long a calculation may go on. */
typedef struct Patience
{
	long		terms;			/* left for all series */
	const OnecClvHorizon *asked;	/* whose "stop" is asked; NULL: nobody */
} Patience;

/* Whether a series must end before its next term. */
static bool
has_ended(Patience *patience)
{
	if (--patience->terms < 0)
		return true;
	return patience->terms % LOOK_TERMS == 0 && patience->asked != NULL && patience->asked->stop != NULL &&
		patience->asked->stop(patience->asked->stop_arg);
}

/* Somebody alive: rate ~ Gamma(shape, time), chance to leave ~ Beta(a, stay), and a horizon. */
typedef struct Alive
{
	double		shape;			/* r + x */
	double		a;
	double		stay;			/* B */
	double		s;				/* horizon / (alpha + T) */
} Alive;

/*
 * Visits expected of somebody alive, as the sum over n of
 *	  P(n visits would come if nobody left) · E[visits made of n], the latter being
 *	  Q_n = sum over k < n of (B)_k / (a+B)_k.
 * This is the power series of 2F1(r+x, B; a+B-1; z) in [BG] eq. 10 with the 1 before it
 * written as the same series at B = a+B-1.  So all terms are positive, and a = 1 and
 * a+B = 1, where the formula divides by 0, are points like others.
 */
static double
expected_by_counts(const Alive *alive, Patience *patience)
{
	double		log_z = -log1p(1 / alive->s);
	double		z = alive->s / (1 + alive->s);
	double		log_weight = -alive->shape * log1p(alive->s);
	double		weight = exp(log_weight);
	bool		by_logs = log_weight < -600;
	double		stayed = 1;
	double		made = 0;
	double		sum = 0;

	for (double n = 1; n < MAX_TERMS && !has_ended(patience); n++)
	{
		double		ratio;
		double		term;

		if (by_logs)
		{
			log_weight += log_z + log((alive->shape + n - 1) / n);
			weight = exp(log_weight);
		}
		else
			weight *= z * (alive->shape + n - 1) / n;
		made += stayed;
		stayed *= (alive->stay + n - 1) / (alive->a + alive->stay + n - 1);
		term = weight * made;
		sum += term;
		/*
		 * beyond the top all further terms fall at least as a geometric series does; made_n/n does not grow
		 */
		ratio = z * fmax(1, (alive->shape + n) / (n + 1)) * (n + 1) / n;
		if (ratio < 1 && term * ratio <= SERIES_TOLERANCE * sum * (1 - ratio))
			return sum;
	}
	return NAN;
}

/*
 * The same by Euler's transformation, 2F1(R, B; c; z) = (1-z)^(c-R-B) 2F1(c-R, c-B; c; z) with
 * c = a+B-1 and c-B = a-1.  With d = a-1 it is
 *	  c (1 - (1-z)^d) / d - (1-z)^d · sum over n > 0 of (c-R)_n (a)_{n-1} / (c+1)_{n-1} z^n / n!
 * whose limit at d = 0 is -c log(1-z) - (the sum).  For c >= R and a moderate a only: else terms
 * change their signs or overflow.
 */
static double
expected_by_euler(const Alive *alive, Patience *patience)
{
	double		z = alive->s / (1 + alive->s);
	double		c = alive->a + alive->stay - 1;
	double		d = alive->a - 1;
	double		log_left = -log1p(alive->s);	/* log(1 - z) */
	double		term = (c - alive->shape) * z;
	double		sum = term;

	for (double n = 1; n < MAX_TERMS && !has_ended(patience); n++)
	{
		double		ratio = z * (c - alive->shape + n) * (alive->a + n - 1) / ((c + n) * (n + 1));

		if (term == 0 ||
			(ratio < 1 && term * fmax(ratio, z) <= SERIES_TOLERANCE * sum * (1 - fmax(ratio, z))))
			return c * (d == 0 ? -log_left : -expm1(d * log_left) / d) - exp(d * log_left) * sum;
		term *= ratio;
		sum += term;
	}
	return NAN;
}

static double
expected_visits(const OnecClvParams *params, const OnecClvRow *customer, double horizon, Patience *patience)
{
	Alive		alive;
	double		c;
	double		palive = onec_clv_palive(params, customer);

	if (isnan(palive) || !isfinite(horizon) || horizon < 0)
		return NAN;
	if (horizon == 0 || palive == 0)
		return 0;
	alive.shape = params->r + customer->x;
	alive.a = params->a;
	alive.stay = params->b + customer->x + (params->model == ONEC_CLV_MBGNBD ? 1 : 0);
	alive.s = horizon / (params->alpha + customer->t);
	c = alive.a + alive.stay - 1;
	if (alive.s / (1 + alive.s) > EULER_FROM && c >= alive.shape && alive.a < 50)
		return palive * expected_by_euler(&alive, patience);
	return palive * expected_by_counts(&alive, patience);
}

double
onec_clv_expected(const OnecClvParams *params, const OnecClvRow *customer, double horizon)
{
	Patience	patience = {MAX_TERMS, NULL};

	return expected_visits(params, customer, horizon, &patience);
}

double
onec_clv_value(const OnecClvParams *params, const OnecClvRow *customer, double spend,
			   const OnecClvHorizon *horizon)
{
	Patience	patience = {MAX_VALUE_TERMS, horizon};
	double		value = 0;
	double		before = 0;

	if (horizon->months < 1 || horizon->months > 1200 || !onec_fit_positive(horizon->units) ||
		!isfinite(horizon->discount) || horizon->discount <= -1 || !isfinite(spend))
		return NAN;
	/* what cannot be had for a month cannot be had for later ones, whose series are longer */
	for (int month = 1; month <= horizon->months && !isnan(value); month++)
	{
		double		visits = expected_visits(params, customer, month * horizon->units, &patience);

		value += (visits - before) * spend * pow(1 + horizon->discount, -month);
		before = visits;
	}
	return value;
}

const char *
onec_clv_status_name(OnecClvStatus status)
{
	switch (status)
	{
		case ONEC_CLV_OK:
			return "ok";
		case ONEC_CLV_FEW_CUSTOMERS:
			return "few customers";
		case ONEC_CLV_FEW_REPEATERS:
			return "few repeaters";
		case ONEC_CLV_NO_DROPOUT:
			return "no dropout";
		case ONEC_CLV_NO_MEAN:
			return "no mean spend";
		case ONEC_CLV_NOT_CONVERGED:
			return "not converged";
		case ONEC_CLV_BAD_DATA:
			return "bad data";
		case ONEC_CLV_STOPPED:
			return "stopped";
	}
	return "unknown";
}
