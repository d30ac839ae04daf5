/*-------------------------------------------------------------------------
 *
 * told.h
 *	  What a message of an exchange plan tells: which objects have changed, and which are gone.
 *
 * Only what names an object is kept.  Everything must be understood: whoever confirms a message of which an
 * entry was passed over has lost that change.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TOLD_H
#define ONEC_TOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "onec_error.h"

#define ONEC_TOLD_KEY 36		/* letters of a GUID */

typedef struct OnecToldObject
{
	char	   *entity_set;		/* UTF-8 */
	char		key[ONEC_TOLD_KEY + 1]; /* empty: records of a register, a constant: no object of its own */
	bool		gone;
} OnecToldObject;

/* All zero is one that tells nothing; malloc'ed, so that callbacks of libraries can fill it. */
typedef struct OnecTold
{
	OnecToldObject *objects;
	size_t		count;
	size_t		room;
} OnecTold;

/*
 * Add what an entry says, in UTF-8, NULL where it says nothing: "type" such as StandardODATA.Catalog_X,
 * "key" a GUID, "address" such as http://host/…/Catalog_X(guid'…').  False with "error" (REPLY, MEMORY) when
 * it does not say which object it means.
 */
extern bool onec_told_add(OnecTold *told, const char *type, const char *key, const char *address, bool gone,
						  OnecError *error);

extern void onec_told_free(OnecTold *told);

#endif							/* ONEC_TOLD_H */
