/*-------------------------------------------------------------------------
 *
 * async.h
 *	  What a scan does at its beginning to be asked by an asynchronous Append.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ASYNC_H
#define ONEC_ASYNC_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

/* An asynchronous Append's calls, as fdwapi.h has them. */
extern bool onec_async_is_capable(ForeignPath *path);
extern void onec_async_request(AsyncRequest *areq);
extern void onec_async_configure_wait(AsyncRequest *areq);
extern void onec_async_notify(AsyncRequest *areq);

/*
 * Have the scan of "node", whose state is made, give no row rather than wait, if an asynchronous Append is
 * above it.  What it opens is closed with the query's memory.
 */
extern void onec_async_begin(ForeignScanState *node);

#endif							/* ONEC_ASYNC_H */
