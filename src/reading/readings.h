/*-------------------------------------------------------------------------
 *
 * readings.h
 *	  How the last scans of this backend went: what a reader of whole sets may rely on.
 *
 * Who deletes what a reading lacks has to know whether it could lack anything: whether it came to its end,
 * and whether its pages went by $skip, in an order that holds from page to page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_READINGS_H
#define ONEC_READINGS_H

#include "postgres.h"

#include "access/htup_details.h"

#include "reading/pager.h"
#include "session/reply.h"

/* Columns by number, from 1 on. */
typedef struct OnecColumnSet
{
	uint64		words[MaxHeapAttributeNumber / 64 + 1];
} OnecColumnSet;

/*
 * Note a scan of "relid" that has ended, with its rescans; "lacked": columns whose property some rows did not
 * have.
 */
extern void onec_reading_note(Oid relid, const OnecSpent *spent, const OnecWay *way,
							  const OnecColumnSet *lacked);

#endif							/* ONEC_READINGS_H */
