/*-------------------------------------------------------------------------
 *
 * body.c
 *	  Is what a site wants to write what the base has: the first fault of a body, and the references in it.
 *
 * 1C ignores a property that it does not know, cuts a text that is too long and drops a composite value
 * without its type, and answers 200; so all of that is refused before.  Each order of a site comes through
 * here in its own transaction: one look at what is known of the set, one pass over the body.  No fault tells
 * a value.
 *
 * Memory: the caller's context; what SPI read is gone when it returns.  Errors: those of SPI; a fault is a
 * result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "compat.h"
#include "table/dates.h"
#include "table/guid.h"

PG_FUNCTION_INFO_V1(onec_value_fault);
PG_FUNCTION_INFO_V1(onec_body_fault);

/* In the order of the index, which is that of bytes (COLLATE "C"). */
#define KNOWN_SQL \
	"SELECT p.part, p.property, p.edm_type, p.length FROM onec_internal.outbox_property p " \
	"WHERE p.server OPERATOR(pg_catalog.=) $1 AND p.entity_set OPERATOR(pg_catalog.=) $2 " \
	"ORDER BY p.part, p.property"

#define ODATA_TYPE "StandardODATA."
#define UNDEFINED ODATA_TYPE "Undefined"

/* What the base has: a property of the object (part "") or of a tabular part. */
typedef struct Property
{
	const char *part;
	const char *name;
	const char *type;			/* as outbox_property has it */
	int			length;			/* 0: not told */
} Property;

typedef struct Text
{
	const char *start;			/* NULL: there is none */
	int			len;
} Text;

/* One member of the body: where it stands, and what it is. */
typedef struct Member
{
	const char *part;			/* "": of the object itself */
	int			line;			/* of the row in its part, from 1 */
	Text		name;
	const JsonbValue *value;
	Text		kind;			/* of the type beside a composite */
	const Property *property;
} Member;

typedef struct Walk
{
	const Property *known;
	uint64		count;
	const char *fault;			/* of the first member that has one, by part, line and name */
	char	   *part;
	char	   *name;
	int			line;
	ArrayBuildState *named;		/* references, NULL: none */
} Walk;

static bool
is_text(Text text, const char *word)
{
	return text.start != NULL && (size_t) text.len == strlen(word) && memcmp(text.start, word, text.len) == 0;
}

static bool
begins(Text text, const char *word)
{
	return text.start != NULL && (size_t) text.len >= strlen(word)
		&& memcmp(text.start, word, strlen(word)) == 0;
}

/* A text as it is, anything else of one value as JSON writes it; nothing of null. */
static Text
text_of(const JsonbValue *value)
{
	Text		text = {0};

	if (value->type == jbvString)
		return (Text) {value->val.string.val, value->val.string.len};
	if (value->type == jbvNumeric)
		text.start = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	else if (value->type == jbvBool)
		text.start = value->val.boolean ? "true" : "false";
	if (text.start != NULL)
		text.len = strlen(text.start);
	return text;
}

static JsonbContainer *
container_of(const JsonbValue *value)
{
	return value->type == jbvBinary ? value->val.binary.data : NULL;
}

/* ---- values of each type ---- */

static const char *
fault_of_part(const Member *member)
{
	JsonbContainer *rows = container_of(member->value);

	if (rows == NULL || !JsonContainerIsArray(rows))
		return "is a tabular part: a list of rows is expected";
	for (uint32 i = 0; i < JsonContainerSize(rows); i++)
	{
		JsonbContainer *row = container_of(getIthJsonbValueFromContainer(rows, i));

		if (row == NULL || !JsonContainerIsObject(row))
			return "is a tabular part: a list of rows is expected";
	}
	return NULL;
}

static const char *
fault_of_file(const Member *member)
{
	return "holds a file: write it as _Base64Data";
}

static const char *
fault_of_complex(const Member *member)
{
	return "takes one value";
}

static const char *
fault_of_boolean(const Member *member)
{
	return member->value->type == jbvBool ? NULL : "is true or false";
}

static const char *
fault_of_number(const Member *member)
{
	return member->value->type == jbvNumeric ? NULL : "is a number";
}

