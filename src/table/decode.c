/*-------------------------------------------------------------------------
 *
 * decode.c
 *	  Fields of a page as Datums.
 *
 * The forms that 1C writes are converted directly, since this is where a scan spends its time; anything
 * unusual goes to the type's own input function, whose answer or error is the user's.  Values are palloc'd in
 * the current context, or kept in the decoder.  Short texts have a header of one byte, as in a table.  A
 * domain is read as the type it is over, and then checked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "datatype/timestamp.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "protocol/json/json_rows.h"
#include "table/columns.h"
#include "table/decode.h"
#include "table/decode_date.h"
#include "table/field.h"
#include "table/guid.h"
#include "table/options.h"

/* Digits that fit an int64 whatever they are. */
#define SAFE_DIGITS 18

/* What palloc() gives, with room for a header. */
#define LONGEST_VALUE (MaxAllocSize - VARHDRSZ - 1)

/* Whole numbers below this, which most quantities are, are made once in the life of the backend. */
#define SMALL_NUMBERS 128

static Datum
decode_by_input(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	return onec_field_input(decoder, field);
}

static Datum
decode_scalar(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	return onec_field_input_scalar(decoder, field);
}

static Datum
decode_float(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	return onec_field_by_digits(decoder, field, "eE");
}

static Datum
decode_text(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	char	   *text = decoder->last.text;

	if (GetDatabaseEncoding() != PG_UTF8)
		return onec_field_input(decoder, field);
	if (field->len + VARHDRSZ_SHORT > VARATT_SHORT_MAX)
		return PointerGetDatum(cstring_to_text_with_len(field->text, field->len));
	SET_VARSIZE_SHORT(text, field->len + VARHDRSZ_SHORT);
	memcpy(text + VARHDRSZ_SHORT, field->text, field->len);
	return PointerGetDatum(text);
}

static Datum
decode_guid(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	pg_uuid_t  *uuid = &decoder->last.uuid;
	bool		zero = false;

	if (!onec_guid_parse(field->text, field->len, uuid->data, &zero))
	{
		Datum		value;

		/* 1C writes an unfilled value of a composite as an empty string */
		if (field->len == 0 && decoder->empty_as_null)
		{
			*isnull = true;
			return (Datum) 0;
		}
		value = onec_field_input_scalar(decoder, field);
		uuid = DatumGetUUIDP(value);
		zero = true;
		for (int i = 0; i < UUID_LEN; i++)
			zero &= uuid->data[i] == 0;
	}
	*isnull = zero && decoder->empty_as_null;
	return UUIDPGetDatum(uuid);
}

/* Append the digits at "p" to a number; returns what stands behind them. */
static inline const char *
add_digits(const char *p, const char *end, uint64 *number)
{
	for (; p < end && (unsigned char) (*p - '0') < 10; p++)
		*number = *number * 10 + (*p - '0');
	return p;
}

/* A plain decimal of few digits; "scale" counts those after the point. */
static bool
parse_decimal(const char *text, size_t len, int64 *value, int *scale)
{
	const char *end = text + len;
	bool		negative = len > 0 && *text == '-';
	const char *first = text + negative;
	const char *point;
	uint64		number = 0;

	/* with a sign and a point */
	if (len > SAFE_DIGITS + 2)
		return false;
	point = add_digits(first, end, &number);
	*scale = 0;
	if (point < end && *point == '.')
	{
		*scale = (int) (end - point) - 1;
		if (*scale == 0 || add_digits(point + 1, end, &number) < end)
			return false;
	}
	else if (point < end)
		return false;
	if (point == first || point - first + *scale > SAFE_DIGITS)
		return false;
	*value = negative ? -(int64) number : (int64) number;
	return true;
}

static Numeric
whole_number(int64 value)
{
	static Numeric kept[SMALL_NUMBERS]; /* in TopMemoryContext; NULL: not made yet */
	MemoryContext old;

	if (value < 0 || value >= SMALL_NUMBERS)
		return int64_to_numeric(value);
	if (kept[value] == NULL)
	{
		old = MemoryContextSwitchTo(TopMemoryContext);
		kept[value] = int64_to_numeric(value);
		MemoryContextSwitchTo(old);
	}
	return kept[value];
}

/* A number of any length. */
static Datum
any_numeric(OnecDecoder *decoder, const OnecField *field)
{
	int64		value;
	int			scale;

	if (parse_decimal(field->text, field->len, &value, &scale))
		return NumericGetDatum(scale > 0 ? int64_div_fast_to_numeric(value, scale) : whole_number(value));
	onec_field_refuse_words(field, "eE");
	if (field->len == 0 || field->len > ONEC_LONGEST_SCALAR)
		onec_field_refuse(field);
	return onec_field_input_text(decoder, field, onec_field_text(field), -1);
}

/* What numeric(p,s) would round is an error: sums would differ from 1C's. */
static Datum
decode_numeric(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	Datum		value = any_numeric(decoder, field);
	Datum		rounded;

	if (decoder->typmod < 0)
		return value;
	rounded = DirectFunctionCall2(numeric, value, Int32GetDatum(decoder->typmod));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, value, rounded)))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("number of 1C has more digits after the point than the column"),
				 errdetail("1C sent %s.", onec_field_shown(field))));
	return rounded;
}

