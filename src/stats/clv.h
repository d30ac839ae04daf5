/*-------------------------------------------------------------------------
 *
 * clv.h
 *	  Who still buys, how often and for how much: BG/NBD, MBG/NBD, Gamma-Gamma.
 *
 * A customer is (x, t_x, T): visits after the first one, and the time from the first visit
 * to the last one and to the day of the look.  Any unit of time will do as long as
 * all of them, alpha and the horizons use the same; ours is the week (days / 7).
 *
 * Doubles in, doubles out: no server, no memory taken, no errors raised.
 *
 * Sources:
 *	  [BG]  Fader, Hardie, Lee, "Counting Your Customers the Easy Way: An Alternative to the
 *			Pareto/NBD Model", Marketing Science 24 (2005), 275-284
 *	  [MBG] Batislam, Denizel, Filiztekin, "Empirical validation and comparison of models for
 *			customer base analysis", Int. J. of Research in Marketing 24 (2007), 201-209
 *	  [GG]  Fader, Hardie, "The Gamma-Gamma Model of Monetary Value" (2013)
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_CLV_H
#define ONEC_CLV_H

#include <stdbool.h>
#include <stddef.h>

/* BG/NBD: one may leave after each visit but the first; MBG/NBD: after the first too. */
typedef enum OnecClvModel
{
	ONEC_CLV_BGNBD,
	ONEC_CLV_MBGNBD
} OnecClvModel;

/* What became of a fit. */
typedef enum OnecClvStatus
{
	ONEC_CLV_OK,
	ONEC_CLV_FEW_CUSTOMERS,		/* less than ONEC_CLV_MIN_CUSTOMERS */
	ONEC_CLV_FEW_REPEATERS,		/* less than ONEC_CLV_MIN_REPEATERS */
	ONEC_CLV_NO_DROPOUT,		/* the data do not show how customers leave: a or b has no limit */
	ONEC_CLV_NO_MEAN,			/* Gamma-Gamma: q <= 1, the mean spend has no expectation */
	ONEC_CLV_NOT_CONVERGED,		/* the parameters found are not at a maximum */
	ONEC_CLV_BAD_DATA,			/* a row is not onec_clv_row_valid or its count is no number above 0 */
	ONEC_CLV_STOPPED			/* the callback asked to stop */
} OnecClvStatus;

#define ONEC_CLV_MIN_CUSTOMERS 100
#define ONEC_CLV_MIN_REPEATERS 30
#define ONEC_CLV_MAX_SHAPE 1e4	/* a or b above it: no dropout identifiable */

/* Customers of one history; "count" of them (1 when the row is one customer). */
typedef struct OnecClvRow
{
	double		x;
	double		tx;
	double		t;				/* T */
	double		count;
} OnecClvRow;

/* Buying rates are Gamma(r, rate alpha), chances to leave after a visit Beta(a, b). */
typedef struct OnecClvParams
{
	OnecClvModel model;
	double		r;
	double		alpha;
	double		a;
	double		b;
} OnecClvParams;

/* Repeaters with x repeat visits of mean spend m. */
typedef struct OnecSpendRow
{
	double		x;
	double		m;
	double		count;
} OnecSpendRow;

/* A visit's money is Gamma(p, rate nu), nu differs between customers as Gamma(q, rate v). */
typedef struct OnecSpendParams
{
	double		p;
	double		q;
	double		v;
} OnecSpendParams;

/* How to fit.  All zeros is BG/NBD without a penalty that nobody can stop. */
typedef struct OnecClvOptions
{
	OnecClvModel model;			/* ignored by onec_spend_fit */
	double		penalizer;		/* adds penalizer * (sum of squared parameters) to the mean of -log L */
	bool		(*stop) (void *arg);	/* asked before each evaluation; true ends the fit; may be NULL */
	void	   *stop_arg;
} OnecClvOptions;

/* What a fit gives.  "params" and "loglik" are set with OK, NO_DROPOUT and NOT_CONVERGED. */
typedef struct OnecClvFit
{
	OnecClvStatus status;
	OnecClvParams params;
	double		loglik;			/* without the penalty */
	double		customers;
	double		repeaters;
	int			evaluations;	/* of the likelihood */
} OnecClvFit;