static int
compare_numbers(Numeric left, Numeric right)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(left), NumericGetDatum(right)));
}

/* The type's name ends in its bits: Int16, Int32, Int64. */
static const char *
fault_of_integer(const Member *member)
{
	const char *bits = member->property->type + strlen("Int");
	int64		highest = (int64) ((UINT64CONST(1) << (atoi(bits) - 1)) - 1);
	Numeric		number,
				whole;

	if (member->value->type != jbvNumeric)
		return "is a whole number";
	number = member->value->val.numeric;
	whole = DatumGetNumeric(DirectFunctionCall2(numeric_trunc, NumericGetDatum(number), Int32GetDatum(0)));
	if (compare_numbers(number, whole) != 0 || compare_numbers(number, int64_to_numeric(highest)) > 0
		|| compare_numbers(number, int64_to_numeric(-highest - 1)) < 0)
		return psprintf("is a whole number of %s bits", bits);
	return NULL;
}

/* What is cut off of a second does no harm; a zone, or no seconds, would be misread. */
static const char *
fault_of_date(const Member *member)
{
	Text		text = text_of(member->value);
	OnecDate	date = {0};
	OnecDateForm form = ONEC_DATE_STRANGE;

	if (member->value->type == jbvString && text.len != (int) strlen("2026-11-28T10:00"))
		form = onec_date_parse(text.start, text.len, &date);
	if (form == ONEC_DATE_STRANGE || date.zoned)
		return "is a date of the base's own clock: 2026-11-28T10:00:00, without a zone";
	return form == ONEC_DATE_IMPOSSIBLE ? "is no day of that month, or no time of a day" : NULL;
}

static bool
is_base64_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
		|| (c != '\0' && strchr("+/ \t\r\n\f\v", c) != NULL);
}

static const char *
fault_of_binary(const Member *member)
{
	Text		text = text_of(member->value);
	int			padding = 0;

	if (member->value->type != jbvString)
		return "is binary: base64 is expected";
	while (padding < 2 && padding < text.len && text.start[text.len - 1 - padding] == '=')
		padding++;
	for (int i = 0; i < text.len - padding; i++)
		if (!is_base64_digit(text.start[i]))
			return "is binary: base64 is expected";
	return NULL;
}

static const char *
fault_of_reference(const Member *member)
{
	Text		text = text_of(member->value);
	pg_uuid_t	id;
	bool		zero;

	return member->value->type == jbvString && onec_guid_parse(text.start, text.len, id.data, &zero) ? NULL
		: "is a reference: a UUID is expected";
}

/* Is it a type of objects: that of a catalog, a document, a chart of accounts… */
static bool
is_reference_type(Text kind)
{
	static const char *const words[] =
	{"Catalog_", "Document_", "ExchangePlan_", "BusinessProcess_", "Task_"};
	Text		word = {kind.start + strlen(ODATA_TYPE), kind.len - (int) strlen(ODATA_TYPE)};

	if (!begins(kind, ODATA_TYPE))
		return false;
	for (size_t i = 0; i < lengthof(words); i++)
		if (begins(word, words[i]))
			return true;
	return begins(word, "ChartOf") && memchr(word.start, '_', word.len) != NULL;
}

static const char *
fault_of_composite(const Member *member)
{
	if ((member->value->type == jbvString && member->value->val.string.len == 0)
		|| is_text(member->kind, UNDEFINED))
		return NULL;
	if (member->kind.start == NULL)
		return "may be of several types: name the one in the property of its name and _Type";
	if (is_reference_type(member->kind))
		return fault_of_reference(member);
	return begins(member->kind, ODATA_TYPE) || begins(member->kind, "Edm.") ? NULL
		: "has a type that is none of 1C's";
}

static const char *
fault_of_text(const Member *member)
{
	int			longest = member->property->length;

	if (member->value->type != jbvString)
		return "is a text";
	if (longest > 0
		&& pg_mbstrlen_with_len(member->value->val.string.val, member->value->val.string.len) > longest)
		return psprintf("is a text of %d characters at most", longest);
	return NULL;
}

