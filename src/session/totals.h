/*-------------------------------------------------------------------------
 *
 * totals.h
 *	  What all backends have asked of each base, in memory that they share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TOTALS_H
#define ONEC_TOTALS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "onec_error.h"

/* What is counted of a server. */
typedef enum OnecTotal
{
	ONEC_TOTAL_REQUESTS,		/* every attempt, and those that end a 1C session */
	ONEC_TOTAL_RETRIES,			/* those of them that repeat one that failed */
	ONEC_TOTAL_ROWS,			/* of answers, decoded */
	ONEC_TOTAL_BYTES,			/* of answers, as they came over the wire */
	ONEC_TOTAL_WAITED_US,		/* from sending a request to the end of its answer */
	ONEC_TOTAL_CANCELLED,		/* given up before the answer's end */
	ONEC_TOTAL_ERRORS			/* the first of ONEC_ERROR_COUNT: + OnecErrorKind; ONEC_OK is not used */
} OnecTotal;

#define ONEC_ERROR_COUNT (ONEC_ERR_MEMORY + 1)
#define ONEC_TOTAL_COUNT (ONEC_TOTAL_ERRORS + ONEC_ERROR_COUNT)

typedef struct OnecTotals OnecTotals;

/*
 * The place of a server of this database, found or taken; NULL where there is none to be had: the file cannot
 * be made, or all places are taken.  Never raises.
 */
extern OnecTotals *onec_totals_of(Oid serverid);

/* Add to a server's count; "totals" may be NULL, or a place that has been given to another since. */
extern void onec_totals_add(OnecTotals *totals, Oid serverid, OnecTotal what, uint64 n);

/* Copy a server's counts, and since when they count; false: nothing was counted yet. */
extern bool onec_totals_read(Oid serverid, uint64 values[ONEC_TOTAL_COUNT], TimestampTz *since);

/* Begin to count anew. */
extern void onec_totals_reset(Oid serverid);

/* Whether counts can be kept at all; else "why" says what is in the way, as errno. */
extern bool onec_totals_work(int *why);

#endif							/* ONEC_TOTALS_H */
