/*-------------------------------------------------------------------------
 *
 * readings.c
 *	  How the last scans of this backend went: a ring, and the SQL function that shows it.
 *
 * A scan is noted when the executor ends it; one that failed is not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "reading/pager.h"
#include "reading/readings.h"
#include "session/reply.h"

PG_FUNCTION_INFO_V1(onec_readings);

#define READINGS 64				/* of which the ring knows */

typedef struct Reading
{
	Oid			relid;
	OnecSpent	spent;
	OnecWay		way;
	OnecColumnSet lacked;
} Reading;

static Reading ring[READINGS];
static int64 last_number = 0;	/* of all readings of this backend; the first is 1 */

void
onec_reading_note(Oid relid, const OnecSpent *spent, const OnecWay *way, const OnecColumnSet *lacked)
{
	ring[last_number++ % READINGS] = (Reading) {relid, *spent, *way, *lacked};
}

/* The names of the columns, as text[]. */
static Datum
column_names(Oid relid, const OnecColumnSet *columns)
{
	Datum		names[MaxHeapAttributeNumber];
	int			count = 0;

	for (AttrNumber attnum = 1; attnum <= MaxHeapAttributeNumber; attnum++)
	{
		char	   *name = columns->words[attnum / 64] >> (attnum % 64) & 1 ?
			get_attname(relid, attnum, true) : NULL;

		if (name != NULL)
			names[count++] = CStringGetTextDatum(name);
	}
	return PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* onec_internal.recent_readings(): those that the ring knows, oldest first. */
Datum
onec_readings(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int64 number = Max(last_number - READINGS, 0) + 1; number <= last_number; number++)
	{
		const Reading *reading = &ring[(number - 1) % READINGS];
		const OnecWay *way = &reading->way;
		Datum		values[] = {
			Int64GetDatum(number), ObjectIdGetDatum(reading->relid), Int64GetDatum(reading->spent.requests),
			Int64GetDatum(reading->spent.pages), Int64GetDatum(reading->spent.rows),
			Int64GetDatum(way->page_rows),
			BoolGetDatum(way->by_skip), BoolGetDatum(!way->shaky), BoolGetDatum(!way->unfiltered),
			BoolGetDatum(way->finished == way->runs), column_names(reading->relid, &reading->lacked),
			Int64GetDatum(way->twice)
		};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
