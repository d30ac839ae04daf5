/*-------------------------------------------------------------------------
 *
 * test_told.c
 *	  Messages of exchange plans: which objects they name, and which are not understood.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_told.h"
#include "protocol/odata/told_atom.h"
#include "protocol/told.h"

#include "tap.h"

#define A "11111111-1111-1111-1111-111111111111"
#define B "22222222-2222-2222-2222-222222222222"
#define FEED "<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom' xmlns:m='m' xmlns:d='d' " \
	"xmlns:at='http://purl.org/atompub/tombstones/1.0'>"
#define ENTRY(inside) FEED "<entry>" inside "</entry></feed>"
#define PROPERTIES(key) "<content><m:properties><d:Ref_Key>" key "</d:Ref_Key><d:Part m:type='x'>" \
	"<d:element><d:Ref_Key>" B "</d:Ref_Key></d:element></d:Part></m:properties></content>"

typedef bool (*Reader) (OnecTold *told, const char *data, size_t len, OnecError *error);

/* What is told, as one line: "Catalog_X 1111… gone; …", or the error. */
static const char *
told_by(Reader reader, const char *text)
{
	static char line[ONEC_ERROR_TEXT + 10];
	OnecTold	told = {0};
	OnecError	error = {0};
	char	   *end = line;

	line[0] = '\0';
	if (!reader(&told, text, strlen(text), &error))
		snprintf(line, sizeof(line), "error: %s", error.message);
	else
		for (size_t i = 0; i < told.count; i++)
			end += sprintf(end, "%s%s %.4s%s", i > 0 ? "; " : "", told.objects[i].entity_set,
						   told.objects[i].key, told.objects[i].gone ? " gone" : "");
	onec_told_free(&told);
	return line;
}

static bool
is_refused(Reader reader, const char *text, const char *name)
{
	return ok(strncmp(told_by(reader, text), "error: ", 7) == 0, "%s: %s", name, told_by(reader, text));
}

/* XML and JSON in C would be all backslashes: apostrophes stand for quotes, and ~ for an apostrophe. */
static const char *
quoted(const char *text)
{
	static char made[2][1000];
	static int	next = 0;
	char	   *out = made[next = 1 - next];

	snprintf(out, sizeof(made[0]), "%s", text);
	for (char *p = out; *p != '\0'; p++)
		*p = *p == '\'' ? '"' : *p == '~' ? '\'' : *p;
	return out;
}

static bool
atom_tells(const char *text, const char *told, const char *name)
{
	return is_str(told_by(onec_told_atom, quoted(text)), told, name);
}

static bool
json_tells(const char *text, const char *told, const char *name)
{
	return is_str(told_by(onec_told_json, quoted(text)), told, name);
}

static void
test_atom(void)
{
	atom_tells(FEED "</feed>", "", "nothing has changed");
	atom_tells(ENTRY("<category term='StandardODATA.Catalog_X'/>" PROPERTIES(A)), "Catalog_X 1111",
			   "an entry by its type and key, not by those of its rows");
	atom_tells(ENTRY("<id>http://h/b/Document_%D0%96(guid~" A "~)</id>"), "Document_Ж 1111",
			   "an entry by its address");
	atom_tells(FEED "<at:deleted-entry ref='http://h/Catalog_X(guid~" A "~)' when='x'/>"
			   "<entry><category term='StandardODATA.Catalog_X'/>" PROPERTIES(B) "</entry></feed>",
			   "Catalog_X 1111 gone; Catalog_X 2222", "one that is gone");
	atom_tells(ENTRY("<category term='StandardODATA.InformationRegister_X'/><id>x</id>"),
			   "InformationRegister_X ", "records of registers are no objects");
}

static void
test_bad_atom(void)
{
	is_refused(onec_told_atom, quoted(ENTRY("<category term='StandardODATA.Catalog_X'/>")), "no key");
	is_refused(onec_told_atom, quoted(ENTRY("<title/>")), "an entry of nothing");
	is_refused(onec_told_atom, quoted(FEED "<at:deleted-entry when='x'/></feed>"), "gone is nothing");
	is_refused(onec_told_atom, quoted(FEED "<at:deleted-entry ref='Catalog_X(guid~" A "~,Y=1)'/></feed>"),
			   "a key of several parts");
	is_refused(onec_told_atom, quoted(FEED "<entry>"), "a feed that is cut");
	is_refused(onec_told_atom, "<html><body/></html>", "a page");
	is_refused(onec_told_atom, quoted("<!DOCTYPE feed [<!ENTITY a 'b'>]><feed/>"), "a document type");
	is_refused(onec_told_atom, "", "nothing at all");
}

static void
test_json(void)
{
	json_tells("{'odata.metadata': 'x', 'value': []}", "", "nothing has changed");
	json_tells("{'value': [{'odata.type': 'StandardODATA.Catalog_X', 'Ref_Key': '" A "', "
			   "'Part': [{'Ref_Key': '" B "'}], 'n': 1.5}]}", "Catalog_X 1111", "an object by its type");
	json_tells("{'value': [{'odata.id': 'http:\\/\\/h\\/Catalog_\\u0416(guid~" A "~)'}]}",
			   "Catalog_Ж 1111", "an object by its address, with escapes");
	json_tells("{'value': [{'id': 'Catalog_X(guid~" A "~)', 'reason': 'deleted'}]}", "Catalog_X 1111 gone",
			   "one that is gone");
}

static void
test_bad_json(void)
{
	is_refused(onec_told_json, quoted("{'value': [{'Ref_Key': '" A "'}]}"), "an object of no set");
	is_refused(onec_told_json, quoted("{'value': [{'odata.type': 'x.Catalog_X', 'Ref_Key': '1'}]}"),
			   "no key");
	is_refused(onec_told_json, quoted("{'value': [{'odata.type': 'x.Catalog_X'"), "an object that is cut");
	is_refused(onec_told_json, quoted("{'value': []"), "a list that is cut");
	is_refused(onec_told_json, quoted("{'value': []} {"), "more than one document");
	is_refused(onec_told_json, quoted("{'a': 1}"), "no list");
	is_refused(onec_told_json, quoted("{'value': [1]}"), "no object");
	is_refused(onec_told_json, "", "nothing at all");
}

int
main(void)
{
	test_atom();
	test_bad_atom();
	test_json();
	test_bad_json();
	return tap_done();
}
