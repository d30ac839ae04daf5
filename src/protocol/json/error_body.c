/*-------------------------------------------------------------------------
 *
 * error_body.c
 *	  Small documents of 1C: error bodies and the service document.
 *
 * Memory: json-c's tree for the time of a call, and malloc'ed buffers.  Errors:
 * onec_error_body() never fails, it only understands less.
 *
 * An error body may be anything: four formats, any charset, cut anywhere.  What comes
 * out is one line of valid UTF-8.  Bytes that are not UTF-8 but look like Russian in
 * Windows-1251 (licence messages of the web module) are translated, others replaced.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/error_body.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/json/json_scan.h"

/* More of an error body is not read: exception dumps run to megabytes. */
#define MAX_BODY (256 * 1024)
#define MAX_DEPTH 200
#define MAX_INNER 16			/* nested exceptions that are told */

/*
 * Text
 */

/* Append a code point as UTF-8; what is no character becomes U+FFFD. */
static void
put_code_point(OnecBuf *out, unsigned long code)
{
	if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
		code = 0xFFFD;
	if (code < 0x80)
	{
		onec_buf_putc(out, (char) code);
		return;
	}
	if (code < 0x800)
		onec_buf_putc(out, (char) (0xC0 | code >> 6));
	else
	{
		if (code < 0x10000)
			onec_buf_putc(out, (char) (0xE0 | code >> 12));
		else
		{
			onec_buf_putc(out, (char) (0xF0 | code >> 18));
			onec_buf_putc(out, (char) (0x80 | (code >> 12 & 0x3F)));
		}
		onec_buf_putc(out, (char) (0x80 | (code >> 6 & 0x3F)));
	}
	onec_buf_putc(out, (char) (0x80 | (code & 0x3F)));
}

/* Bytes of the UTF-8 character at "p", 0 when there is none. */
static size_t
character_length(const char *p, size_t left)
{
	for (size_t n = 1; n <= 4 && n <= left; n++)
	{
		if (onec_json_utf8(p, n))
			return n;
	}
	return 0;
}

/* Whether bytes that are not UTF-8 are mostly letters of Windows-1251. */
static bool
looks_like_1251(const char *text, size_t len)
{
	size_t		letters = 0;
	size_t		others = 0;

	for (size_t i = 0; i < len;)
	{
		size_t		n = character_length(text + i, len - i);

		if (n > 1)
			others++;
		else if (n == 0 && (unsigned char) text[i] >= 0xC0)
			letters++;
		else if (n == 0)
			others++;
		i += n > 0 ? n : 1;
	}
	return letters >= 4 && letters > 3 * others;
}

/* A byte of Windows-1251; of its upper half only what Russian uses. */
static unsigned long
code_point_of_1251(unsigned char c)
{
	switch (c)
	{
		case 0xA8:
			return 0x401;
		case 0xB8:
			return 0x451;
		case 0xB9:
			return 0x2116;
		case 0xA0:
			return ' ';
		case 0xAB:
		case 0xBB:
			return c;
		case 0x96:
		case 0x97:
			return 0x2013;
		default:
			if (c >= 0xC0)
				return 0x410 + (c - 0xC0UL);
			return c < 0x80 ? c : 0xFFFD;
	}
}

/* Append "text" as valid UTF-8. */
static void
put_utf8(OnecBuf *out, const char *text, size_t len)
{
	bool		is_1251;

	if (onec_json_utf8(text, len))
	{
		onec_buf_append(out, text, len);
		return;
	}
	is_1251 = looks_like_1251(text, len);
	for (size_t i = 0; i < len;)
	{
		size_t		n = character_length(text + i, len - i);

		if (is_1251 && n != 1)
		{
			put_code_point(out, code_point_of_1251((unsigned char) text[i]));
			n = 1;
		}
		else if (n == 0)
			put_code_point(out, 0xFFFD);
		else
			onec_buf_append(out, text + i, n);
		i += n > 0 ? n : 1;
	}
}

