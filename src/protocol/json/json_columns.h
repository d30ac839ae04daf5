/*-------------------------------------------------------------------------
 *
 * json_columns.h
 *	  The wanted properties of a page, found by the names of members.
 *
 * Only json_rows.c uses it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_JSON_COLUMNS_H
#define ONEC_JSON_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "protocol/json/json_rows.h"

typedef struct OnecJsonColumn
{
	char	   *name;
	size_t		len;
	int			same_as;		/* an earlier column of this name, or -1 */
	bool		seen;			/* a row of this page has it, where not all_seen */
	bool		lacked;			/* a row of any page had others, but not this one */
} OnecJsonColumn;

typedef struct OnecJsonColumns
{
	int			count;
	int			distinct;		/* of different names */
	OnecJsonColumn *list;			/* in the order of the caller */
	bool		repeated;		/* some name is wanted twice */
	bool		all_seen;		/* each column is: rows need not be looked at any more */
	int		   *slots;			/* open hash table of columns, -1 is free */
	size_t		slot_mask;
	uint64_t	lengths;		/* bit n: some name has n (modulo 64) bytes */
} OnecJsonColumns;

/* Copy "names"; false when out of memory, and then onec_json_columns_free() is still due. */
extern bool onec_json_columns_init(OnecJsonColumns *columns, const char *const *names, int nnames);

/* Release what a zeroed or initialised structure holds. */
extern void onec_json_columns_free(OnecJsonColumns *columns);

/* A page begins: no row has been seen. */
extern void onec_json_columns_unsee(OnecJsonColumns *columns);

/* A row has these fields, in the order of the columns, and lacks some of them. */
extern void onec_json_columns_see(OnecJsonColumns *columns, const OnecField *fields);

/* For onec_json_columns_find(): a column of a plausible length by its hash, or -1. */
extern int	onec_json_columns_look_up(const OnecJsonColumns *columns, const char *name, size_t len);

/* The (first) column called "name", -1 when it is not wanted. */
static inline int
onec_json_columns_find(const OnecJsonColumns *columns, const char *name, size_t len)
{
	/* most members of a wide row are turned away here */
	if ((columns->lengths >> (len & 63) & 1) == 0)
		return -1;
	return onec_json_columns_look_up(columns, name, len);
}

#endif							/* ONEC_JSON_COLUMNS_H */
