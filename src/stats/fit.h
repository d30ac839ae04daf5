/*-------------------------------------------------------------------------
 *
 * fit.h
 *	  How models of purchases are fitted, and what becomes of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_FIT_H
#define ONEC_FIT_H

#include <math.h>
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

/* How to fit.  All zeros is BG/NBD without a penalty that nobody can stop. */
typedef struct OnecClvOptions
{
	OnecClvModel model;			/* ignored by onec_spend_fit */
	double		penalizer;		/* adds penalizer * (sum of squared parameters) to the mean of -log L */
	bool		(*stop) (void *arg);	/* asked before each evaluation; true ends the fit; may be NULL */
	void	   *stop_arg;
} OnecClvOptions;

/* log Gamma without the global signgam, which threads share. */
static inline double
onec_fit_log_gamma(double x)
{
	int			sign;

	return lgamma_r(x, &sign);
}

/* Finite and above 0, as parameters and counts have to be. */
static inline bool
onec_fit_positive(double value)
{
	return isfinite(value) && value > 0;
}

/*
 * Sort rows of "size" bytes and join those that "compare" finds equal, adding the doubles that stand
 * "count_at" bytes from the begin of each; how many rows are left.
 */
extern size_t onec_fit_collapse(void *rows, size_t count, size_t size, size_t count_at,
								int (*compare) (const void *left, const void *right));

/* The order of two numbers, for such a comparison. */
static inline int
onec_fit_order(double a, double b)
{
	return (a > b) - (a < b);
}

#endif							/* ONEC_FIT_H */
