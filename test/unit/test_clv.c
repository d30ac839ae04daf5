/*-------------------------------------------------------------------------
 *
 * test_clv.c
 *	  BG/NBD, MBG/NBD and Gamma-Gamma against published numbers and against the models themselves.
 *
 * Published: the CDNOW sample, in Fader, Hardie, Lee (2005), the vignettes of the R package BTYD
 * and the documentation of the Python package lifetimes.  Independent: likelihood, P(alive) and expected
 * visits integrated over rate and chance to leave from what one customer does, which uses no closed form.
 *
 *-------------------------------------------------------------------------
 */
#include "stats/clv.h"
#include "stats/fit.h"
#include "stats/minimum.h"
#include "stats/spend.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <time.h>

#include "tap.h"

#define CUSTOMERS 2357
#define HOLDOUT_WEEKS 39

static const OnecClvParams cdnow_bg = {ONEC_CLV_BGNBD, 0.242593, 4.413532, 0.792920, 2.425752};
static const OnecSpendParams cdnow_spend = {6.25, 3.74, 15.44};

/* |got - want| <= tolerance; NaN is near nothing */
static bool
near_at(double got, double want, double tolerance, const char *name, int line)
{
	bool		passed = fabs(got - want) <= tolerance;

	tap_ok_at(passed, __FILE__, line, "%s", name);
	if (!passed)
		printf("#   got: %.12g\n#   want: %.12g within %g\n", got, want, tolerance);
	return passed;
}

#define is_near(got, want, tolerance, name) near_at((got), (want), (tolerance), (name), __LINE__)

/* The sample: calibration histories, their repeat spend, and visits in the 39 weeks after. */
typedef struct Cdnow
{
	int			customers;
	OnecClvRow	row[CUSTOMERS];
	double		money[CUSTOMERS];	/* of repeat visits */
	int			later[CUSTOMERS];
} Cdnow;

static int
day_number(int yyyymmdd)
{
	struct tm	day = {.tm_year = yyyymmdd / 10000 - 1900, .tm_mon = yyyymmdd / 100 % 100 - 1,
					   .tm_mday = yyyymmdd % 100};

	return (int) (timegm(&day) / 86400);
}

/* Lines come by customer and day; two of a day are one visit. */
static bool
read_cdnow(Cdnow *data)
{
	const char *shared = getenv("ONEC_SHARED") ? getenv("ONEC_SHARED") : "../shared";
	int			end = day_number(19970930);
	int			id;
	int			day;
	int			last_id = 0;
	int			first = 0;
	int			last = 0;
	double		money;
	char		path[1000];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/data/CDNOW_sample.txt", shared);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	memset(data, 0, sizeof(*data));
	while (fscanf(file, "%*d %d %d %*d %lf", &id, &day, &money) == 3)
	{
		int			i = data->customers - (id == last_id);

		day = day_number(day);
		if (i >= CUSTOMERS)
			break;
		if (id != last_id)
		{
			data->customers++;
			first = day;
			data->row[i] = (OnecClvRow) {0, 0, (end - first) / 7.0, 1};
		}
		else if (day > end)
			data->later[i] += day != last;
		else if (day != first)
		{
			data->row[i].x += day != last;
			data->row[i].tx = (day - first) / 7.0;
			data->money[i] += money;
		}
		last_id = id;
		last = day;
	}
	fclose(file);
	return true;
}

static void
fit_sample(const Cdnow *data, OnecClvModel model, OnecClvFit *fit)
{
	static OnecClvRow rows[CUSTOMERS];
	OnecClvOptions options = {.model = model};
	size_t		count;

	memcpy(rows, data->row, sizeof(rows));
	count = onec_clv_collapse(rows, data->customers);
	is_int(count, 1016, "2357 customers have 1016 histories");
	is_int(onec_clv_fit(rows, count, &options, fit), ONEC_CLV_OK, "the sample can be fitted");
}

