/*-------------------------------------------------------------------------
 *
 * types.c
 *	  Edm types and PostgreSQL types: mapping, verdicts on comparisons, literals.
 *
 * The verdict table below is the one place that says what of a comparison 1C answers as
 * PostgreSQL would (doc/1c-odata.md 4, 6.3).  What goes over the wire is UTF-8, whatever
 * the encoding of the database.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "protocol/odata/edm_types.h"
#include "protocol/odata/odata.h"
#include "table/columns.h"
#include "table/dates.h"
#include "table/text.h"
#include "table/types.h"

/* Clocks were set by a day at most, and a time may be there twice or not at all. */
#define NEAR_CHANGE (3 * USECS_PER_DAY)

const char *
onec_type_sql(OnecEdmType edm)
{
	/* without a default, so that the compiler tells which type is forgotten */
	switch (edm)
	{
		case ONEC_EDM_GUID:
			return "uuid";
		case ONEC_EDM_DATETIME:
			return "timestamp";
		case ONEC_EDM_DOUBLE:
			return "numeric";
		case ONEC_EDM_INT16:
			return "int2";
		case ONEC_EDM_INT32:
			return "int4";
		case ONEC_EDM_INT64:
			return "int8";
		case ONEC_EDM_BOOLEAN:
			return "bool";
		case ONEC_EDM_BINARY:
		case ONEC_EDM_STREAM:
			return "bytea";
		case ONEC_EDM_COLLECTION:
		case ONEC_EDM_COMPLEX:
			return "jsonb";
		case ONEC_EDM_STRING:
		case ONEC_EDM_COMPOSITE:
		case ONEC_EDM_UNKNOWN:
			break;
	}
	return "text";
}

OnecEdmType
onec_type_infer(Oid type, const char *property)
{
	size_t		len = strlen(property);

	switch (type)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return ONEC_EDM_DATETIME;
		case NUMERICOID:
			return ONEC_EDM_DOUBLE;
		case INT2OID:
			return ONEC_EDM_INT16;
		case INT4OID:
			return ONEC_EDM_INT32;
		case INT8OID:
			return ONEC_EDM_INT64;
		case BOOLOID:
			return ONEC_EDM_BOOLEAN;
		case BYTEAOID:
			return ONEC_EDM_BINARY;
		case JSONBOID:
		case JSONOID:
			return ONEC_EDM_COLLECTION;
		case UUIDOID:
			/* a uuid column may stand for a composite value; only X_Key is sure to be a Guid */
			if (len > 4 && strcmp(property + len - 4, "_Key") == 0)
				return ONEC_EDM_GUID;
			return ONEC_EDM_UNKNOWN;
		default:
			return ONEC_EDM_UNKNOWN;
	}
}

/* Families of types that 1C compares in one way. */
typedef enum CompareClass
{
	CLASS_NONE,
	CLASS_TEXT,
	CLASS_GUID,
	CLASS_DATE,
	CLASS_INSTANT,				/* a date that is read as the instant it was where the base is */
	CLASS_NUMBER,
	CLASS_BOOL,
	CLASS_COUNT
} CompareClass;

typedef struct Rule
{
	OnecVerdict verdict[ONEC_COMPARES]; /* EQ NE LT LE GT GE */
	bool		orders;
	const char *why;			/* of the NOs */
} Rule;

static const Rule rules[CLASS_COUNT] = {
	[CLASS_NONE] = {
		{ONEC_NO, ONEC_NO, ONEC_NO, ONEC_NO, ONEC_NO, ONEC_NO}, false,
		"1C does not compare values of this type reliably"
	},
	/* 1C ignores case and trailing blanks: "=" finds more, "<>" would lose rows */
	[CLASS_TEXT] = {
		{ONEC_SUPERSET, ONEC_NO, ONEC_NO, ONEC_NO, ONEC_NO, ONEC_NO}, false,
		"1C compares text without case and trailing blanks"
	},
	/* ranges of references are refused, or lie */
	[CLASS_GUID] = {
		{ONEC_EXACT, ONEC_EXACT, ONEC_NO, ONEC_NO, ONEC_NO, ONEC_NO}, false,
		"1C does not order references by their identifier"
	},
	[CLASS_DATE] = {
		{ONEC_EXACT, ONEC_EXACT, ONEC_EXACT, ONEC_EXACT, ONEC_EXACT, ONEC_EXACT}, true, NULL
	},
	/* the clock may be set back between two dates, so their order is not that of the instants */
	[CLASS_INSTANT] = {
		{ONEC_SUPERSET, ONEC_SUPERSET, ONEC_SUPERSET, ONEC_SUPERSET, ONEC_SUPERSET, ONEC_SUPERSET}, false,
		NULL
	},
	[CLASS_NUMBER] = {
		{ONEC_EXACT, ONEC_EXACT, ONEC_EXACT, ONEC_EXACT, ONEC_EXACT, ONEC_EXACT}, true, NULL
	},
	[CLASS_BOOL] = {
		{ONEC_EXACT, ONEC_EXACT, ONEC_NO, ONEC_NO, ONEC_NO, ONEC_NO}, true,
		"1C has no ranges of booleans"
	},
};

