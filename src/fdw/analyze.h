/*-------------------------------------------------------------------------
 *
 * analyze.h
 *	  ANALYZE of a foreign table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ANALYZE_H
#define ONEC_ANALYZE_H

#include "postgres.h"

#include "foreign/fdwapi.h"

/* As fdwapi.h has it. */
extern bool onec_analyze_table(Relation relation, AcquireSampleRowsFunc *func,
							   BlockNumber *totalpages);

#endif							/* ONEC_ANALYZE_H */