/* Published to three or four digits; 5e-4 is what other programs differ by among themselves. */
static void
test_cdnow_fits(const Cdnow *data)
{
	OnecClvFit	fit;
	OnecClvRow	customer = {2, 30.43, 38.86, 1};
	const OnecClvRow *best = &data->row[1515];

	fit_sample(data, ONEC_CLV_BGNBD, &fit);
	is_near(fit.params.r, 0.2426, 0.0001, "BG/NBD r");
	is_near(fit.params.alpha, 4.4135, 0.0005, "BG/NBD alpha");
	is_near(fit.params.a, 0.7929, 0.0001, "BG/NBD a");
	is_near(fit.params.b, 2.4258, 0.0005, "BG/NBD b");
	is_near(fit.loglik, -9582.43, 0.005, "BG/NBD log-likelihood");
	is_near(fit.customers, 2357, 0, "customers");
	is_near(fit.repeaters, 946, 0, "repeaters");
	is_near(onec_clv_expected(&fit.params, &customer, 39), 1.226, 0.0005, "E[Y(39)|2, 30.43, 38.86]");
	is_near(best->x, 26, 0, "customer 1516: x");
	is_near(best->tx, 30.86, 0.005, "customer 1516: t_x");
	is_near(best->t, 31, 0, "customer 1516: T");
	is_near(onec_clv_expected(&fit.params, best, 52), 25.757, 0.001, "customer 1516: a year's visits");
	is_near(onec_clv_palive(&fit.params, best), 0.9689, 0.00005, "customer 1516: P(alive)");

	fit_sample(data, ONEC_CLV_MBGNBD, &fit);
	is_near(fit.params.r, 0.525, 0.0005, "MBG/NBD r");
	is_near(fit.params.alpha, 6.183, 0.0005, "MBG/NBD alpha");
	is_near(fit.params.a, 0.891, 0.0005, "MBG/NBD a");
	is_near(fit.params.b, 1.614, 0.0005, "MBG/NBD b");
}

/* The table of the BTYD vignette: means by calibration frequency, 7 and more together. */
static void
test_cdnow_holdout(const Cdnow *data)
{
	static const double want[] = {0.2251, 0.5231, 1.0441, 1.5203, 2.1638, 2.6538, 3.5040, 6.1570};
	static const double actual[] = {0.2367, 0.6970, 1.3925, 1.5600, 2.5323, 2.9474, 3.8621, 6.3594};
	double		sum[8] = {0};
	double		later[8] = {0};
	int			count[8] = {0};

	for (int i = 0; i < data->customers; i++)
	{
		int			x = data->row[i].x < 7 ? (int) data->row[i].x : 7;

		sum[x] += onec_clv_expected(&cdnow_bg, &data->row[i], HOLDOUT_WEEKS);
		later[x] += data->later[i];
		count[x]++;
	}
	is_int(count[7], 64, "customers with 7 and more");
	for (int x = 0; x < 8; x++)
	{
		char		name[60];

		snprintf(name, sizeof(name), "expected in the holdout after %d", x);
		/* the vignette's own parameters are a little off the maximum */
		is_near(sum[x] / count[x], want[x], 0.0002, name);
		snprintf(name, sizeof(name), "bought in the holdout after %d", x);
		is_near(later[x] / count[x], actual[x], 0.0001, name);
	}
}

