/*-------------------------------------------------------------------------
 *
 * totals.c
 *	  The counts of all backends, for SQL.
 *
 * Memory: the caller's per-query context.  Errors: ereport.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "session/error.h"
#include "session/totals.h"

PG_FUNCTION_INFO_V1(onec_server_totals);
PG_FUNCTION_INFO_V1(onec_server_errors);
PG_FUNCTION_INFO_V1(onec_reset_totals);

static void
check_work(void)
{
	int			why;

	if (onec_totals_work(&why))
		return;
	errno = why;
	ereport(WARNING,
			(errcode_for_file_access(),
			 errmsg("requests are not counted: the file for it in pg_stat_tmp could not be made: %m")));
}

/* onec_internal.server_totals(server oid): one row, or none if nothing was counted yet */
Datum
onec_server_totals(PG_FUNCTION_ARGS)
{
	uint64		counts[ONEC_TOTAL_COUNT];
	TimestampTz since;
	Datum		values[8];
	bool		nulls[8] = {false};
	int64		errors = 0;

	InitMaterializedSRF(fcinfo, 0);
	check_work();
	if (!onec_totals_read(PG_GETARG_OID(0), counts, &since))
		return (Datum) 0;
	for (int kind = 0; kind < ONEC_ERROR_COUNT; kind++)
		errors += counts[ONEC_TOTAL_ERRORS + kind];
	values[0] = Int64GetDatum(counts[ONEC_TOTAL_REQUESTS]);
	values[1] = Int64GetDatum(counts[ONEC_TOTAL_RETRIES]);
	values[2] = Int64GetDatum(counts[ONEC_TOTAL_ROWS]);
	values[3] = Int64GetDatum(counts[ONEC_TOTAL_BYTES]);
	values[4] = Int64GetDatum(errors);
	values[5] = Int64GetDatum(counts[ONEC_TOTAL_CANCELLED]);
	values[6] = Float8GetDatum(counts[ONEC_TOTAL_WAITED_US] / 1000.0);
	values[7] = TimestampTzGetDatum(since);
	tuplestore_putvalues(((ReturnSetInfo *) fcinfo->resultinfo)->setResult,
						 ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, values, nulls);
	return (Datum) 0;
}

/* onec_internal.server_errors(server oid): a row for each kind that has happened */
Datum
onec_server_errors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64		counts[ONEC_TOTAL_COUNT];
	TimestampTz since;

	InitMaterializedSRF(fcinfo, 0);
	if (!onec_totals_read(PG_GETARG_OID(0), counts, &since))
		return (Datum) 0;
	for (int kind = 0; kind < ONEC_ERROR_COUNT; kind++)
	{
		Datum		values[2];
		bool		nulls[2] = {false};

		if (counts[ONEC_TOTAL_ERRORS + kind] == 0)
			continue;
		values[0] = CStringGetTextDatum(onec_error_meaning(kind));
		values[1] = Int64GetDatum(counts[ONEC_TOTAL_ERRORS + kind]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* onec_internal.reset_totals(server name) */
Datum
onec_reset_totals(PG_FUNCTION_ARGS)
{
	onec_totals_reset(GetForeignServerByName(NameStr(*PG_GETARG_NAME(0)), false)->serverid);
	PG_RETURN_VOID();
}
