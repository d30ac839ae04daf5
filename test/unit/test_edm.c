/*-------------------------------------------------------------------------
 *
 * test_edm.c
 *	  $metadata: types, keys, sets, functions, in any chunks; bad documents.
 *
 *-------------------------------------------------------------------------
 */

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/odata/edm.h"
#include "protocol/odata/edm_types.h"
#include "tap.h"

#define REGISTER "AccumulationRegister_Р_RecordType"

static bool
read_file(const char *path, OnecBuf *buf)
{
	FILE	   *file = fopen(path, "rb");
	char		bytes[65536];
	size_t		len;

	onec_buf_init(buf);
	if (file == NULL)
		return false;
	while ((len = fread(bytes, 1, sizeof(bytes), file)) > 0)
		onec_buf_append(buf, bytes, len);
	fclose(file);
	return true;
}

/* Parse in pieces of "piece" bytes. */
static OnecEdm *
parse(const char *data, size_t len, size_t piece, size_t max, OnecError *error)
{
	OnecEdmParser *parser = onec_edm_begin(max);

	memset(error, 0, sizeof(*error));
	for (size_t at = 0; at < len; at += piece)
	{
		if (!onec_edm_feed(parser, data + at, len - at < piece ? len - at : piece, error))
		{
			onec_edm_abandon(parser);
			return NULL;
		}
	}
	return onec_edm_finish(parser, error);
}

static const OnecProperty *
find_property(const OnecEdmStruct *type, const char *name)
{
	for (int i = 0; i < type->nproperties; i++)
		if (strcmp(type->properties[i].name, name) == 0)
			return &type->properties[i];
	return NULL;
}

static void
check_type(const OnecEdmStruct *type, const char *name, OnecEdmType want)
{
	const OnecProperty *property = find_property(type, name);

	ok(property != NULL && property->type == want, "%s is %s", name, onec_edm_type_label(want));
}

static void
check_register(const OnecEdm *edm)
{
	const OnecEntitySet *set = onec_edm_find_set(edm, REGISTER);
	const OnecEdmStruct *type = set ? set->type : NULL;

	if (!ok(type != NULL, "the register has a type"))
		return;
	is_int(type->nkeys, 3, "its key has three parts");
	is_str(type->keys[1], "LineNumber", "in their order");
	is_str(type->properties[1].name, "Period", "properties in their order");
	check_type(type, "Recorder", ONEC_EDM_COMPOSITE);
	check_type(type, "Recorder_Type", ONEC_EDM_STRING);
	check_type(type, "Period", ONEC_EDM_DATETIME);
	check_type(type, "LineNumber", ONEC_EDM_INT64);
	check_type(type, "Active", ONEC_EDM_BOOLEAN);
	check_type(type, "Сумма", ONEC_EDM_DOUBLE);
	check_type(type, "Код", ONEC_EDM_INT16);
	check_type(type, "Счет", ONEC_EDM_INT32);
	check_type(type, "Карта_Key", ONEC_EDM_GUID);
	check_type(type, "Имя", ONEC_EDM_STRING);
	check_type(type, "Файл", ONEC_EDM_STREAM);
	check_type(type, "Файл_Base64Data", ONEC_EDM_BINARY);
	check_type(type, "Странное", ONEC_EDM_UNKNOWN);
	check_type(type, "Настройки", ONEC_EDM_COMPLEX);
	/* a value storage has a type beside it, too, but no values of several types */
	check_type(type, "Хранилище", ONEC_EDM_STRING);
	is_int(find_property(type, "LineNumber")->is_key, true, "a part of the key");
	is_int(find_property(type, "LineNumber")->nullable, false, "not nullable");
	is_int(find_property(type, "Active")->nullable, true, "nullable by default");
	ok(find_property(type, "Карта") == NULL, "navigation is no property");
}

