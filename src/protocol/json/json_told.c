/*-------------------------------------------------------------------------
 *
 * json_told.c
 *	  A message of an exchange plan in JSON: {"value": [object, …]}.
 *
 * An object says what it is by odata.type, or by its address.  How one that is gone is told nobody has
 * recorded: an element with "id" and "reason", as OData writes it, is taken for one; whatever else does not
 * say what it is makes the message one that is not understood.
 *
 * Memory: the caller's window, and buffers of malloc for strings with escapes.  Errors: onec_fail().
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_told.h"

#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/json/json_scan.h"

typedef struct Element
{
	OnecBuf		type;
	OnecBuf		key;
	OnecBuf		address;
	OnecBuf		id;
	bool		reason;
} Element;

static bool
is_name(const OnecText *name, const char *literal)
{
	return name->len == strlen(literal) && memcmp(name->start, literal, name->len) == 0;
}

/* Keep a string, with what its escapes stand for. */
static void
put_text(OnecBuf *out, const OnecText *text)
{
	json_tokener *tokener;
	json_object *decoded = NULL;

	onec_buf_clear(out);
	if (!text->escaped)
	{
		onec_buf_append(out, text->start, text->len);
		return;
	}
	tokener = json_tokener_new();
	if (tokener != NULL && text->len < INT_MAX - 2)
		/* with its quotes, which surround it in the window */
		decoded = json_tokener_parse_ex(tokener, text->start - 1, (int) text->len + 2);
	if (decoded != NULL)
		onec_buf_puts(out, json_object_get_string(decoded));
	else
		out->failed = true;
	json_object_put(decoded);
	if (tokener != NULL)
		json_tokener_free(tokener);
}

/* Where a member of an element is to be kept; NULL: it is passed over. */
static OnecBuf *
place_of(Element *element, const OnecText *name)
{
	if (is_name(name, "odata.type") || is_name(name, "@odata.type"))
		return &element->type;
	if (is_name(name, "Ref_Key"))
		return &element->key;
	if (is_name(name, "odata.id") || is_name(name, "@odata.id") || is_name(name, "odata.editLink"))
		return &element->address;
	return is_name(name, "id") ? &element->id : NULL;
}

static OnecJsonScan
read_member(OnecCursor *c, Element *element)
{
	OnecText	name = {0};
	OnecText	text;
	OnecBuf    *place;
	OnecJsonScan	result = onec_json_name(c, &name);

	if (result != ONEC_JSON_OK)
		return result;
	place = place_of(element, &name);
	element->reason |= is_name(&name, "reason");
	if (place == NULL || *c->p != '"')
		return onec_json_value(c, 2);
	c->p++;
	result = onec_json_string(c, &text);
	if (result == ONEC_JSON_OK)
		put_text(place, &text);
	return result;
}

static OnecJsonScan
read_members(OnecCursor *c, Element *element)
{
	OnecJsonScan	result;

	if (*c->p != '{')
		return onec_json_refuse(c, "object expected");
	result = onec_json_open(c, '}');
	while (result == ONEC_JSON_OK)
	{
		result = read_member(c, element);
		if (result == ONEC_JSON_OK)
			result = onec_json_comma(c, '}');
	}
	return result == ONEC_JSON_END ? ONEC_JSON_OK : result;
}

static OnecJsonScan
read_element(OnecCursor *c, OnecTold *told)
{
	Element		element = {0};
	OnecJsonScan	result = read_members(c, &element);
	bool		gone = element.reason && element.id.len > 0;

	if (result == ONEC_JSON_OK && (element.type.failed || element.key.failed || element.address.failed ||
								   element.id.failed))
		result = onec_json_fail(c, ONEC_ERR_MEMORY, "out of memory");
	if (result == ONEC_JSON_OK &&
		!onec_told_add(told, gone ? NULL : element.type.data, gone ? NULL : element.key.data,
					   gone ? element.id.data : element.address.data, gone, c->error))
		result = ONEC_JSON_BAD;
	onec_buf_free(&element.type);
	onec_buf_free(&element.key);
	onec_buf_free(&element.address);
	onec_buf_free(&element.id);
	return result;
}

static OnecJsonScan
read_list(OnecCursor *c, OnecTold *told)
{
	OnecJsonScan	result;

	if (*c->p != '[')
		return onec_json_refuse(c, "list expected");
	result = onec_json_open(c, ']');
	while (result == ONEC_JSON_OK)
	{
		result = read_element(c, told);
		if (result == ONEC_JSON_OK)
			result = onec_json_comma(c, ']');
	}
	return result == ONEC_JSON_END ? ONEC_JSON_OK : result;
}

/* The envelope; *found: it had a list. */
static OnecJsonScan
read_envelope(OnecCursor *c, OnecTold *told, bool *found)
{
	OnecText	name = {0};
	OnecJsonScan	result = onec_json_space(c);

	if (result != ONEC_JSON_OK)
		return result;
	if (*c->p != '{')
		return onec_json_refuse(c, "object expected");
	result = onec_json_open(c, '}');
	while (result == ONEC_JSON_OK)
	{
		result = onec_json_name(c, &name);
		if (result != ONEC_JSON_OK)
			break;
		result = is_name(&name, "value") ? read_list(c, told) : onec_json_value(c, 1);
		*found |= is_name(&name, "value");
		if (result == ONEC_JSON_OK)
			result = onec_json_comma(c, '}');
	}
	return result;
}

bool
onec_told_json(OnecTold *told, const char *data, size_t len, OnecError *error)
{
	OnecCursor	c = {.p = data,.end = data + len,.mark = data,.start = data,.last = true,.error = error};
	bool		found = false;
	OnecJsonScan	result = read_envelope(&c, told, &found);

	if (result == ONEC_JSON_BAD)
		return false;
	if (result != ONEC_JSON_END || onec_json_space(&c) == ONEC_JSON_OK)
		return onec_fail(error, ONEC_ERR_REPLY, "the answer does not end where its JSON does");
	return found || onec_fail(error, ONEC_ERR_REPLY, "the answer has no list of changes");
}
