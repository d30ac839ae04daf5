/*-------------------------------------------------------------------------
 *
 * odata.c
 *	  A request to 1C as a URL.
 *
 * A request is printed once, part by part; an Output says whether parts are percent-encoded on
 * their way out.  Allocation failures stay in the buffer (buf.h) and show at the end.
 * Surprising: "+" is no blank for 1C, and a bare date is no date: see doc/1c-odata.md 6.2.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/odata/odata.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/buf.h"

#define SERVICE_PATH "/odata/standard.odata"
#define SERVICE_PATH_LEN (sizeof(SERVICE_PATH) - 1)
#define FORMAT "application/json;odata=nometadata"

/* Where a URL goes, and how. */
typedef struct Output
{
	OnecBuf    *out;
	bool		encoded;		/* for the wire; else for people */
	char		separator;		/* before the next option */
} Output;

/* ---- percent-encoding ---- */

static bool
is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '-' || c == '.' || c == '_' || c == '~';
}

/* Encode all but unreserved characters and those in "keep". */
static void
put_encoded(OnecBuf *out, const char *text, size_t len, const char *keep)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = text[i];

		if (is_unreserved(c) || (c != '\0' && strchr(keep, c) != NULL))
			onec_buf_putc(out, c);
		else
		{
			char		escape[3] = {'%', hex[c >> 4], hex[c & 15]};

			onec_buf_append(out, escape, 3);
		}
	}
}

static void
put(const Output *output, const OnecBuf *text, const char *keep)
{
	if (text->failed)
		output->out->failed = true;
	if (text->len == 0)
		return;
	if (output->encoded)
		put_encoded(output->out, text->data, text->len, keep);
	else
		onec_buf_append(output->out, text->data, text->len);
}

/* ---- the root ---- */

static size_t
scheme_length(const char *url)
{
	if (strncasecmp(url, "http://", 7) == 0)
		return 7;
	if (strncasecmp(url, "https://", 8) == 0)
		return 8;
	return 0;
}

/* Whether every "%" begins an escape of two digits. */
static bool
escapes_complete(const char *text)
{
	for (const char *c = strchr(text, '%'); c != NULL; c = strchr(c + 1, '%'))
		if (strspn(c + 1, "0123456789ABCDEFabcdef") < 2)
			return false;
	return true;
}

/* Nothing, or a colon and 1 … 65535. */
static bool
is_port(const char *text, size_t len)
{
	long		port = 0;

	if (len == 0)
		return true;
	if (text[0] != ':' || len < 2 || len > 6)
		return false;
	for (size_t i = 1; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (text[i] - '0');
	}
	return port >= 1 && port <= 65535;
}

/* What is wrong with "host[:port]"; names may have any letters, curl knows what to do with them. */
static const char *
authority_problem(const char *text, size_t len)
{
	size_t		host = 0;

	if (len == 0 || text[0] == ':')
		return "The address has no host.";
	if (text[0] == '[')
	{
		host = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
		if (host < 3 || host >= len || text[host] != ']')
			return "The address in brackets is no IPv6 address.";
		host++;
	}
	else
		while (host < len && text[host] != ':')
		{
			if (!is_unreserved(text[host]) && (unsigned char) text[host] < 0x80 && text[host] != '%')
				return "The name of the host holds a character that no host has.";
			host++;
		}
	return is_port(text + host, len - host) ? NULL : "The port must be a number from 1 to 65535.";
}

/* The byte that an escape at "p" stands for; it is complete. */
static int
escaped(const char *p)
{
	char		digits[3] = {p[1], p[2], '\0'};

	return (int) strtol(digits, NULL, 16);
}

/*
 * What is wrong with the escapes of an address whose host ends at "path": what may not be there in clear may
 * not be encoded.
 */