static void
check_document(const OnecEdm *edm)
{
	const OnecEntitySet *main_set = onec_edm_find_set(edm, "AccumulationRegister_Р");

	is_int(edm->nsets, 4, "sets");
	is_int(edm->ntypes, 4, "entity and complex types");
	is_int(edm->nfunctions, 2, "functions that only read");
	check_type(main_set->type, "RecordSet", ONEC_EDM_COLLECTION);
	is_int(onec_edm_find_set(edm, "Catalog_Пусто")->type->nproperties, 0, "a type without properties");
	ok(onec_edm_find_set(edm, "Catalog_Чужой")->type == NULL, "a set without a type");
	ok(onec_edm_find_set(edm, "Catalog_") == NULL, "a set that is not there");
	is_str(edm->functions[0].name, "Balance", "function");
	is_str(edm->functions[0].bound_to, "AccumulationRegister_Р", "of the register");
	is_int(edm->functions[0].nparameters, 2, "parameters without the binding one");
	is_str(edm->functions[0].parameters[1].name, "Period", "name of a parameter");
	is_int(edm->functions[0].parameters[1].type, ONEC_EDM_DATETIME, "type of a parameter");
	is_str(edm->functions[0].result->name, "AccumulationRegister_Р_Balance", "row type");
	is_str(edm->functions[1].parameters[0].name, "Period", "parameters of the next function");
}

static void
test_document(void)
{
	OnecBuf		buf;
	OnecError	error;
	OnecEdm    *edm;

	if (!ok(read_file("test/data/edmx/small.edmx", &buf), "the fixture is read"))
		return;
	edm = parse(buf.data, buf.len, buf.len, 1 << 20, &error);
	if (ok(edm != NULL, "it is parsed"))
	{
		check_register(edm);
		check_document(edm);
		is_int(edm->bytes, buf.len, "its size");
	}
	onec_edm_free(edm);
	for (size_t at = 1; at < buf.len; at++)
	{
		OnecEdmParser *parser = onec_edm_begin(1 << 20);

		memset(&error, 0, sizeof(error));
		if (!onec_edm_feed(parser, buf.data, at, &error) ||
			!onec_edm_feed(parser, buf.data + at, buf.len - at, &error))
			fail("parted at byte %zu: %s", at, error.message);
		edm = onec_edm_finish(parser, &error);
		if (edm == NULL || edm->nsets != 4 || edm->ntypes != 4 || edm->nfunctions != 2)
			fail("parted at byte %zu it is the same", at);
		onec_edm_free(edm);
	}
	pass("parted at any byte it is the same");
	for (size_t piece = 1; piece < 8; piece++)
	{
		edm = parse(buf.data, buf.len, piece, 1 << 20, &error);
		ok(edm != NULL && edm->nsets == 4 && edm->functions[1].nparameters == 1,
		   "in pieces of %zu bytes", piece);
		onec_edm_free(edm);
	}
	edm = parse(buf.data, buf.len, 100, 1000, &error);
	ok(edm == NULL && error.kind == ONEC_ERR_LIMIT, "longer than allowed");
	for (size_t cut = 0; cut + 2 < buf.len; cut++)
	{
		edm = parse(buf.data, cut, 4096, 1 << 20, &error);
		if (edm != NULL || error.kind != ONEC_ERR_REPLY)
			fail("cut at %zu is an error", cut);
		onec_edm_free(edm);
	}
	pass("cut anywhere it is an error");
	onec_buf_free(&buf);
}

static void
check_refused(const char *document, const char *part)
{
	OnecError	error;
	OnecEdm    *edm = parse(document, strlen(document), 7, 1 << 20, &error);

	ok(edm == NULL && error.kind == ONEC_ERR_REPLY, "refused: %.40s", document);
	contains(error.message, part, "with a reason");
	onec_edm_free(edm);
}

static void
test_refused(void)
{
	OnecError	error;
	OnecEdm    *edm = parse("\xEF\xBB\xBF<Edmx/>", 10, 3, 100, &error);

	ok(edm != NULL && edm->nsets == 0, "a byte order mark is accepted");
	onec_edm_free(edm);
	check_refused("", "empty");
	check_refused("<html><body>login</body></html>", "html");
	check_refused("<!DOCTYPE html><html></html>", "HTML page");
	check_refused("<!doctype html><p>login", "no XML");
	check_refused("1C is being updated", "no XML");
	check_refused("<!DOCTYPE x><Edmx/>", "document type");
	check_refused("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Edmx>&b;</Edmx>",
				  "document type");
	check_refused("{\"odata.error\":{}}", "not well-formed");
	check_refused("<Edmx></Edmx>garbage", "not well-formed");
}

