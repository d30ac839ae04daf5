/*-------------------------------------------------------------------------
 *
 * date_windows.h
 *	  How wide a window of dates is that holds about a page.
 *
 * Where several requests may be under way, a set with dates is cut into windows that abut; each begins where
 * the one before ends, so they can be asked for at once.  Their width follows the density of the rows seen
 * lately.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DATE_WINDOWS_H
#define ONEC_DATE_WINDOWS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "table/dates.h"

typedef struct OnecWindows
{
	double		density;		/* rows a second, of the rows seen last; 0: not known, or none */
	double		rows;			/* seen lately, older ones counting less; 0: nothing is known */
	double		seconds;		/* … in so much time */
	double		width;			/* of the last window, seconds */
	bool		sparse;			/* the last stretch held nothing, or next to nothing */
} OnecWindows;

/* The second after "date"; false when there is none. */
extern bool onec_windows_next_second(const char *date, char next[ONEC_DATE_SIZE]);

/* Begin with nothing known. */
extern void onec_windows_reset(OnecWindows *windows);

/* "rows" rows lie between two dates of 1C. */
extern void onec_windows_note(OnecWindows *windows, int64 rows, const char *from, const char *to);

/* The last of them were so dense at the end, which tells more of what follows at once. */
extern void onec_windows_note_end(OnecWindows *windows, int64 rows, const char *from, const char *to);

/* How many rows probably lie between two dates, if they are as dense as the last ones; 0: not known. */
extern double onec_windows_rows(const OnecWindows *windows, const char *from, const char *to);

/*
 * Where the window that begins at "from" ends, to hold about "rows" rows; an empty text when it had better
 * stay open, because little or nothing lies there: it begins after "now", or behind a stretch that was
 * sparse.
 */
extern void onec_windows_end(OnecWindows *windows, const char *from, int64 rows, TimestampTz now,
							 char end[ONEC_DATE_SIZE]);

#endif							/* ONEC_DATE_WINDOWS_H */
