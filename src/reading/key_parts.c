/*-------------------------------------------------------------------------
 *
 * key_parts.c
 *	  Rows of a query that is asked for in parts: by a list of keys, or those without a date apart.
 *
 * A base that takes no notice of $filter sends every row with each part.  A row that is of another part comes
 * with that one, and is passed over here; whether it meets the condition at all is for the executor to see.
 * Nor do rows of other keys than those asked for count as these: a part is complete when all of its keys have
 * come.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"

#include "protocol/json/json_rows.h"
#include "protocol/odata/odata.h"
#include "reading/key_parts.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "reading/pager_private.h"
#include "reading/request.h"
#include "table/types.h"

/* Of which part a key is. */
typedef struct Member
{
	uint64		hash;			/* of its text */
	int			part;
} Member;

static uint64
hash_text(const char *text, size_t len)
{
	return hash_bytes_extended((const unsigned char *) text, (int) len, 0);
}

/* The keys of all parts. */
static HTAB *
make_members(OnecPager *pager)
{
	HASHCTL		ctl = {.keysize = sizeof(uint64),.entrysize = sizeof(Member),.hcxt = pager->scratch};
	HTAB	   *members = hash_create("onec keys", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ListCell   *lc;

	foreach(lc, pager->parts)
	{
		const OnecExpr *list = onec_draft_find_list(lfirst(lc));

		for (int i = 1; list != NULL && i < list->nargs; i++)
		{
			const char *text = list->args[i]->lit_text;
			uint64		hash = hash_text(text, strlen(text));
			bool		found;
			Member	   *member = hash_search(members, &hash, HASH_ENTER, &found);

			if (!found)
				member->part = foreach_current_index(lc);
		}
	}
	return members;
}

static bool
is_dateless(const OnecField *date)
{
	return date->kind == ONEC_FIELD_STRING && date->len == ONEC_DATE_SIZE - 1 &&
		memcmp(date->text, ONEC_EMPTY_DATE, date->len) == 0;
}

/* Whether the key is listed in another part than the current one. */
static bool
is_listed_elsewhere(OnecPager *pager, const OnecField *key)
{
	const Member *member;
	uint64		hash;

	if (key->kind <= ONEC_FIELD_NULL)
		return false;
	if (pager->members == NULL)
		pager->members = make_members(pager);
	hash = hash_text(key->text, key->len);
	member = hash_search(pager->members, &hash, HASH_FIND, NULL);
	return member != NULL && member->part != pager->at.part;
}

void
onec_pager_note_keys(OnecPager *pager)
{
	pager->part_keys = onec_draft_keys(pager->options, list_nth(pager->parts, pager->at.part));
	pager->part_key_at = pager->part_keys == NULL ? -1 :
		onec_pager_find_name(pager, pager->part_keys->args[0]->name);
}

bool
onec_pager_is_asked_for(const OnecPager *pager, const OnecField *fields)
{
	const OnecField *key;

	/* nothing tells: the base is believed */
	if (pager->part_key_at < 0)
		return true;
	key = &fields[pager->part_key_at];
	for (int i = 1; i < pager->part_keys->nargs; i++)
	{
		const char *text = pager->part_keys->args[i]->lit_text;

		if (key->kind > ONEC_FIELD_NULL && text != NULL && strlen(text) == key->len &&
			memcmp(text, key->text, key->len) == 0)
			return true;
	}
	return false;
}

int64
onec_pager_keys_left(const OnecPager *pager)
{
	return pager->part_keys == NULL ? -1 : Max(pager->part_keys->nargs - 1 - pager->part_keyed, 0);
}

bool
onec_pager_is_foreign(OnecPager *pager, const OnecField *field)
{
	if (pager->dateless < 0)
		return is_listed_elsewhere(pager, field);
	return is_dateless(field) != (pager->at.part == pager->dateless);
}
