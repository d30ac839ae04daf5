/*-------------------------------------------------------------------------
 *
 * json_rows.h
 *	  Cut one OData page into rows without building a tree of the page.
 *
 * The caller owns the bytes and shows them as one growing window: each call of
 * onec_rows_next() sees everything from the first byte not yet consumed.  The
 * scanner never looks back before that byte, so only the current row has to be
 * held.  It accepts a page cut anywhere, in any number of pieces, in linear time.
 *
 * Accepts: list envelopes ("value" in any position among the members), single
 * entities (one row), a UTF-8 BOM, any member order, unknown members, duplicate
 * members (the last one wins, as in json-c).  Refuses everything RFC 8259 refuses,
 * a document that ends early, and bytes after it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_JSON_ROWS_H
#define ONEC_JSON_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "onec_error.h"

typedef enum OnecFieldKind
{
	ONEC_FIELD_ABSENT,
	ONEC_FIELD_NULL,
	ONEC_FIELD_STRING,			/* text: the value, escapes already resolved, valid UTF-8, no NUL byte */
	ONEC_FIELD_NUMBER,			/* text: the token as it stood */
	ONEC_FIELD_BOOL,			/* text: "true" or "false" */
	ONEC_FIELD_NESTED			/* text: an object or array as JSON text, validated */
} OnecFieldKind;

/* Valid until the next onec_rows_next(); not NUL-terminated. */
typedef struct OnecField
{
	OnecFieldKind kind;
	const char *text;
	size_t		len;
} OnecField;

typedef enum OnecRowsStatus
{
	ONEC_ROWS_ROW,				/* fields are filled */
	ONEC_ROWS_MORE,				/* the window holds no complete row: call again with more bytes */
	ONEC_ROWS_END,				/* the document is complete */
	ONEC_ROWS_ERROR				/* see error: REPLY (syntax, early end), DATA (NUL, bad UTF-8), LIMIT,
								 * MEMORY */
} OnecRowsStatus;

typedef struct OnecRows OnecRows;

/*
 * "names": the wanted properties (copied).  With none, rows are found and
 * their values not decoded.  NULL when out of memory.
 */
extern OnecRows *onec_rows_create(const char *const *names, int nnames);

/*
 * Begin a new page; the wanted columns stay.  "entity": a single entity was asked for, which is an object
 * without a list and has at least one of the wanted properties; else any object without a list is refused.  A
 * new OnecRows takes both.
 */
extern void onec_rows_reset(OnecRows *rows, bool entity);

/*
 * Find the next row in data[0..len).  "last": no more bytes will come.  *consumed
 * tells how many bytes at the front are done with; they may be dropped only
 * after the fields of this row have been used.  Call again at once after ROW.
 */
extern OnecRowsStatus onec_rows_next(OnecRows *rows, const char *data, size_t len, bool last,
									 size_t *consumed, OnecError *error);

/* The fields of the current row, in the order of "names". */
extern const OnecField *onec_rows_fields(const OnecRows *rows);

/* Whether a row of this page so far has the property number "i", be it null. */
extern bool onec_rows_has(const OnecRows *rows, int i);

/* Whether a row of any page so far lacked the property number "i". */
extern bool onec_rows_lacked(const OnecRows *rows, int i);

/* odata.nextLink (in version 4 @odata.nextLink) of the page if one was seen, else NULL; valid until reset. */
extern const char *onec_rows_next_link(const OnecRows *rows);

extern void onec_rows_free(OnecRows *rows);

#endif							/* ONEC_JSON_ROWS_H */