static void
test_cdnow_spend(const Cdnow *data)
{
	static OnecSpendRow rows[CUSTOMERS];
	OnecClvOptions options = {0};
	OnecSpendFit fit;
	size_t		count = 0;

	for (int i = 0; i < data->customers; i++)
	{
		if (data->row[i].x > 0 && data->money[i] > 0)
			rows[count++] = (OnecSpendRow) {data->row[i].x, data->money[i] / data->row[i].x, 1};
	}
	is_int(onec_spend_fit(rows, count, &options, &fit), ONEC_CLV_OK, "the spend can be fitted");
	is_near(fit.repeaters, 946, 0, "repeaters with money");
	is_near(fit.params.p, 6.25, 0.005, "Gamma-Gamma p");
	is_near(fit.params.q, 3.74, 0.005, "Gamma-Gamma q");
	is_near(fit.params.v, 15.44, 0.005, "Gamma-Gamma v");
	is_near(fit.correlation, 0.1139, 0.00005, "correlation of money and visits");
	/* the documentation of lifetimes, first customers: repeat visits and their mean */
	is_near(onec_spend_expected(&fit.params, 2, 22.35), 24.66, 0.01, "E[M] of the first customer");
	is_near(onec_spend_expected(&fit.params, 0, 0), 35.17, 0.02, "E[M] of who came once");
}

/* What integration over both gives for one customer. */
typedef struct Mixture
{
	double		loglik;
	double		palive;
	double		expected;
} Mixture;

/*
 * By the trapezoidal rule over log(rate) and logit(chance to leave): the integrand falls to 0 at all four
 * ends, so the rule is exact to many digits.  Of one customer with both known: he has come
 * x times by T and is there still, or left after the last visit; then a visit more comes with
 * probability 1 - e^(-rate·leave·t), and 1/leave of them is expected while it lasts.
 */
static Mixture
integrate(const OnecClvParams *p, const OnecClvRow *c, double t)
{
	const int	n = 350;
	bool		modified = p->model == ONEC_CLV_MBGNBD;
	double		scale = p->r * log(p->alpha) - lgamma(p->r) + lgamma(p->a + p->b) - lgamma(p->a) -
		lgamma(p->b);
	double		peak = log((p->r + c->x) / (p->alpha + c->t));
	double		all = 0;
	double		alive = 0;
	double		visits = 0;

	for (int i = -n; i <= n; i++)
	{
		double		log_rate = peak + i * 40.0 / n;
		double		rate = exp(log_rate);

		for (int j = -n; j <= n; j++)
		{
			double		odds = j * 50.0 / n;
			double		log_leave = -log1p(exp(-odds));
			double		log_stay = -log1p(exp(odds));
			double		density = (p->r + c->x) * log_rate - p->alpha * rate + p->a * log_leave +
				p->b * log_stay;
			double		stayed = exp(density - rate * c->t + (c->x + modified) * log_stay - peak * c->x);
			double		left = exp(density - rate * c->tx + log_leave + (c->x - 1 + modified) * log_stay -
								   peak * c->x);
			double		leave = exp(log_leave);

			all += stayed + (c->x > 0 || modified ? left : 0);
			alive += stayed;
			visits += stayed * -expm1(-rate * leave * t) / leave;
		}
	}
	return (Mixture) {log(all * (40.0 / n) * (50.0 / n)) + scale + peak * c->x, alive / all, visits / all};
}

static void
check_mixture(const OnecClvParams *params, const OnecClvRow *row, double t)
{
	Mixture		want = integrate(params, row, t);
	char		name[200];
	const char *model = params->model == ONEC_CLV_BGNBD ? "BG" : "MBG";

	snprintf(name, sizeof(name), "%s a=%g b=%g x=%g tx=%g T=%g t=%g: log-likelihood", model, params->a,
			 params->b,
			 row->x, row->tx, row->t, t);
	is_near(onec_clv_loglik(params, row, 1), want.loglik, 1e-8 * (1 + fabs(want.loglik)), name);
	is_near(onec_clv_palive(params, row), want.palive, 1e-8, "and P(alive)");
	is_near(onec_clv_expected(params, row, t), want.expected, 1e-8 * (1 + want.expected),
			"and expected visits");
}

