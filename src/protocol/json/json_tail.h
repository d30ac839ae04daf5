/*-------------------------------------------------------------------------
 *
 * json_tail.h
 *	  A guess at what a piece of a page ends with; nothing is parsed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_JSON_TAIL_H
#define ONEC_JSON_TAIL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The last text that a member "name" has in a piece of a page, as it stands there; false when there is none,
 * it takes more than "size" bytes with its terminator, or has escapes.  A guess at what the page ends with:
 * the piece is not parsed.
 */
extern bool onec_json_last_text(const char *data, size_t len, const char *name, char *text, size_t size);

#endif							/* ONEC_JSON_TAIL_H */
