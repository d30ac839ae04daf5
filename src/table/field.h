/*-------------------------------------------------------------------------
 *
 * field.h
 *	  A field of an answer: shown in messages, refused, or left to the input function of its type.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_FIELD_H
#define ONEC_FIELD_H

#include "postgres.h"

#include "protocol/json/json_rows.h"
#include "table/decode.h"

/*
 * Longer than any number, date or uuid that a type's input function might make sense of, and short enough for
 * its message.
 */
#define ONEC_LONGEST_SCALAR 1024

/* The text of a field as a string of the server's encoding, terminated. */
extern char *onec_field_text(const OnecField *field);

/* The beginning of a field for a message, in the server's encoding. */
extern char *onec_field_shown(const OnecField *field);

/* ERROR 22P02, the value does not fit the type. */
extern void onec_field_refuse(const OnecField *field);

/*
 * Refuse what is no number or date, but may mean something to PostgreSQL: "now" and "tomorrow", "NaN" and
 * "Infinity", 0x10 and 1_000 of later versions.  "letters" are those that such a value may hold.
 */
extern void onec_field_refuse_words(const OnecField *field, const char *letters);

/*
 * What the type's input function makes of "text", which the field holds; errors of class 22 tell the value in
 * DETAIL only.
 */
extern Datum onec_field_input_text(OnecDecoder *decoder, const OnecField *field, char *text, int32 typmod);

/* … of the field's own text. */
extern Datum onec_field_input(OnecDecoder *decoder, const OnecField *field);

/*
 * The same for a type whose values are short: what is long is not put into a message of the input function.
 */
extern Datum onec_field_input_scalar(OnecDecoder *decoder, const OnecField *field);

/* By the type's input function, if nothing but digits, signs and these letters are in it. */
extern Datum onec_field_by_digits(OnecDecoder *decoder, const OnecField *field, const char *letters);

#endif							/* ONEC_FIELD_H */
