/*-------------------------------------------------------------------------
 *
 * test_names.c
 *	  1C names as identifiers: folding, the 63-byte rule, collisions.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/odata/names.h"

#include "tap.h"

#define LONG_NAME "AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType"

static void
test_folding(void)
{
	char		local[ONEC_NAME_SIZE];

	onec_name_local("Catalog_ДисконтныеКарты", true, local);
	is_str(local, "catalog_ДисконтныеКарты", "ASCII is folded, Cyrillic is not");
	onec_name_local("Catalog_ДисконтныеКарты", false, local);
	is_str(local, "Catalog_ДисконтныеКарты", "exact names stay");
	is_int(strlen(LONG_NAME), 82, "the long name is longer than an identifier");
	onec_name_local(LONG_NAME, true, local);
	is_str(local, "accumulationregister_ПродажиПоДисконтнымКа", "it is cut at 63 bytes");
	is_int(strlen(local), 63, "which is a character's border here");
	onec_name_local("A" LONG_NAME, true, local);
	is_int(strlen(local), 62, "no character is cut in two");
}

static void
test_suffix(void)
{
	char		local[ONEC_NAME_SIZE];

	/* FNV-1a of "a" and of "foobar" are published test vectors */
	onec_name_suffixed("a", true, local);
	is_str(local, "a_e40c292c", "the hash is FNV-1a");
	onec_name_suffixed("foobar", true, local);
	is_str(local, "foobar_bf9cf968", "of the whole name");
	onec_name_suffixed(LONG_NAME, true, local);
	ok(strlen(local) <= 63 && local[strlen(local) - 9] == '_', "cut to make room for the suffix");
}

/* Assign four colliding names in the order that "order" gives. */
static void
assign(const char *const *real, const int *order, int count, OnecName *out)
{
	for (int i = 0; i < count; i++)
	{
		memset(&out[i], 0, sizeof(out[i]));
		out[i].real = real[order[i]];
		out[i].rank = onec_name_rank(real[order[i]]);
	}
	ok(onec_names_assign(out, count, true), "names are assigned");
}

static const char *
local_of(const OnecName *names, int count, const char *real)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i].real, real) == 0)
			return names[i].local;
	return NULL;
}

static void
test_collisions(void)
{
	static const char *const real[] = {LONG_NAME, "AccumulationRegister_ПродажиПоДисконтнымКартам",
	"Catalog_ABC", "Catalog_abc"};
	static const int forward[] = {0, 1, 2, 3};
	static const int backward[] = {3, 2, 1, 0};
	OnecName	one[4];
	OnecName	two[4];

	assign(real, forward, 4, one);
	assign(real, backward, 4, two);
	is_str(local_of(one, 4, LONG_NAME), "accumulationregister_ПродажиПоДисконтнымКа",
		   "the rows of a register keep the name");
	is_str(local_of(one, 4, "Catalog_ABC"), "catalog_abc", "then byte order decides");
	for (int i = 0; i < 4; i++)
	{
		is_str(local_of(two, 4, real[i]), local_of(one, 4, real[i]), "the order of the names is no matter");
		for (int j = 0; j < i; j++)
			ok(strcmp(one[i].local, one[j].local) != 0, "names %d and %d differ", i, j);
	}
	ok(onec_names_assign(one, 0, true), "no names at all");
}

/* Suffixes that meet: "foo" made to give way takes a name that is already there. */
static void
test_met_suffixes(void)
{
	static const char *const real[] = {"foo", "FOO", "foo_a9f37ed7", "FOO"};
	int			order[] = {0, 1, 2, 3};
	OnecName	names[4];
	char		first[ONEC_NAME_SIZE] = "";

	onec_name_suffixed("foo", true, names[0].local);
	is_str(names[0].local, real[2], "the third name is the suffixed first one");
	for (int turn = 0; turn < 4; turn++)
	{
		order[turn] = 0;
		order[0] = turn;
		assign(real, order, 4, names);
		is_str(local_of(names, 4, "foo_a9f37ed7"), "foo_a9f37ed7", "a plain name stays");
		for (int i = 0; i < 4; i++)
			for (int j = 0; j < i; j++)
				ok(strcmp(names[i].local, names[j].local) != 0, "met names %d and %d differ", i, j);
		if (turn > 0)
			is_str(local_of(names, 4, "foo"), first, "the given-way name does not depend on the order");
		strcpy(first, local_of(names, 4, "foo"));
		order[turn] = turn;
		order[0] = 0;
	}
}

int
main(void)
{
	test_folding();
	test_suffix();
	test_collisions();
	test_met_suffixes();
	is_int(onec_name_rank("X_RecordType"), 0, "rank of rows");
	is_int(onec_name_rank("X"), 1, "rank of others");
	return tap_done();
}
