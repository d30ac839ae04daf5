/*-------------------------------------------------------------------------
 *
 * json_scan.c
 *	  The lexical level of the JSON row scanner: values, UTF-8, escapes.
 *
 * Memory: none.  Errors: an OnecJsonScan; with ONEC_JSON_BAD the cursor's OnecError is set.
 *
 * A number that reaches the end of the window is always cut: every document read
 * here is an object, so something must follow.  Nested values recurse, which is safe because
 * the depth is bounded.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_scan.h"

#include "onec_error.h"
#include "protocol/hex.h"

#define EVERY_BYTE UINT64_C(0x0101010101010101)
#define HIGH_BITS UINT64_C(0x8080808080808080)

OnecJsonScan
onec_json_fail(const OnecCursor *c, OnecErrorKind kind, const char *what)
{
	unsigned long long at = c->base + (unsigned long long) (c->p - c->start);

	if (c->row > 0)
		onec_fail(c->error, kind, "row %ld: %s (byte %llu of the answer)", c->row, what, at);
	else
		onec_fail(c->error, kind, "%s (byte %llu of the answer)", what, at);
	return ONEC_JSON_BAD;
}

OnecJsonScan
onec_json_refuse(const OnecCursor *c, const char *what)
{
	return onec_json_fail(c, ONEC_ERR_REPLY, what);
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Eight bytes at a time: a byte below the subtrahend turns on its high bit, and a borrow disturbs only bytes
 * after the first hit.
 */
const char *
onec_json_special_end(const char *p, const char *end, uint64_t *high)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	while (end - p >= 8)
	{
		uint64_t	word = onec_json_word(p);
		uint64_t	quote = word ^ (EVERY_BYTE * '"');
		uint64_t	slash = word ^ (EVERY_BYTE * '\\');
		uint64_t	hit = (((quote - EVERY_BYTE) & ~quote) | ((slash - EVERY_BYTE) & ~slash) |
						   ((word - EVERY_BYTE * 0x20) & ~word)) & HIGH_BITS;

		if (hit != 0)
		{
			*high |= word & HIGH_BITS & ((hit & -hit) - 1);
			return p + __builtin_ctzll(hit) / 8;
		}
		*high |= word & HIGH_BITS;
		p += 8;
	}
#endif
	while (p < end && *p != '"' && *p != '\\' && (unsigned char) *p >= 0x20)
		*high |= (unsigned char) *p++ & 0x80;
	return p;
}

OnecJsonScan
onec_json_escape(OnecCursor *c)
{
	if (c->end - c->p < 2)
		return ONEC_JSON_SHORT;
	if (c->p[1] != '\0' && strchr("\"\\/bfnrt", c->p[1]) != NULL)
	{
		c->p += 2;
		return ONEC_JSON_OK;
	}
	if (c->p[1] != 'u')
		return onec_json_refuse(c, "unknown escape sequence");
	for (int i = 2; i < 6; i++)
	{
		if (c->p + i == c->end)
			return ONEC_JSON_SHORT;
		if (onec_hex(c->p + i, 1) < 0)
			return onec_json_refuse(c, "\\u without four hexadecimal digits");
	}
	c->p += 6;
	return ONEC_JSON_OK;
}

/* At least one digit. */
static OnecJsonScan
scan_digits(OnecCursor *c)
{
	const char *first = c->p;

	while (c->p < c->end && is_digit(*c->p))
		c->p++;
	if (c->p == c->end)
		return ONEC_JSON_SHORT;
	return c->p > first ? ONEC_JSON_OK : onec_json_refuse(c, "digit expected");
}

static OnecJsonScan
scan_number(OnecCursor *c)
{
	OnecJsonScan	result = ONEC_JSON_OK;

	if (*c->p == '-')
		c->p++;
	if (c->p < c->end && *c->p == '0')
		c->p++;
	else
		result = scan_digits(c);
	if (result == ONEC_JSON_OK && c->p < c->end && *c->p == '.')
	{
		c->p++;
		result = scan_digits(c);
	}
	if (result == ONEC_JSON_OK && c->p < c->end && (*c->p == 'e' || *c->p == 'E'))
	{
		c->p++;
		if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
			c->p++;
		result = scan_digits(c);
	}
	if (result == ONEC_JSON_OK && c->p == c->end)
		return ONEC_JSON_SHORT;
	return result;
}

static OnecJsonScan
scan_literal(OnecCursor *c, const char *literal)
{
	for (; *literal != '\0'; literal++, c->p++)
	{
		if (c->p == c->end)
			return ONEC_JSON_SHORT;
		if (*c->p != *literal)
			return onec_json_refuse(c, "unknown word");
	}
	return ONEC_JSON_OK;
}

