/*-------------------------------------------------------------------------
 *
 * quantile.c
 *	  A quantile of sorted numbers, as SQL's percentile_cont defines it.
 *
 * Memory: none.  Errors: none.
 *
 *-------------------------------------------------------------------------
 */
#include "stats/quantile.h"

#include <math.h>

double
onec_quantile(const double *sorted, int n, double part)
{
	double		place = part * (n - 1);
	double		low = sorted[(int) floor(place)];
	double		high = sorted[(int) ceil(place)];

	return low + (place - floor(place)) * (high - low);
}