static const char *
escape_problem(const char *url, const char *path)
{
	if (!escapes_complete(url))
		return "A percent sign in the address must be written as %25.";
	for (const char *p = url; (p = strchr(p, '%')) != NULL; p++)
	{
		if (escaped(p) < ' ' || escaped(p) == 0x7F)
			return "The address holds an encoded control character.";
		if (p < path && escaped(p) < 0x80)
			return "The name of the host holds a character that no host has.";
	}
	return NULL;
}

static const char *
root_problem(const char *url)
{
	size_t		scheme = scheme_length(url);
	const char *problem;
	size_t		authority;

	if (scheme == 0)
		return "Only http and https addresses are possible.";
	for (const char *c = url; *c; c++)
		if ((unsigned char) *c <= ' ' || *c == 0x7F || *c == '\\')
			return "The address holds a blank, a backslash or a control character.";
	if (strpbrk(url, "?#") != NULL)
		return "The address must have neither a query nor a fragment.";
	authority = strcspn(url + scheme, "/");
	if (memchr(url + scheme, '@', authority) != NULL)
		return "The address must hold no login.";
	problem = escape_problem(url, url + scheme + authority);
	return problem ? problem : authority_problem(url + scheme, authority);
}

bool
onec_odata_root(const char *url, OnecBuf *out, const char **why)
{
	size_t		len = strlen(url);
	size_t		path;

	*why = root_problem(url);
	if (*why != NULL)
		return false;
	path = scheme_length(url);
	path += strcspn(url + path, "/");
	while (len > path && url[len - 1] == '/')
		len--;
	/* what the user encoded stays, the rest of UTF-8 is encoded */
	put_encoded(out, url, len, "%:/?#[]@!$&'()*+,;=");
	if (len - path < SERVICE_PATH_LEN ||
		strncmp(url + len - SERVICE_PATH_LEN, SERVICE_PATH, SERVICE_PATH_LEN) != 0)
		onec_buf_puts(out, SERVICE_PATH);
	return !out->failed;
}

/* ---- filters ---- */

static void
put_quoted(OnecBuf *out, const char *text)
{
	onec_buf_putc(out, '\'');
	for (const char *c = text; *c; c++)
	{
		if (*c == '\'')
			onec_buf_putc(out, '\'');
		onec_buf_putc(out, *c);
	}
	onec_buf_putc(out, '\'');
}

static void
put_literal(const OnecExpr *expr, OnecBuf *out)
{
	switch (expr->lit_kind)
	{
		case ONEC_LIT_STRING:
			put_quoted(out, expr->lit_text);
			break;
		case ONEC_LIT_GUID:
			onec_buf_puts(out, "guid");
			put_quoted(out, expr->lit_text);
			break;
		case ONEC_LIT_DATETIME:
			onec_buf_puts(out, "datetime");
			put_quoted(out, expr->lit_text);
			break;
		case ONEC_LIT_REFERENCE:
			onec_buf_puts(out, "cast(guid");
			put_quoted(out, expr->lit_text);
			onec_buf_putc(out, ',');
			put_quoted(out, expr->lit_type);
			onec_buf_putc(out, ')');
			break;
		case ONEC_LIT_NUMBER:
		case ONEC_LIT_BOOL:
		case ONEC_LIT_PARAM:
			onec_buf_puts(out, expr->lit_text);
			break;
	}
}

/* An operand: operations in parentheses, for 1C's precedences are its own. */
static void
put_operand(const OnecExpr *expr, OnecBuf *out)
{
	bool		operation = expr->kind != ONEC_EXPR_FIELD && expr->kind != ONEC_EXPR_LITERAL &&
		expr->kind != ONEC_EXPR_CALL;

	if (operation)
		onec_buf_putc(out, '(');
	onec_odata_filter(expr, out);
	if (operation)
		onec_buf_putc(out, ')');
}

/* An arm of AND or OR: comparisons bind tighter and need no parentheses. */
static void
put_arm(const OnecExpr *expr, OnecBuf *out)
{
	if (expr->kind == ONEC_EXPR_COMPARE)
		onec_odata_filter(expr, out);
	else
		put_operand(expr, out);
}

