/*-------------------------------------------------------------------------
 *
 * encode.h
 *	  Datums as the values of an object that 1C is to write: the inverse of decode.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ENCODE_H
#define ONEC_ENCODE_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "table/columns.h"

/*
 * Put property and value of a column into the object that is being made.  NULL is written as what reads as
 * NULL: the empty date, the zero guid; of texts as the empty one, else as null.  Moments become the time of
 * day where the base is; what they have of a second is left out, for 1C has none.
 * ERROR 22003 for NaN and infinity, 22008 for a date outside the years 1 to 9999.
 */
extern void onec_encode(JsonbParseState **object, const OnecColumn *column, Datum value, bool isnull);

#endif							/* ONEC_ENCODE_H */
