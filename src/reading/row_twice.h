/*-------------------------------------------------------------------------
 *
 * row_twice.h
 *	  Rows that come twice within a page.
 *
 * A set of hashes of 64 bits, which is emptied for each page and costs some nanoseconds a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ROW_TWICE_H
#define ONEC_ROW_TWICE_H

#include "postgres.h"

/* All zero is an empty set. */
typedef struct OnecTwice
{
	uint64	   *slots;			/* open hash table, 0 is free */
	int			room;			/* slots, a power of two */
	int			count;
} OnecTwice;

/* Empty the set. */
extern void onec_twice_clear(OnecTwice *set);

/* Whether the set has the hash. */
extern bool onec_twice_has(const OnecTwice *set, uint64 hash);

/* Add a hash; false when it is there already.  "context" is where the set lives. */
extern bool onec_twice_add(OnecTwice *set, uint64 hash, MemoryContext context);

#endif							/* ONEC_ROW_TWICE_H */
