/*-------------------------------------------------------------------------
 *
 * json_usual.h
 *	  Members of a row that are as those of the row before: many bytes at a time.
 *
 * Only json_rows.c uses it, and json_shape.c.  Whatever is unusual is left to the plain scanner, which
 * knows all of JSON and tells what is wrong: it gives the same rows and errors without this, which the
 * tests compare.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_JSON_USUAL_H
#define ONEC_JSON_USUAL_H

#include <stdbool.h>

#include "protocol/json/json_rows.h"
#include "protocol/json/json_scan.h"
#include "protocol/json/json_shape.h"

typedef enum OnecUsualWay
{
	ONEC_USUAL_BEST,			/* what this build and processor have */
	ONEC_USUAL_NONE,			/* every byte is parsed, no shape is learned */
	ONEC_USUAL_16,				/* bytes at a time */
	ONEC_USUAL_32
} OnecUsualWay;

/* For tests: go this way from now on; false when this build or processor cannot. */
extern bool onec_usual_choose(OnecUsualWay way);

/* Whether a shape is of use. */
extern bool onec_usual_wants_shape(void);

/*
 * At the bridge before member "member": step over it and those after it while each is the one that the
 * shape expects, and has a number, a word, or a string of the usual length without escapes.  Wanted ones
 * go to "fields", *taken counts them.  Returns the member that the cursor then stands before, with
 * nothing of it taken.
 */
extern int	onec_usual_members(OnecCursor *c, const OnecShape *shape, int member, OnecField *fields,
							   int *taken);

#endif							/* ONEC_JSON_USUAL_H */
