/*-------------------------------------------------------------------------
 *
 * edm.c
 *	  $metadata of a base, parsed with expat while it arrives.
 *
 * Only what edm.h describes is kept.  Memory: chunks of an arena, freed whole.  Elements are known by
 * their local names, since old and new documents differ in namespaces.  A document type
 * declaration is refused at once: nothing of 1C has one, and entities expand.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <expat.h>

#include "protocol/edm.h"

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
	const OnecEntitySet **sets_by_name;
	const OnecEdmStruct **types_by_name;
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
	OnecEdmStruct current;
	List		types;
	List		sets;			/* of OnecEntitySet */
	List		set_types;		/* of const char *: type names of the sets */
	List		properties;		/* of the current type */
	List		keys;			/* of the current type */
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
keep_text(OnecEdmParser *parser, const char *text)
{
	size_t		len = strlen(text) + 1;
	char	   *copy = arena_alloc(parser->owner, len);

	if (copy == NULL)
	{
		out_of_memory(parser);
		return "";
	}
	memcpy(copy, text, len);
	return copy;
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

/* ---- types ---- */

static const struct
{
	const char *label;
	const char *edm;
} type_names[] = {
	[ONEC_EDM_STRING] = {"String", "Edm.String"},
	[ONEC_EDM_GUID] = {"Guid", "Edm.Guid"},
	[ONEC_EDM_DATETIME] = {"DateTime", "Edm.DateTime"},
	[ONEC_EDM_DOUBLE] = {"Double", "Edm.Double"},
	[ONEC_EDM_INT16] = {"Int16", "Edm.Int16"},
	[ONEC_EDM_INT32] = {"Int32", "Edm.Int32"},
	[ONEC_EDM_INT64] = {"Int64", "Edm.Int64"},
	[ONEC_EDM_BOOLEAN] = {"Boolean", "Edm.Boolean"},
	[ONEC_EDM_BINARY] = {"Binary", "Edm.Binary"},
	[ONEC_EDM_STREAM] = {"Stream", "Edm.Stream"},
	[ONEC_EDM_COMPOSITE] = {"Composite", NULL},
	[ONEC_EDM_COLLECTION] = {"Collection", NULL},
	[ONEC_EDM_COMPLEX] = {"Complex", NULL},
	[ONEC_EDM_UNKNOWN] = {"Unknown", NULL},
};

#define NTYPES ((int) (sizeof(type_names) / sizeof(type_names[0])))

const char *
onec_edm_type_label(OnecEdmType type)
{
	return type_names[type].label;
}

bool
onec_edm_type_from_label(const char *label, OnecEdmType *type)
{
	if (strncasecmp(label, "Edm.", 4) == 0)
		label += 4;
	for (int i = 0; i < NTYPES; i++)
	{
		if (strcasecmp(label, type_names[i].label) == 0)
		{
			*type = (OnecEdmType) i;
			return true;
		}
	}
	return false;
}

static OnecEdmType
type_of_name(const char *name)
{
	for (int i = 0; i < NTYPES; i++)
		if (type_names[i].edm != NULL && strcmp(name, type_names[i].edm) == 0)
			return (OnecEdmType) i;
	if (strncmp(name, "Collection(", 11) == 0)
		return ONEC_EDM_COLLECTION;
	if (strncmp(name, "Edm.", 4) == 0)
		return ONEC_EDM_UNKNOWN;
	return ONEC_EDM_COMPLEX;
}

/* "Collection(StandardODATA.X)" or "StandardODATA.X" → "X". */
static const char *
local_type(OnecEdmParser *parser, const char *name)
{
	const char *copy;
	char	   *end;

	if (strncmp(name, "Collection(", 11) == 0)
		name += 11;
	if (strncmp(name, "StandardODATA.", 14) == 0)
		name += 14;
	copy = keep_text(parser, name);
	end = strrchr(copy, ')');
	if (end != NULL && end[1] == '\0')
		*end = '\0';
	return copy;
}

/* ---- elements ---- */

static const char *
attribute(const XML_Char **attributes, const char *name)
{
	for (int i = 0; attributes[i] != NULL; i += 2)
	{
		const char *local = strrchr(attributes[i], SEPARATOR);

		local = local ? local + 1 : attributes[i];
		if (strcmp(local, name) == 0)
			return attributes[i + 1];
	}
	return NULL;
}

static void
begin_struct(OnecEdmParser *parser, const char *name, bool is_entity)
{
	memset(&parser->current, 0, sizeof(parser->current));
	parser->current.name = keep_text(parser, name ? name : "");
	parser->current.is_entity = is_entity;
	parser->properties.count = 0;
	parser->keys.count = 0;
	parser->in_struct = true;
}

static void
add_property(OnecEdmParser *parser, const XML_Char **attributes)
{
	const char *name = attribute(attributes, "Name");
	const char *type = attribute(attributes, "Type");
	const char *nullable = attribute(attributes, "Nullable");
	const char *length = attribute(attributes, "MaxLength");
	OnecProperty property = {0};

	if (name == NULL || name[0] == '\0')
		return;
	property.name = keep_text(parser, name);
	property.type_name = keep_text(parser, type ? type : "");
	property.type = type ? type_of_name(type) : ONEC_EDM_UNKNOWN;
	property.nullable = nullable == NULL || strcmp(nullable, "false") != 0;
	property.max_length = length ? atoi(length) : 0;
	list_add(parser, &parser->properties, &property, sizeof(property));
}

static const OnecProperty *
property_with_suffix(const OnecEdmStruct *type, const OnecProperty *property, const char *suffix)
{
	size_t		len = strlen(property->name);

	for (int i = 0; i < type->nproperties; i++)
		if (strncmp(type->properties[i].name, property->name, len) == 0 &&
			strcmp(type->properties[i].name + len, suffix) == 0)
			return &type->properties[i];
	return NULL;
}

/* A string with its type beside it holds values of several types; the pair of a value storage does not. */
static void
find_composites(OnecEdmStruct *type)
{
	for (int i = 0; i < type->nproperties; i++)
	{
		OnecProperty *property = &type->properties[i];
		const OnecProperty *beside;

		if (property->type != ONEC_EDM_STRING)
			continue;
		beside = property_with_suffix(type, property, "_Type");
		if (beside != NULL && beside->type == ONEC_EDM_STRING &&
			property_with_suffix(type, property, "_Base64Data") == NULL)
			property->type = ONEC_EDM_COMPOSITE;
	}
}

static void
end_struct(OnecEdmParser *parser)
{
	OnecEdmStruct *type = &parser->current;

	parser->in_struct = false;
	type->nproperties = parser->properties.count;
	type->nkeys = parser->keys.count;
	type->properties = list_keep(parser, &parser->properties, sizeof(OnecProperty));
	type->keys = list_keep(parser, &parser->keys, sizeof(const char *));
	if (type->properties == NULL || type->keys == NULL)
		return;
	for (int i = 0; i < type->nproperties; i++)
		for (int j = 0; j < type->nkeys; j++)
			type->properties[i].is_key |= strcmp(type->properties[i].name, type->keys[j]) == 0;
	find_composites(type);
	list_add(parser, &parser->types, type, sizeof(*type));
}

static void
add_set(OnecEdmParser *parser, const XML_Char **attributes)
{
	const char *name = attribute(attributes, "Name");
	const char *type = attribute(attributes, "EntityType");
	const char *type_name;
	OnecEntitySet set = {0};

	if (name == NULL || name[0] == '\0')
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

	memset(&parser->function, 0, sizeof(parser->function));
	parser->function.function.name = keep_text(parser, name ? name : "");
	parser->function.result_type = result ? local_type(parser, result) : NULL;
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

	if (name == NULL || type == NULL)
		return;
	if (strcmp(name, "bindingParameter") == 0)
	{
		parser->function.function.bound_to = local_type(parser, type);
		return;
	}
	parameter.name = keep_text(parser, name);
	parameter.type = type_of_name(type);
	list_add(parser, &parser->parameters, &parameter, sizeof(parameter));
}

static void
end_function(OnecEdmParser *parser)
{
	PendingFunction *function = &parser->function;

	parser->in_function = false;
	function->function.nparameters = parser->parameters.count - function->first_parameter;
	if (function->side_effects || function->function.bound_to == NULL)
		parser->parameters.count = function->first_parameter;
	else
		list_add(parser, &parser->functions, function, sizeof(*function));
}

static const char *
local_element(const XML_Char *name)
{
	const char *local = strrchr(name, SEPARATOR);

	return local ? local + 1 : name;
}

static void XMLCALL
element_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	OnecEdmParser *parser = arg;
	const char *element = local_element(name);

	if (!parser->root_seen && strcmp(element, "Edmx") != 0)
	{
		onec_fail(&parser->error, ONEC_ERR_REPLY,
				  "the answer is not metadata: its root element is \"%.60s\"", element);
		XML_StopParser(parser->xml, XML_FALSE);
		return;
	}
	parser->root_seen = true;
	if (strcmp(element, "EntityType") == 0 || strcmp(element, "ComplexType") == 0)
		begin_struct(parser, attribute(attributes, "Name"), element[0] == 'E');
	else if (parser->in_struct && strcmp(element, "Property") == 0)
		add_property(parser, attributes);
	else if (parser->in_struct && strcmp(element, "PropertyRef") == 0 &&
			 attribute(attributes, "Name") != NULL)
	{
		const char *key = keep_text(parser, attribute(attributes, "Name"));

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
	const char *element = local_element(name);

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

	(void) name;
	(void) sysid;
	(void) pubid;
	(void) has_subset;
	onec_fail(&parser->error, ONEC_ERR_REPLY,
			  "the answer is not metadata: it has a document type declaration");
	XML_StopParser(parser->xml, XML_FALSE);
}

/* ---- the parser ---- */

static void
free_chunks(EdmOwner *owner)
{
	while (owner->chunks != NULL)
	{
		Chunk	   *chunk = owner->chunks;

		owner->chunks = chunk->next;
		free(chunk);
	}
}

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
	free(parser->keys.items);
	free(parser->functions.items);
	free(parser->parameters.items);
	free(parser);
}

