/*-------------------------------------------------------------------------
 *
 * run.c
 *	  What a run of the sync holds while it is at work, and by which login it works.
 *
 * A run commits many times, so its mark is a lock of the session: an advisory lock that others see in
 * pg_locks.  Of itself such a lock outlives the statement; here whatever ends the run by an error, a cancel
 * as well, ends the lock with it.  A backend that a pooler has given to another client is therefore never
 * taken for a run.
 *
 * Memory: none is kept.  Errors: ereport.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(onec_hold_run);
PG_FUNCTION_INFO_V1(onec_release_run);
PG_FUNCTION_INFO_V1(onec_login_version);

static bool held = false;
static LOCKTAG held_tag;

static void
release(void)
{
	if (held)
		LockRelease(&held_tag, ExclusiveLock, true);
	held = false;
}

static void
at_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		release();
}

/* onec_internal.hold_run(key bigint): begin; false when a run of that key is at work, in this session or
 * another */
Datum
onec_hold_run(PG_FUNCTION_ARGS)
{
	static bool registered = false;
	uint64		key = (uint64) PG_GETARG_INT64(0);

	if (held)
		PG_RETURN_BOOL(false);
	if (!registered)
		RegisterXactCallback(at_end, NULL);
	registered = true;
	SET_LOCKTAG_ADVISORY(held_tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, 1);
	held = LockAcquire(&held_tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
	PG_RETURN_BOOL(held);
}

/* onec_internal.release_run(): end */
Datum
onec_release_run(PG_FUNCTION_ARGS)
{
	release();
	PG_RETURN_VOID();
}

/* Which version of a row of a catalog this is. */
static char *
version_of(HeapTuple tuple)
{
	return psprintf("%u.%u.%u", HeapTupleHeaderGetRawXmin(tuple->t_data),
					ItemPointerGetBlockNumberNoCheck(&tuple->t_self),
					ItemPointerGetOffsetNumberNoCheck(&tuple->t_self));
}

/*
 * onec_internal.login_version(server name): changes whenever the server or the caller's user mapping is
 * altered; tells no secret
 */
Datum
onec_login_version(PG_FUNCTION_ARGS)
{
	Oid			server = GetForeignServerByName(NameStr(*PG_GETARG_NAME(0)), false)->serverid;
	HeapTuple	tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server));
	char	   *version = HeapTupleIsValid(tuple) ? version_of(tuple) : "";

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(GetUserId()), ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server));
	if (HeapTupleIsValid(tuple))
	{
		version = psprintf("%s %s", version, version_of(tuple));
		ReleaseSysCache(tuple);
	}
	PG_RETURN_TEXT_P(cstring_to_text(version));
}