/* Bytes at "p" that are to become a blank: white space, control characters, line separators. */
static size_t
blank_length(const unsigned char *p)
{
	if (*p <= ' ' || *p == 0x7F)
		return 1;
	if (p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0xA0)
		return 2;
	if (p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9))
		return 3;
	return 0;
}

/* Copy valid UTF-8 on one line into the message, as much as there is room for. */
static void
set_message(OnecError *error, const OnecBuf *text)
{
	const unsigned char *p = (const unsigned char *) text->data;
	const unsigned char *end = p + text->len;
	size_t		used = 0;
	bool		gap = false;

	while (p < end)
	{
		size_t		n = blank_length(p);

		if (n > 0)
		{
			gap = used > 0;
			p += n;
			continue;
		}
		n = character_length((const char *) p, (size_t) (end - p));
		if (used + gap + n >= sizeof(error->message))
			break;
		if (gap)
			error->message[used++] = ' ';
		gap = false;
		memcpy(error->message + used, p, n);
		used += n;
		p += n;
	}
	error->message[used] = '\0';
}

/*
 * Markup
 */

/* At "&": append the character meant and return the bytes read, 0 when it is no entity. */
static size_t
put_entity(OnecBuf *out, const char *p, const char *end)
{
	static const struct
	{
		const char *name;
		unsigned	code;
	}			entities[] = {
		{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''},
		{"&nbsp;", ' '}, {"&laquo;", 0xAB}, {"&raquo;", 0xBB}, {"&mdash;", 0x2014}, {"&ndash;", 0x2013},
	};
	bool		hex = end - p > 2 && (p[2] == 'x' || p[2] == 'X');
	unsigned long code = 0;

	for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
	{
		size_t		len = strlen(entities[i].name);

		if ((size_t) (end - p) >= len && memcmp(p, entities[i].name, len) == 0)
		{
			put_code_point(out, entities[i].code);
			return len;
		}
	}
	if (end - p < 4 || p[1] != '#')
		return 0;
	for (const char *q = p + (hex ? 3 : 2); q < end && q - p < 12; q++)
	{
		const char *digits = "0123456789abcdef";
		const char *digit = *q != '\0' ? strchr(digits, *q >= 'A' && *q <= 'F' ? *q | 0x20 : *q) : NULL;

		if (*q == ';')
		{
			put_code_point(out, code);
			return (size_t) (q - p) + 1;
		}
		if (digit == NULL || digit - digits >= (hex ? 16 : 10))
			return 0;
		code = code * (hex ? 16 : 10) + (unsigned long) (digit - digits);
	}
	return 0;
}

/* Case-insensitive search in bytes that have no terminator. */
static const char *
find_text(const char *p, const char *end, const char *what)
{
	size_t		len = strlen(what);

	for (; (size_t) (end - p) >= len; p++)
	{
		if (strncasecmp(p, what, len) == 0)
			return p;
	}
	return NULL;
}

/* At "<": the first byte behind the tag, comment, or invisible element. */
static const char *
skip_tag(const char *p, const char *end)
{
	static const char *const hidden[][2] = {
		{"<!--", "-->"}, {"<script", "</script"}, {"<style", "</style"},
	};
	const char *close;

	for (int i = 0; i < 3; i++)
	{
		size_t		len = strlen(hidden[i][0]);

		if ((size_t) (end - p) < len || strncasecmp(p, hidden[i][0], len) != 0)
			continue;
		p = find_text(p + len, end, hidden[i][1]);
		if (p == NULL)
			return end;
		break;
	}
	close = memchr(p, '>', (size_t) (end - p));
	return close != NULL ? close + 1 : end;
}

