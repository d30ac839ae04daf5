/*-------------------------------------------------------------------------
 *
 * quantile.h
 *	  A quantile of sorted numbers, as SQL's percentile_cont defines it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_QUANTILE_H
#define ONEC_QUANTILE_H

/* Of n >= 1 values that do not fall; part is from 0 to 1. */
extern double onec_quantile(const double *sorted, int n, double part);

#endif							/* ONEC_QUANTILE_H */
