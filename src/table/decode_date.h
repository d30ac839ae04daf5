/*-------------------------------------------------------------------------
 *
 * decode_date.h
 *	  Fields that hold dates and times.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DECODE_DATE_H
#define ONEC_DECODE_DATE_H

#include "postgres.h"

#include "protocol/json/json_rows.h"
#include "table/decode.h"

/* Timestamp, date, timestamptz, time and timetz. */
extern Datum onec_decode_datetime(OnecDecoder *decoder, const OnecField *field, bool *isnull);
extern Datum onec_decode_day(OnecDecoder *decoder, const OnecField *field, bool *isnull);
extern Datum onec_decode_instant(OnecDecoder *decoder, const OnecField *field, bool *isnull);
extern Datum onec_decode_time(OnecDecoder *decoder, const OnecField *field, bool *isnull);

#endif							/* ONEC_DECODE_DATE_H */