static void
put_arms(const OnecExpr *expr, const char *between, OnecBuf *out)
{
	for (int i = 0; i < expr->nargs; i++)
	{
		if (i > 0)
			onec_buf_puts(out, between);
		if (expr->nargs == 1)
			onec_odata_filter(expr->args[i], out);
		else
			put_arm(expr->args[i], out);
	}
}

static void
put_in(const OnecExpr *expr, OnecBuf *out)
{
	for (int i = 1; i < expr->nargs; i++)
	{
		if (i > 1)
			onec_buf_puts(out, " or ");
		put_operand(expr->args[0], out);
		onec_buf_puts(out, " eq ");
		put_operand(expr->args[i], out);
	}
}

static void
put_call(const OnecExpr *expr, OnecBuf *out)
{
	onec_buf_puts(out, expr->name);
	onec_buf_putc(out, '(');
	for (int i = 0; i < expr->nargs; i++)
	{
		if (i > 0)
			onec_buf_putc(out, ',');
		onec_odata_filter(expr->args[i], out);
	}
	onec_buf_putc(out, ')');
}

void
onec_odata_filter(const OnecExpr *expr, OnecBuf *out)
{
	switch (expr->kind)
	{
		case ONEC_EXPR_FIELD:
			onec_buf_puts(out, expr->name);
			break;
		case ONEC_EXPR_LITERAL:
			put_literal(expr, out);
			break;
		case ONEC_EXPR_COMPARE:
		case ONEC_EXPR_ARITH:
			put_operand(expr->args[0], out);
			onec_buf_putc(out, ' ');
			onec_buf_puts(out, expr->op);
			onec_buf_putc(out, ' ');
			put_operand(expr->args[1], out);
			break;
		case ONEC_EXPR_AND:
			put_arms(expr, " and ", out);
			break;
		case ONEC_EXPR_OR:
			put_arms(expr, " or ", out);
			break;
		case ONEC_EXPR_NOT:
			onec_buf_puts(out, "not ");
			put_operand(expr->args[0], out);
			break;
		case ONEC_EXPR_IN:
			put_in(expr, out);
			break;
		case ONEC_EXPR_CALL:
			put_call(expr, out);
			break;
	}
}

size_t
onec_odata_encoded_size(const OnecExpr *expr)
{
	OnecBuf		text;
	size_t		size;

	onec_buf_init(&text);
	onec_odata_filter(expr, &text);
	size = text.len;
	for (size_t i = 0; i < text.len; i++)
		if (!is_unreserved(text.data[i]))
			size += 2;
	onec_buf_free(&text);
	return size;
}

/* ---- the request ---- */

static void
put_option(Output *output, const char *name, const OnecBuf *value, const char *keep)
{
	OnecBuf    *out = output->out;

	onec_buf_putc(out, output->separator);
	output->separator = '&';
	if (output->encoded)
		put_encoded(out, name, strlen(name), "$");
	else
		onec_buf_puts(out, name);
	onec_buf_putc(out, '=');
	put(output, value, keep);
}

static void
put_number(Output *output, const char *name, int64_t number)
{
	OnecBuf		value;
	char		digits[24];

	onec_buf_init(&value);
	snprintf(digits, sizeof(digits), "%" PRId64, number);
	onec_buf_puts(&value, digits);
	put_option(output, name, &value, "");
	onec_buf_free(&value);
}

bool
onec_odata_is_action(const OnecRequest *request)
{
	return request->entity_set == NULL && request->function != NULL;
}