/* Usual customers and the places where the formulas divide by 0 or change their method. */
static void
test_mixture(void)
{
	static const OnecClvRow rows[] = {
		{0, 0, 0, 1}, {0, 0, 38.86, 1}, {1, 0.5, 30, 1}, {2, 30.43, 38.86, 1}, {26, 30.86, 31, 1},
		{7, 20, 20, 1},
	};
	/* a below, at and above 1; a + b = 1, where a+b+x-1 is 0 for x = 0 */
	static const double shapes[][2] = {{0.793, 2.426}, {1, 2}, {3.5, 1.2}, {0.4, 0.6}};
	/* z = t/(alpha+T+t) up to 0.99 of a new customer */
	static const double horizons[] = {0.1, 39, 450};

	for (int model = 0; model < 2; model++)
	{
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		{
			for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
			{
				OnecClvParams params = {model, 0.5, 4.4, shapes[s][0], shapes[s][1]};

				/* each horizon with each history and model, in turns: a point takes long */
				check_mixture(&params, &rows[i], horizons[(i + s + model) % 3]);
			}
		}
	}
}

/* Either side of where the method changes, and of a = 1. */
static void
test_continuous(void)
{
	OnecClvRow	fresh = {0, 0, 1, 1};
	OnecClvParams params = {ONEC_CLV_MBGNBD, 0.525, 6.183, 0.891, 1.614};
	double		border = 9 * (params.alpha + fresh.t);
	double		below = onec_clv_expected(&params, &fresh, border * (1 - 1e-9));
	double		above = onec_clv_expected(&params, &fresh, border * (1 + 1e-9));

	ok(below < above && above - below < 1e-8, "no step where Euler's transformation begins");
	for (int far = 0; far < 2; far++)
	{
		double		t = far ? 500 : 5;
		double		at;

		params.a = 1;
		at = onec_clv_expected(&params, &fresh, t);
		params.a = 1 + 1e-9;
		is_near(onec_clv_expected(&params, &fresh, t), at, 1e-7, "no step above a = 1");
		params.a = 1 - 1e-9;
		is_near(onec_clv_expected(&params, &fresh, t), at, 1e-7, "no step below a = 1");
	}
}

static void
test_extremes(void)
{
	OnecClvRow	busy = {1e6, 1000, 1000, 1};
	OnecClvRow	gone = {1000, 10, 2000, 1};
	OnecClvRow	once = {0, 0, 500, 1};
	OnecClvParams bg = cdnow_bg;
	OnecClvParams shape = {ONEC_CLV_MBGNBD, 0.5, 4, 9000, 9500};
	double		many = onec_clv_expected(&bg, &busy, 1);

	is_near(onec_clv_palive(&bg, &once), 1, 0, "BG/NBD: who came once is there for sure");
	bg.model = ONEC_CLV_MBGNBD;
	/* 1 / (1 + a/b (1 + 500/alpha)^r) by hand */
	is_near(onec_clv_palive(&bg, &once), 0.4918, 0.0005, "MBG/NBD: who came once long ago may be gone");
	is_near(onec_clv_palive(&bg, &gone), 0, 1e-300, "a thousand visits, then none");
	is_near(onec_clv_expected(&bg, &gone, 52), 0, 1e-290, "and none to come");
	/* rate about 995.6 a week, chance to leave about 8e-7 a visit */
	ok(many > 990 && many < 1000, "a million visits");
	is_near(onec_clv_expected(&bg, &once, 0), 0, 0, "no time, no visits");
	ok(isfinite(onec_clv_loglik(&bg, &busy, 1)), "the likelihood of a million visits is a number");
	once.t = 0;
	/* 1/p - 1 visits are made by who comes without end: b/(a-1) */
	is_near(onec_clv_expected(&shape, &once, 1e4), 9500 / 8999.0, 0.05, "a and b near their limit");
	bg.alpha = 1e-3;
	ok(isnan(onec_clv_expected(&bg, &once, 1e9)), "a horizon out of all proportion is refused");
}