static bool
parse(OnecEdmParser *parser, const char *data, int len, bool last, OnecError *error)
{
	enum XML_Status status;

	if (parser->error.kind == ONEC_OK)
	{
		status = XML_Parse(parser->xml, data, len, last);
		if (status != XML_STATUS_OK)
			onec_fail(&parser->error, ONEC_ERR_REPLY,
					  "the answer is not well-formed metadata: %s",
					  XML_ErrorString(XML_GetErrorCode(parser->xml)));
	}
	if (parser->error.kind == ONEC_OK)
		return true;
	return onec_fail(error, parser->error.kind, "%s", parser->error.message);
}

bool
onec_edm_feed(OnecEdmParser *parser, const char *data, size_t len, OnecError *error)
{
	parser->bytes += len;
	if (parser->bytes > parser->max_bytes)
		return onec_fail(error, ONEC_ERR_LIMIT, "the metadata is longer than %zu bytes",
						 parser->max_bytes);
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

static int
compare_sets(const void *a, const void *b)
{
	return strcmp((*(const OnecEntitySet *const *) a)->name,
				  (*(const OnecEntitySet *const *) b)->name);
}

static int
compare_types(const void *a, const void *b)
{
	return strcmp((*(const OnecEdmStruct *const *) a)->name,
				  (*(const OnecEdmStruct *const *) b)->name);
}

const OnecEntitySet *
onec_edm_find_set(const OnecEdm *edm, const char *name)
{
	const EdmOwner *owner = (const EdmOwner *) edm;
	OnecEntitySet wanted = {.name = name};
	const OnecEntitySet *key = &wanted;
	const OnecEntitySet **found = bsearch(&key, owner->sets_by_name, edm->nsets, sizeof(key),
										  compare_sets);

	return found ? *found : NULL;
}

const OnecEdmStruct *
onec_edm_find_type(const OnecEdm *edm, const char *name)
{
	const EdmOwner *owner = (const EdmOwner *) edm;
	OnecEdmStruct wanted = {.name = name};
	const OnecEdmStruct *key = &wanted;
	const OnecEdmStruct **found = bsearch(&key, owner->types_by_name, edm->ntypes, sizeof(key),
										  compare_types);

	return found ? *found : NULL;
}

const OnecProperty *
onec_edm_find_property(const OnecEdmStruct *type, const char *name)
{
	for (int i = 0; i < type->nproperties; i++)
		if (strcmp(type->properties[i].name, name) == 0)
			return &type->properties[i];
	return NULL;
}

static bool
make_indexes(OnecEdmParser *parser)
{
	EdmOwner   *owner = parser->owner;
	OnecEdm    *edm = &owner->edm;

	owner->types_by_name = arena_alloc(owner, (edm->ntypes + 1) * sizeof(void *));
	owner->sets_by_name = arena_alloc(owner, (edm->nsets + 1) * sizeof(void *));
	if (owner->types_by_name == NULL || owner->sets_by_name == NULL)
		return out_of_memory(parser);
	for (int i = 0; i < edm->ntypes; i++)
		owner->types_by_name[i] = &edm->types[i];
	for (int i = 0; i < edm->nsets; i++)
		owner->sets_by_name[i] = &edm->sets[i];
	qsort(owner->types_by_name, edm->ntypes, sizeof(void *), compare_types);
	qsort(owner->sets_by_name, edm->nsets, sizeof(void *), compare_sets);
	return true;
}

/* All types are known: connect sets and functions with them. */
static bool
resolve(OnecEdmParser *parser)
{
	OnecEdm    *edm = &parser->owner->edm;
	const char **set_types = (const char **) parser->set_types.items;
	PendingFunction *pending = (PendingFunction *) parser->functions.items;
	int			nparameters = parser->parameters.count;
	OnecParameter *parameters;

	edm->bytes = parser->bytes;
	edm->ntypes = parser->types.count;
	edm->nsets = parser->sets.count;
	edm->nfunctions = parser->functions.count;
	edm->types = list_keep(parser, &parser->types, sizeof(OnecEdmStruct));
	edm->sets = list_keep(parser, &parser->sets, sizeof(OnecEntitySet));
	parameters = list_keep(parser, &parser->parameters, sizeof(OnecParameter));
	edm->functions = arena_alloc(parser->owner, edm->nfunctions * sizeof(OnecFunction) + 1);
	(void) nparameters;
	if (!edm->types || !edm->sets || !parameters || !edm->functions || !make_indexes(parser))
		return out_of_memory(parser);
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
	free_chunks(owner);
	free(owner);
}
