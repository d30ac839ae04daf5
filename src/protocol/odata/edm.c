/*-------------------------------------------------------------------------
 *
 * edm.c
 *	  $metadata of a base, parsed with expat while it arrives.
 *
 * Only what edm.h describes is kept.  Memory: chunks of an arena, freed whole.  Errors: kept by the
 * parser, so that the first one is told whatever is called after it.  Elements are known by their
 * local names, since old and new documents differ in namespaces.  A document type declaration is
 * refused at once: nothing of 1C has one, and entities expand.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/odata/edm.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <expat.h>

#include "onec_error.h"
#include "protocol/odata/edm_types.h"
#include "protocol/odata/names.h"

#define CHUNK_BYTES 65536
#define SEPARATOR '\n'			/* between namespace and local name */

typedef struct Chunk
{
	struct Chunk *next;
	size_t		used;
	size_t		size;
	char		data[];
} Chunk;

/* A growing array of items of one size; moved into the arena's care at the end. */
typedef struct List
{
	char	   *items;
	int			count;
	int			room;
} List;

/* The result together with what carries it. */
typedef struct EdmOwner
{
	OnecEdm		edm;			/* first: the public pointer is the owner */
	Chunk	   *chunks;
	void	  **sets_by_name;	/* pointers into the arrays of edm */
	void	  **types_by_name;
} EdmOwner;

/* A name that is resolved when all types are known. */
typedef struct PendingFunction
{
	OnecFunction function;
	const char *result_type;
	int			first_parameter;
	bool		side_effects;
} PendingFunction;

struct OnecEdmParser
{
	XML_Parser	xml;
	EdmOwner   *owner;
	OnecError	error;			/* raised inside a callback */
	size_t		max_bytes;
	size_t		bytes;
	bool		root_seen;
	bool		in_struct;
	bool		in_function;
	bool		key_is_odd;		/* a part of the current type's key has a name that is left out */
	OnecEdmStruct current;
	List		types;
	List		sets;			/* of OnecEntitySet */
	List		set_types;		/* of const char *: type names of the sets */
	List		properties;		/* of the current type */
	List		index;			/* the last index made */
	List		keys;			/* of the current type */
	List		odd;			/* of const char *: names that are left out, escaped */
	List		functions;		/* of PendingFunction */
	List		parameters;		/* of all functions */
	PendingFunction function;
};

/* ---- memory ---- */

static void *
arena_alloc(EdmOwner *owner, size_t size)
{
	Chunk	   *chunk = owner->chunks;
	void	   *result;

	size = (size + 15) & ~(size_t) 15;
	if (chunk == NULL || chunk->size - chunk->used < size)
	{
		size_t		room = size > CHUNK_BYTES ? size : CHUNK_BYTES;

		chunk = malloc(sizeof(Chunk) + room);
		if (chunk == NULL)
			return NULL;
		chunk->size = room;
		chunk->used = 0;
		chunk->next = owner->chunks;
		owner->chunks = chunk;
	}
	result = chunk->data + chunk->used;
	chunk->used += size;
	return result;
}

static bool
out_of_memory(OnecEdmParser *parser)
{
	onec_fail(&parser->error, ONEC_ERR_MEMORY, "out of memory while reading the metadata");
	XML_StopParser(parser->xml, XML_FALSE);
	return false;
}