static void
test_refusals(void)
{
	OnecClvRow	good = {2, 3, 4, 1};
	OnecClvRow	bad[] = {{-1, 0, 1, 1}, {0.5, 1, 2, 1}, {1, 2, 1, 1}, {1, -1, 1, 1}, {0, 1, 2, 1},
						 {NAN, 1, 2, 1},
	{1, 1, INFINITY, 1}};
	OnecClvParams params = cdnow_bg;
	OnecClvHorizon year = {.months = 12, .units = 30.44 / 7, .discount = 0.01};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		ok(isnan(onec_clv_palive(&params, &bad[i])) && isnan(onec_clv_loglik(&params, &bad[i], 1)) &&
		   isnan(onec_clv_expected(&params, &bad[i], 1)), "impossible history %d", (int) i);
	}
	ok(isnan(onec_clv_expected(&params, &good, -1)) && isnan(onec_clv_expected(&params, &good, NAN)),
	   "impossible horizons");
	params.a = 0;
	ok(isnan(onec_clv_palive(&params, &good)), "impossible parameters");
	year.discount = -1;
	ok(isnan(onec_clv_value(&cdnow_bg, &good, 1, &year)), "impossible discount");
	year = (OnecClvHorizon) {.months = 0, .units = 1};
	ok(isnan(onec_clv_value(&cdnow_bg, &good, 1, &year)), "no months");
	ok(isnan(onec_spend_expected(&cdnow_spend, 1, -1)), "money below 0");
	ok(isnan(onec_spend_expected(&(OnecSpendParams) {6, 1, 15}, 1, 10)), "q = 1 has no mean");
}

/* Money of x visits given nu is Gamma(p x, nu), and nu is Gamma(q, v): integrated over log(nu). */
static void
test_spend_mixture(void)
{
	static const OnecSpendRow rows[] = {{1, 5, 1}, {3, 35.5, 1}, {40, 12, 1}};
	double		p = cdnow_spend.p;
	double		q = cdnow_spend.q;
	double		v = cdnow_spend.v;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		double		x = rows[i].x;
		double		m = rows[i].m;
		double		all = 0;
		double		mean = 0;

		for (int j = -4000; j <= 4000; j++)
		{
			double		log_nu = j * 0.005;
			double		nu = exp(log_nu);
			double		part = exp(p * x * (log_nu + log(x)) + (p * x - 1) * log(m) - nu * x * m -
								   lgamma(p * x) +
								   q * log(v) + q * log_nu - v * nu - lgamma(q));

			all += part * 0.005;
			mean += part * 0.005 * p / nu;
		}
		is_near(onec_spend_loglik(&cdnow_spend, &rows[i], 1), log(all), 1e-9, "log-likelihood of money");
		is_near(onec_spend_expected(&cdnow_spend, x, m), mean / all, 1e-8, "expected money");
	}
	is_near(onec_spend_expected(&cdnow_spend, 0, 0), p * v / (q - 1), 1e-9,
			"of who came once: the mean of all");
}

static void
test_value(void)
{
	OnecClvRow	customer = {2, 30.43, 38.86, 1};
	OnecClvHorizon year = {.months = 12, .units = 30.44 / 7, .discount = 0.01};
	OnecClvHorizon plain = {.months = 12, .units = 30.44 / 7};
	double		want = 0;
	double		all = onec_clv_expected(&cdnow_bg, &customer, 12 * 30.44 / 7);

	for (int month = 1; month <= 12; month++)
	{
		double		visits = integrate(&cdnow_bg, &customer, month * 30.44 / 7).expected -
			integrate(&cdnow_bg, &customer, (month - 1) * 30.44 / 7).expected;

		want += visits * 20 / pow(1.01, month);
	}
	is_near(onec_clv_value(&cdnow_bg, &customer, 20, &year), want, 1e-7, "discounted month by month");
	is_near(onec_clv_value(&cdnow_bg, &customer, 20, &plain), all * 20, 1e-9,
			"undiscounted: visits times spend");
}

