/*-------------------------------------------------------------------------
 *
 * explain.h
 *	  EXPLAIN of a foreign scan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_EXPLAIN_H
#define ONEC_EXPLAIN_H

#include "postgres.h"

#include "compat.h"

/* As fdwapi.h has it. */
extern void onec_scan_explain(ForeignScanState *node, ExplainState *es);

#endif							/* ONEC_EXPLAIN_H */
