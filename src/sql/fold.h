/*-------------------------------------------------------------------------
 *
 * fold.h
 *	  What aggregates in C add up and sort by: exact numbers, days, identifiers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_FOLD_H
#define ONEC_FOLD_H

#include "utils/array.h"
#include "utils/date.h"
#include "utils/numeric.h"

extern Numeric onec_numeric_zero(void);
extern int onec_numeric_compare(Numeric a, Numeric b);

/* a + b; b itself where a is NULL. */
extern Numeric onec_numeric_sum(Numeric a, Numeric b);

/* Orders for qsort() and bsearch(): of uuids, and of days or other int32. */
extern int onec_compare_uuid(const void *a, const void *b);
extern int onec_by_number(const void *a, const void *b);

/* Sort and keep each once; how many are left. */
extern int onec_distinct_days(DateADT *day, int n);

/* An array of one dimension, of no dimension if n is 0. */
extern ArrayType *onec_array(Datum *value, bool *isnull, int n, Oid type, int length, bool by_value,
							 char align);

#endif							/* ONEC_FOLD_H */
