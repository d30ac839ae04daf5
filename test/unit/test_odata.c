/*-------------------------------------------------------------------------
 *
 * test_odata.c
 *	  Requests as URLs: whole addresses, literals, parentheses, sizes.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/buf.h"
#include "protocol/odata/odata.h"

#include "tap.h"

#define ROOT "http://h/b/odata/standard.odata"

static OnecExpr
field(const char *name)
{
	return (OnecExpr) {.kind = ONEC_EXPR_FIELD, .name = name};
}

static OnecExpr
literal(OnecLiteralKind kind, const char *text)
{
	return (OnecExpr) {.kind = ONEC_EXPR_LITERAL, .lit_kind = kind, .lit_text = text};
}

/* The text of a tree; valid until the next call. */
static const char *
text_of(const OnecExpr *expr)
{
	static OnecBuf buf;

	onec_buf_clear(&buf);
	onec_odata_filter(expr, &buf);
	return buf.data;
}

static const char *
url_of(const OnecRequest *request)
{
	static OnecBuf buf;

	onec_buf_clear(&buf);
	ok(onec_odata_url(ROOT, request, &buf), "a URL is made");
	return buf.data;
}

static void
check_root(const char *url, const char *want)
{
	OnecBuf		buf;
	const char *why = NULL;
	bool		good;

	onec_buf_init(&buf);
	good = onec_odata_root(url, &buf, &why);
	if (want != NULL)
		ok(good && strcmp(buf.data, want) == 0, "root of %s", url);
	else
		ok(!good && why != NULL, "%s is refused: %s", url, why ? why : "?");
	onec_buf_free(&buf);
}

static void
test_root(void)
{
	check_root("http://h/b", ROOT);
	check_root("http://h/b/", ROOT);
	check_root("http://h/b/odata/standard.odata", ROOT);
	check_root("http://h/b/odata/standard.odata//", ROOT);
	check_root("HTTPS://h:8443", "HTTPS://h:8443/odata/standard.odata");
	check_root("http://h/база", "http://h/%D0%B1%D0%B0%D0%B7%D0%B0/odata/standard.odata");
	check_root("http://h/%D0%B1", "http://h/%D0%B1/odata/standard.odata");
	check_root("http://[::1]:80/b", "http://[::1]:80/b/odata/standard.odata");
	check_root("ftp://h/b", NULL);
	check_root("file:///etc/passwd", NULL);
	check_root("h/b", NULL);
	check_root("http://", NULL);
	check_root("http:///b", NULL);
	check_root("http://:80/b", NULL);
	check_root("http://u:p@h/b", NULL);
	check_root("http://h/b?x", NULL);
	check_root("http://h/b#x", NULL);
	check_root("http://h/b c", NULL);
	check_root("http://h/b\r\nX: y", NULL);
	check_root("http://h\\@g/b", NULL);
	check_root("http://h:65535", "http://h:65535/odata/standard.odata");
	check_root("http://h:8080/b/odata/standard.odata/", "http://h:8080/b/odata/standard.odata");
	check_root("http://дом.рф", "http://%D0%B4%D0%BE%D0%BC.%D1%80%D1%84/odata/standard.odata");
	check_root("http://h/b@c", "http://h/b@c/odata/standard.odata");
	check_root("http://h:0/b", NULL);
	check_root("http://h:65536/b", NULL);
	check_root("http://h:http/b", NULL);
	check_root("http://h:/b", NULL);
	check_root("http://h:80:80/b", NULL);
	check_root("http://[::1/b", NULL);
	check_root("http://[]/b", NULL);
	check_root("http://[::1]x/b", NULL);
	check_root("http://[h]/b", NULL);
	check_root("http://h<b/", NULL);
	check_root("http://a,b/", NULL);
	check_root("http://h/100%", NULL);
	check_root("http://h/%2", NULL);
	check_root("http://h%zz/", NULL);
	check_root("http://127.0.0.1%20:1/b", NULL);
	check_root("http://h%2Fx/b", NULL);
	check_root("http://h/b%00", NULL);
	check_root("http://h/%0D%0Ab", NULL);
	check_root("http://h/%7f", NULL);
	check_root("http://h/b%20c", "http://h/b%20c/odata/standard.odata");
	check_root("", NULL);
}

