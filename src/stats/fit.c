/*-------------------------------------------------------------------------
 *
 * fit.c
 *	  What the models share that are fitted to histories.
 *
 *-------------------------------------------------------------------------
 */
#include "stats/fit.h"

#include <stdlib.h>
#include <string.h>

size_t
onec_fit_collapse(void *rows, size_t count, size_t size, size_t count_at,
				  int (*compare) (const void *left, const void *right))
{
	char	   *kept = rows;

	if (count == 0)
		return 0;
	qsort(rows, count, size, compare);
	for (size_t i = 1; i < count; i++)
	{
		const char *row = (char *) rows + i * size;

		if (compare(kept, row) == 0)
			*(double *) (void *) (kept + count_at) += *(const double *) (const void *) (row + count_at);
		else
		{
			kept += size;
			memmove(kept, row, size);
		}
	}
	return (size_t) (kept - (char *) rows) / size + 1;
}
