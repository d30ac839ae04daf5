/*-------------------------------------------------------------------------
 *
 * names.h
 *	  1C names as PostgreSQL identifiers.
 *
 * Folding is what PostgreSQL does to an unquoted identifier in a UTF-8 database:
 * ASCII letters go to lower case, the rest stays, 63 bytes are kept without cutting a
 * character.  So a 1C name can be typed unquoted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_NAMES_H
#define ONEC_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define ONEC_NAME_SIZE 64		/* NAMEDATALEN of a stock server */

/* One name to place.  "rank": smaller keeps the plain name in a collision. */
typedef struct OnecName
{
	const char *real;
	int			rank;
	char		local[ONEC_NAME_SIZE];	/* result */
	bool		suffixed;		/* lost a collision: ends in _ and 8 hexadecimal digits */
} OnecName;

/* Fold (if "fold") and cut one name. */
extern void onec_name_local(const char *real, bool fold, char out[ONEC_NAME_SIZE]);

/* Cut further and append "_" and a hash of the real name (FNV-1a, 32 bits): stable everywhere. */
extern void onec_name_suffixed(const char *real, bool fold, char out[ONEC_NAME_SIZE]);

/*
 * Give every name a local one, all different.  Where several fold or cut to one, the
 * lowest rank (then byte order of the real name) keeps it, the others are suffixed.
 * The result does not depend on the order of "names".  False when out of memory.
 */
extern bool onec_names_assign(OnecName *names, int count, bool fold);

/* Whether a name holds control characters or line separators: it becomes no identifier. */
extern bool onec_name_is_odd(const char *name);

/* The name for messages, those characters as \xHH; cut to what "out" holds. */
extern void onec_name_escape(const char *name, char *out, size_t size);

/* 0 for "_RecordType" sets, 1 for others: the more useful set keeps the name. */
extern int	onec_name_rank(const char *entity_set);

#endif							/* ONEC_NAMES_H */