/* Each type: whether it is one value, and what may be wrong with that.  Any other is a text. */
static const struct
{
	const char *type;
	bool		of_many;		/* null is no value of it, or nothing is */
	const char *(*fault) (const Member *member);
}			checks[] =
{
	{"String", false, fault_of_text},
	{"Guid", false, fault_of_reference},
	{"Double", false, fault_of_number},
	{"Boolean", false, fault_of_boolean},
	{"DateTime", false, fault_of_date},
	{"Composite", false, fault_of_composite},
	{"Collection", true, fault_of_part},
	{"Int16", false, fault_of_integer},
	{"Int32", false, fault_of_integer},
	{"Int64", false, fault_of_integer},
	{"Binary", false, fault_of_binary},
	{"Stream", false, fault_of_file},
	{"Complex", false, fault_of_complex},
};

static const char *
fault_of_value(const Member *member)
{
	size_t		i = 0;

	while (i < lengthof(checks) && strcmp(member->property->type, checks[i].type) != 0)
		i++;
	if (i == lengthof(checks))
		i = 0;
	if (!checks[i].of_many && member->value->type == jbvNull)
		return NULL;
	if (!checks[i].of_many && checks[i].fault != fault_of_file && member->value->type == jbvBinary)
		return "takes one value";
	return checks[i].fault(member);
}

/*
 * onec_internal.value_fault(edm_type text, value jsonb, kind text): of a value alone, of any length; "kind"
 * is the type beside a composite
 */
Datum
onec_value_fault(PG_FUNCTION_ARGS)
{
	Property	property = {.type = text_to_cstring(PG_GETARG_TEXT_PP(0))};
	Jsonb	   *given = PG_GETARG_JSONB_P(1);
	JsonbValue	value = {.type = jbvBinary,.val.binary = {.data = &given->root,.len = VARSIZE(given)}};
	Member		member = {.value = &value,.property = &property};
	const char *fault;

	if (JB_ROOT_IS_SCALAR(given))
		member.value = getIthJsonbValueFromContainer(&given->root, 0);
	if (!PG_ARGISNULL(2))
	{
		text	   *kind = PG_GETARG_TEXT_PP(2);

		member.kind = (Text) {VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind)};
	}
	fault = fault_of_value(&member);
	if (fault == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(fault));
}

/* ---- members ---- */

static const char *
fault_of_member(const Member *member)
{
	if (member->property == NULL)
		return "is no property of it";
	if (is_text(member->name, "DataVersion"))
		return "is 1C's own; the version read is an argument: data_version";
	if (is_text(member->name, "Posted"))
		return "is not written: the operations post and unpost do that";
	if (is_text(member->name, "Ref_Key"))
		return "is the key, which is an argument";
	if (is_text(member->name, "LineNumber") && member->part[0] != '\0')
	{
		Text		said = text_of(member->value);

		return member->value->type == jbvNull || is_text(said, psprintf("%d", member->line)) ? NULL
			: "is not the place of its row in the list";
	}
	return fault_of_value(member);
}

