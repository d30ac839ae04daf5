/*-------------------------------------------------------------------------
 *
 * date_windows.c
 *	  How wide a window of dates is that holds about a page.
 *
 * Dates are 1C's texts (YYYY-MM-DDTHH:MM:SS), of an unknown zone: a day or two more or less do no harm here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/timestamp.h"

#include "reading/date_windows.h"
#include "table/dates.h"

#define SLACK (2 * SECS_PER_DAY)	/* between the base's clock and ours */
#define MEMORY 0.9				/* what a stretch counts once the next one is known */
#define UNLIKE 10.0				/* between densities that say nothing of each other */
#define MAX_WIDTH (3660.0 * SECS_PER_DAY)

void
onec_windows_reset(OnecWindows *windows)
{
	memset(windows, 0, sizeof(*windows));
}

static bool
parse_date(const char *text, Timestamp *stamp)
{
	OnecDate	date;

	if (onec_date_parse(text, strlen(text), &date) != ONEC_DATE_GOOD)
		return false;
	*stamp = date.stamp;
	return true;
}

/* Seconds between two dates; 0 where they are none, or in the wrong order. */
static double
seconds_between(const char *from, const char *to)
{
	Timestamp	begin;
	Timestamp	end;

	if (!parse_date(from, &begin) || !parse_date(to, &end) || end <= begin)
		return 0;
	return (double) (end - begin) / USECS_PER_SEC;
}

double
onec_windows_rows(const OnecWindows *windows, const char *from, const char *to)
{
	return windows->density * seconds_between(from, to);
}

/* Whether a density says nothing of what was usual lately. */
static bool
is_unlike(const OnecWindows *windows, double density)
{
	double		change = windows->rows > 0 ? density * windows->seconds / windows->rows : 0;

	return change < 1 / UNLIKE || change > UNLIKE;
}

/*
 * Shops close at night and sell more at weekends, so a window is made by what was usual lately, not by the
 * last page alone; unless that shows that times have changed.
 */
static void
note_usual(OnecWindows *windows, double rows, double seconds)
{
	double		keep = is_unlike(windows, rows / seconds) ? 0 : MEMORY;

	windows->rows = windows->rows * keep + rows;
	windows->seconds = windows->seconds * keep + seconds;
}

void
onec_windows_note(OnecWindows *windows, int64 rows, const char *from, const char *to)
{
	double		seconds = seconds_between(from, to);

	if (seconds <= 0)
		return;
	windows->density = rows / seconds;
	windows->sparse = rows == 0 ||
		(windows->rows > 0 && windows->density * windows->seconds < windows->rows / UNLIKE);
	if (rows > 0)
	{
		note_usual(windows, rows, seconds);
		return;
	}
	windows->rows = 0;
	windows->width = 0;
}

void
onec_windows_note_end(OnecWindows *windows, int64 rows, const char *from, const char *to)
{
	double		seconds = seconds_between(from, to);

	if (seconds <= 0 || rows <= 0)
		return;
	windows->density = rows / seconds;
	if (is_unlike(windows, windows->density))
		note_usual(windows, rows, seconds);
}

void
onec_windows_end(OnecWindows *windows, const char *from, int64 rows, TimestampTz now,
				 char end[ONEC_DATE_SIZE])
{
	Timestamp	begin;

	end[0] = '\0';
	/* nobody knows where the next row is: the page finds it */
	if (windows->sparse)
		return;
	/* few rows tell little: their number may well be off by its root */
	if (windows->rows > 0)
		windows->width = (1 - 1 / sqrt(windows->rows + 1)) * rows * windows->seconds / windows->rows;
	if (windows->width <= 0 || !parse_date(from, &begin) || begin > now + SLACK * USECS_PER_SEC)
		return;
	windows->width = Min(Max(ceil(windows->width), 1), MAX_WIDTH);
	(void) onec_date_write(begin + (int64) windows->width * USECS_PER_SEC, end);
}

bool
onec_windows_next_second(const char *date, char next[ONEC_DATE_SIZE])
{
	Timestamp	begin;

	return parse_date(date, &begin) && onec_date_write(begin + USECS_PER_SEC, next);
}
