/*-------------------------------------------------------------------------
 *
 * moment.c
 *	  Local time of a base as a moment: what its clock said, in its time zone.
 *
 * Views have a column of it beside each that is local, and are read by millions of rows, nearly all of one
 * base: the zone of the base asked for last is kept as long as the plan of the query.
 *
 * Memory: what is kept is in the memory of the call's FmgrInfo.  Errors: those of AT TIME ZONE, and of SPI.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(onec_moment);

typedef struct Zone
{
	NameData	server;
	text	   *zone;
} Zone;

/* The zone of a base, as SQL says it; palloc'd in the context given. */
static text *
zone_of(Name server, MemoryContext context)
{
	Oid			types[] = {NAMEOID};
	Datum		values[] = {NameGetDatum(server)};
	MemoryContext caller;
	text	   *zone;
	bool		isnull;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI is not to be had");
	if (SPI_execute_with_args("SELECT onec_internal.server_zone($1)", 1, types, values, NULL, true,
							  1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "server \"%s\" has no time zone", NameStr(*server));
	caller = MemoryContextSwitchTo(context);
	zone = DatumGetTextPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	MemoryContextSwitchTo(caller);
	SPI_finish();
	return zone;
}

/* onec.moment(name, timestamp): "local" AT TIME ZONE that of the base */
Datum
onec_moment(PG_FUNCTION_ARGS)
{
	Name		server = PG_GETARG_NAME(0);
	Zone	   *kept = fcinfo->flinfo->fn_extra;

	if (kept == NULL || strcmp(NameStr(kept->server), NameStr(*server)) != 0)
	{
		text	   *zone = zone_of(server, fcinfo->flinfo->fn_mcxt);

		if (kept == NULL)
			fcinfo->flinfo->fn_extra = kept = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(*kept));
		else
			pfree(kept->zone);
		kept->server = *server;
		kept->zone = zone;
	}
	PG_RETURN_DATUM(DirectFunctionCall2(timestamp_zone, PointerGetDatum(kept->zone), PG_GETARG_DATUM(1)));
}