static bool
stop_after(void *arg)
{
	int		   *left = arg;

	return (*left)-- <= 0;
}

/* Looks at the callback that "expected" series of 100 years take, until it says so or for ever. */
static void
test_long_series(void)
{
	OnecClvRow	fresh = {0, 0, 0, 1};
	OnecClvRow	busy = {1e6, 1, 1, 1};
	OnecClvParams quick = {ONEC_CLV_MBGNBD, 0.6, 0.001, 0.9, 3.2};
	OnecClvParams even = {ONEC_CLV_BGNBD, 0.01, 0.0001, 0.5, 0.5};
	int			left = INT_MAX;
	OnecClvHorizon century = {
		.months = 1200, .units = 30.44 / 7, .discount = 0.01, .stop = stop_after, .stop_arg = &left
	};

	/* 2^16 terms from one look to the next */
	ok(isnan(onec_clv_value(&quick, &fresh, 10, &century)), "W16: a horizon beyond what its series can do");
	ok(INT_MAX - left >= 10 && INT_MAX - left <= 1530, "W16: looks at the callback: %d", INT_MAX - left);
	left = INT_MAX;
	ok(isnan(onec_clv_value(&even, &busy, 10, &century)), "W16: a million visits");
	ok(INT_MAX - left >= 10 && INT_MAX - left <= 1530, "W16: … take no more of them: %d", INT_MAX - left);
	left = 3;
	ok(isnan(onec_clv_value(&quick, &fresh, 10, &century)), "W16: the callback stops a series");
	is_int(left, -1, "W16: at once");
	left = INT_MAX;
	quick.alpha = 4;
	ok(onec_clv_value(&quick, &fresh, 10, &century) > 0,
	   "W16: a hundred years of ordinary customers are had");
}

static void
test_statuses(void)
{
	OnecClvRow	rows[200];
	OnecSpendRow money[40];
	OnecClvOptions options = {.model = ONEC_CLV_MBGNBD};
	OnecClvFit	fit;
	OnecSpendFit spend;
	int			left = 25;

	/* nobody ever leaves: every history ends with a visit of late */
	for (int i = 0; i < 200; i++)
		rows[i] = (OnecClvRow) {20 + i % 10, 100, 100.5 + i % 3, 1};
	is_int(onec_clv_fit(rows, 99, &options, &fit), ONEC_CLV_FEW_CUSTOMERS, "99 customers are few");
	is_int(onec_clv_fit(rows, 200, &options, &fit), ONEC_CLV_NO_DROPOUT, "nobody leaves");
	for (int i = 0; i < 171; i++)
		rows[i] = (OnecClvRow) {0, 0, 10 + i, 1};
	is_int(onec_clv_fit(rows, 200, &options, &fit), ONEC_CLV_FEW_REPEATERS, "29 repeaters are few");
	rows[0] = (OnecClvRow) {1, 5, 10, 1};
	options.stop = stop_after;
	options.stop_arg = &left;
	is_int(onec_clv_fit(rows, 200, &options, &fit), ONEC_CLV_STOPPED, "the callback stops a fit");
	is_int(fit.evaluations, 25, "at once");
	rows[5].count = 0;
	is_int(onec_clv_fit(rows, 200, &options, &fit), ONEC_CLV_BAD_DATA, "a count of 0");
	rows[5] = (OnecClvRow) {1, 3, 2, 1};
	is_int(onec_clv_fit(rows, 200, &options, &fit), ONEC_CLV_BAD_DATA, "t_x after T");
	is_int(onec_clv_fit(rows, 0, &options, &fit), ONEC_CLV_FEW_CUSTOMERS, "no customers");
	for (int i = 0; i < 40; i++)
		money[i] = (OnecSpendRow) {1 + i % 3, exp(i / 4.0), 1};
	left = 3;
	is_int(onec_spend_fit(money, 29, &options, &spend), ONEC_CLV_FEW_REPEATERS, "29 repeaters with money");
	is_int(onec_spend_fit(money, 40, &options, &spend), ONEC_CLV_STOPPED, "the callback stops this one too");
	options.stop = NULL;
	is_int(onec_spend_fit(money, 40, &options, &spend), ONEC_CLV_NO_MEAN, "from 1 to e^9.75: no mean");
	money[7].m = -1;
	is_int(onec_spend_fit(money, 40, &options, &spend), ONEC_CLV_BAD_DATA, "money below 0");
	is_str(onec_clv_status_name(ONEC_CLV_NO_DROPOUT), "no dropout", "statuses have names");
}

