/*-------------------------------------------------------------------------
 *
 * spend.h
 *	  How much is spent at a visit: Gamma-Gamma.
 *
 * Sources and conventions are those of clv.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SPEND_H
#define ONEC_SPEND_H

#include <stdbool.h>
#include <stddef.h>

#include "stats/fit.h"

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

/* The same of the spend; "params" and "loglik" are set with OK, NO_MEAN and NOT_CONVERGED. */
typedef struct OnecSpendFit
{
	OnecClvStatus status;
	OnecSpendParams params;
	double		loglik;
	double		repeaters;
	double		correlation;	/* of m and x: the model takes them for independent; 0 if either is
								 * constant */
	int			evaluations;
} OnecSpendFit;

/* All three finite and above 0, q above 1. */
extern bool onec_spend_params_valid(const OnecSpendParams *params);

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

#endif							/* ONEC_SPEND_H */
