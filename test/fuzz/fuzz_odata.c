/*-------------------------------------------------------------------------
 *
 * fuzz_odata.c
 *	  libFuzzer target: any tree as a request, any bytes as an address.
 *
 * Promises checked: a URL holds nothing but what RFC 3986 allows, and just as many separators as
 * options, whatever names and values hold; decoded, it is the text for people; encoded_size is
 * the size; quotes pair up, so no value leaves its literal; the root of an accepted address is
 * its own root.  Nothing is read outside of its strings (by the sanitizers).
 *
 * The bytes of the input are choices; when they run out, every choice is 0.
 *
 *-------------------------------------------------------------------------
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/json/json_scan.h"
#include "protocol/odata/odata.h"

#define MAX_ARGS 3
#define MAX_DEPTH 4
#define MAX_NODES 800			/* two trees of 1 + 3 + 9 + 27 + 81 + 243 nodes, and literals */
#define MAX_TEXTS 200
#define ROOT "http://h/b/odata/standard.odata"
#define FORMAT "$format=application%2Fjson%3Bodata%3Dnometadata"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the input still says, and all that was made of it. */
typedef struct Source
{
	const uint8_t *data;
	size_t		left;
	OnecExpr	nodes[MAX_NODES];
	OnecExpr   *args[MAX_NODES][MAX_ARGS];
	int			nnodes;
	char	   *texts[MAX_TEXTS];
	int			ntexts;
	bool		text_is_utf8;	/* all texts are, without control characters */
} Source;

static const char *const operators[] = {"eq", "ne", "lt", "le", "gt", "ge"};
static const char *const sums[] = {"add", "sub", "mul", "div"};
static const char *const names[] = {"Ref_Key", "Имя", "Контрагент/Description", "Сумма"};

static void
check(bool promise)
{
	if (!promise)
		abort();
}

static unsigned int
choose(Source *source, unsigned int count)
{
	if (source->left == 0)
		return 0;
	source->left--;
	return *source->data++ % count;
}

/* A text of its own allocation, at most 15 bytes, without NUL. */
static const char *
make_text(Source *source)
{
	size_t		len = choose(source, 16);
	char	   *text;

	if (source->ntexts == MAX_TEXTS)
		return "x";
	len = len < source->left ? len : source->left;
	text = malloc(len + 1);
	for (size_t i = 0; i < len; i++)
	{
		text[i] = source->data[i] ? (char) source->data[i] : '\'';
		if ((unsigned char) text[i] < 0x20 || text[i] == 0x7F)
			source->text_is_utf8 = false;
	}
	text[len] = '\0';
	source->data += len;
	source->left -= len;
	if (!onec_json_utf8(text, len))
		source->text_is_utf8 = false;
	source->texts[source->ntexts++] = text;
	return text;
}

static OnecExpr *
make_node(Source *source, OnecExprKind kind)
{
	OnecExpr   *node = &source->nodes[source->nnodes];

	check(source->nnodes < MAX_NODES);
	node->kind = kind;
	node->args = source->args[source->nnodes++];
	return node;
}

static OnecExpr *
make_literal(Source *source)
{
	OnecExpr   *node = make_node(source, ONEC_EXPR_LITERAL);

	node->lit_kind = (OnecLiteralKind) choose(source, ONEC_LIT_PARAM);
	node->lit_type = "Document_Ч'";
	if (node->lit_kind == ONEC_LIT_NUMBER)
		node->lit_text = "-12.50";
	else if (node->lit_kind == ONEC_LIT_BOOL)
		node->lit_text = "true";
	else
		node->lit_text = make_text(source);
	return node;
}

