/*-------------------------------------------------------------------------
 *
 * async.c
 *	  Foreign tables of one Append read side by side.
 *
 * An Append (UNION ALL, a partitioned table) asks all its scans for a row, and waits for whichever can go
 * on.  All bases hang on one pool of connections, so what happens on any of them wakes every scan that waits,
 * and those that cannot go on just wait again; each has descriptors of its own, since a set of events takes a
 * descriptor once.
 *
 * Requests to one base keep to its option prefetch.  A scan that finds no room is woken by the answer that
 * makes some: before each wait every scan tries once more, and if one gets on by that, nobody waits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "executor/execAsync.h"
#include "executor/instrument.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "fdw/async.h"
#include "fdw/rel.h"
#include "fdw/scan.h"
#include "session/replies.h"
#include "session/reply.h"

/* scan->async_fd: to wait for the pool, and not to wait */
enum
{
	WAITING,
	READY
};

/*
 * A count is one answer and not asked for this way; an interval between requests is waited for by whoever
 * sends.
 */
bool
onec_async_is_capable(ForeignPath *path)
{
	RelOptInfo *rel = path->path.parent;
	const OnecRel *info = rel->fdw_private;

	return IS_SIMPLE_REL(rel) && info->options->async_capable && info->options->min_interval == 0;
}

/* MemoryContextCallbackFunction: the query has ended. */
static void
close_fds(void *arg)
{
	OnecScan   *scan = arg;

	for (int i = WAITING; i <= READY; i++)
	{
		if (scan->async_fd[i] < 0)
			continue;
		close(scan->async_fd[i]);
		ReleaseExternalFD();
		scan->async_fd[i] = -1;
	}
}

/* A copy of the pool's descriptor, and one that is always readable; false when there are not so many. */
static bool
open_fds(OnecScan *scan)
{
	for (int i = WAITING; i <= READY; i++)
	{
		if (!AcquireExternalFD())
			return false;
		scan->async_fd[i] = i == WAITING ? onec_replies_fd() : eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
		if (scan->async_fd[i] >= 0)
			continue;
		ReleaseExternalFD();
		return false;
	}
	return true;
}

void
onec_async_begin(ForeignScanState *node)
{
	OnecScan   *scan = node->fdw_state;
	MemoryContextCallback *callback;

	scan->async_fd[WAITING] = scan->async_fd[READY] = -1;
	scan->async = node->ss.ps.async_capable;
	if (!scan->async)
		return;
	callback = MemoryContextAllocZero(node->ss.ps.state->es_query_cxt, sizeof(MemoryContextCallback));
	callback->func = close_fds;
	callback->arg = scan;
	MemoryContextRegisterResetCallback(node->ss.ps.state->es_query_cxt, callback);
	/* without descriptors it is waited for as ever */
	scan->async = open_fds(scan);
}

/* A row, the end, or neither yet. */
static void
produce(AsyncRequest *areq)
{
	OnecScan   *scan = ((ForeignScanState *) areq->requestee)->fdw_state;
	TupleTableSlot *slot;

	scan->pending = false;
	slot = areq->requestee->ExecProcNodeReal(areq->requestee);
	if (TupIsNull(slot) && scan->pending)
		ExecAsyncRequestPending(areq);
	else
		ExecAsyncRequestDone(areq, TupIsNull(slot) ? NULL : slot);
}

void
onec_async_request(AsyncRequest *areq)
{
	produce(areq);
}

/* What the executor does for a scan that is notified. */
static void
respond(AsyncRequest *areq)
{
	ExecAsyncResponse(areq);
	if (areq->requestee->instrument != NULL)
		InstrUpdateTupleCount(areq->requestee->instrument, TupIsNull(areq->result) ? 0.0 : 1.0);
}

void
onec_async_configure_wait(AsyncRequest *areq)
{
	OnecScan   *scan = ((ForeignScanState *) areq->requestee)->fdw_state;
	WaitEventSet *set = ((AppendState *) areq->requestor)->as_eventset;

	areq->callback_pending = false;
	produce(areq);
	if (areq->callback_pending)
	{
		onec_replies_watch();
		AddWaitEventToSet(set, WL_SOCKET_READABLE, scan->async_fd[WAITING], NULL, areq);
		return;
	}
	respond(areq);
	/* the wait has to end at once: for this row, and for those that found no room before it came */
	AddWaitEventToSet(set, WL_SOCKET_READABLE, scan->async_fd[READY], NULL, areq);
}

void
onec_async_notify(AsyncRequest *areq)
{
	onec_replies_waited();
	produce(areq);
}
