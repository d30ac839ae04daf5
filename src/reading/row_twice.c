/*-------------------------------------------------------------------------
 *
 * row_twice.c
 *	  Rows that come twice within a page.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "reading/row_twice.h"

#define FEWEST_SLOTS 64

void
onec_twice_clear(OnecTwice *set)
{
	/* one small page after a large one must not cost what the large one did, again and again */
	if (set->room > FEWEST_SLOTS && set->count < set->room / 16)
	{
		pfree(set->slots);
		set->slots = NULL;
		set->room = 0;
	}
	if (set->count > 0 && set->room > 0)
		memset(set->slots, 0, sizeof(uint64) * set->room);
	set->count = 0;
}

/* The slot of the hash, or the free one where it would be. */
static inline uint64 *
find_slot(const OnecTwice *set, uint64 hash)
{
	uint64		mask = set->room - 1;
	uint64		at = hash & mask;

	while (set->slots[at] != 0 && set->slots[at] != hash)
		at = (at + 1) & mask;
	return &set->slots[at];
}

static void
grow(OnecTwice *set, MemoryContext context)
{
	OnecTwice	larger = {.room = set->room > 0 ? set->room * 4 : FEWEST_SLOTS,.count = set->count};

	larger.slots = MemoryContextAllocExtended(context, sizeof(uint64) * larger.room,
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < set->room; i++)
		if (set->slots[i] != 0)
			*find_slot(&larger, set->slots[i]) = set->slots[i];
	if (set->slots != NULL)
		pfree(set->slots);
	*set = larger;
}

bool
onec_twice_has(const OnecTwice *set, uint64 hash)
{
	return set->count > 0 && *find_slot(set, hash ? hash : 1) != 0;
}

bool
onec_twice_add(OnecTwice *set, uint64 hash, MemoryContext context)
{
	uint64	   *slot;

	hash = hash ? hash : 1;
	if (set->count >= set->room / 2)
		grow(set, context);
	slot = find_slot(set, hash);
	if (*slot != 0)
		return false;
	*slot = hash;
	set->count++;
	return true;
}