/* The parts of the path below the root. */
static void
put_path(Output *output, const OnecRequest *request, OnecBuf *part)
{
	if (request->metadata)
	{
		onec_buf_puts(output->out, "$metadata");
		return;
	}
	if (request->entity_set != NULL)
		onec_buf_puts(part, request->entity_set);
	put(output, part, "");
	onec_buf_clear(part);
	if (request->key != NULL)
	{
		onec_buf_putc(part, '(');
		onec_odata_filter(request->key, part);
		onec_buf_putc(part, ')');
		put(output, part, "()',=");
		onec_buf_clear(part);
	}
	if (request->function != NULL)
	{
		if (request->entity_set != NULL)
			onec_buf_putc(output->out, '/');
		onec_buf_puts(part, request->function);
		put(output, part, "");
		onec_buf_clear(part);
	}
	if (request->count)
		onec_buf_puts(output->out, "/$count");
}

/* An argument is a literal; a condition travels as text within a string literal. */
static void
put_argument(Output *output, const OnecArgument *argument, OnecBuf *part)
{
	OnecBuf		condition;

	if (argument->value->kind == ONEC_EXPR_LITERAL)
		put_literal(argument->value, part);
	else
	{
		onec_buf_init(&condition);
		onec_odata_filter(argument->value, &condition);
		if (condition.failed)
			part->failed = true;
		else
			put_quoted(part, condition.data ? condition.data : "");
		onec_buf_free(&condition);
	}
	put_option(output, argument->name, part, "");
	onec_buf_clear(part);
}

static void
put_select(Output *output, const OnecRequest *request, OnecBuf *part)
{
	for (int i = 0; i < request->nselect; i++)
	{
		if (i > 0)
			onec_buf_putc(part, ',');
		onec_buf_puts(part, request->select[i]);
	}
	put_option(output, "$select", part, ",*/");
	onec_buf_clear(part);
}

static void
put_order(Output *output, const OnecRequest *request, OnecBuf *part)
{
	for (int i = 0; i < request->norder; i++)
	{
		if (i > 0)
			onec_buf_putc(part, ',');
		onec_buf_puts(part, request->order[i].property);
		if (request->order[i].descending)
			onec_buf_puts(part, " desc");
	}
	put_option(output, "$orderby", part, ",/");
	onec_buf_clear(part);
}

static void
put_request(Output *output, const OnecRequest *request, OnecBuf *part)
{
	if (request->resource != NULL)
	{
		onec_buf_puts(part, request->resource);
		put(output, part, "%()',=/:;@$&!*+");
		onec_buf_clear(part);
		return;
	}
	put_path(output, request, part);
	if (request->metadata)
		return;
	if (output->encoded && !request->count && !onec_odata_is_action(request))
	{
		onec_buf_puts(part, FORMAT);
		put_option(output, "$format", part, "");
		onec_buf_clear(part);
	}
	for (int i = 0; i < request->narguments; i++)
		put_argument(output, &request->arguments[i], part);
	if (request->nselect > 0)
		put_select(output, request, part);
	if (request->filter != NULL)
	{
		onec_odata_filter(request->filter, part);
		put_option(output, "$filter", part, "");
		onec_buf_clear(part);
	}
	if (request->norder > 0)
		put_order(output, request, part);
	if (request->top >= 0)
		put_number(output, "$top", request->top);
	if (request->skip > 0)
		put_number(output, "$skip", request->skip);
	if (request->allowed_only)
	{
		onec_buf_puts(part, "true");
		put_option(output, "allowedOnly", part, "");
	}
}

bool
onec_odata_url(const char *root, const OnecRequest *request, OnecBuf *out)
{
	Output		output = {.out = out, .encoded = true, .separator = '?'};
	OnecBuf		part;

	onec_buf_init(&part);
	onec_buf_puts(out, root);
	onec_buf_putc(out, '/');
	put_request(&output, request, &part);
	onec_buf_free(&part);
	return !out->failed;
}

bool
onec_odata_text(const OnecRequest *request, OnecBuf *out)
{
	Output		output = {.out = out, .encoded = false, .separator = '?'};
	OnecBuf		part;

	onec_buf_init(&part);
	put_request(&output, request, &part);
	onec_buf_free(&part);
	return !out->failed;
}
