/*-------------------------------------------------------------------------
 *
 * decode_private.h
 *	  What the files that decode fields share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DECODE_PRIVATE_H
#define ONEC_DECODE_PRIVATE_H

#include "postgres.h"

#include "table/types.h"

/* decode.c: the beginning of a field for a message, in the server's encoding. */
extern char *onec_shown(const OnecField *field);

/* decode.c: ERROR 22P02, the value does not fit the type. */
extern void onec_refuse_field(const OnecField *field);

/* decode.c: by the type's input function, if nothing but digits, signs and these letters are in it. */
extern Datum onec_decode_by_digits(OnecDecoder *decoder, const OnecField *field, const char *letters);

/* decode_date.c: timestamp, date, timestamptz, time and timetz. */
extern Datum onec_decode_datetime(OnecDecoder *decoder, const OnecField *field, bool *isnull);
extern Datum onec_decode_day(OnecDecoder *decoder, const OnecField *field, bool *isnull);
extern Datum onec_decode_instant(OnecDecoder *decoder, const OnecField *field, bool *isnull);
extern Datum onec_decode_time(OnecDecoder *decoder, const OnecField *field, bool *isnull);

#endif							/* ONEC_DECODE_PRIVATE_H */