/* The type beside a composite value: 1C takes a comparison with it and finds nothing. */
static bool
is_type_column(const OnecColumn *column)
{
	size_t		len = strlen(column->property);

	return len > 5 && strcmp(column->property + len - 5, "_Type") == 0;
}

/*
 * The class of a column.  A column whose PostgreSQL type is not the natural one of its
 * Edm type compares by other rules than 1C, so it has none.
 */
static CompareClass
class_of(const OnecColumn *column)
{
	bool		number = column->type == NUMERICOID || column->type == INT2OID ||
		column->type == INT4OID || column->type == INT8OID;

	if (column->computed)
		return CLASS_NONE;
	switch (column->edm)
	{
		case ONEC_EDM_STRING:
			if ((column->type != TEXTOID && column->type != VARCHAROID) || is_type_column(column))
				return CLASS_NONE;
			return get_collation_isdeterministic(column->collation) ? CLASS_TEXT : CLASS_NONE;
		case ONEC_EDM_GUID:
			return column->type == UUIDOID ? CLASS_GUID : CLASS_NONE;
		case ONEC_EDM_DATETIME:
			/* what has a zone is not the date that 1C compares */
			if (column->typmod >= 0 || column->converts_zones)
				return CLASS_NONE;
			return column->type == TIMESTAMPOID ? CLASS_DATE :
				column->type == TIMESTAMPTZOID ? CLASS_INSTANT : CLASS_NONE;
		case ONEC_EDM_DOUBLE:
		case ONEC_EDM_INT16:
		case ONEC_EDM_INT32:
		case ONEC_EDM_INT64:
			/* a typmod would round what is read, so that 1C compares another value */
			return number && column->typmod < 0 ? CLASS_NUMBER : CLASS_NONE;
		case ONEC_EDM_BOOLEAN:
			return column->type == BOOLOID ? CLASS_BOOL : CLASS_NONE;
		default:
			return CLASS_NONE;
	}
}

OnecVerdict
onec_type_compare(const OnecColumn *column, OnecCompare op, const char **why)
{
	const Rule *rule = &rules[class_of(column)];

	*why = rule->why;
	if (column->edm == ONEC_EDM_COMPOSITE)
		*why = "the column holds values of several types, which 1C compares without an error and "
			"without rows";
	else if (column->computed)
		*why = "a condition on what 1C's function computes is none on its rows";
	else if (is_type_column(column))
		*why = "1C takes conditions on the type of a composite value, and finds nothing";
	else if (column->edm == ONEC_EDM_DATETIME && column->converts_zones)
		*why = "dates that are converted by zone_suffix are not those that 1C compares";
	else if (column->edm == ONEC_EDM_UNKNOWN && !column->declared)
		*why = "the column has no option edm_type";
	else if (*why == NULL || class_of(column) == CLASS_NONE)
		*why = rules[CLASS_NONE].why;
	return rule->verdict[op];
}

bool
onec_type_orders(const OnecColumn *column)
{
	return rules[class_of(column)].orders;
}

const char *
onec_type_empty(const OnecColumn *column, bool empty_as_null, OnecLiteralKind *kind)
{
	if (!empty_as_null)
		return NULL;
	switch (class_of(column))
	{
		case CLASS_GUID:
			*kind = ONEC_LIT_GUID;
			return ONEC_EMPTY_GUID;
		case CLASS_DATE:
		case CLASS_INSTANT:
			*kind = ONEC_LIT_DATETIME;
			return ONEC_EMPTY_DATE;
		default:
			return NULL;
	}
}

static void
put_outside(OnecConstant *constant, bool above)
{
	constant->sent = ONEC_SENT_OUTSIDE;
	constant->above = above;
}

/* A date of whole seconds, or NULL where 1C has none. */
static char *
date_text(Timestamp value)
{
	char		text[ONEC_DATE_SIZE];

	return onec_date_write(value, text) ? pstrdup(text) : NULL;
}

/* 1C holds whole seconds of the years 1 to 9999. */
static void
encode_timestamp(Timestamp value, OnecConstant *constant)
{
	int64		fraction = value % USECS_PER_SEC;

	if (TIMESTAMP_NOT_FINITE(value) || value < ONEC_EMPTY_STAMP || value >= ONEC_END_STAMP)
	{
		put_outside(constant, value > 0);
		return;
	}
	if (fraction < 0)
		fraction += USECS_PER_SEC;
	constant->text = date_text(value - fraction);
	constant->sent = fraction == 0 ? ONEC_SENT_AS_IS : ONEC_SENT_BETWEEN;
	if (fraction != 0)
		constant->next = date_text(value - fraction + USECS_PER_SEC);
}

/*
 * An instant, which is compared with dates by the clock of "zone".  Near a change of the clock the order of
 * instants is not that of dates: there it is said of a date only that it lies within days.
 */
