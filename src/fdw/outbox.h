/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  The functions of the extension that take changes, for foreign tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_OUTBOX_H
#define ONEC_OUTBOX_H

#include "postgres.h"

#include "fmgr.h"

typedef enum OnecTaker
{
	ONEC_TAKER_ENQUEUE,			/* onec.enqueue: one change into the outbox */
	ONEC_TAKER_ENQUEUE_NEW,		/* onec_internal.enqueue_new: many new objects into it */
	ONEC_TAKER_WRITE_NOW		/* onec_internal.write_now: one change sent at once */
} OnecTaker;

/*
 * Find the function; what "info" keeps lives in the current context.  ERROR 42501 for who may not call
 * onec.enqueue, which is what all of them are given by; 42883 where the extension's version has none.
 */
extern void onec_outbox_find(OnecTaker taker, FmgrInfo *info);

/* An argument: a pointer's Datum, or (Datum) 0 for NULL. */
static inline NullableDatum
onec_outbox_argument(Datum value)
{
	return (NullableDatum) {.value = value,.isnull = value == (Datum) 0};
}

/* Call it, with NULL for what is not given: its result, in the current context; (Datum) 0 for none. */
extern Datum onec_outbox_call(FmgrInfo *info, const NullableDatum *arguments, int narguments);

#endif							/* ONEC_OUTBOX_H */
