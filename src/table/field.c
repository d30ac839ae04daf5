/*-------------------------------------------------------------------------
 *
 * field.c
 *	  A field of an answer: shown in messages, refused, or left to the input function of its type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "protocol/json/json_rows.h"
#include "table/decode.h"
#include "table/field.h"

/* Bytes of 1C's value that are shown. */
#define SHOWN 60

char *
onec_field_text(const OnecField *field)
{
	char	   *copy = pnstrdup(field->text, field->len);

	if (GetDatabaseEncoding() == PG_UTF8)
		return copy;
	return pg_any_to_server(copy, field->len, PG_UTF8);
}

char *
onec_field_shown(const OnecField *field)
{
	int			len = pg_encoding_mbcliplen(PG_UTF8, field->text, (int) Min(field->len, SHOWN * 2), SHOWN);
	char	   *text = pnstrdup(field->text, len);

	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7F)
			*c = '?';
	return pg_any_to_server(text, len, PG_UTF8);
}

void
onec_field_refuse(const OnecField *field)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("value of 1C does not fit the type of the column"),
			 errdetail("1C sent %s.", field->kind == ONEC_FIELD_NESTED ? "a nested value" :
					   onec_field_shown(field))));
}

/*
 * Input functions tell the value in the message, which is kept and shown where values must not be: ours has
 * it in DETAIL only.
 */
static void
hide_value(void *arg)
{
	const OnecField *field = arg;

	if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
		return;
	errmsg("value of 1C does not fit the type of the column");
	errdetail("1C sent %s.", onec_field_shown(field));
}

Datum
onec_field_input_text(OnecDecoder *decoder, const OnecField *field, char *text, int32 typmod)
{
	ErrorContextCallback callback = {error_context_stack, hide_value, unconstify(OnecField *, field)};
	Datum		value;

	error_context_stack = &callback;
	value = InputFunctionCall(&decoder->input, text, decoder->ioparam, typmod);
	error_context_stack = callback.previous;
	return value;
}

Datum
onec_field_input(OnecDecoder *decoder, const OnecField *field)
{
	return onec_field_input_text(decoder, field, onec_field_text(field), decoder->typmod);
}

void
onec_field_refuse_words(const OnecField *field, const char *letters)
{
	for (size_t i = 0; i < field->len; i++)
	{
		char		c = field->text[i];

		if ((c < '0' || c > '9') && (c == '\0' ||
									 (strchr(" +-.,:/", c) == NULL && strchr(letters, c) == NULL)))
			onec_field_refuse(field);
	}
}

Datum
onec_field_input_scalar(OnecDecoder *decoder, const OnecField *field)
{
	if (field->len > ONEC_LONGEST_SCALAR)
		onec_field_refuse(field);
	return onec_field_input(decoder, field);
}

Datum
onec_field_by_digits(OnecDecoder *decoder, const OnecField *field, const char *letters)
{
	onec_field_refuse_words(field, letters);
	return onec_field_input_scalar(decoder, field);
}