/* Append text without its tags; each tag becomes a blank. */
static void
put_stripped(OnecBuf *out, const char *p, const char *end)
{
	while (p < end)
	{
		size_t		n;

		if (*p == '<')
		{
			p = skip_tag(p, end);
			onec_buf_putc(out, ' ');
			continue;
		}
		n = *p == '&' ? put_entity(out, p, end) : 0;
		if (n == 0)
		{
			onec_buf_append(out, p, 1);
			n = 1;
		}
		p += n;
	}
}

/* The content of the first element of this local name, whatever its prefix. */
static bool
find_element(const OnecText *xml, const char *name, OnecText *content)
{
	const char *end = xml->start + xml->len;
	const char *close = NULL;	/* the first ">" from "p" on */
	size_t		len = strlen(name);

	for (const char *p = xml->start; (p = memchr(p, '<', (size_t) (end - p))) != NULL;)
	{
		const char *tag = ++p;
		const char *local;

		/* not looked for anew behind each "<": there may be many before it */
		if (close == NULL || close < p)
			close = memchr(p, '>', (size_t) (end - p));
		if (close == NULL)
			return false;
		for (local = tag; local < close && strchr(":< /", *local) == NULL; local++)
			;
		local = local < close && *local == ':' ? local + 1 : tag;
		if ((size_t) (close - local) < len || memcmp(local, name, len) != 0 ||
			strchr("> \t\r\n", local[len]) == NULL || close[-1] == '/')
			continue;
		content->start = close + 1;
		close = find_text(close, end, "</");
		content->len = (size_t) ((close != NULL ? close : end) - content->start);
		return true;
	}
	return false;
}

/*
 * Error bodies
 */

static void
set_code(OnecError *error, const char *text)
{
	char	   *rest;
	long		code;

	errno = 0;
	code = strtol(text, &rest, 10);
	if (rest == text || errno != 0 || code < INT_MIN || code > INT_MAX)
		return;
	while (*rest == ' ' || *rest == '\r' || *rest == '\n' || *rest == '\t')
		rest++;
	if (*rest != '\0')
		return;
	error->odata_code = (int) code;
	error->has_code = true;
}

/*
 * Whether a page is that of 1C's extension of the web server, in UTF-8 with a Latin or a Cyrillic C, or in
 * Windows-1251.
 */
static bool
is_page_of_1c(const OnecText *body)
{
	static const char *const names[] = {
		"1C:Enterprise", "1\xD0\xA1:Enterprise", "1\xD0\xA1:\xD0\x9F\xD1\x80\xD0\xB5\xD0\xB4\xD0\xBF\xD1\x80",
		"1C:\xD0\x9F\xD1\x80\xD0\xB5\xD0\xB4\xD0\xBF\xD1\x80", "1\xD1:\xCF\xF0\xE5\xE4\xEF\xF0",
		"1C:\xCF\xF0\xE5\xE4\xEF\xF0",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (memmem(body->start, body->len, names[i], strlen(names[i])) != NULL)
			return true;
	}
	return false;
}

/* m:error, or HTML. */
static void
read_markup(const OnecText *body, OnecBuf *out, OnecError *error)
{
	OnecText	root;
	OnecText	code;
	OnecText	message;

	/* the element "error" tells 1C's form from a page that merely has a "message" somewhere */
	if (find_element(body, "error", &root) && find_element(body, "message", &message))
	{
		put_stripped(out, message.start, message.start + message.len);
		error->own_words = true;
		if (find_element(body, "code", &code) && code.len < 20)
		{
			char		number[20];

			memcpy(number, code.start, code.len);
			number[code.len] = '\0';
			set_code(error, number);
		}
		return;
	}
	error->own_words = is_page_of_1c(body);
	put_stripped(out, body->start, body->start + body->len);
}

static json_object *
member(json_object *object, const char *name)
{
	json_object *value = NULL;

	if (!json_object_is_type(object, json_type_object))
		return NULL;
	json_object_object_get_ex(object, name, &value);
	return value;
}

