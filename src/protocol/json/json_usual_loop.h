/*-------------------------------------------------------------------------
 *
 * json_usual_loop.h
 *	  The loop of json_usual.c, for so many bytes at a time as WIDTH says.
 *
 * Included there once for each width, with
 *		WIDTH				bytes at a time, 16 or 32
 *		TARGET				the processor that the functions are for, or nothing
 *		NAME(x)				x for this width
 *		NAME(Bytes)			the type of so many bytes
 *		NAME(load)			from any address
 *		NAME(differ)		not zero where two differ
 *		NAME(either)		the bits of both
 *		NAME(least)			the lesser byte of two, at each place
 *		NAME(equal)			not zero where two are equal
 *		NAME(is_none)		whether all are zero; is_none_before: the first few are
 *		NAME(is_ascii)		whether all are; is_ascii_before: the first few are
 * and therefore without a guard.  Every load is within what onec_shape_expect() has asked for.
 *
 *-------------------------------------------------------------------------
 */

/* Whether "text" stands at "p"; of both, WIDTH bytes can be read. */
TARGET static inline bool
NAME(is_same)(const char *p, const char *text, size_t len, const Patterns *patterns)
{
	NAME(Bytes) different = NAME(differ)(NAME(load)(p), NAME(load)(text));

	if (len < WIDTH)
		return NAME(is_none_before)(different, len, patterns);
	for (size_t at = WIDTH; at + WIDTH < len; at += WIDTH)
		different = NAME(either)(different, NAME(differ)(NAME(load)(p + at), NAME(load)(text + at)));
	/* the last ones with some before them */
	p += len - WIDTH;
	text += len - WIDTH;
	different = NAME(either)(different, NAME(differ)(NAME(load)(p), NAME(load)(text)));
	return NAME(is_none)(different);
}

/*
 * Behind an opening quote: whether none of "len" bytes has a meaning of its own.  One bit turned makes a
 * space of a quote: it then follows the control characters, and the space does not.
 */
TARGET static inline bool
NAME(is_plain)(const char *p, size_t len, const Patterns *patterns)
{
	NAME(Bytes) turn = NAME(load)(patterns->turn);
	NAME(Bytes) slash = NAME(load)(patterns->slash);
	NAME(Bytes) space = NAME(load)(patterns->space);
	NAME(Bytes) bytes = NAME(load)(p);
	NAME(Bytes) least = NAME(differ)(bytes, turn);
	NAME(Bytes) marks = NAME(equal)(bytes, slash);

	if (len >= WIDTH)
	{
		const char *last = p + len - WIDTH;

		while ((p += WIDTH) < last)
		{
			bytes = NAME(load)(p);
			least = NAME(least)(least, NAME(differ)(bytes, turn));
			marks = NAME(either)(marks, NAME(equal)(bytes, slash));
		}
		/* the last ones with some before them */
		bytes = NAME(load)(last);
		least = NAME(least)(least, NAME(differ)(bytes, turn));
		marks = NAME(either)(marks, NAME(equal)(bytes, slash));
	}
	marks = NAME(either)(marks, NAME(equal)(least, NAME(least)(least, space)));
	return len >= WIDTH ? NAME(is_none)(marks) : NAME(is_none_before)(marks, len, patterns);
}

/* Whether a text that is_plain() has seen is of UTF-8. */
TARGET static inline bool
NAME(is_text)(const char *p, size_t len, const Patterns *patterns)
{
	NAME(Bytes) bytes = NAME(load)(p);

	if (len < WIDTH)
		return NAME(is_ascii_before)(bytes, len, patterns) || onec_json_utf8(p, len);
	for (size_t at = WIDTH; at + WIDTH < len; at += WIDTH)
		bytes = NAME(either)(bytes, NAME(load)(p + at));
	bytes = NAME(either)(bytes, NAME(load)(p + len - WIDTH));
	return NAME(is_ascii)(bytes) || onec_json_utf8(p, len);
}

TARGET static int
NAME(members)(OnecCursor *c, const OnecShape *shape, int member, OnecField *fields, int *taken,
			  const Patterns *patterns)
{
	const char *p = c->p;
	const char *end = c->end;
	const OnecBridge *bridge = shape->bridges + member;
	const OnecBridge *last = shape->bridges + shape->count;

	for (; bridge < last; bridge++)
	{
		const char *value = p + bridge->len;
		const char *next;
		OnecFieldKind kind = ONEC_FIELD_STRING;

		if ((size_t) (end - p) < bridge->room || !NAME(is_same)(p, bridge->text, bridge->len, patterns))
			break;
		if (*value == '"')
		{
			next = ++value + bridge->usual;
			if (*next != '"' || !NAME(is_plain)(value, bridge->usual, patterns))
				break;
		}
		else if ((next = scalar(value, end, &kind)) == NULL)
			break;
		if (bridge->column >= 0)
		{
			OnecField  *field = &fields[bridge->column];

			/* the plain scanner knows what to do with one that came before, and what to say of bad text */
			if (field->kind != ONEC_FIELD_ABSENT ||
				(kind == ONEC_FIELD_STRING && !NAME(is_text)(value, bridge->usual, patterns)))
				break;
			*field = (OnecField) {kind, kind == ONEC_FIELD_NULL ? NULL : value,
								  kind == ONEC_FIELD_NULL ? 0 : (size_t) (next - value)};
			++*taken;
		}
		p = kind == ONEC_FIELD_STRING ? next + 1 : next;
	}
	c->p = p;
	return (int) (bridge - shape->bridges);
}
