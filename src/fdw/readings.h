/*-------------------------------------------------------------------------
 *
 * readings.h
 *	  How the last scans of this backend went: what a reader of whole sets may rely on.
 *
 * Who deletes what a reading lacks has to know whether it could lack anything: whether it came to its end, and whether
 * its pages went by $skip, in an order that holds from page to page.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_READINGS_H
#define ONEC_READINGS_H

#include "postgres.h"

#include "fdw/pager.h"

/* Note a scan of "relid" that has ended, with its rescans. */
extern void onec_reading_note(Oid relid, const OnecSpent *spent, const OnecWay *way);

#endif							/* ONEC_READINGS_H */
