/*-------------------------------------------------------------------------
 *
 * json_scan.h
 *	  The lexical level of the JSON row scanner: strict RFC 8259, no memory.
 *
 * Only the json_*.c files use it.  What is done for every member of every row is inline
 * here, the rest is in json_scan.c.  A scanning function moves the cursor over
 * what it read.  When it returns anything but ONEC_JSON_OK or ONEC_JSON_END the
 * cursor stands somewhere inside; with ONEC_JSON_BAD the error is set.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_JSON_SCAN_H
#define ONEC_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "onec_error.h"

/* Objects and arrays inside each other in the value of a member. */
#define ONEC_JSON_MAX_DEPTH 64

typedef enum OnecJsonScan
{
	ONEC_JSON_OK,
	ONEC_JSON_SHORT,			/* the window ends inside */
	ONEC_JSON_BAD,				/* the error is set */
	ONEC_JSON_ROW,				/* the fields are filled */
	ONEC_JSON_END				/* behind the last element, or the whole document */
} OnecJsonScan;

/* Where a scan is.  The unit being read starts at "mark". */
typedef struct OnecCursor
{
	const char *p;
	const char *end;
	const char *mark;
	const char *start;			/* of the window */
	bool		last;			/* nothing comes after the window */
	unsigned long long base;	/* bytes of the document before the window */
	long		row;			/* for messages: number of the row, 0 outside of rows */
	struct OnecRows *rows;		/* whose page it is; for json_rows.c alone */
	OnecError  *error;
} OnecCursor;

/* What stands between two quotes. */
typedef struct OnecText
{
	const char *start;
	size_t		len;
	bool		escaped;
	bool		ascii;
} OnecText;

/* Record an error at the cursor; returns ONEC_JSON_BAD. */
extern OnecJsonScan onec_json_fail(const OnecCursor *c, OnecErrorKind kind, const char *what);

/* The same for malformed documents. */
extern OnecJsonScan onec_json_refuse(const OnecCursor *c, const char *what);

/* At a backslash: step over the escape sequence. */
extern OnecJsonScan onec_json_escape(OnecCursor *c);

/*
 * Step over any value, validating it except for the UTF-8 of its strings; "depth" is
 * the number of objects and arrays it lies in.
 */
extern OnecJsonScan onec_json_value(OnecCursor *c, int depth);

/* Whether "text" is UTF-8 as PostgreSQL understands it: no surrogates, no overlong forms. */
extern bool onec_json_utf8(const char *text, size_t len);

/* Why the escapes of a string that was scanned make no PostgreSQL text, or NULL. */
extern const char *onec_json_escapes_problem(const OnecText *text);

/* Shorten "text" to at most "max" bytes, not inside a character. */
extern void onec_json_cut(char *text, size_t max);

static inline uint64_t
onec_json_word(const char *p)
{
	uint64_t	word;

	memcpy(&word, p, sizeof(word));
	return word;
}

#ifdef __SSE2__
static inline bool
onec_json_same16(const char *a, const char *b)
{
	__m128i		same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *) a),
									  _mm_loadu_si128((const __m128i *) b));

	return _mm_movemask_epi8(same) == 0xFFFF;
}
#else
static inline bool
onec_json_same16(const char *a, const char *b)
{
	return onec_json_word(a) == onec_json_word(b) && onec_json_word(a + 8) == onec_json_word(b + 8);
}
#endif

/*
 * memcmp() == 0 for short texts, without the call: it is asked about every member.  The last bytes are taken
 * with some before.
 */
static inline bool
onec_json_same(const char *a, const char *b, size_t len)
{
	size_t		at = 0;

	if (len < 8)
		return memcmp(a, b, len) == 0;
	if (len < 16)
		return onec_json_word(a) == onec_json_word(b) &&
			onec_json_word(a + len - 8) == onec_json_word(b + len - 8);
	for (; at + 16 < len; at += 16)
	{
		if (!onec_json_same16(a + at, b + at))
			return false;
	}
	return onec_json_same16(a + len - 16, b + len - 16);
}

/* What onec_json_special() does, for the last bytes of the window. */
extern const char *onec_json_special_end(const char *p, const char *end, uint64_t *high);