static const char *
keep_bytes(OnecEdmParser *parser, const char *text, size_t len)
{
	char	   *copy = arena_alloc(parser->owner, len + 1);

	if (copy == NULL)
	{
		out_of_memory(parser);
		return "";
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

static const char *
keep_text(OnecEdmParser *parser, const char *text)
{
	return keep_bytes(parser, text, strlen(text));
}

static bool
list_add(OnecEdmParser *parser, List *list, const void *item, size_t size)
{
	if (list->count == list->room)
	{
		int			room = list->room ? list->room * 2 : 64;
		char	   *items = realloc(list->items, room * size);

		if (items == NULL)
			return out_of_memory(parser);
		list->items = items;
		list->room = room;
	}
	memcpy(list->items + list->count * size, item, size);
	list->count++;
	return true;
}

/* Move a list's items into the arena and empty it. */
static void *
list_keep(OnecEdmParser *parser, List *list, size_t size)
{
	void	   *copy = arena_alloc(parser->owner, list->count * size + 1);

	if (copy == NULL)
		out_of_memory(parser);
	else if (list->count > 0)
		memcpy(copy, list->items, list->count * size);
	list->count = 0;
	return copy;
}

/* ---- indexes: sorted pointers to structs whose first member is their name ---- */

typedef struct Name
{
	const char *text;
	size_t		len;
} Name;

static int
compare_named(const void *a, const void *b)
{
	const char *const *x = *(const void *const *) a;
	const char *const *y = *(const void *const *) b;

	return strcmp(*x, *y);
}

static int
compare_name_to(const void *key, const void *item)
{
	const Name *name = key;
	const char *const *named = *(const void *const *) item;
	int			diff = strncmp(name->text, *named, name->len);

	return diff ? diff : -((*named)[name->len] != '\0');
}

static void *
find_named(void *const *index, int count, const char *text, size_t len)
{
	Name		name = {text, len};
	void	   *const *found = count ? bsearch(&name, index, count, sizeof(void *), compare_name_to) : NULL;

	return found ? *found : NULL;
}

/* Leave an index of "count" structs of "size" bytes in parser->index; false when out of memory. */
static bool
make_index(OnecEdmParser *parser, void *items, int count, size_t size)
{
	parser->index.count = 0;
	for (int i = 0; i < count; i++)
	{
		void	   *item = (char *) items + i * size;

		if (!list_add(parser, &parser->index, &item, sizeof(item)))
			return false;
	}
	if (count > 0)
		qsort(parser->index.items, count, sizeof(void *), compare_named);
	return true;
}

/* ---- types ---- */

/* "Collection(StandardODATA.X)" or "StandardODATA.X" → "X". */
static const char *
local_type(OnecEdmParser *parser, const char *name)
{
	size_t		len;

	if (strncmp(name, "Collection(", 11) == 0)
		name += 11;
	if (strncmp(name, "StandardODATA.", 14) == 0)
		name += 14;
	len = strlen(name);
	return keep_bytes(parser, name, len > 0 && name[len - 1] == ')' ? len - 1 : len);
}

/* ---- names ---- */

/*
 * Whether a name must not become an identifier; then it is noted, with what it belongs to unless that is
 * NULL.
 */
static bool
is_odd(OnecEdmParser *parser, const char *owner, const char *name)
{
	char		text[256];
	size_t		used = 0;
	const char *kept;

	if (!onec_name_is_odd(name))
		return false;
	if (owner != NULL)
	{
		onec_name_escape(owner, text, sizeof(text) / 2);
		used = strlen(text);
		text[used++] = '.';
	}
	onec_name_escape(name, text + used, sizeof(text) - used);
	kept = keep_text(parser, text);
	list_add(parser, &parser->odd, &kept, sizeof(kept));
	return true;
}

/* ---- elements ---- */

static const char *
local_name(const XML_Char *name)
{
	const char *separator = strrchr(name, SEPARATOR);

	return separator ? separator + 1 : name;
}

static const char *
attribute(const XML_Char **attributes, const char *name)
{
	for (int i = 0; attributes[i] != NULL; i += 2)
		if (strcmp(local_name(attributes[i]), name) == 0)
			return attributes[i + 1];
	return NULL;
}

static void
begin_struct(OnecEdmParser *parser, const char *name)
{
	memset(&parser->current, 0, sizeof(parser->current));
	parser->current.name = keep_text(parser, name ? name : "");
	parser->properties.count = 0;
	parser->keys.count = 0;
	parser->key_is_odd = false;
	parser->in_struct = true;
}

/* Most bases tell none. */
static int
read_length(const char *text)
{
	char	   *end;
	long		length = text ? strtol(text, &end, 10) : 0;

	return text && *end == '\0' && length > 0 && length < 1000000000 ? (int) length : 0;
}

static void
add_property(OnecEdmParser *parser, const XML_Char **attributes)
{
	const char *name = attribute(attributes, "Name");
	const char *type = attribute(attributes, "Type");
	const char *nullable = attribute(attributes, "Nullable");
	OnecProperty property = {0};

	if (name == NULL || name[0] == '\0' || is_odd(parser, parser->current.name, name))
		return;
	property.name = keep_text(parser, name);
	property.type_name = keep_text(parser, type ? type : "");
	property.type = type ? onec_edm_type_of_name(type) : ONEC_EDM_UNKNOWN;
	property.length = read_length(attribute(attributes, "MaxLength"));
	property.nullable = nullable == NULL || strcmp(nullable, "false") != 0;
	list_add(parser, &parser->properties, &property, sizeof(property));
}

static OnecProperty *
indexed_property(const OnecEdmParser *parser, const char *name, size_t len)
{
	return find_named((void **) parser->index.items, parser->index.count, name, len);
}

/* The string property X of "X" + suffix, or NULL. */
static OnecProperty *
string_beside(const OnecEdmParser *parser, const OnecProperty *property, const char *suffix)
{
	size_t		len = strlen(property->name);
	size_t		tail = strlen(suffix);
	OnecProperty *found;

	if (len <= tail || strcmp(property->name + len - tail, suffix) != 0)
		return NULL;
	found = indexed_property(parser, property->name, len - tail);
	return found && strcmp(found->type_name, "Edm.String") == 0 ? found : NULL;
}

/* A string with its type beside it holds values of several types; the pair of a value storage does not. */
static void
find_composites(const OnecEdmParser *parser, OnecEdmStruct *type)
{
	OnecProperty *beside;

	for (int i = 0; i < type->nproperties; i++)
		if (strcmp(type->properties[i].type_name, "Edm.String") == 0 &&
			(beside = string_beside(parser, &type->properties[i], "_Type")) != NULL)
			beside->type = ONEC_EDM_COMPOSITE;
	for (int i = 0; i < type->nproperties; i++)
		if ((beside = string_beside(parser, &type->properties[i], "_Base64Data")) != NULL)
			beside->type = ONEC_EDM_STRING;
}

static void
end_struct(OnecEdmParser *parser)
{
	OnecEdmStruct *type = &parser->current;

	parser->in_struct = false;
	type->nproperties = parser->properties.count;
	/* a part of a key orders nothing */
	type->nkeys = parser->key_is_odd ? 0 : parser->keys.count;
	type->properties = list_keep(parser, &parser->properties, sizeof(OnecProperty));
	type->keys = list_keep(parser, &parser->keys, sizeof(const char *));
	if (type->properties == NULL || type->keys == NULL ||
		!make_index(parser, type->properties, type->nproperties, sizeof(OnecProperty)))
		return;
	for (int i = 0; i < type->nkeys; i++)
	{
		OnecProperty *key = indexed_property(parser, type->keys[i], strlen(type->keys[i]));

		if (key != NULL)
			key->is_key = true;
	}
	find_composites(parser, type);
	list_add(parser, &parser->types, type, sizeof(*type));
}

static void
add_set(OnecEdmParser *parser, const XML_Char **attributes)
{
	const char *name = attribute(attributes, "Name");
	const char *type = attribute(attributes, "EntityType");
	const char *type_name;
	OnecEntitySet set = {0};

	if (name == NULL || name[0] == '\0' || is_odd(parser, NULL, name))
		return;
	set.name = keep_text(parser, name);
	type_name = local_type(parser, type ? type : name);
	if (list_add(parser, &parser->sets, &set, sizeof(set)))
		list_add(parser, &parser->set_types, &type_name, sizeof(type_name));
}

static void
begin_function(OnecEdmParser *parser, const XML_Char **attributes)
{
	const char *name = attribute(attributes, "Name");
	const char *effects = attribute(attributes, "IsSideEffecting");
	const char *result = attribute(attributes, "ReturnType");
	const char *path = attribute(attributes, "EntitySetPath");

	memset(&parser->function, 0, sizeof(parser->function));
	parser->function.function.name = keep_text(parser, name ? name : "");
	parser->function.result_type = result ? local_type(parser, result) : NULL;
	/* in place of a bindingParameter, which stands for it otherwise */
	if (path != NULL && strcmp(path, "bindingParameter") != 0)
		parser->function.function.bound_to = keep_text(parser, path);
	parser->function.side_effects = effects == NULL || strcmp(effects, "false") != 0;
	parser->function.first_parameter = parser->parameters.count;
	parser->in_function = true;
}

static void
add_parameter(OnecEdmParser *parser, const XML_Char **attributes)
{
	const char *name = attribute(attributes, "Name");
	const char *type = attribute(attributes, "Type");
	OnecParameter parameter;

	if (name == NULL || type == NULL || is_odd(parser, parser->function.function.name, name))
		return;
	if (strcmp(name, "bindingParameter") == 0)
	{
		parser->function.function.bound_to = local_type(parser, type);
		return;
	}
	parameter.name = keep_text(parser, name);
	parameter.type = onec_edm_type_of_name(type);
	list_add(parser, &parser->parameters, &parameter, sizeof(parameter));
}

static void
end_function(OnecEdmParser *parser)
{
	PendingFunction *function = &parser->function;

	parser->in_function = false;
	function->function.nparameters = parser->parameters.count - function->first_parameter;
	if (function->side_effects)
		parser->parameters.count = function->first_parameter;
	else
		list_add(parser, &parser->functions, function, sizeof(*function));
}

/* Another root than metadata has: name it, not more than 60 bytes of it and whole characters. */
static void
refuse_root(OnecEdmParser *parser, const char *element)
{
	int			len = (int) strnlen(element, 60);

	while (len > 0 && ((unsigned char) element[len] & 0xC0) == 0x80)
		len--;
	onec_fail(&parser->error, ONEC_ERR_REPLY,
			  "the answer is not metadata: its root element is \"%.*s\"", len, element);
	XML_StopParser(parser->xml, XML_FALSE);
}

static void XMLCALL
element_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	OnecEdmParser *parser = arg;
	const char *element = local_name(name);

	if (!parser->root_seen && strcmp(element, "Edmx") != 0)
	{
		refuse_root(parser, element);
		return;
	}
	parser->root_seen = true;
	if (strcmp(element, "EntityType") == 0 || strcmp(element, "ComplexType") == 0)
		begin_struct(parser, attribute(attributes, "Name"));
	else if (parser->in_struct && strcmp(element, "Property") == 0)
		add_property(parser, attributes);
	else if (parser->in_struct && strcmp(element, "PropertyRef") == 0 &&
			 attribute(attributes, "Name") != NULL)
	{
		const char *key = keep_text(parser, attribute(attributes, "Name"));

		if (onec_name_is_odd(key))
			parser->key_is_odd = true;
		else
			list_add(parser, &parser->keys, &key, sizeof(key));
	}
	else if (strcmp(element, "EntitySet") == 0)
		add_set(parser, attributes);
	else if (strcmp(element, "FunctionImport") == 0)
		begin_function(parser, attributes);
	else if (parser->in_function && strcmp(element, "Parameter") == 0)
		add_parameter(parser, attributes);
}

static void XMLCALL
element_end(void *arg, const XML_Char *name)
{
	OnecEdmParser *parser = arg;
	const char *element = local_name(name);

	if (parser->in_struct &&
		(strcmp(element, "EntityType") == 0 || strcmp(element, "ComplexType") == 0))
		end_struct(parser);
	else if (parser->in_function && strcmp(element, "FunctionImport") == 0)
		end_function(parser);
}

static void XMLCALL
doctype_start(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
			  int has_subset)
{
	OnecEdmParser *parser = arg;

	(void) sysid;
	(void) pubid;
	(void) has_subset;
	onec_fail(&parser->error, ONEC_ERR_REPLY, "the answer is not metadata: it %s",
			  strcasecmp(name, "html") == 0 ? "is an HTML page" : "has a document type declaration");
	XML_StopParser(parser->xml, XML_FALSE);
}

/* ---- the parser ---- */

OnecEdmParser *
onec_edm_begin(size_t max_bytes)
{
	OnecEdmParser *parser = calloc(1, sizeof(OnecEdmParser));

	if (parser == NULL)
		return NULL;
	parser->max_bytes = max_bytes;
	parser->owner = calloc(1, sizeof(EdmOwner));
	parser->xml = XML_ParserCreateNS(NULL, SEPARATOR);
	if (parser->owner == NULL || parser->xml == NULL)
	{
		onec_edm_abandon(parser);
		return NULL;
	}
	XML_SetUserData(parser->xml, parser);
	XML_SetElementHandler(parser->xml, element_start, element_end);
	XML_SetStartDoctypeDeclHandler(parser->xml, doctype_start);
	return parser;
}

void
onec_edm_abandon(OnecEdmParser *parser)
{
	if (parser == NULL)
		return;
	if (parser->xml != NULL)
		XML_ParserFree(parser->xml);
	if (parser->owner != NULL)
		onec_edm_free(&parser->owner->edm);
	free(parser->types.items);
	free(parser->sets.items);
	free(parser->set_types.items);
	free(parser->properties.items);
	free(parser->index.items);
	free(parser->keys.items);
	free(parser->odd.items);
	free(parser->functions.items);
	free(parser->parameters.items);
	free(parser);
}

static bool
parse(OnecEdmParser *parser, const char *data, int len, bool last, OnecError *error)
{
	if (parser->error.kind != ONEC_OK || XML_Parse(parser->xml, data, len, last) == XML_STATUS_OK)
		;
	else if (XML_GetErrorCode(parser->xml) == XML_ERROR_NO_MEMORY)
		onec_fail(&parser->error, ONEC_ERR_MEMORY, "out of memory while reading the metadata");
	else
		onec_fail(&parser->error, ONEC_ERR_REPLY, "the answer is %s: %s",
				  parser->root_seen ? "not well-formed metadata" : "not metadata and no XML",
				  XML_ErrorString(XML_GetErrorCode(parser->xml)));
	if (parser->error.kind == ONEC_OK)
		return true;
	return onec_fail(error, parser->error.kind, "%s", parser->error.message);
}

bool
onec_edm_feed(OnecEdmParser *parser, const char *data, size_t len, OnecError *error)
{
	parser->bytes += len;
	if (parser->bytes > parser->max_bytes)
		onec_fail(&parser->error, ONEC_ERR_LIMIT, "the metadata is longer than %zu bytes", parser->max_bytes);
	while (len > 0)
	{
		int			piece = len > (1 << 20) ? 1 << 20 : (int) len;

		if (!parse(parser, data, piece, false, error))
			return false;
		data += piece;
		len -= piece;
	}
	return true;
}

/* ---- look-ups ---- */

const OnecEntitySet *
onec_edm_find_set(const OnecEdm *edm, const char *name)
{
	const EdmOwner *owner = (const EdmOwner *) edm;

	return find_named(owner->sets_by_name, edm->nsets, name, strlen(name));
}

const OnecEdmStruct *
onec_edm_find_type(const OnecEdm *edm, const char *name)
{
	const EdmOwner *owner = (const EdmOwner *) edm;

	return find_named(owner->types_by_name, edm->ntypes, name, strlen(name));
}

/* All types are known: connect sets and functions with them. */
static bool
resolve(OnecEdmParser *parser)
{
	OnecEdm    *edm = &parser->owner->edm;
	const char **set_types = (const char **) parser->set_types.items;
	PendingFunction *pending = (PendingFunction *) parser->functions.items;
	OnecParameter *parameters;

	edm->bytes = parser->bytes;
	edm->ntypes = parser->types.count;
	edm->nsets = parser->sets.count;
	edm->nfunctions = parser->functions.count;
	edm->nodd = parser->odd.count;
	edm->odd = list_keep(parser, &parser->odd, sizeof(const char *));
	edm->types = list_keep(parser, &parser->types, sizeof(OnecEdmStruct));
	edm->sets = list_keep(parser, &parser->sets, sizeof(OnecEntitySet));
	parameters = list_keep(parser, &parser->parameters, sizeof(OnecParameter));
	edm->functions = arena_alloc(parser->owner, edm->nfunctions * sizeof(OnecFunction) + 1);
	if (!edm->types || !edm->sets || !parameters || !edm->functions || !edm->odd)
		return out_of_memory(parser);
	if (make_index(parser, edm->types, edm->ntypes, sizeof(OnecEdmStruct)))
		parser->owner->types_by_name = list_keep(parser, &parser->index, sizeof(void *));
	if (make_index(parser, edm->sets, edm->nsets, sizeof(OnecEntitySet)))
		parser->owner->sets_by_name = list_keep(parser, &parser->index, sizeof(void *));
	if (parser->error.kind != ONEC_OK)
		return false;
	for (int i = 0; i < edm->nsets; i++)
		edm->sets[i].type = onec_edm_find_type(edm, set_types[i]);
	for (int i = 0; i < edm->nfunctions; i++)
	{
		edm->functions[i] = pending[i].function;
		edm->functions[i].parameters = parameters + pending[i].first_parameter;
		if (pending[i].result_type != NULL)
			edm->functions[i].result = onec_edm_find_type(edm, pending[i].result_type);
	}
	return true;
}

OnecEdm *
onec_edm_finish(OnecEdmParser *parser, OnecError *error)
{
	OnecEdm    *edm = NULL;

	if (!parser->root_seen && parser->error.kind == ONEC_OK && parser->bytes == 0)
		onec_fail(error, ONEC_ERR_REPLY, "the answer is empty instead of metadata");
	else if (parse(parser, "", 0, true, error))
	{
		if (resolve(parser))
		{
			edm = &parser->owner->edm;
			parser->owner = NULL;
		}
		else
			onec_fail(error, parser->error.kind, "%s", parser->error.message);
	}
	onec_edm_abandon(parser);
	return edm;
}

void
onec_edm_free(OnecEdm *edm)
{
	EdmOwner   *owner = (EdmOwner *) edm;

	if (owner == NULL)
		return;
	while (owner->chunks != NULL)
	{
		Chunk	   *chunk = owner->chunks;

		owner->chunks = chunk->next;
		free(chunk);
	}
	free(owner);
}