static Datum
decode_integer(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	int64		value;
	int			scale;

	if (!parse_decimal(field->text, field->len, &value, &scale) || scale > 0)
		return onec_field_by_digits(decoder, field, "");
	switch (decoder->type)
	{
		case INT2OID:
			if (value < PG_INT16_MIN || value > PG_INT16_MAX)
				return onec_field_by_digits(decoder, field, "");
			return Int16GetDatum((int16) value);
		case INT4OID:
			if (value < PG_INT32_MIN || value > PG_INT32_MAX)
				return onec_field_by_digits(decoder, field, "");
			return Int32GetDatum((int32) value);
		default:
			return Int64GetDatum(value);
	}
}

static Datum
decode_bool(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	if (field->len == 4 && memcmp(field->text, "true", 4) == 0)
		return BoolGetDatum(true);
	if (field->len != 5 || memcmp(field->text, "false", 5) != 0)
		onec_field_refuse(field);
	return BoolGetDatum(false);
}

static Datum
decode_bytea(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	char	   *text = palloc(field->len + 1);
	int			given = 0;
	int			room;
	int			len;
	bytea	   *value;

	/* lines may be broken, as decode() takes them */
	for (size_t i = 0; i < field->len; i++)
		if (strchr(" \t\r\n", field->text[i]) == NULL)
			text[given++] = field->text[i];
	room = given / 4 * 3 + 3;
	value = palloc(VARHDRSZ + room);
	len = pg_b64_decode(text, given, (void *) VARDATA(value), room);
	pfree(text);
	if (len < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("value of 1C is not valid base64")));
	SET_VARSIZE(value, VARHDRSZ + len);
	return PointerGetDatum(value);
}

/* A string becomes a JSON string; everything else is JSON already. */
static Datum
decode_json(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	StringInfoData quoted;

	if (field->kind != ONEC_FIELD_STRING)
		return onec_field_input(decoder, field);
	initStringInfo(&quoted);
	escape_json(&quoted, onec_field_text(field));
	return onec_field_input_text(decoder, field, quoted.data, decoder->typmod);
}

static const struct
{
	Oid			type;
	Datum		(*convert) (OnecDecoder *decoder, const OnecField *field, bool *isnull);
	bool		nested;
}			conversions[] = {
	{UUIDOID, decode_guid, false},
	{TEXTOID, decode_text, true},
	{NUMERICOID, decode_numeric, false},
	{TIMESTAMPOID, onec_decode_datetime, false},
	{TIMESTAMPTZOID, onec_decode_instant, false},
	{DATEOID, onec_decode_day, false},
	{TIMEOID, onec_decode_time, false},
	{TIMETZOID, onec_decode_time, false},
	{FLOAT4OID, decode_float, false},
	{FLOAT8OID, decode_float, false},
	{INT2OID, decode_integer, false},
	{INT4OID, decode_integer, false},
	{INT8OID, decode_integer, false},
	{BOOLOID, decode_bool, false},
	{BYTEAOID, decode_bytea, false},
	{JSONOID, decode_json, true},
	{JSONBOID, decode_json, true},
};

/* Whether values are numbers, words of an enumeration, addresses: short, that is. */
static bool
is_scalar(Oid type)
{
	char		category;
	bool		preferred;

	get_type_category_preferred(type, &category, &preferred);
	return get_typlen(type) > 0 || category == TYPCATEGORY_NETWORK;
}

void
onec_decoder_init(OnecDecoder *decoder, const OnecColumn *column, const OnecOptions *options)
{
	Oid			function;

	decoder->column = *column;
	decoder->empty_as_null = options->empty_as_null;
	decoder->converts_zones = options->converts_zones;
	decoder->timezone = options->timezone;
	decoder->zone = NULL;
	decoder->entity_set = options->entity_set;
	decoder->typmod = column->typmod;
	decoder->type = getBaseTypeAndTypmod(column->type, &decoder->typmod);
	decoder->domain = NULL;
	decoder->context = CurrentMemoryContext;
	getTypeInputInfo(decoder->type, &function, &decoder->ioparam);
	fmgr_info(function, &decoder->input);
	decoder->convert = is_scalar(decoder->type) ? decode_scalar : decode_by_input;
	decoder->nested = false;
	decoder->calls_out = true;
	for (int i = 0; i < (int) lengthof(conversions); i++)
	{
		if (conversions[i].type != decoder->type)
			continue;
		decoder->convert = conversions[i].convert;
		decoder->nested = conversions[i].nested;
		decoder->calls_out = decoder->type != column->type;
	}
}

/* What is seldom so: no value, a domain, an object or array where none is expected, a value beyond reason. */
static pg_noinline Datum
decode_with_care(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	Datum		value = (Datum) 0;

	*isnull = field->kind == ONEC_FIELD_ABSENT || field->kind == ONEC_FIELD_NULL;
	if (field->kind == ONEC_FIELD_NESTED && !decoder->nested)
		onec_field_refuse(field);
	if (field->len > LONGEST_VALUE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of 1C is too long"),
				 errdetail("It takes %zu bytes.", field->len)));
	if (!*isnull)
		value = decoder->convert(decoder, field, isnull);
	if (decoder->type != decoder->column.type)
		domain_check(value, *isnull, decoder->column.type, &decoder->domain, decoder->context);
	return value;
}

Datum
onec_decode(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	if (unlikely(field->kind <= ONEC_FIELD_NULL || field->kind == ONEC_FIELD_NESTED ||
				 field->len > LONGEST_VALUE || decoder->type != decoder->column.type))
		return decode_with_care(decoder, field, isnull);
	*isnull = false;
	return decoder->convert(decoder, field, isnull);
}