/* Append a string of the tree; false when it is none or empty. */
static bool
put_member(OnecBuf *out, json_object *value)
{
	if (!json_object_is_type(value, json_type_string) || json_object_get_string_len(value) == 0)
		return false;
	put_utf8(out, json_object_get_string(value), (size_t) json_object_get_string_len(value));
	return true;
}

/* {"code":"9","message":{"lang":"ru","value":"…"}} */
static void
read_odata_error(json_object *report, OnecBuf *out, OnecError *error)
{
	json_object *code = member(report, "code");
	json_object *message = member(report, "message");

	if (code != NULL && error->own_words)
		set_code(error, json_object_get_string(code));
	if (!put_member(out, member(message, "value")))
		put_member(out, message);
}

/* {"descr":"…","inner":{…}}: every description once, the outermost first. */
static void
read_exception(json_object *report, OnecBuf *out)
{
	for (int i = 0; i < MAX_INNER && report != NULL; i++)
	{
		json_object *descr = member(report, "descr");
		const char *text = json_object_is_type(descr, json_type_string) ?
			json_object_get_string(descr) : "";

		if (*text != '\0' && (out->len == 0 || strstr(out->data, text) == NULL))
		{
			if (out->len > 0)
				onec_buf_puts(out, ": ");
			put_member(out, descr);
		}
		report = member(report, "inner");
	}
}

/* Parse a document, or an object whose "{" lies behind; NULL when it is not JSON (or memory is short). */
static json_object *
parse(const char *text, size_t len)
{
	json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	json_object *document = NULL;

	if (tokener == NULL)
		return NULL;
	if (len <= INT_MAX)
	{
		if (len > 0 && *text == '"')
			(void) json_tokener_parse_ex(tokener, "{", 1);
		document = json_tokener_parse_ex(tokener, text, (int) len);
		if (json_tokener_get_error(tokener) != json_tokener_success)
		{
			json_object_put(document);
			document = NULL;
		}
	}
	json_tokener_free(tokener);
	return document;
}

/* Append what an error report in JSON says; nothing when it is none. */
static void
read_json(const OnecText *body, OnecBuf *out, OnecError *error)
{
	json_object *document = parse(body->start, body->len);
	json_object *report = member(document, "odata.error");
	json_object *exception = member(document, "exception");

	error->own_words = report != NULL || json_object_is_type(exception, json_type_object);
	/* the numbers of others are not those of 1C */
	if (report == NULL)
		report = member(document, "error");
	if (report != NULL)
		read_odata_error(report, out, error);
	else
		read_exception(exception, out);
	json_object_put(document);
}

void
onec_error_body(const char *body, size_t len, OnecError *error)
{
	OnecText	text = {.start = body != NULL ? body : "", .len = body != NULL ? len : 0};
	OnecBuf		raw;
	OnecBuf		clean;

	onec_buf_init(&raw);
	onec_buf_init(&clean);
	error->message[0] = '\0';
	error->odata_code = 0;
	error->has_code = false;
	error->own_words = false;
	error->parts = 0;
	if (text.len >= 3 && memcmp(text.start, "\xEF\xBB\xBF", 3) == 0)
	{
		text.start += 3;
		text.len -= 3;
	}
	while (text.len > 0 && strchr(" \t\r\n", *text.start) != NULL && *text.start != '\0')
	{
		text.start++;
		text.len--;
	}
	if (text.len > MAX_BODY)
		text.len = MAX_BODY;
	if (text.len > 0 && (*text.start == '{' || *text.start == '"'))
		read_json(&text, &raw, error);
	else if (text.len > 0 && *text.start == '<')
		read_markup(&text, &raw, error);
	if (raw.len == 0)
		onec_buf_append(&raw, text.start, text.len);
	if (!raw.failed && raw.len > 0)
	{
		put_utf8(&clean, raw.data, raw.len);
		if (!clean.failed)
			set_message(error, &clean);
	}
	onec_buf_free(&raw);
	onec_buf_free(&clean);
}
