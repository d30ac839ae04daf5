/*-------------------------------------------------------------------------
 *
 * decode_date.c
 *	  Fields that are dates, as Datums.
 *
 * The form that 1C writes is read here, since scans spend their time so; others go to dates.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "protocol/json/json_rows.h"
#include "table/dates.h"
#include "table/decode.h"
#include "table/decode_date.h"
#include "table/field.h"

/* "n" digits as a number, or -1. */
static inline int
digits(const char *text, int n)
{
	int			value = 0;

	for (int i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

/* YYYY-MM-DDT, a day that exists: keep it as the last one; false for any other form. */
static pg_noinline bool
parse_day(OnecDecoder *decoder, const char *t)
{
	int			year = digits(t, 4);
	int			month = digits(t + 5, 2);
	int			day = digits(t + 8, 2);

	if (t[4] != '-' || t[7] != '-' || t[10] != 'T' || year < 1 || month < 1 || month > 12 || day < 1)
		return false;
	if (day > day_tab[isleap(year)][month - 1])
		return false;
	memcpy(decoder->day, t, sizeof(decoder->day));
	decoder->midnight = ((int64) date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	return true;
}

/* YYYY-MM-DDTHH:MM:SS, a date that exists; false for any other form. */
static pg_attribute_always_inline bool
parse_datetime(OnecDecoder *decoder, const OnecField *field, Timestamp *out)
{
	const char *t = field->text;
	int			hour;
	int			minute;
	int			second;

	if (field->len != 19 || t[13] != ':' || t[16] != ':')
		return false;
	hour = digits(t + 11, 2);
	minute = digits(t + 14, 2);
	second = digits(t + 17, 2);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return false;
	if (memcmp(t, decoder->day, sizeof(decoder->day)) != 0 && !parse_day(decoder, t))
		return false;
	*out = decoder->midnight + ((hour * 60 + minute) * 60 + second) * USECS_PER_SEC;
	return true;
}

/* A date in another form than the usual one. */
static pg_noinline OnecDate
unusual_date(const OnecDecoder *decoder, const OnecField *field)
{
	OnecDate	date;

	switch (onec_date_parse(field->text, field->len, &date))
	{
		case ONEC_DATE_STRANGE:
			onec_field_refuse(field);
			break;
		case ONEC_DATE_IMPOSSIBLE:
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
					 errmsg("date of 1C is none of the calendar"),
					 errdetail("1C sent %s.", onec_field_shown(field))));
			break;
		case ONEC_DATE_TOO_FINE:
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
					 errmsg("date of 1C is finer than a microsecond"),
					 errdetail("1C sent %s.", onec_field_shown(field))));
			break;
		case ONEC_DATE_GOOD:
			break;
	}
	/* before all else: the empty date is no moment of any zone */
	if (date.stamp == ONEC_EMPTY_STAMP && decoder->empty_as_null)
		date.zoned = false;
	if (date.zoned && !decoder->converts_zones)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("date of 1C has a time zone, though 1C's dates are local ones"),
				 errdetail("1C sent %s.", onec_field_shown(field)),
				 errhint("The option zone_suffix 'convert' of the server or the table has such dates "
						 "converted.")));
	return date;
}

/* Where the base is. */
static pg_tz *
zone_of(OnecDecoder *decoder)
{
	if (decoder->zone == NULL)
		decoder->zone = onec_date_zone(decoder->timezone);
	return decoder->zone;
}

/* The date of a field as the time of day where the base is. */
static pg_attribute_always_inline Timestamp
local_date(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	Timestamp	stamp;
	OnecDate	date;

	if (!parse_datetime(decoder, field, &stamp))
	{
		date = unusual_date(decoder, field);
		stamp = !date.zoned ? date.stamp :
			onec_date_local(date.stamp - date.east * USECS_PER_SEC, zone_of(decoder));
	}
	*isnull = stamp == ONEC_EMPTY_STAMP && decoder->empty_as_null;
	return stamp;
}

Datum
onec_decode_datetime(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	Timestamp	stamp = local_date(decoder, field, isnull);

	if (decoder->typmod >= 0)
		return DirectFunctionCall2(timestamp_scale, TimestampGetDatum(stamp), Int32GetDatum(decoder->typmod));
	return TimestampGetDatum(stamp);
}

Datum
onec_decode_day(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	return DirectFunctionCall1(timestamp_date, TimestampGetDatum(local_date(decoder, field, isnull)));
}

Datum
onec_decode_instant(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	OnecDate	date = {0};

	if (!parse_datetime(decoder, field, &date.stamp))
		date = unusual_date(decoder, field);
	*isnull = date.stamp == ONEC_EMPTY_STAMP && decoder->empty_as_null;
	if (*isnull)
		return (Datum) 0;
	if (date.zoned)
		date.stamp -= date.east * USECS_PER_SEC;
	else
		date.stamp = onec_date_instant(date.stamp, zone_of(decoder));
	if (decoder->typmod >= 0)
		return DirectFunctionCall2(timestamptz_scale, TimestampTzGetDatum(date.stamp),
								   Int32GetDatum(decoder->typmod));
	return TimestampTzGetDatum(date.stamp);
}

/* The time of day of a date, or one that stands alone. */
Datum
onec_decode_time(OnecDecoder *decoder, const OnecField *field, bool *isnull)
{
	Datum		value;
	bool		empty;

	if (field->len < 3 || field->text[2] == ':')
	{
		if (memchr(field->text, '+', field->len) != NULL || memchr(field->text, '-', field->len) != NULL)
			onec_field_refuse(field);
		return onec_field_by_digits(decoder, field, "");
	}
	value = DirectFunctionCall1(timestamp_time, TimestampGetDatum(local_date(decoder, field, &empty)));
	if (decoder->type == TIMETZOID)
		return DirectFunctionCall1(time_timetz, value);
	if (decoder->typmod >= 0)
		return DirectFunctionCall2(time_scale, value, Int32GetDatum(decoder->typmod));
	return value;
}
