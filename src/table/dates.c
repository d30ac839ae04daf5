/*-------------------------------------------------------------------------
 *
 * dates.c
 *	  Dates in every form that 1C may write, and the zone they are of.
 *
 * The one form that 1C does write is read by decode.c itself.  PostgreSQL's own reading of dates is not
 * asked: it takes 01.02.2024 as DateStyle says, drops zones, and rounds.  Nothing is palloc'd.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "table/dates.h"

#define FRACTION_DIGITS 6

/* What is left to read. */
typedef struct Cursor
{
	const char *at;
	const char *end;
} Cursor;

/* Whether so many digits come next; then their number. */
static bool
take_digits(Cursor *cursor, int count, int *value)
{
	if (cursor->end - cursor->at < count)
		return false;
	*value = 0;
	for (int i = 0; i < count; i++)
	{
		char		c = *cursor->at++;

		if (c < '0' || c > '9')
			return false;
		*value = *value * 10 + (c - '0');
	}
	return true;
}

static bool
take(Cursor *cursor, char wanted)
{
	if (cursor->at == cursor->end || *cursor->at != wanted)
		return false;
	cursor->at++;
	return true;
}

/* The digits behind the point as microseconds; false without any. */
static bool
take_fraction(Cursor *cursor, int *micros, bool *too_fine)
{
	int			count = 0;
	int			digit;

	*micros = 0;
	for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; count++)
	{
		digit = *cursor->at++ - '0';
		if (count < FRACTION_DIGITS)
			*micros = *micros * 10 + digit;
		else if (digit != 0)
			*too_fine = true;
	}
	for (int i = count; i < FRACTION_DIGITS; i++)
		*micros *= 10;
	return count > 0;
}

/* Z, +HH, +HHMM or +HH:MM, up to the end. */
static bool
take_zone(Cursor *cursor, OnecDate *date)
{
	int			hour = 0;
	int			minute = 0;
	bool		west;

	date->zoned = true;
	date->east = 0;
	if (take(cursor, 'Z') || take(cursor, 'z'))
		return cursor->at == cursor->end;
	west = take(cursor, '-');
	if (!west && !take(cursor, '+'))
		return false;
	if (!take_digits(cursor, 2, &hour))
		return false;
	if (cursor->at < cursor->end)
	{
		(void) take(cursor, ':');
		if (!take_digits(cursor, 2, &minute))
			return false;
	}
	if (cursor->at < cursor->end || hour > 15 || minute > 59)
		return false;
	date->east = (hour * MINS_PER_HOUR + minute) * SECS_PER_MINUTE * (west ? -1 : 1);
	return true;
}

OnecDateForm
onec_date_parse(const char *text, size_t len, OnecDate *date)
{
	Cursor		cursor = {text, text + len};
	int			year;
	int			month;
	int			day;
	int			hour = 0;
	int			minute = 0;
	int			second = 0;
	int			micros = 0;
	bool		too_fine = false;

	date->zoned = false;
	if (!take_digits(&cursor, 4, &year) || !take(&cursor, '-') || !take_digits(&cursor, 2, &month) ||
		!take(&cursor, '-') || !take_digits(&cursor, 2, &day))
		return ONEC_DATE_STRANGE;
	if (take(&cursor, 'T'))
	{
		if (!take_digits(&cursor, 2, &hour) || !take(&cursor, ':') || !take_digits(&cursor, 2, &minute) ||
			(take(&cursor, ':') && (!take_digits(&cursor, 2, &second) ||
									(take(&cursor, '.') && !take_fraction(&cursor, &micros, &too_fine)))))
			return ONEC_DATE_STRANGE;
		if (cursor.at < cursor.end && !take_zone(&cursor, date))
			return ONEC_DATE_STRANGE;
	}
	if (cursor.at < cursor.end)
		return ONEC_DATE_STRANGE;
	if (year < 1 || month < 1 || month > MONTHS_PER_YEAR || day < 1 ||
		day > day_tab[isleap(year)][month - 1] ||
		hour > 23 || minute > 59 || second > 59)
		return ONEC_DATE_IMPOSSIBLE;
	date->stamp = ((int64) date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY +
		((hour * MINS_PER_HOUR + minute) * SECS_PER_MINUTE + second) * USECS_PER_SEC + micros;
	return too_fine ? ONEC_DATE_TOO_FINE : ONEC_DATE_GOOD;
}

bool
onec_date_write(Timestamp stamp, char text[ONEC_DATE_SIZE])
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(stamp, NULL, &tm, &fsec, NULL, NULL) != 0 || tm.tm_year < 1 || tm.tm_year > 9999)
		return false;
	snprintf(text, ONEC_DATE_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday,
			 tm.tm_hour, tm.tm_min, tm.tm_sec);
	return true;
}

/* ---- zones ---- */

pg_tz *
onec_date_zone(const char *name)
{
	pg_tz	   *zone = name != NULL ? pg_tzset(name) : session_timezone;

	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name)));
	return zone;
}

TimestampTz
onec_date_instant(Timestamp local, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");
	return local + (int64) DetermineTimeZoneOffset(&tm, zone) * USECS_PER_SEC;
}

Timestamp
onec_date_local(TimestampTz instant, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fsec;
	Timestamp	local;
	int			west;

	if (timestamp2tm(instant, &west, &tm, &fsec, NULL, zone) != 0 ||
		tm2timestamp(&tm, fsec, NULL, &local) != 0)
		elog(ERROR, "timestamp out of range");
	return local;
}
