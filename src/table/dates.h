/*-------------------------------------------------------------------------
 *
 * dates.h
 *	  Dates in every form that 1C may write, and the zone they are of.
 *
 * 1C's dates have no zone: they are the time of day where the base is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DATES_H
#define ONEC_DATES_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "pgtime.h"

/* The empty date of 1C as a timestamp: 0001-01-01 00:00:00. */
#define ONEC_EMPTY_STAMP (-INT64CONST(730119) * USECS_PER_DAY)

#define ONEC_DATE_SIZE 20		/* YYYY-MM-DDTHH:MM:SS and a terminator */

/* What follows the last date of 1C: 10000-01-01 00:00:00. */
#define ONEC_END_STAMP (INT64CONST(2921940) * USECS_PER_DAY)

typedef struct OnecDate
{
	Timestamp	stamp;			/* as written, the zone left aside */
	bool		zoned;			/* a zone follows */
	int			east;			/* then, how far it is east of Greenwich, in seconds */
} OnecDate;

typedef enum OnecDateForm
{
	ONEC_DATE_GOOD,
	ONEC_DATE_STRANGE,			/* not YYYY-MM-DD[THH:MM[:SS[.f]]], with a zone behind it or without */
	ONEC_DATE_IMPOSSIBLE,		/* of that form, but there is no such day or time of day */
	ONEC_DATE_TOO_FINE			/* a digit of the fraction beyond the sixth is not 0 */
} OnecDateForm;

/* Read "len" bytes of text, of which *date is set if they are good. */
extern OnecDateForm onec_date_parse(const char *text, size_t len, OnecDate *date);

/*
 * Write it as 1C does, without what it has of a second; false where that is no date of the years 1 to 9999.
 */
extern bool onec_date_write(Timestamp stamp, char text[ONEC_DATE_SIZE]);

/*
 * The zone of a server whose option timezone is "name"; the session's without one.  Lasts as long as the
 * backend.  ERROR 22023 for a name that is unknown.
 */
extern pg_tz *onec_date_zone(const char *name);

/*
 * From the time of day in a zone to the instant and back.  What a change of the clock makes twice is the
 * later, as for PostgreSQL; the times of the years 1 to 9999 are never out of range.
 */
extern TimestampTz onec_date_instant(Timestamp local, pg_tz *zone);
extern Timestamp onec_date_local(TimestampTz instant, pg_tz *zone);

#endif							/* ONEC_DATES_H */