/* Step over an object or array, the "depth"th from the outside. */
static OnecJsonScan
scan_nested(OnecCursor *c, int depth)
{
	char		close = *c->p == '{' ? '}' : ']';
	OnecJsonScan	result;
	OnecText	name;

	if (depth > ONEC_JSON_MAX_DEPTH)
		return onec_json_fail(c, ONEC_ERR_LIMIT, "values nested too deep");
	result = onec_json_open(c, close);
	while (result == ONEC_JSON_OK)
	{
		if (close == '}')
			result = onec_json_name(c, &name);
		if (result == ONEC_JSON_OK)
			result = onec_json_value(c, depth);
		if (result == ONEC_JSON_OK)
			result = onec_json_comma(c, close);
	}
	return result == ONEC_JSON_END ? ONEC_JSON_OK : result;
}

OnecJsonScan
onec_json_value(OnecCursor *c, int depth)
{
	OnecText	text;

	switch (*c->p)
	{
		case '"':
			c->p++;
			return onec_json_string(c, &text);
		case '{':
		case '[':
			return scan_nested(c, depth + 1);
		case 't':
			return scan_literal(c, "true");
		case 'f':
			return scan_literal(c, "false");
		case 'n':
			return scan_literal(c, "null");
		default:
			if (*c->p != '-' && !is_digit(*c->p))
				return onec_json_refuse(c, "value expected");
			return scan_number(c);
	}
}

/* Bytes of the UTF-8 character at "p" (which is not ASCII), 0 when it is none. */
static size_t
utf8_length(const unsigned char *p, size_t left)
{
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	if (left < 2 || (p[1] & 0xC0) != 0x80)
		return 0;
	if (p[0] < 0xE0)
		return 2;
	if (left < 3 || (p[2] & 0xC0) != 0x80)
		return 0;
	if (p[0] < 0xF0)
	{
		/* no second spelling of shorter characters, no surrogates */
		if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
			return 0;
		return 3;
	}
	if (left < 4 || (p[3] & 0xC0) != 0x80)
		return 0;
	if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0;
	return 4;
}

/*
 * Behind the Cyrillic letters at "p", U+0400 to U+047F, four at a time: most of 1C's texts that are not
 * ASCII.  Each is 0xD0 or 0xD1 and a byte that follows others.
 */
static inline const unsigned char *
behind_cyrillic(const unsigned char *p, const unsigned char *end)
{
	const uint64_t letters = onec_json_word("\xD0\x80\xD0\x80\xD0\x80\xD0\x80");
	const uint64_t mask = onec_json_word("\xFE\xC0\xFE\xC0\xFE\xC0\xFE\xC0");

	while (end - p >= 8 && (onec_json_word((const char *) p) & mask) == letters)
		p += 8;
	return p;
}

bool
onec_json_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + len;

	while (p < end)
	{
		if (*p < 0x80)
		{
			while (end - p >= 8 && (onec_json_word((const char *) p) & HIGH_BITS) == 0)
				p += 8;
			while (p < end && *p < 0x80)
				p++;
		}
		else
		{
			size_t		n = utf8_length(p, (size_t) (end - p));

			if (n == 0)
				return false;
			p = behind_cyrillic(p + n, end);
		}
	}
	return true;
}

/* The number in a well-formed \uXXXX at "p". */
static unsigned
escaped_unit(const char *p)
{
	return (unsigned) onec_hex(p + 2, 4);
}

const char *
onec_json_escapes_problem(const OnecText *text)
{
	const char *p = text->start;
	const char *end = p + text->len;

	while ((p = memchr(p, '\\', (size_t) (end - p))) != NULL)
	{
		unsigned	unit;

		if (p[1] != 'u')
		{
			p += 2;
			continue;
		}
		unit = escaped_unit(p);
		p += 6;
		if (unit == 0)
			return "character \\u0000 in a string";
		if (unit < 0xD800 || unit > 0xDFFF)
			continue;
		if (unit > 0xDBFF || end - p < 6 || p[0] != '\\' || p[1] != 'u' ||
			(escaped_unit(p) & 0xFC00) != 0xDC00)
			return "half of a surrogate pair in a string";
		p += 6;
	}
	return NULL;
}

void
onec_json_cut(char *text, size_t max)
{
	if (strlen(text) <= max)
		return;
	while (max > 0 && (text[max] & 0xC0) == 0x80)
		max--;
	text[max] = '\0';
}