static void
test_literals(void)
{
	OnecExpr	expr = literal(ONEC_LIT_STRING, "O'Brien & 'x'");

	is_str(text_of(&expr), "'O''Brien & ''x'''", "quotes are doubled");
	expr = literal(ONEC_LIT_GUID, "0-1");
	is_str(text_of(&expr), "guid'0-1'", "guid");
	expr = literal(ONEC_LIT_DATETIME, "2025-01-01T00:00:00");
	is_str(text_of(&expr), "datetime'2025-01-01T00:00:00'", "datetime");
	expr = literal(ONEC_LIT_NUMBER, "-1.50");
	is_str(text_of(&expr), "-1.50", "number");
	expr = literal(ONEC_LIT_BOOL, "true");
	is_str(text_of(&expr), "true", "boolean");
	expr = literal(ONEC_LIT_REFERENCE, "0-1");
	expr.lit_type = "Document_X";
	is_str(text_of(&expr), "cast(guid'0-1','Document_X')", "reference of a composite value");
}

static void
test_trees(void)
{
	OnecExpr	a = field("A");
	OnecExpr	one = literal(ONEC_LIT_NUMBER, "1");
	OnecExpr	two = literal(ONEC_LIT_NUMBER, "2");
	OnecExpr   *pair[] = {&a, &one};
	OnecExpr	eq = {.kind = ONEC_EXPR_COMPARE, .op = "eq", .nargs = 2, .args = pair};
	OnecExpr   *in_args[] = {&a, &one, &two};
	OnecExpr	in = {.kind = ONEC_EXPR_IN, .nargs = 3, .args = in_args};
	OnecExpr   *both[] = {&eq, &in};
	OnecExpr	and = {.kind = ONEC_EXPR_AND, .nargs = 2, .args = both};
	OnecExpr	or = {.kind = ONEC_EXPR_OR, .nargs = 2, .args = both};
	OnecExpr   *nested[] = {&and, &or};
	OnecExpr	deep = {.kind = ONEC_EXPR_AND, .nargs = 2, .args = nested};
	OnecExpr   *single[] = {&eq};
	OnecExpr	not = {.kind = ONEC_EXPR_NOT, .nargs = 1, .args = single};
	OnecExpr	alone = {.kind = ONEC_EXPR_OR, .nargs = 1, .args = single};
	OnecExpr	sum = {.kind = ONEC_EXPR_ARITH, .op = "add", .nargs = 2, .args = pair};
	OnecExpr   *sum_two[] = {&sum, &two};
	OnecExpr	greater = {.kind = ONEC_EXPR_COMPARE, .op = "gt", .nargs = 2, .args = sum_two};
	OnecExpr	call = {.kind = ONEC_EXPR_CALL, .name = "startswith", .nargs = 2, .args = pair};

	is_str(text_of(&eq), "A eq 1", "comparison");
	is_str(text_of(&in), "A eq 1 or A eq 2", "list");
	is_str(text_of(&and), "A eq 1 and (A eq 1 or A eq 2)", "and");
	is_str(text_of(&or), "A eq 1 or (A eq 1 or A eq 2)", "or");
	is_str(text_of(&deep), "(A eq 1 and (A eq 1 or A eq 2)) and (A eq 1 or (A eq 1 or A eq 2))", "nested");
	is_str(text_of(&not), "not (A eq 1)", "not");
	is_str(text_of(&alone), "A eq 1", "an or of one");
	is_str(text_of(&greater), "(A add 1) gt 2", "arithmetic");
	is_str(text_of(&call), "startswith(A,1)", "function");
	is_int(onec_odata_encoded_size(&eq), strlen("A%20eq%201"), "encoded size");
}