static void
test_collapse(void)
{
	OnecClvRow	rows[] = {{2, 3, 4, 1}, {0, 0, 4, 2}, {2, 3, 4, 5}, {0, 0, 1, 1}, {2, 3, 4.5, 1},
						  {0, 0, 4, 1}};
	OnecClvRow	copy[6];
	OnecSpendRow money[] = {{2, 7, 1}, {1, 10, 1}, {1, 9, 1}, {1, 10, 2}};

	memcpy(copy, rows, sizeof(rows));
	is_int(onec_clv_collapse(rows, 6), 4, "equal histories become one row");
	ok(rows[0].t == 1 && rows[1].count == 3 && rows[2].count == 6 && rows[3].t == 4.5, "with their counts");
	is_near(onec_clv_loglik(&cdnow_bg, rows, 4), onec_clv_loglik(&cdnow_bg, copy, 6), 1e-9,
			"and the same likelihood");
	is_int(onec_clv_collapse(rows, 0), 0, "nothing stays nothing");
	is_int(onec_spend_collapse(money, 4), 3, "equal spend becomes one row");
	ok(money[0].m == 9 && money[1].count == 3 && money[2].x == 2, "with its count, in order");
	is_int(onec_spend_collapse(money, 0), 0, "nothing stays nothing here too");
}

/* With a penalty parameters are smaller, and the likelihood is not what was maximised. */
static void
test_penalizer(const Cdnow *data)
{
	OnecClvOptions options = {.model = ONEC_CLV_BGNBD, .penalizer = 0.01};
	OnecClvFit	fit;

	is_int(onec_clv_fit(data->row, data->customers, &options, &fit), ONEC_CLV_OK, "fit with a penalty");
	ok(fit.params.alpha < 4.3 && fit.params.b < 2.3, "parameters shrink");
	ok(fit.loglik < -9582.5, "the likelihood is reported without the penalty");
}

/* Rosenbrock's valley, and a function that is refused everywhere. */
static double
valley(const double *p, void *arg)
{
	(void) arg;
	return 100 * pow(p[1] - p[0] * p[0], 2) + pow(1 - p[0], 2) + 1;
}

static double
nowhere(const double *p, void *arg)
{
	(void) arg;
	return p[0] * NAN;
}

static void
test_minimum(void)
{
	OnecMinimum task = {.dimensions = 2, .value = valley, .point = {-1.2, 1}};
	OnecMinimum none = {.dimensions = 2, .value = nowhere};

	onec_minimum(&task);
	ok(task.converged && !task.stopped, "the valley's bottom is found");
	is_near(task.point[0], 1, 1e-4, "first coordinate");
	is_near(task.point[1], 1, 1e-4, "second coordinate");
	onec_minimum(&none);
	ok(!none.converged && none.best == INFINITY, "no value, no minimum");
}

/* Numbers of no pattern, the same on every machine (splitmix64). */
static uint64_t random_state = 20260101;