/* The same of the spend; "params" and "loglik" are set with OK, NO_MEAN and NOT_CONVERGED. */
typedef struct OnecSpendFit
{
	OnecClvStatus status;
	OnecSpendParams params;
	double		loglik;
	double		repeaters;
	double		correlation;	/* of m and x: the model takes them for independent; 0 if either is constant */
	int			evaluations;
} OnecSpendFit;

/* Finite, 0 <= t_x <= T; x is at least 1, or 0 and then t_x too. */
extern bool onec_clv_row_valid(const OnecClvRow *row);

/* All four finite and above 0. */
extern bool onec_clv_params_valid(const OnecClvParams *params);

/* All three finite and above 0, q above 1. */
extern bool onec_spend_params_valid(const OnecSpendParams *params);

/* Sort by (x, t_x, T) and join equal histories, adding their counts; how many rows are left. */
extern size_t onec_clv_collapse(OnecClvRow *rows, size_t count);

/*
 * log L of rows, natural logarithm: [BG] eq. 6, [MBG] eq. 6.  Quickest when equal x are
 * neighbours.  NaN if a parameter or a row is not valid.
 */
extern double onec_clv_loglik(const OnecClvParams *params, const OnecClvRow *rows, size_t count);

/* Maximum likelihood.  The rows are not changed; best collapsed.  Always sets *fit; its status is returned. */
extern OnecClvStatus onec_clv_fit(const OnecClvRow *rows, size_t count, const OnecClvOptions *options,
								  OnecClvFit *fit);

/* P(alive at T | x, t_x, T), 0 to 1.  NaN if anything is not valid. */
extern double onec_clv_palive(const OnecClvParams *params, const OnecClvRow *customer);

/*
 * Visits expected in (T, T + horizon]: [BG] eq. 10 and its like of [MBG].  With x = T = 0 it is
 * what a new customer will do.  NaN if anything is not valid, or if the horizon is so much longer
 * than alpha + T (some 50,000 times) that the series does not end in reasonable time.
 */
extern double onec_clv_expected(const OnecClvParams *params, const OnecClvRow *customer, double horizon);

/* Sort by (x, m) and join equal rows, adding their counts; how many rows are left. */
extern size_t onec_spend_collapse(OnecSpendRow *rows, size_t count);

/* log L of the spend: [GG] eq. 1a.  NaN if a parameter is not above 0 or a row has x <= 0 or m <= 0. */
extern double onec_spend_loglik(const OnecSpendParams *params, const OnecSpendRow *rows, size_t count);

/* Maximum likelihood of the spend; rows of repeaters whose m is above 0.  As onec_clv_fit. */
extern OnecClvStatus onec_spend_fit(const OnecSpendRow *rows, size_t count, const OnecClvOptions *options,
									OnecSpendFit *fit);

/*
 * Expected spend per visit, in the money of m: [GG] eq. 5, (p v + p x m) / (p x + q - 1).  m does not
 * count if x = 0.  NaN if parameters are not valid or x < 0, or m < 0 where it counts.
 */
extern double onec_spend_expected(const OnecSpendParams *params, double x, double m);

/* How far ahead to look, and what later money is worth now. */
typedef struct OnecClvHorizon
{
	int			months;			/* 1 to 1200, of 30.44 days */
	double		units;			/* units of time a month: 30.44 / 7 weeks */
	double		discount;		/* a month, 0.01 is 1 % */
	bool		(*stop) (void *arg);	/* asked every few milliseconds; true ends it; may be NULL */
	void	   *stop_arg;
} OnecClvHorizon;

/*
 * Discounted money of the coming months: the visits expected in each month times "spend" times
 * (1 + discount)^-month, paid at the end of a month.  NaN as onec_clv_expected for any month, if all of them together would
 * take more than fifty times as long as one may, if it was stopped, or if the horizon makes no sense.
 */
extern double onec_clv_value(const OnecClvParams *params, const OnecClvRow *customer, double spend,
							 const OnecClvHorizon *horizon);

/* The name of a status as users see it: "ok", "few customers", … */
extern const char *onec_clv_status_name(OnecClvStatus status);

#endif							/* ONEC_CLV_H */