static OnecExpr *
make_expr(Source *source, int depth)
{
	static const int arity[] = {
		[ONEC_EXPR_FIELD] = 0, [ONEC_EXPR_LITERAL] = 0, [ONEC_EXPR_COMPARE] = 2, [ONEC_EXPR_ARITH] = 2,
		[ONEC_EXPR_AND] = 3, [ONEC_EXPR_OR] = 3, [ONEC_EXPR_NOT] = 1, [ONEC_EXPR_IN] = 3, [ONEC_EXPR_CALL] = 2
	};
	OnecExprKind kind = (OnecExprKind) choose(source, ONEC_EXPR_CALL + 1);
	OnecExpr   *node;

	if (kind == ONEC_EXPR_LITERAL || depth > MAX_DEPTH)
		return make_literal(source);
	node = make_node(source, kind);
	node->name = kind == ONEC_EXPR_CALL ? "startswith" : names[choose(source, 4)];
	node->op = kind == ONEC_EXPR_ARITH ? sums[choose(source, 4)] : operators[choose(source, 6)];
	node->nargs = arity[kind];
	if (kind == ONEC_EXPR_AND || kind == ONEC_EXPR_OR)
		node->nargs = 1 + (int) choose(source, MAX_ARGS);
	for (int i = 0; i < node->nargs; i++)
		node->args[i] = kind == ONEC_EXPR_IN && i > 0 ? make_literal(source) : make_expr(source, depth + 1);
	return node;
}

static size_t
count_of(const char *text, char c)
{
	size_t		count = 0;

	for (; *text != '\0'; text++)
		count += *text == c;
	return count;
}

/* Outside of literals there are no quotes, and parentheses pair up. */
static void
check_filter(const OnecExpr *filter)
{
	OnecBuf		text;
	int			depth = 0;
	bool		inside = false;

	onec_buf_init(&text);
	onec_odata_filter(filter, &text);
	check(text.len > 0 && strlen(text.data) == text.len);
	for (size_t i = 0; i < text.len; i++)
	{
		/* a doubled quote leaves the literal and enters it again at once */
		if (text.data[i] == '\'')
			inside = !inside;
		else if (!inside && text.data[i] == '(')
			depth++;
		else if (!inside && text.data[i] == ')')
			check(--depth >= 0);
		else if (!inside)
			check((unsigned char) text.data[i] >= ' ' && strchr("&?#\"", text.data[i]) == NULL);
	}
	check(!inside && depth == 0);
	onec_buf_free(&text);
}

/* Every character of a URL below its root is one that may stand there. */
static void
check_url(const char *url, size_t noptions)
{
	const char *below = url + strlen(ROOT);
	int			slashes = 0;

	check(strncmp(url, ROOT "/", strlen(ROOT) + 1) == 0);
	check(count_of(url, '?') == (noptions > 0) && count_of(url, '&') == (noptions > 1 ? noptions - 1 : 0));
	/* Set/Function/$count at most: nothing leaves its segment */
	for (const char *c = below; *c != '\0' && *c != '?'; c++)
		slashes += *c == '/';
	check(slashes <= 3);
	for (const char *c = below; *c != '\0'; c++)
	{
		bool		letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');

		check(letter || strchr("-._~/?&=$%,()'*", *c) != NULL);
		if (*c == '%')
			check(strspn(c + 1, "0123456789ABCDEF") >= 2);
	}
}

static void
decode(const char *url, OnecBuf *out)
{
	for (; *url != '\0'; url++)
	{
		const char	digits[3] = {url[0] == '%' ? url[1] : '\0', url[0] == '%' ? url[2] : '\0', '\0'};

		onec_buf_putc(out, digits[0] != '\0' ? (char) strtol(digits, NULL, 16) : *url);
		url += strlen(digits);
	}
}

/* The encoded URL, decoded and without $format, is the text for people. */
static void
check_text(const char *url, const OnecRequest *request)
{
	OnecBuf		plain;
	OnecBuf		decoded;
	const char *below = url + strlen(ROOT) + 1;
	const char *format = strstr(below, FORMAT);

	onec_buf_init(&plain);
	onec_buf_init(&decoded);
	if (format != NULL)
	{
		const char *rest = format + strlen(FORMAT);

		onec_buf_append(&plain, below, (size_t) (format - below) - (*rest == '\0'));
		onec_buf_puts(&plain, *rest == '&' ? rest + 1 : rest);
		below = plain.data ? plain.data : "";
	}
	decode(below, &decoded);
	onec_buf_clear(&plain);
	check(onec_odata_text(request, &plain));
	check(plain.len == decoded.len && (plain.len == 0 || memcmp(plain.data, decoded.data, plain.len) == 0));
	onec_buf_free(&plain);
	onec_buf_free(&decoded);
}

