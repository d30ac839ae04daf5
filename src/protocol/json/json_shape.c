/*-------------------------------------------------------------------------
 *
 * json_shape.c
 *	  The shape of a page's rows: learning it.
 *
 * A bridge that is new takes the place of the one that was expected there.  Where rows lack members by turns,
 * it takes a row or two until each has a place of its own, in the order of the members; from then on nothing
 * is learned any more.
 *
 * Memory: malloc, owned by the OnecShape.  Errors: none, an unknown shape only costs time.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_shape.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/json/json_usual.h"

#define FIRST_ROOM 32

/* Whether there is, or could be had, a place for member "at". */
static bool
make_room(OnecShape *shape, int at)
{
	OnecBridge *larger;
	int			room = shape->room > 0 ? shape->room : FIRST_ROOM;

	if (at < shape->room)
		return true;
	if (at >= ONEC_SHAPE_MOST)
		return false;
	while (room <= at)
		room *= 2;
	larger = realloc(shape->bridges, (size_t) room * sizeof(OnecBridge));
	if (larger == NULL)
		return false;
	shape->bridges = larger;
	shape->room = room;
	return true;
}

void
onec_shape_learn(OnecShape *shape, int at, const char *text, size_t len, int column)
{
	OnecBridge *bridge;

	if (!onec_usual_wants_shape() || at > shape->count || !make_room(shape, at))
		return;
	bridge = &shape->bridges[at];
	bridge->len = len <= ONEC_BRIDGE_BYTES ? (unsigned) len : 0;
	bridge->column = column;
	memset(bridge->text, 0, ONEC_BRIDGE_BYTES);
	memcpy(bridge->text, text, bridge->len);
	onec_shape_expect(bridge, 0);
	if (at == shape->count)
		shape->count++;
}

void
onec_shape_free(OnecShape *shape)
{
	free(shape->bridges);
	memset(shape, 0, sizeof(*shape));
}