static void
test_requests(void)
{
	OnecExpr	a = field("Имя");
	OnecExpr	value = literal(ONEC_LIT_STRING, "x +&#%'й");
	OnecExpr   *pair[] = {&a, &value};
	OnecExpr	eq = {.kind = ONEC_EXPR_COMPARE, .op = "eq", .nargs = 2, .args = pair};
	OnecExpr	key = literal(ONEC_LIT_GUID, "00-1");
	OnecExpr	date = literal(ONEC_LIT_DATETIME, "2025-01-01T00:00:00");
	const char *select[] = {"Ref_Key", "Имя"};
	OnecOrder	order[] = {{"Period", true}, {"Ref_Key", false}};
	OnecArgument arguments[] = {{"Period", &date}, {"Condition", &eq}};
	OnecExpr	address = literal(ONEC_LIT_PARAM, "'http://h/P(guid'00-1')'");
	OnecExpr	number = literal(ONEC_LIT_NUMBER, "7");
	OnecArgument point[] = {{"DataExchangePoint", &address}, {"MessageNo", &number}};
	OnecRequest request = {.entity_set = "Catalog_Б", .top = -1, .skip = -1};
	OnecBuf		text;

	is_str(url_of(&request), ROOT "/Catalog_%D0%91?$format=application%2Fjson%3Bodata%3Dnometadata",
		   "a plain set");
	request.key = &key;
	is_str(url_of(&request),
		   ROOT "/Catalog_%D0%91(guid'00-1')?$format=application%2Fjson%3Bodata%3Dnometadata", "an entity");
	request.key = NULL;
	request.select = select;
	request.nselect = 2;
	request.filter = &eq;
	request.order = order;
	request.norder = 2;
	request.top = 10;
	request.skip = 20;
	request.allowed_only = true;
	is_str(url_of(&request), ROOT "/Catalog_%D0%91?$format=application%2Fjson%3Bodata%3Dnometadata"
		   "&$select=Ref_Key,%D0%98%D0%BC%D1%8F"
		   "&$filter=%D0%98%D0%BC%D1%8F%20eq%20%27x%20%2B%26%23%25%27%27%D0%B9%27"
		   "&$orderby=Period%20desc,Ref_Key&$top=10&$skip=20&allowedOnly=true", "everything, in order");
	onec_buf_init(&text);
	onec_odata_text(&request, &text);
	is_str(text.data, "Catalog_Б?$select=Ref_Key,Имя&$filter=Имя eq 'x +&#%''й'&$orderby=Period desc,Ref_Key"
		   "&$top=10&$skip=20&allowedOnly=true", "the same for people");
	onec_buf_free(&text);
	request = (OnecRequest) {.entity_set = "R", .count = true, .filter = &eq, .top = -1, .skip = -1};
	is_str(url_of(&request),
		   ROOT "/R/$count?$filter=%D0%98%D0%BC%D1%8F%20eq%20%27x%20%2B%26%23%25%27%27%D0%B9%27", "count");
	request = (OnecRequest) {.entity_set = "R", .function = "Balance", .arguments = arguments,
							 .narguments = 2, .top = -1, .skip = -1};
	is_str(url_of(&request), ROOT "/R/Balance?$format=application%2Fjson%3Bodata%3Dnometadata"
		   "&Period=datetime%272025-01-01T00%3A00%3A00%27"
		   "&Condition=%27%D0%98%D0%BC%D1%8F%20eq%20%27%27x%20%2B%26%23%25%27%27%27%27%D0%B9%27%27%27",
		   "a function");
	request = (OnecRequest) {.metadata = true, .top = -1, .skip = -1};
	is_str(url_of(&request), ROOT "/$metadata", "metadata");
	request = (OnecRequest) {.function = "SelectChanges", .arguments = point, .narguments = 2, .top = -1};
	is_str(url_of(&request), ROOT "/SelectChanges"
		   "?DataExchangePoint=%27http%3A%2F%2Fh%2FP%28guid%2700-1%27%29%27&MessageNo=7",
		   "a function of the base itself, in the form that is 1C's own");
	request = (OnecRequest) {.entity_set = "../../x?$top=1&%2e", .top = -1, .skip = -1};
	is_str(url_of(&request),
		   ROOT "/..%2F..%2Fx%3F%24top%3D1%26%252e?$format=application%2Fjson%3Bodata%3Dnometadata"
		   , "a set's name cannot leave its segment");
}

int
main(void)
{
	test_root();
	test_literals();
	test_trees();
	test_requests();
	return tap_done();
}