static void
check_size(const char *url, const OnecExpr *filter)
{
	const char *value = strstr(url, "$filter=");

	check(value != NULL);
	value += strlen("$filter=");
	check(strcspn(value, "&") == onec_odata_encoded_size(filter));
}

static void
try_request(Source *source)
{
	OnecRequest request = {.entity_set = make_text(source), .top = -1};
	const OnecExpr *condition = make_expr(source, 0);
	OnecArgument arguments[] = {{"Condition", condition}, {"Period", make_literal(source)}};
	const char *select[] = {names[choose(source, 4)], "*", "Имя"};
	OnecOrder	order[] = {{names[choose(source, 4)], true}, {"Период", false}};
	unsigned int parts = choose(source, 256);
	OnecBuf		url;

	request.filter = parts & 1 ? make_expr(source, 0) : NULL;
	request.key = parts & 2 ? make_literal(source) : NULL;
	request.function = parts & 4 ? "SliceLast" : NULL;
	request.arguments = arguments;
	request.narguments = parts & 4 ? 2 : 0;
	request.count = (parts & 8) != 0;
	request.select = select;
	request.nselect = parts & 16 ? 3 : 0;
	request.order = order;
	request.norder = parts & 32 ? 2 : 0;
	request.top = parts & 64 ? INT64_MAX : -1;
	request.skip = parts & 64 ? 5 : -1;
	request.allowed_only = (parts & 128) != 0;
	onec_buf_init(&url);
	check(onec_odata_url(ROOT, &request, &url));
	check_url(url.data, (size_t) !request.count + (request.filter != NULL) + (size_t) request.narguments +
			  (request.nselect > 0) + (request.norder > 0) + 2 * (request.top >= 0) + request.allowed_only);
	if (source->text_is_utf8)
		check_text(url.data, &request);
	if (request.filter != NULL)
	{
		/* a condition may hold the word, too, but it is encoded there */
		check_size(url.data, request.filter);
		check_filter(request.filter);
	}
	onec_buf_free(&url);
}

static void
try_root(Source *source)
{
	static const char *const starts[] = {"", "http://", "https://", "HTTP://h", "http://[::1]",
										 "http://h/odata/"};
	OnecBuf		address;
	OnecBuf		root;
	OnecBuf		again;
	const char *why = NULL;

	onec_buf_init(&address);
	onec_buf_init(&root);
	onec_buf_init(&again);
	onec_buf_puts(&address, starts[choose(source, 6)]);
	for (int i = 0; i < 3; i++)
		onec_buf_puts(&address, make_text(source));
	onec_buf_putc(&address, '/');
	if (onec_odata_root(address.data, &root, &why))
	{
		const char *host = strstr(root.data, "://") + 3;

		check(why == NULL && memchr(host, '@', strcspn(host, "/")) == NULL && host[0] != '/');
		check(strpbrk(root.data, "?#\\ \r\n\t") == NULL && root.data[root.len - 1] != '/');
		for (size_t i = 0; i < root.len; i++)
			check((unsigned char) root.data[i] > ' ' && (unsigned char) root.data[i] < 0x7F);
		check(onec_odata_root(root.data, &again, &why) && strcmp(root.data, again.data) == 0);
	}
	else
		check(why != NULL && root.len == 0);
	onec_buf_free(&address);
	onec_buf_free(&root);
	onec_buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static Source source;

	memset(&source, 0, sizeof(source));
	source.data = data;
	source.left = size;
	source.text_is_utf8 = true;
	if (choose(&source, 2) == 0)
		try_request(&source);
	else
		try_root(&source);
	for (int i = 0; i < source.ntexts; i++)
		free(source.texts[i]);
	return 0;
}
