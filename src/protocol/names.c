/*-------------------------------------------------------------------------
 *
 * names.c
 *	  1C names as PostgreSQL identifiers.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/names.h"

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

void
onec_name_suffixed(const char *real, bool fold, char out[ONEC_NAME_SIZE])
{
	uint32_t	hash = 2166136261u;
	char		tail[10];

	for (const char *c = real; *c; c++)
		hash = (hash ^ (unsigned char) *c) * 16777619u;
	snprintf(tail, sizeof(tail), "_%08x", hash);
	copy_cut(real, fold, ONEC_NAME_SIZE - sizeof(tail), out);
	strcat(out, tail);
}

static int
compare_names(const void *a, const void *b)
{
	const OnecName *x = *(OnecName *const *) a;
	const OnecName *y = *(OnecName *const *) b;
	int			diff = strcmp(x->local, y->local);

	if (diff == 0)
		diff = x->rank - y->rank;
	return diff ? diff : strcmp(x->real, y->real);
}

bool
onec_names_assign(OnecName *names, int count, bool fold)
{
	OnecName  **sorted = malloc(sizeof(OnecName *) * (count > 0 ? count : 1));
	int			first = 0;

	if (sorted == NULL)
		return false;
	for (int i = 0; i < count; i++)
	{
		onec_name_local(names[i].real, fold, names[i].local);
		names[i].suffixed = false;
		sorted[i] = &names[i];
	}
	qsort(sorted, count, sizeof(OnecName *), compare_names);
	for (int i = 1; i < count; i++)
	{
		if (strcmp(sorted[i]->local, sorted[first]->local) != 0)
			first = i;
		else
			sorted[i]->suffixed = true;
	}
	for (int i = 0; i < count; i++)
		if (names[i].suffixed)
			onec_name_suffixed(names[i].real, fold, names[i].local);
	free(sorted);
	return true;
}

int
onec_name_rank(const char *entity_set)
{
	size_t		len = strlen(entity_set);

	return len > 11 && strcmp(entity_set + len - 11, "_RecordType") == 0 ? 0 : 1;
}
