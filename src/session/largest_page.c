/*-------------------------------------------------------------------------
 *
 * largest_page.c
 *	  How large the pages are that a base sends.
 *
 * A page that is shorter than one that came before was not cut by a server.  A session learns by itself; what
 * onec.remember_refusals() wrote to the table onec_internal.largest_page is where a new session begins, so
 * that not each backend asks what follows a small set.  It holds for the address it was learned at, and
 * for a day.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "session/capability.h"
#include "session/largest_page.h"
#include "session/session.h"
#include "session/session_private.h"

PG_FUNCTION_INFO_V1(onec_session_pages_sql);

/* Columns of onec_internal.largest_page. */
enum
{
	COLUMN_SERVER = 1,
	COLUMN_BASE,
	COLUMN_ROWS,
	COLUMN_SEEN_AT
};

/* Which base it is: by its address. */
static int64
base_of(const OnecSession *session)
{
	return (int64) hash_bytes_extended((const unsigned char *) session->root, (int) strlen(session->root), 0);
}

/* Of two pages the larger one, or that seen later. */
static void
take(OnecSession *session, int64 rows, TimestampTz seen)
{
	if (rows < session->largest_page || (rows == session->largest_page && seen <= session->largest_seen))
		return;
	session->largest_page = rows;
	session->largest_seen = seen;
}

static int64
number_at(HeapTuple tuple, int column, TupleDesc desc)
{
	bool		isnull;

	return DatumGetInt64(heap_getattr(tuple, column, desc, &isnull));
}

static void
recall(OnecSession *session)
{
	Relation	rel = onec_session_open_table("largest_page");
	SysScanDesc scan;
	HeapTuple	tuple;

	session->largest_recalled = true;
	if (rel == NULL)
		return;
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;
		Datum		name = heap_getattr(tuple, COLUMN_SERVER, desc, &isnull);

		if (strcmp(NameStr(*DatumGetName(name)), session->server_name) == 0 &&
			number_at(tuple, COLUMN_BASE, desc) == base_of(session))
			take(session, number_at(tuple, COLUMN_ROWS, desc), number_at(tuple, COLUMN_SEEN_AT, desc));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

int64
onec_session_largest_page(OnecSession *session)
{
	if (!session->largest_recalled)
		recall(session);
	if (onec_session_is_old(session->largest_seen))
		session->largest_page = 0;
	return session->largest_page;
}

void
onec_session_note_page(OnecSession *session, int64 rows)
{
	if (rows > 0 && rows >= session->largest_page)
		take(session, rows, GetCurrentTimestamp());
}

void
onec_session_forget_pages(OnecSession *session)
{
	session->largest_page = 0;
	session->largest_recalled = true;
}

/* onec_internal.session_largest_pages(): what this session knows of all servers. */
Datum
onec_session_pages_sql(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *sessions = onec_session_all();
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, sessions)
	{
		OnecSession *session = lfirst(lc);
		int64		rows = onec_session_largest_page(session);
		Datum		values[4];
		bool		nulls[4] = {false};

		if (rows == 0)
			continue;
		values[0] = DirectFunctionCall1(namein, CStringGetDatum(session->server_name));
		values[1] = Int64GetDatum(base_of(session));
		values[2] = Int64GetDatum(rows);
		values[3] = TimestampTzGetDatum(session->largest_seen);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
