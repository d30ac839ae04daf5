/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  Datums as the values of an object that 1C is to write: the inverse of decode.c.
 *
 * 1C takes references, dates and names of enumerations as texts, numbers as numbers, tabular sections as
 * arrays.  Memory is palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "table/dates.h"
#include "table/encode.h"
#include "table/types.h"

static JsonbValue
string_value(const char *text)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = pstrdup(text);
	value.val.string.len = strlen(text);
	return value;
}

/* What reads as NULL. */
static JsonbValue
empty_value(const OnecColumn *column, Oid type)
{
	switch (type)
	{
		case UUIDOID:
			return string_value(ONEC_EMPTY_GUID);
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case DATEOID:
			return string_value(ONEC_EMPTY_DATE);
		case JSONBOID:
			return (JsonbValue) {.type = jbvNull};
		default:
			if (column->edm == ONEC_EDM_STRING)
				return string_value("");
			return (JsonbValue) {.type = jbvNull};
	}
}

static JsonbValue
date_value(const OnecColumn *column, Timestamp stamp)
{
	char		text[ONEC_DATE_SIZE];

	if (!onec_date_write(stamp, text))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("1C has no such date"),
				 errdetail("Property \"%s\" takes the years 1 to 9999.", column->property)));
	return string_value(text);
}

static JsonbValue
number_value(const OnecColumn *column, Oid type, Datum value)
{
	Numeric		number;

	switch (type)
	{
		case INT2OID:
			number = int64_to_numeric(DatumGetInt16(value));
			break;
		case INT4OID:
			number = int64_to_numeric(DatumGetInt32(value));
			break;
		case INT8OID:
			number = int64_to_numeric(DatumGetInt64(value));
			break;
		case FLOAT4OID:
			number = DatumGetNumeric(DirectFunctionCall1(float4_numeric, value));
			break;
		case FLOAT8OID:
			number = DatumGetNumeric(DirectFunctionCall1(float8_numeric, value));
			break;
		default:
			number = DatumGetNumeric(value);
			break;
	}
	if (numeric_is_nan(number) || numeric_is_inf(number))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("1C has no such number"),
				 errdetail("Property \"%s\" takes neither NaN nor infinity.", column->property)));
	return (JsonbValue) {.type = jbvNumeric,.val.numeric = number};
}

static JsonbValue
bytes_value(bytea *bytes)
{
	int			size = VARSIZE_ANY_EXHDR(bytes);
	int			room = pg_b64_enc_len(size);
	char	   *text = palloc(room + 1);
	int			len = pg_b64_encode(onec_b64_source(VARDATA_ANY(bytes)), size, text, room);

	text[Max(len, 0)] = '\0';
	return string_value(text);
}

static JsonbValue
other_value(Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	return string_value(OidOutputFunctionCall(output, value));
}

static JsonbValue
value_of(const OnecColumn *column, Oid type, Datum value)
{
	switch (type)
	{
		case BOOLOID:
			return (JsonbValue) {.type = jbvBool,.val.boolean = DatumGetBool(value)};
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			return number_value(column, type, value);
		case TIMESTAMPOID:
			return date_value(column, DatumGetTimestamp(value));
		case TIMESTAMPTZOID:
			return date_value(column, onec_date_local(DatumGetTimestampTz(value),
													  onec_date_zone(column->timezone)));
		case DATEOID:
			return date_value(column, DatumGetTimestamp(DirectFunctionCall1(date_timestamp, value)));
		case BYTEAOID:
			return bytes_value(DatumGetByteaPP(value));
		default:
			return other_value(type, value);
	}
}

void
onec_encode(JsonbParseState **object, const OnecColumn *column, Datum value, bool isnull)
{
	Oid			type = getBaseType(column->type);
	JsonbValue	key = string_value(column->property);
	JsonbValue	encoded;

	pushJsonbValue(object, WJB_KEY, &key);
	if (!isnull && type == JSONBOID)
	{
		Jsonb	   *given = DatumGetJsonbP(value);

		/* a scalar stands in an array of its own */
		if (JB_ROOT_IS_SCALAR(given))
			JsonbExtractScalar(&given->root, &encoded);
		else
			encoded = (JsonbValue) {.type = jbvBinary,
									.val.binary.data = &given->root,
									.val.binary.len = VARSIZE_ANY_EXHDR(given)};
	}
	else
		encoded = isnull ? empty_value(column, type) : value_of(column, type, value);
	pushJsonbValue(object, WJB_VALUE, &encoded);
}