/* What a hostile or careless document must not do. */
static void
test_odd(void)
{
	static const char suffixes[] = "<Edmx><EntityType Name=\"t\">"
		"<Property Name=\"A_Type\" Type=\"Edm.String\"/><Property Name=\"A_Type_Type\" Type=\"Edm.String\"/>"
		"<Property Name=\"A\" Type=\"Edm.String\" MaxLength=\"Max\"/><Property Name=\"_Type\" "
		"Type=\"Edm.String\"/>"
		"<Property Name=\"Type\" Type=\"Edm.String\"/><Property Name=\"B\" Type=\"Edm.String\"/>"
		"<Property Name=\"B_Type\" Type=\"Edm.Int16\"/><Property Name=\"C\" "
		"MaxLength=\"99999999999999999999\"/>"
		"</EntityType></Edmx>";
	char		root[200] = "<a";
	OnecError	error;
	OnecEdmParser *parser;
	OnecEdm    *edm = parse(suffixes, strlen(suffixes), 1000, 1 << 20, &error);
	const OnecEdmStruct *type = edm ? onec_edm_find_type(edm, "t") : NULL;

	if (ok(type != NULL, "a type with odd names"))
	{
		check_type(type, "A", ONEC_EDM_COMPOSITE);
		check_type(type, "A_Type", ONEC_EDM_COMPOSITE);
		check_type(type, "_Type", ONEC_EDM_STRING);
		check_type(type, "Type", ONEC_EDM_STRING);
		check_type(type, "B", ONEC_EDM_STRING);
		check_type(type, "C", ONEC_EDM_UNKNOWN);
	}
	onec_edm_free(edm);
	for (int i = 0; i < 40; i++)
		strcat(root, "Ж");
	strcat(root, "/>");
	edm = parse(root, strlen(root), 1000, 1 << 20, &error);
	is_str(error.message + strlen(error.message) - 3, "Ж\"", "a long name is cut between characters");
	onec_edm_free(edm);
	/* the first error stays, whatever follows */
	parser = onec_edm_begin(10);
	memset(&error, 0, sizeof(error));
	ok(!onec_edm_feed(parser, "<Edmx/>          ", 17, &error), "too long");
	memset(&error, 0, sizeof(error));
	ok(onec_edm_finish(parser, &error) == NULL && error.kind == ONEC_ERR_LIMIT,
	   "and told so at the end, too");
}

/* A type of 50,000 properties: the time must not grow with their square. */
static void
test_wide_type(void)
{
	OnecBuf		buf;
	OnecError	error;
	OnecEdm    *edm;
	clock_t		start;
	char		text[100];

	onec_buf_init(&buf);
	onec_buf_puts(&buf, "<Edmx><EntityType Name=\"t\">");
	for (int i = 0; i < 50000; i++)
	{
		snprintf(text, sizeof(text), "<Property Name=\"Property%d\" Type=\"Edm.String\"/>", i);
		onec_buf_puts(&buf, text);
	}
	onec_buf_puts(&buf, "<Property Name=\"Property49999_Type\" Type=\"Edm.String\"/></EntityType></Edmx>");
	start = clock();
	edm = parse(buf.data, buf.len, 16384, 1 << 24, &error);
	if (ok(edm != NULL && edm->types[0].nproperties == 50001, "a type of 50,001 properties"))
		is_int(edm->types[0].properties[49999].type, ONEC_EDM_COMPOSITE, "the last pair is found");
	ok(clock() - start < 3 * CLOCKS_PER_SEC, "in less than 3 s of processor time");
	onec_edm_free(edm);
	onec_buf_free(&buf);
}

static void
test_labels(void)
{
	OnecEdmType type;

	for (int i = 0; i <= ONEC_EDM_UNKNOWN; i++)
		ok(onec_edm_type_from_label(onec_edm_type_label(i), &type) && (int) type == i,
		   "label %s", onec_edm_type_label(i));
	ok(onec_edm_type_from_label("edm.guid", &type) && type == ONEC_EDM_GUID, "with Edm. and in any case");
	ok(!onec_edm_type_from_label("Decimal", &type), "no such label");
}

