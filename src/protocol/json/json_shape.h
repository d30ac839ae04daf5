/*-------------------------------------------------------------------------
 *
 * json_shape.h
 *	  The shape of a page's rows: what stands between one value and the next.
 *
 * 1C writes the members of all rows alike, so from the end of one value to the start of the next there are
 * the same bytes in row after row: a comma, white space, a name in its quotes, a colon.  Such a bridge is
 * parsed once, and afterwards only compared with what comes: equal bytes in an equal place mean the same.
 * Members that some rows lack are passed over.  A string is first supposed to have the length of the one
 * before, as identifiers, dates and links have (json_usual.h).  Only json_rows.c and json_usual.c use it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_JSON_SHAPE_H
#define ONEC_JSON_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/json/json_scan.h"

/*
 * A property of 60 Cyrillic letters with "@navigationLinkUrl" and what stands around it; a longer one is
 * parsed each time.
 */
#define ONEC_BRIDGE_BYTES 168

/* Members of a row beyond these are parsed each time. */
#define ONEC_SHAPE_MOST 512

/* Members that a row may lack in one place before it is parsed there. */
#define ONEC_SHAPE_LACK 4

/* Longer strings have no usual length. */
#define ONEC_USUAL_MOST 1024

/* Most bytes that json_usual.c looks at at a time. */
#define ONEC_USUAL_WIDTH 32

typedef struct OnecBridge
{
	unsigned	len;			/* 0: none is known here */
	unsigned	usual;			/* bytes of the last string behind it, if it was one and not too long */
	size_t		room;			/* bytes from here on that may be looked at for both */
	int			column;			/* wanted column of the member, or -1 */
	char		text[ONEC_BRIDGE_BYTES];
} OnecBridge;

/* All zero is a shape of which nothing is known. */
typedef struct OnecShape
{
	OnecBridge *bridges;		/* in the order of members; malloc'ed */
	int			count;
	int			room;
} OnecShape;

/*
 * Remember the bridge before the value of member "at" (0 is the first of a row); without memory nothing is
 * remembered.
 */
extern void onec_shape_learn(OnecShape *shape, int at, const char *text, size_t len, int column);

extern void onec_shape_free(OnecShape *shape);

/* Whether it stands at "p", and the value begins right behind it. */
static inline bool
onec_shape_fits(const OnecBridge *bridge, const char *p, size_t room)
{
	return bridge->len > 0 && bridge->len < room && onec_json_same(p, bridge->text, bridge->len) &&
		(unsigned char) p[bridge->len] > ' ';
}

/*
 * The bridge at "p", before the value of member *at or of one soon after it, which *at then becomes; NULL if
 * it is not known.
 */
static inline OnecBridge *
onec_shape_find(const OnecShape *shape, int *at, const char *p, const char *end)
{
	OnecBridge *bridges = shape->bridges;
	size_t		room = (size_t) (end - p);

	for (int i = *at; i < shape->count && i <= *at + ONEC_SHAPE_LACK; i++)
	{
		if (!onec_shape_fits(&bridges[i], p, room))
			continue;
		*at = i;
		return &bridges[i];
	}
	return NULL;
}

/* What is to be expected behind a bridge from now on: a string of "len" bytes, if it is one. */
static inline void
onec_shape_expect(OnecBridge *bridge, size_t len)
{
	bridge->usual = len <= ONEC_USUAL_MOST ? (unsigned) len : 0;
	/* with two quotes */
	bridge->room = bridge->len > 0 ? bridge->len + bridge->usual + 2 + ONEC_USUAL_WIDTH : SIZE_MAX;
}

/* What onec_json_string() does, for a value behind "bridge", or NULL. */
static inline OnecJsonScan
onec_shape_string(OnecBridge *bridge, OnecCursor *c, OnecText *text)
{
	OnecJsonScan	result = onec_json_string(c, text);

	if (result == ONEC_JSON_OK && bridge != NULL)
		onec_shape_expect(bridge, text->len);
	return result;
}

#endif							/* ONEC_JSON_SHAPE_H */