static void
encode_instant(TimestampTz value, pg_tz *zone, OnecConstant *constant)
{
	Timestamp	here;

	if (TIMESTAMP_NOT_FINITE(value))
	{
		put_outside(constant, TIMESTAMP_IS_NOEND(value));
		return;
	}
	if (value < MIN_TIMESTAMP + NEAR_CHANGE || value > END_TIMESTAMP - NEAR_CHANGE)
		return;
	here = onec_date_local(value, zone);
	if (here - onec_date_local(value - USECS_PER_DAY, zone) == USECS_PER_DAY &&
		onec_date_local(value + USECS_PER_DAY, zone) - here == USECS_PER_DAY)
	{
		encode_timestamp(here, constant);
		return;
	}
	constant->text = date_text(here - NEAR_CHANGE);
	constant->next = date_text(here + NEAR_CHANGE);
	if (constant->text != NULL && constant->next != NULL)
		constant->sent = ONEC_SENT_ABOUT;
}

/*
 * A value for a column that is read as an instant: without a zone it is of the session's, as PostgreSQL
 * compares them.
 */
static void
encode_instant_class(const OnecColumn *column, Oid type, Datum value, OnecConstant *constant)
{
	TimestampTz instant;
	int			overflow = 0;

	if (type == TIMESTAMPTZOID)
		instant = DatumGetTimestampTz(value);
	else if (type == TIMESTAMPOID)
		instant = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
	else if (type == DATEOID)
		instant = date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
	else
		return;
	if (overflow != 0)
		put_outside(constant, overflow > 0);
	else
		encode_instant(instant, onec_date_zone(column->timezone), constant);
}

static void
encode_date_class(Oid type, Datum value, OnecConstant *constant)
{
	Timestamp	stamp;
	int			overflow;

	switch (type)
	{
		case TIMESTAMPOID:
			encode_timestamp(DatumGetTimestamp(value), constant);
			break;
		case TIMESTAMPTZOID:
			encode_instant(DatumGetTimestampTz(value), session_timezone, constant);
			break;
		case DATEOID:
			stamp = date2timestamp_opt_overflow(DatumGetDateADT(value), &overflow);
			if (overflow != 0)
				put_outside(constant, overflow > 0);
			else
				encode_timestamp(stamp, constant);
			break;
		default:
			break;
	}
}

static void
encode_number_class(Oid type, Datum value, OnecConstant *constant)
{
	Numeric		numeric;

	constant->sent = ONEC_SENT_AS_IS;
	switch (type)
	{
		case INT2OID:
			constant->text = psprintf("%d", DatumGetInt16(value));
			break;
		case INT4OID:
			constant->text = psprintf("%d", DatumGetInt32(value));
			break;
		case INT8OID:
			constant->text = psprintf(INT64_FORMAT, DatumGetInt64(value));
			break;
		case NUMERICOID:
			/* 1.50 and 1.5 are one value: let them be one text */
			numeric = DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, value));
			constant->text = DatumGetCString(DirectFunctionCall1(numeric_out,
																 NumericGetDatum(numeric)));
			/* NaN is the largest of all */
			if (numeric_is_nan(numeric) || numeric_is_inf(numeric))
				put_outside(constant, constant->text[0] != '-');
			break;
		default:
			constant->sent = ONEC_SENT_NOT;
	}
}

/* Values of the one type that compares with the column as itself. */
static void
encode_plain(CompareClass class, Oid type, Datum value, OnecConstant *constant)
{
	bool		fits = class == CLASS_TEXT ? type == TEXTOID || type == VARCHAROID :
		class == CLASS_GUID ? type == UUIDOID : type == BOOLOID;

	if (!fits)
		return;
	constant->sent = ONEC_SENT_AS_IS;
	if (class == CLASS_TEXT)
		constant->text = pstrdup(onec_utf8(TextDatumGetCString(value)));
	else if (class == CLASS_GUID)
		constant->text = DatumGetCString(DirectFunctionCall1(uuid_out, value));
	else
		constant->text = pstrdup(DatumGetBool(value) ? "true" : "false");
}

void
onec_type_encode(const OnecColumn *column, Oid type, Datum value, OnecConstant *constant)
{
	static const OnecLiteralKind kinds[CLASS_COUNT] = {
		[CLASS_TEXT] = ONEC_LIT_STRING,
		[CLASS_GUID] = ONEC_LIT_GUID,
		[CLASS_DATE] = ONEC_LIT_DATETIME,
		[CLASS_INSTANT] = ONEC_LIT_DATETIME,
		[CLASS_NUMBER] = ONEC_LIT_NUMBER,
		[CLASS_BOOL] = ONEC_LIT_BOOL,
	};
	CompareClass class = class_of(column);

	memset(constant, 0, sizeof(*constant));
	constant->sent = ONEC_SENT_NOT;
	constant->kind = kinds[class];
	if (class == CLASS_DATE)
		encode_date_class(type, value, constant);
	else if (class == CLASS_INSTANT)
		encode_instant_class(column, type, value, constant);
	else if (class == CLASS_NUMBER)
		encode_number_class(type, value, constant);
	else if (class != CLASS_NONE)
		encode_plain(class, type, value, constant);
}