static const Property *
find_property(const Walk *walk, const char *part, Text name)
{
	uint64		low = 0,
				high = walk->count;

	while (low < high)
	{
		uint64		middle = (low + high) / 2;
		const Property *property = &walk->known[middle];
		int			order = strcmp(property->part, part);

		if (order == 0)
			order = strncmp(property->name, name.start, name.len);
		if (order == 0 && property->name[name.len] != '\0')
			order = 1;
		if (order == 0)
			return property;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void
note_reference(Walk *walk, const JsonbValue *value)
{
	pg_uuid_t	id;
	bool		zero;

	if (value->type == jbvString
		&& onec_guid_parse(value->val.string.val, value->val.string.len, id.data, &zero) && !zero)
		walk->named = accumArrayResult(walk->named, UUIDPGetDatum(&id), false, UUIDOID, CurrentMemoryContext);
}

/* The first one counts: by part, line and name, so that a body is always refused alike. */
static void
note_fault(Walk *walk, const Member *member, const char *fault)
{
	char	   *name;
	int			order;

	if (fault == NULL)
		return;
	name = pnstrdup(member->name.start, member->name.len);
	order = walk->fault == NULL ? -1 : strcmp(member->part, walk->part);
	if (order == 0)
		order = member->line != walk->line ? member->line - walk->line : strcmp(name, walk->name);
	if (order >= 0)
		return;
	walk->fault = fault;
	walk->part = pstrdup(member->part);
	walk->line = member->line;
	walk->name = name;
}

static void walk_rows(Walk *walk, const char *part, JsonbContainer *rows);

/* The type of a member: the text beside it, of its name and _Type. */
static Text
kind_of(JsonbContainer *object, Text name)
{
	char	   *of = psprintf("%.*s_Type", name.len, name.start);
	JsonbValue *value = getKeyJsonValueFromContainer(object, of, strlen(of), NULL);

	return value == NULL ? (Text) {0} : text_of(value);
}

static void
walk_object(Walk *walk, const char *part, int line, JsonbContainer *object)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue	v;
	JsonbIteratorToken token;
	Member		member = {.part = part,.line = line};

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			member.name = text_of(&v);
		if (token != WJB_VALUE)
			continue;
		member.value = &v;
		member.property = find_property(walk, part, member.name);
		if (member.property != NULL && strcmp(member.property->type, "Composite") == 0)
			member.kind = kind_of(object, member.name);
		note_fault(walk, &member, fault_of_member(&member));
		note_reference(walk, &v);
		if (part[0] == '\0' && v.type == jbvBinary && JsonContainerIsArray(v.val.binary.data))
			walk_rows(walk, pnstrdup(member.name.start, member.name.len), v.val.binary.data);
	}
}

static void
walk_rows(Walk *walk, const char *part, JsonbContainer *rows)
{
	for (uint32 i = 0; i < JsonContainerSize(rows); i++)
	{
		JsonbContainer *row = container_of(getIthJsonbValueFromContainer(rows, i));

		CHECK_FOR_INTERRUPTS();
		if (row != NULL && JsonContainerIsObject(row))
			walk_object(walk, part, i + 1, row);
	}
}

/* ---- what the base has ---- */

static const char *
told_text(HeapTuple row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, SPI_tuptable->tupdesc, column, &isnull);

	return TextDatumGetCString(value);
}

/* The properties of a set, in SPI's memory; how many: SPI_processed. */
static const Property *
read_properties(Datum server, Datum entity_set)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {NAMEOID, TEXTOID};
	Datum		values[] = {server, entity_set};
	Property   *known;

	if (plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare(KNOWN_SQL, lengthof(types), types);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "what may be written cannot be looked up");
		plan = made;
	}
	if (SPI_execute_plan(plan, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "what may be written cannot be looked up");
	known = palloc(Max(SPI_processed, 1) * sizeof(*known));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		bool		isnull;

		known[i].part = told_text(row, 1);
		known[i].name = told_text(row, 2);
		known[i].type = told_text(row, 3);
		known[i].length = DatumGetInt32(SPI_getbinval(row, SPI_tuptable->tupdesc, 4, &isnull));
	}
	return known;
}

/*
 * onec_internal.body_fault(server name, entity_set text, body jsonb, OUT part text, OUT line int,
 * OUT name text, OUT fault text, OUT named uuid[])
 */
Datum
onec_body_fault(PG_FUNCTION_ARGS)
{
	Jsonb	   *body = PG_GETARG_JSONB_P(2);
	MemoryContext caller = CurrentMemoryContext;
	Walk		walk = {0};
	TupleDesc	row;
	Datum		values[5] = {0};
	bool		nulls[5] = {true, true, true, true, true};

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "body_fault returns a row");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI is not to be had");
	walk.known = read_properties(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1));
	walk.count = SPI_processed;
	MemoryContextSwitchTo(caller);
	if (JB_ROOT_IS_OBJECT(body))
		walk_object(&walk, "", 0, &body->root);
	SPI_finish();
	if (walk.fault != NULL)
	{
		values[0] = CStringGetTextDatum(walk.part);
		values[1] = Int32GetDatum(walk.line);
		values[2] = CStringGetTextDatum(walk.name);
		values[3] = CStringGetTextDatum(walk.fault);
		memset(nulls, false, 4);
	}
	if (walk.named != NULL)
	{
		values[4] = makeArrayResult(walk.named, CurrentMemoryContext);
		nulls[4] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
