/*-------------------------------------------------------------------------
 *
 * names.c
 *	  1C names as PostgreSQL identifiers.
 *
 * Memory: one scratch array for the time of a call.  Errors: only out of memory.
 * Surprising: a name that a suffix makes can be the plain name of another object, so
 * suffixes are tried until all names differ.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/odata/names.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
copy_cut(const char *real, bool fold, size_t max, char *out)
{
	size_t		len = strlen(real);

	if (len > max)
	{
		len = max;
		while (len > 0 && ((unsigned char) real[len] & 0xC0) == 0x80)
			len--;
	}
	for (size_t i = 0; i < len; i++)
		out[i] = fold && real[i] >= 'A' && real[i] <= 'Z' ? real[i] + 32 : real[i];
	out[len] = '\0';
}

void
onec_name_local(const char *real, bool fold, char out[ONEC_NAME_SIZE])
{
	copy_cut(real, fold, ONEC_NAME_SIZE - 1, out);
}

/* The "attempt"-th suffixed name; number 0 is the one that others can predict. */
static void
make_suffixed(const char *real, bool fold, uint32_t attempt, char *out)
{
	uint32_t	hash = 2166136261u;
	char		tail[10];

	for (const char *c = real; *c; c++)
		hash = (hash ^ (unsigned char) *c) * 16777619u;
	for (; attempt > 0; attempt >>= 8)
		hash = (hash ^ (attempt & 0xFF)) * 16777619u;
	snprintf(tail, sizeof(tail), "_%08x", (unsigned int) hash);
	copy_cut(real, fold, ONEC_NAME_SIZE - sizeof(tail), out);
	strcat(out, tail);
}

void
onec_name_suffixed(const char *real, bool fold, char out[ONEC_NAME_SIZE])
{
	make_suffixed(real, fold, 0, out);
}

/* Equal local names side by side, the one that keeps it first: plain names before made ones. */
static int
compare_names(const void *a, const void *b)
{
	const OnecName *x = *(OnecName *const *) a;
	const OnecName *y = *(OnecName *const *) b;
	int			diff = strcmp(x->local, y->local);

	if (diff == 0)
		diff = (int) x->suffixed - (int) y->suffixed;
	if (diff == 0)
		diff = (x->rank > y->rank) - (x->rank < y->rank);
	return diff ? diff : strcmp(x->real, y->real);
}

/*
 * Give all but the first of equal names another one; how many there were.  Numbers depend on
 * the round and the place among equals only, so that further names change nothing here.
 */
static int
part_equals(OnecName **sorted, int count, bool fold, uint32_t round)
{
	char		taken[ONEC_NAME_SIZE] = "";
	uint32_t	place = 0;
	int			parted = 0;

	for (int i = 0; i < count; i++)
	{
		bool		same_real;

		if (i == 0 || strcmp(sorted[i]->local, taken) != 0)
		{
			strcpy(taken, sorted[i]->local);
			place = 0;
			continue;
		}
		place++;
		same_real = strcmp(sorted[i]->real, sorted[i - 1]->real) == 0;
		make_suffixed(sorted[i]->real, fold, round > 0 || same_real ? (round << 16) + place : 0,
					  sorted[i]->local);
		sorted[i]->suffixed = true;
		parted++;
	}
	return parted;
}

bool
onec_names_assign(OnecName *names, int count, bool fold)
{
	OnecName  **sorted = malloc(sizeof(OnecName *) * (count > 0 ? count : 1));
	uint32_t	round = 0;

	if (sorted == NULL)
		return false;
	for (int i = 0; i < count; i++)
	{
		onec_name_local(names[i].real, fold, names[i].local);
		names[i].suffixed = false;
		sorted[i] = &names[i];
	}
	do
		qsort(sorted, count, sizeof(OnecName *), compare_names);
	while (part_equals(sorted, count, fold, round++) > 0);
	free(sorted);
	return true;
}

int
onec_name_rank(const char *entity_set)
{
	size_t		len = strlen(entity_set);

	return len > 11 && strcmp(entity_set + len - 11, "_RecordType") == 0 ? 0 : 1;
}

/* Bytes of the control character or line separator at "p"; 0: it is none. */
static int
control_length(const unsigned char *p)
{
	if (*p < ' ' || *p == 0x7F)
		return 1;
	if (p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F)
		return 2;
	return p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9) ? 3 : 0;
}

bool
onec_name_is_odd(const char *name)
{
	for (const unsigned char *p = (const unsigned char *) name; *p != '\0'; p++)
		if (control_length(p) > 0)
			return true;
	return false;
}

void
onec_name_escape(const char *name, char *out, size_t size)
{
	const unsigned char *p = (const unsigned char *) name;
	size_t		used = 0;

	/* room for a control character of three bytes, or for a whole one of any kind */
	while (*p != '\0' && used + 3 * strlen("\\xHH") < size)
	{
		int			n = control_length(p);

		for (int i = 0; i < n; i++)
			used += (size_t) snprintf(out + used, size - used, "\\x%02X", p[i]);
		p += n;
		for (bool first = true; n == 0 && *p != '\0' && (first || (*p & 0xC0) == 0x80); first = false)
			out[used++] = (char) *p++;
	}
	out[used] = '\0';
}
