/*-------------------------------------------------------------------------
 *
 * json_tail.c
 *	  A guess at what a piece of a page ends with; nothing is parsed.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_tail.h"

#include <string.h>

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

/* The text after "name" and a colon, if that is what stands at "p" (behind the opening quote). */
static bool
text_of_member(const char *p, const char *end, const char *name, char *text, size_t size)
{
	size_t		len = strlen(name);
	const char *stop;

	if ((size_t) (end - p) <= len || memcmp(p, name, len) != 0 || p[len] != '"')
		return false;
	p = skip_blanks(p + len + 1, end);
	if (p == end || *p != ':')
		return false;
	p = skip_blanks(p + 1, end);
	if (p == end || *p != '"')
		return false;
	p++;
	stop = memchr(p, '"', end - p);
	if (stop == NULL || (size_t) (stop - p) >= size || memchr(p, '\\', stop - p) != NULL)
		return false;
	memcpy(text, p, stop - p);
	text[stop - p] = '\0';
	return true;
}

bool
onec_json_last_text(const char *data, size_t len, const char *name, char *text, size_t size)
{
	const char *end = data + len;

	for (const char *p = end; p > data; p--)
		if (p[-1] == '"' && text_of_member(p, end, name, text, size))
			return true;
	return false;
}
