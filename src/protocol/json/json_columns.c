/*-------------------------------------------------------------------------
 *
 * json_columns.c
 *	  The wanted properties of a page, found by the names of members.
 *
 * Memory: malloc, owned by the OnecJsonColumns.  Errors: only lack of memory.
 *
 * The hash is computed for every member of a row whose name has the length of some
 * wanted one, so it takes eight bytes at a time.  Its value depends on the byte order of
 * the machine, which is harmless because it never leaves the process.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_columns.h"

#include <stdlib.h>

#include "protocol/json/json_rows.h"
#include "protocol/json/json_scan.h"

static uint64_t
hash_name(const char *name, size_t len)
{
	const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
	const char *end = name + len;
	uint64_t	hash = len * factor;

	if (len < 8)
	{
		for (; name < end; name++)
			hash = (hash ^ (unsigned char) *name) * factor;
		return hash ^ hash >> 32;
	}
	for (; end - name > 8; name += 8)
	{
		hash = (hash ^ onec_json_word(name)) * factor;
		hash ^= hash >> 32;
	}
	hash = (hash ^ onec_json_word(end - 8)) * factor;
	return hash ^ hash >> 32;
}

void
onec_json_columns_unsee(OnecJsonColumns *columns)
{
	columns->all_seen = columns->count == 0;
	for (int i = 0; i < columns->count; i++)
		columns->list[i].seen = false;
}

void
onec_json_columns_see(OnecJsonColumns *columns, const OnecField *fields)
{
	bool		all = true;

	for (int i = 0; i < columns->count; i++)
	{
		bool		lacked = fields[i].kind == ONEC_FIELD_ABSENT;

		columns->list[i].lacked |= lacked;
		columns->list[i].seen |= !lacked;
		all &= columns->list[i].seen;
	}
	columns->all_seen |= all;
}

int
onec_json_columns_look_up(const OnecJsonColumns *columns, const char *name, size_t len)
{
	size_t		slot = hash_name(name, len) & columns->slot_mask;

	for (; columns->slots[slot] >= 0; slot = (slot + 1) & columns->slot_mask)
	{
		const OnecJsonColumn *column = &columns->list[columns->slots[slot]];

		if (column->len == len && memcmp(column->name, name, len) == 0)
			return columns->slots[slot];
	}
	return -1;
}

/* Copy the name of column "i" and enter it into the table. */
static bool
add_column(OnecJsonColumns *columns, int i, const char *name)
{
	OnecJsonColumn *column = &columns->list[i];
	size_t		slot;

	column->len = strlen(name);
	column->name = malloc(column->len + 1);
	if (column->name == NULL)
		return false;
	memcpy(column->name, name, column->len + 1);
	column->same_as = onec_json_columns_find(columns, name, column->len);
	if (column->same_as >= 0)
	{
		columns->repeated = true;
		return true;
	}
	columns->distinct++;
	columns->lengths |= UINT64_C(1) << (column->len & 63);
	slot = hash_name(name, column->len) & columns->slot_mask;
	while (columns->slots[slot] >= 0)
		slot = (slot + 1) & columns->slot_mask;
	columns->slots[slot] = i;
	return true;
}

bool
onec_json_columns_init(OnecJsonColumns *columns, const char *const *names, int nnames)
{
	size_t		entries = (size_t) nnames + 1;
	size_t		nslots = 4;

	memset(columns, 0, sizeof(*columns));
	while (nslots < entries * 2)
		nslots *= 2;
	columns->slot_mask = nslots - 1;
	columns->list = calloc(entries, sizeof(OnecJsonColumn));
	columns->slots = malloc(nslots * sizeof(int));
	if (columns->list == NULL || columns->slots == NULL)
		return false;
	/* all bits set is -1 */
	memset(columns->slots, 0xFF, nslots * sizeof(int));
	columns->count = nnames;
	for (int i = 0; i < nnames; i++)
	{
		if (!add_column(columns, i, names[i]))
			return false;
	}
	return true;
}

void
onec_json_columns_free(OnecJsonColumns *columns)
{
	for (int i = 0; i < columns->count; i++)
		free(columns->list[i].name);
	free(columns->list);
	free(columns->slots);
	memset(columns, 0, sizeof(*columns));
}
