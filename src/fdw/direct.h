/*-------------------------------------------------------------------------
 *
 * direct.h
 *	  Changes of foreign tables of write_mode 'direct': sent to 1C at once, and what 1C made of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DIRECT_H
#define ONEC_DIRECT_H

#include "postgres.h"

#include "nodes/execnodes.h"

#include "fdw/outbox.h"
#include "fdw/row.h"
#include "table/columns.h"
#include "table/options.h"

/* Setting onec_fdw.direct_modify: within a transaction block, too. */
extern bool onec_direct_modify;

/* A statement that sends its changes. */
typedef struct OnecDirect
{
	Oid			login;			/* whose user mapping */
	const OnecOptions *options;
	FmgrInfo	write_now;
	int			sent;			/* objects of this statement that are written */
	OnecRowReader reader;		/* of 1C's answers */
	TupleTableSlot *answer;
} OnecDirect;

/*
 * Get ready; lives in the current context.  Nothing is sent.  ERROR 25001 within a transaction block, unless
 * onec_fdw.direct_modify is on; as onec_session_get() for who has no login.
 */
extern OnecDirect *onec_direct_begin(ResultRelInfo *result, EState *estate, const OnecOptions *options,
									 const OnecColumn *columns, int ncolumns);

/*
 * Send one change; body and version may be (Datum) 0 for none.  "slot", if it is not NULL, gets what 1C has
 * stored: of what its answer leaves out it keeps the value.
 *
 * ERROR for what onec.enqueue refuses, too, before anything is sent; 08007 where it may be stored; 40001 for
 * an object that has been changed since it was read; 42501 and 28000 for lack of rights and of a login; HV000
 * for what 1C refuses, and for what it is too busy for: nothing is stored.  All say how many objects of the
 * statement are written already.
 */
extern void onec_direct_send(OnecDirect *direct, const char *operation, Datum key, Datum body, Datum version,
							 TupleTableSlot *slot);

#endif							/* ONEC_DIRECT_H */