/* AddressSanitizer reads this as it begins: one allocation may not take more. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1:max_allocation_size_mb=16";
}

/* What the process may take beyond what it has; false where that cannot be bounded. */
static bool
bound_memory(size_t more)
{
#ifdef __SANITIZE_ADDRESS__
	(void) more;
	return true;
#else
	FILE	   *file = fopen("/proc/self/statm", "r");
	struct rlimit limit = {.rlim_max = RLIM_INFINITY};
	unsigned long pages = 0;

	if (file == NULL || fscanf(file, "%lu", &pages) != 1)
		return false;
	fclose(file);
	limit.rlim_cur = pages * (size_t) sysconf(_SC_PAGESIZE) + more;
	return setrlimit(RLIMIT_AS, &limit) == 0;
#endif
}

/* expat keeps a tag until it has come whole. */
static void
test_memory(void)
{
	static char piece[1 << 20];
	OnecEdmParser *parser = onec_edm_begin((size_t) 1 << 30);
	OnecError	error = {0};
	bool		good = onec_edm_feed(parser, "<Edmx a=\"", 9, &error);

	memset(piece, 'x', sizeof(piece));
	if (!bound_memory(32 << 20))
	{
		skip("memory cannot be bounded here");
		onec_edm_abandon(parser);
		return;
	}
	for (int i = 0; i < 100 && good; i++)
		good = onec_edm_feed(parser, piece, sizeof(piece), &error);
	is_int(error.kind, ONEC_ERR_MEMORY, "W15: out of memory in the parser is that, and no malformed answer");
	onec_edm_abandon(parser);
}

/* Names that can be no identifiers. */
static void
test_control(void)
{
	const char *text = "<Edmx><EntityType Name=\"T\"><Key><PropertyRef Name=\"K\"/><PropertyRef "
					   "Name=\"a&#10;b\"/></Key>"
		"<Property Name=\"K\" Type=\"Edm.Guid\"/><Property Name=\"a&#10;b\" Type=\"Edm.String\"/>"
		"<Property Name=\"й&#x85;&#x2028;\" Type=\"Edm.String\"/></EntityType>"
		"<EntitySet Name=\"T\" EntityType=\"StandardODATA.T\"/><EntitySet Name=\"&#x7f;\" "
		"EntityType=\"StandardODATA.T\"/></Edmx>";
	OnecError	error;
	OnecEdm    *edm = parse(text, strlen(text), 7, 1 << 20, &error);

	if (!ok(edm != NULL, "names with control characters are no error"))
		return;
	is_int(edm->nsets, 1, "S4: a set is left out");
	is_int(edm->types[0].nproperties, 1, "S4: properties are left out");
	is_int(edm->types[0].nkeys, 0, "S4: what is left of a key is none");
	is_int(edm->nodd, 3, "S4: all are told");
	is_str(edm->odd[0], "T.a\\x0Ab", "S4: … escaped");
	is_str(edm->odd[1], "T.й\\xC2\\x85\\xE2\\x80\\xA8", "S4: … whatever the control character");
	onec_edm_free(edm);
}

static void
test_sample(void)
{
	const char *shared = getenv("ONEC_SHARED") ? getenv("ONEC_SHARED") : "../shared";
	char		path[1024];
	OnecBuf		buf;
	OnecError	error;
	OnecEdm    *edm;

	snprintf(path, sizeof(path), "%s/onec-samples/edmx/ut11-excerpt-registers.edmx", shared);
	if (!read_file(path, &buf))
	{
		skip("the samples are not here");
		return;
	}
	edm = parse(buf.data, buf.len, 1000, 1 << 24, &error);
	if (ok(edm != NULL, "the excerpt of a real base is parsed"))
	{
		is_int(edm->nsets, 9, "its sets");
		is_int(edm->nfunctions, 8, "its functions");
		for (int i = 0; i < edm->nsets; i++)
			ok(edm->sets[i].type != NULL && edm->sets[i].type->nkeys > 0, "%s has a key", edm->sets[i].name);
	}
	onec_edm_free(edm);
	onec_buf_free(&buf);
}

int
main(void)
{
	test_document();
	test_refused();
	test_odd();
	test_wide_type();
	test_labels();
	test_sample();
	test_control();
	test_memory();				/* last: it bounds memory for good */
	return tap_done();
}