static double
uniform(void)
{
	uint64_t	z = (random_state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return ((z ^ (z >> 31)) >> 11) * 0x1p-53 + 0x1p-54;
}

/* Gamma(shape, 1) by Marsaglia and Tsang (2000). */
static double
gamma_random(double shape)
{
	double		d = shape + 1 - 1.0 / 3;

	for (;;)
	{
		double		normal = sqrt(-2 * log(uniform())) * cos(2 * acos(-1) * uniform());
		double		root = 1 + normal / sqrt(9 * d);

		if (root > 0 && log(uniform()) < normal * normal / 2 + d - d * pow(root, 3) + 3 * d * log(root))
			return d * pow(root, 3) * pow(uniform(), 1 / shape);
	}
}

/* A customer as MBG/NBD and Gamma-Gamma have it, first seen up to two years before the end of 130 weeks. */
static void
simulate(const OnecClvParams *p, const OnecSpendParams *s, OnecClvRow *row, OnecSpendRow *money)
{
	double		rate = gamma_random(p->r) / p->alpha;
	double		one = gamma_random(p->a);
	double		leave = one / (one + gamma_random(p->b));
	double		nu = gamma_random(s->q) / s->v;
	double		at = 0;
	double		sum = 0;

	*row = (OnecClvRow) {0, 0, 26 + 104 * uniform(), 1};
	while (uniform() > leave)
	{
		at -= log(uniform()) / rate;
		if (at > row->t)
			break;
		row->x++;
		row->tx = at;
		sum += gamma_random(s->p) / nu;
	}
	*money = (OnecSpendRow) {row->x, row->x > 0 ? sum / row->x : 0, 1};
}

/* Parameters that made the data are found again: those of a jeweller, within 15 %. */
static void
test_recovery(void)
{
	static OnecClvRow rows[5000];
	static OnecSpendRow money[5000];
	const OnecClvParams truth = {ONEC_CLV_MBGNBD, 0.6, 9, 0.9, 3.2};
	const OnecSpendParams purse = {4, 4.5, 3719};
	OnecClvOptions options = {.model = ONEC_CLV_MBGNBD};
	OnecClvFit	fit;
	OnecSpendFit spend;
	size_t		repeaters = 0;
	size_t		count;

	for (int i = 0; i < 5000; i++)
	{
		simulate(&truth, &purse, &rows[i], &money[repeaters]);
		repeaters += rows[i].x > 0;
	}
	count = onec_clv_collapse(rows, 5000);
	is_int(onec_clv_fit(rows, count, &options, &fit), ONEC_CLV_OK, "5000 invented customers");
	is_near(fit.params.r, truth.r, 0.15 * truth.r, "r is found again");
	is_near(fit.params.alpha, truth.alpha, 0.15 * truth.alpha, "alpha is found again");
	is_near(fit.params.a, truth.a, 0.15 * truth.a, "a is found again");
	is_near(fit.params.b, truth.b, 0.15 * truth.b, "b is found again");
	ok(fit.loglik >= onec_clv_loglik(&truth, rows, count), "at a place no less likely than the truth");
	is_int(onec_spend_fit(money, repeaters, &options, &spend), ONEC_CLV_OK, "and their money");
	is_near(spend.params.p, purse.p, 0.15 * purse.p, "p is found again");
	is_near(spend.params.q, purse.q, 0.15 * purse.q, "q is found again");
	is_near(spend.params.v, purse.v, 0.15 * purse.v, "v is found again");
}

int
main(void)
{
	static Cdnow data;

	if (read_cdnow(&data))
	{
		is_int(data.customers, CUSTOMERS, "customers of the sample");
		test_cdnow_fits(&data);
		test_cdnow_holdout(&data);
		test_cdnow_spend(&data);
		test_penalizer(&data);
	}
	else
		skip("the CDNOW sample is not here");
	test_mixture();
	test_continuous();
	test_extremes();
	test_refusals();
	test_spend_mixture();
	test_value();
	test_long_series();
	test_statuses();
	test_collapse();
	test_minimum();
	test_recovery();
	return tap_done();
}
