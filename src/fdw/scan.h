/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  The state of a foreign scan, shared by its execution and its EXPLAIN.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SCAN_H
#define ONEC_SCAN_H

#include "postgres.h"

#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "utils/tuplesort.h"

#include "fdw/row.h"
#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "reading/pager.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/columns.h"
#include "table/options.h"

typedef struct OnecScan
{
	Oid			relid;
	OnecOptions *options;
	OnecColumn *columns;		/* by attnum - 1 */
	int			ncolumns;

	/* from the plan */
	OnecDeparse deparse;
	List	   *quals;
	bool		turnovers;			/* it reads Turnovers in place of records */
	List	   *periods;		/* then, conditions on the period */
	List	   *arguments;		/* attnums of argument columns with a value */
	bool		count;
	int64		hint;
	OnecOrder  *order;
	int		   *order_attnums;
	bool	   *order_nulls_first;
	OnecNulls	nulls;
	int			norder;

	OnecRowReader reader;		/* of the wanted columns */
	OnecWanted	wanted;

	/* execution */
	Datum		lookup_keys;	/* array given by a look-up join before a rescan */
	int			lookup;			/* its number among the values; -1: no such join */
	List	   *expr_states;	/* of params, then of argument values */
	OnecValue  *values;			/* the same order */
	OnecSession *session;
	OnecPager  *pager;
	OnecSpent	spent;
	MemoryContext run;			/* until the next rescan */
	TupleTableSlot *slot;		/* of the rows, by attnum - 1 */
	bool		started;
	bool		flowing;		/* a row has come, in the order that was asked for */
	bool		async;			/* an Append asks, which must not be kept waiting */
	bool		pending;		/* so it was given no row, but there may be more */
	int			async_fd[2];	/* it waits on these: for the pool; not at all.  -1: none */
	bool		nothing;		/* no row can match: no request */
	Tuplesortstate *sort;		/* when the base refused the promised order */
	TupleTableSlot *sort_slot;
	OnecQuery	query;
} OnecScan;

/* The executor's calls, as fdwapi.h has them. */
extern void onec_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *onec_scan_iterate(ForeignScanState *node);
extern void onec_scan_rescan(ForeignScanState *node);
extern void onec_scan_end(ForeignScanState *node);

/* The filter, key and arguments as a query; needs values in "deparse" unless for EXPLAIN. */
extern void onec_scan_query(OnecScan *scan, bool exact, bool *nothing);

#endif							/* ONEC_SCAN_H */
