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

#include "stats/fit.h"

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

/* How far ahead to look, and what later money is worth now. */
typedef struct OnecClvHorizon
{
	int			months;			/* 1 to 1200, of 30.44 days */
	double		units;			/* units of time a month: 30.44 / 7 weeks */
	double		discount;		/* a month, 0.01 is 1 % */
	bool		(*stop) (void *arg);	/* asked every few milliseconds; true ends it; may be NULL */
	void	   *stop_arg;
} OnecClvHorizon;

/* Finite, 0 <= t_x <= T; x is at least 1, or 0 and then t_x too. */
extern bool onec_clv_row_valid(const OnecClvRow *row);

/* All four finite and above 0. */
extern bool onec_clv_params_valid(const OnecClvParams *params);

/* Sort by (x, t_x, T) and join equal histories, adding their counts; how many rows are left. */
extern size_t onec_clv_collapse(OnecClvRow *rows, size_t count);

/*
 * log L of rows, natural logarithm: [BG] eq. 6, [MBG] eq. 6.  Quickest when equal x are
 * neighbours.  NaN if a parameter or a row is not valid.
 */
extern double onec_clv_loglik(const OnecClvParams *params, const OnecClvRow *rows, size_t count);

/*
 * Maximum likelihood.  The rows are not changed; best collapsed.  Always sets *fit; its status is returned.
 */
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

/*
 * Discounted money of the coming months: the visits expected in each month times "spend" times
 * (1 + discount)^-month, paid at the end of a month.  NaN as onec_clv_expected for any month, if all of them
 * together would take more than fifty times as long as one may, if it was stopped, or if the horizon makes no
 * sense.
 */
extern double onec_clv_value(const OnecClvParams *params, const OnecClvRow *customer, double spend,
							 const OnecClvHorizon *horizon);

/* The name of a status as users see it: "ok", "few customers", … */
extern const char *onec_clv_status_name(OnecClvStatus status);

#endif							/* ONEC_CLV_H */
