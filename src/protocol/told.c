/*-------------------------------------------------------------------------
 *
 * told.c
 *	  What a message of an exchange plan tells.
 *
 * Memory: malloc.  Errors: onec_fail(); no key and no name of a row is in a message.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/told.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/buf.h"
#include "protocol/hex.h"

/* Sets whose entries are objects known by a reference. */
static const char *const families[] = {
	"Catalog_", "Document_", "ChartOf", "ExchangePlan_", "BusinessProcess_", "Task_"
};

static bool
has_references(const char *entity_set)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (strncmp(entity_set, families[i], strlen(families[i])) == 0)
			return true;
	return false;
}

static bool
is_guid(const char *text)
{
	for (int i = 0; i < ONEC_TOLD_KEY; i++)
	{
		bool		dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : text[i] == '\0' || strchr("0123456789abcdefABCDEF", text[i]) == NULL)
			return false;
	}
	return true;
}

/* The last part of an address, without what percent signs stand for. */
static void
put_last_part(OnecBuf *out, const char *address)
{
	const char *slash = strrchr(address, '/');

	for (const char *p = slash ? slash + 1 : address; *p != '\0'; p++)
	{
		if (*p == '%' && strspn(p + 1, "0123456789abcdefABCDEF") >= 2)
		{
			onec_buf_putc(out, (char) onec_hex(p + 1, 2));
			p += 2;
		}
		else
			onec_buf_putc(out, *p);
	}
}

/* The GUID in "Catalog_X(guid'…')", or NULL. */
static const char *
key_in(const char *part)
{
	static const char opening[] = "(guid'";
	const char *found = strstr(part, opening);

	if (found == NULL)
		return NULL;
	found += sizeof(opening) - 1;
	return is_guid(found) && strcmp(found + ONEC_TOLD_KEY, "')") == 0 ? found : NULL;
}

static bool
keep(OnecTold *told, const char *entity_set, size_t len, const char *key, bool gone)
{
	OnecToldObject *object;

	if (told->count == told->room)
	{
		size_t		room = told->room > 0 ? 2 * told->room : 64;
		OnecToldObject *more = realloc(told->objects, room * sizeof(OnecToldObject));

		if (more == NULL)
			return false;
		told->objects = more;
		told->room = room;
	}
	object = &told->objects[told->count];
	memset(object, 0, sizeof(*object));
	object->entity_set = strndup(entity_set, len);
	if (key != NULL)
		memcpy(object->key, key, ONEC_TOLD_KEY);
	object->gone = gone;
	if (object->entity_set == NULL)
		return false;
	told->count++;
	return true;
}

bool
onec_told_add(OnecTold *told, const char *type, const char *key, const char *address, bool gone,
			  OnecError *error)
{
	OnecBuf		part;
	const char *entity_set;
	size_t		len;
	bool		good = true;

	onec_buf_init(&part);
	put_last_part(&part, address ? address : "");
	entity_set = part.len > 0 ? part.data : "";
	if (type != NULL && type[0] != '\0')
		entity_set = strrchr(type, '.') ? strrchr(type, '.') + 1 : type;
	len = strcspn(entity_set, "(");
	if (key == NULL || key[0] == '\0')
		key = part.len > 0 ? key_in(part.data) : NULL;
	else if (strlen(key) != ONEC_TOLD_KEY || !is_guid(key))
		key = NULL;
	if (part.failed)
		good = onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	else if (len == 0)
		good = onec_fail(error, ONEC_ERR_REPLY, "an entry does not say of which set it is");
	else if (key == NULL && has_references(entity_set))
		good = onec_fail(error, ONEC_ERR_REPLY, "an entry of %.*s does not say which object it is", (int) len,
						 entity_set);
	else
		good = keep(told, entity_set, len, has_references(entity_set) ? key : NULL, gone) ||
			onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	onec_buf_free(&part);
	return good;
}

void
onec_told_free(OnecTold *told)
{
	for (size_t i = 0; i < told->count; i++)
		free(told->objects[i].entity_set);
	free(told->objects);
	memset(told, 0, sizeof(*told));
}