#ifdef __SSE2__
/* All bits of those bytes that are a quote, a backslash or a control character. */
static inline __m128i
onec_json_marks(__m128i bytes)
{
	/*
	 * one bit turned makes a space of a quote: it then follows the control characters, and the space does not
	 */
	__m128i		turned = _mm_xor_si128(bytes, _mm_set1_epi8('"' ^ ' '));
	__m128i		low = _mm_cmpeq_epi8(_mm_min_epu8(turned, _mm_set1_epi8(' ')), turned);

	return _mm_or_si128(low, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
}
#endif

/*
 * First quote, backslash or control character; "end" when there is none.  *high is not zero when a byte
 * before it was not ASCII.  Sixteen bytes at a time where the processor can.
 */
static inline const char *
onec_json_special(const char *p, const char *end, uint64_t *high)
{
#ifdef __SSE2__
	__m128i		passed = _mm_setzero_si128();

	while (end - p >= 16)
	{
		__m128i		bytes = _mm_loadu_si128((const __m128i *) p);
		unsigned	hits = (unsigned) _mm_movemask_epi8(onec_json_marks(bytes));

		if (hits != 0)
		{
			*high |= (unsigned) _mm_movemask_epi8(passed) |
				((unsigned) _mm_movemask_epi8(bytes) & ((hits & -hits) - 1));
			return p + __builtin_ctz(hits);
		}
		passed = _mm_or_si128(passed, bytes);
		p += 16;
	}
	*high |= (unsigned) _mm_movemask_epi8(passed);
#endif
	return onec_json_special_end(p, end, high);
}

/* Behind an opening quote: go behind the closing one. */
static inline OnecJsonScan
onec_json_string(OnecCursor *c, OnecText *text)
{
	uint64_t	high = 0;
	const char *p = c->p;

	*text = (OnecText) {.start = p};
	for (;;)
	{
		OnecJsonScan	result;

		p = onec_json_special(p, c->end, &high);
		if (p == c->end)
			return ONEC_JSON_SHORT;
		if (*p == '"')
			break;
		c->p = p;
		if (*p != '\\')
			return onec_json_refuse(c, "control character in a string");
		text->escaped = true;
		result = onec_json_escape(c);
		if (result != ONEC_JSON_OK)
			return result;
		p = c->p;
	}
	text->len = (size_t) (p - text->start);
	text->ascii = high == 0;
	c->p = p + 1;
	return ONEC_JSON_OK;
}

/* Go to the next byte that is not white space; ONEC_JSON_SHORT when there is none. */
static inline OnecJsonScan
onec_json_space(OnecCursor *c)
{
	const char *p = c->p;

	while (p < c->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	c->p = p;
	return p < c->end ? ONEC_JSON_OK : ONEC_JSON_SHORT;
}

/* Behind a member name: go to its value. */
static inline OnecJsonScan
onec_json_colon(OnecCursor *c)
{
	if (onec_json_space(c) != ONEC_JSON_OK)
		return ONEC_JSON_SHORT;
	if (*c->p != ':')
		return onec_json_refuse(c, "\":\" expected after a name");
	c->p++;
	return onec_json_space(c);
}

/* Behind a value: ONEC_JSON_OK at the next element, ONEC_JSON_END behind the closing bracket. */
static inline OnecJsonScan
onec_json_comma(OnecCursor *c, char close)
{
	if (onec_json_space(c) != ONEC_JSON_OK)
		return ONEC_JSON_SHORT;
	if (*c->p == close)
	{
		c->p++;
		return ONEC_JSON_END;
	}
	if (*c->p != ',')
		return onec_json_refuse(c, close == '}' ? "\",\" or \"}\" expected" : "\",\" or \"]\" expected");
	c->p++;
	return onec_json_space(c);
}

/* At an opening bracket: ONEC_JSON_OK at the first element, ONEC_JSON_END behind an empty pair. */
static inline OnecJsonScan
onec_json_open(OnecCursor *c, char close)
{
	c->p++;
	if (onec_json_space(c) != ONEC_JSON_OK)
		return ONEC_JSON_SHORT;
	if (*c->p != close)
		return ONEC_JSON_OK;
	c->p++;
	return ONEC_JSON_END;
}

/* At a member name: read it and go to the value. */
static inline OnecJsonScan
onec_json_name(OnecCursor *c, OnecText *name)
{
	OnecJsonScan	result;

	if (*c->p != '"')
		return onec_json_refuse(c, "name in quotes expected");
	c->p++;
	result = onec_json_string(c, name);
	return result == ONEC_JSON_OK ? onec_json_colon(c) : result;
}

#endif							/* ONEC_JSON_SCAN_H */
