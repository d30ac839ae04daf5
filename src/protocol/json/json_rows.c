/*-------------------------------------------------------------------------
 *
 * json_rows.c
 *	  Cut one OData page into rows without building a tree of the page.
 *
 * One strict pass over the bytes finds the borders of members and values; only wanted
 * values are looked at again.  A page is read in units (the start of the document, a
 * row, a member after the rows).  A unit that the window cuts is read again from its
 * start, but not before the window has doubled or is complete: so that bytes that
 * arrive one by one still cost linear time.
 *
 * Memory: malloc.  Plain values point into the caller's window; json-c decodes wanted
 * strings that contain escapes, and its objects are held until the next row.
 * Errors: functions return a OnecJsonScan; with ONEC_JSON_BAD the caller's OnecError is set.
 *
 * Surprising facts.  An object is a list only if its member "value" is an array, so
 * a single entity has to be read to its end before it can be told from a list.  END is
 * reported only after the last byte has come, because garbage might follow.  Unwanted
 * strings may hold invalid UTF-8 and lone surrogates.  Raw control characters in strings
 * are refused, as RFC 8259 demands.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_rows.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/json/error_body.h"
#include "protocol/json/json_columns.h"
#include "protocol/json/json_scan.h"
#include "protocol/json/json_shape.h"
#include "protocol/json/json_usual.h"

#define REFUSED_TEXT 65536		/* bytes of a foreign document worth waiting for */

typedef enum PageState
{
	PAGE_START,					/* a byte order mark may come */
	PAGE_OPEN,					/* "{" comes */
	PAGE_FIRST_ROW,				/* a row or "]" comes */
	PAGE_AFTER_ROW,				/* "," or "]" comes */
	PAGE_NEXT_ROW,				/* a row comes */
	PAGE_AFTER_MEMBER,			/* "," or "}" of the envelope comes */
	PAGE_NEXT_MEMBER,			/* a member of the envelope comes */
	PAGE_TAIL,					/* only white space comes */
	PAGE_FAILED
} PageState;

struct OnecRows
{
	OnecJsonColumns columns;
	OnecShape	shape;			/* of the rows read so far, on whichever page */
	OnecField  *fields;
	json_object **held;			/* what owns the text of a field, or NULL */
	int			nheld;
	int			taken;			/* fields that the current row has */
	json_tokener *tokener;
	OnecBuf		name;			/* a member name that had escapes */
	OnecBuf		link;
	PageState	state;
	bool		entity;			/* an object without a list is a row */
	long		count;
	unsigned long long base;	/* bytes of this page consumed so far */
	size_t		retry;			/* a shorter window cannot complete the unit */
};

/*
 * Wanted values
 */

/* Resolve the escapes of a string whose content was found good; NULL with "error" set. */
static json_object *
decode_string(OnecRows *rows, const OnecText *text, OnecError *error)
{
	json_object *decoded;

	if (text->len > INT_MAX - 2)
	{
		onec_fail(error, ONEC_ERR_LIMIT, "a string of %zu bytes is too long", text->len);
		return NULL;
	}
	if (rows->tokener == NULL)
		rows->tokener = json_tokener_new();
	if (rows->tokener == NULL)
		decoded = NULL;
	else
	{
		json_tokener_reset(rows->tokener);
		/* with its quotes, which surround it in the window */
		decoded = json_tokener_parse_ex(rows->tokener, text->start - 1, (int) text->len + 2);
	}
	/* the scanner has accepted the string, so nothing but memory can be wrong */
	if (decoded == NULL)
		onec_fail(error, ONEC_ERR_MEMORY, "out of memory while decoding a string");
	return decoded;
}

static bool
is_name(const OnecText *name, const char *literal)
{
	return name->len == strlen(literal) && memcmp(name->start, literal, name->len) == 0;
}

/*
 * Resolve the escapes of a member name.  A name that cannot be resolved stays as it
 * is and so matches nothing, like any unknown name.
 */
static OnecJsonScan
resolve_name(OnecCursor *c, OnecText *name)
{
	OnecRows   *rows = c->rows;
	json_object *decoded;

	if (!name->escaped || onec_json_escapes_problem(name) != NULL)
		return ONEC_JSON_OK;
	decoded = decode_string(rows, name, c->error);
	if (decoded == NULL)
		return ONEC_JSON_BAD;
	onec_buf_clear(&rows->name);
	onec_buf_append(&rows->name, json_object_get_string(decoded),
					(size_t) json_object_get_string_len(decoded));
	json_object_put(decoded);
	if (rows->name.failed)
		return onec_json_fail(c, ONEC_ERR_MEMORY, "out of memory");
	name->start = rows->name.data;
	name->len = rows->name.len;
	return ONEC_JSON_OK;
}

/*
 * A wanted string, whose opening quote the cursor has passed; *held keeps a decoded one.  "bridge" led to it,
 * or NULL.
 */
static OnecJsonScan
take_string(OnecCursor *c, OnecBridge *bridge, OnecField *field, json_object **held)
{
	OnecText	text;
	const char *problem = NULL;
	OnecJsonScan	result = onec_shape_string(bridge, c, &text);

	if (result != ONEC_JSON_OK)
		return result;
	if (!text.ascii && !onec_json_utf8(text.start, text.len))
		problem = "invalid UTF-8 in a string";
	else if (text.escaped)
		problem = onec_json_escapes_problem(&text);
	if (problem != NULL)
		return onec_json_fail(c, ONEC_ERR_DATA, problem);
	field->kind = ONEC_FIELD_STRING;
	field->text = text.start;
	field->len = text.len;
	if (!text.escaped)
		return ONEC_JSON_OK;
	*held = decode_string(c->rows, &text, c->error);
	if (*held == NULL)
		return ONEC_JSON_BAD;
	field->text = json_object_get_string(*held);
	field->len = (size_t) json_object_get_string_len(*held);
	return ONEC_JSON_OK;
}

/* The wanted value at the cursor.  *held must be empty. */
static OnecJsonScan
take_value(OnecCursor *c, OnecBridge *bridge, OnecField *field, json_object **held)
{
	const char *first = c->p;
	OnecJsonScan	result;

	if (*first == '"')
	{
		c->p++;
		return take_string(c, bridge, field, held);
	}
	result = onec_json_value(c, 0);
	if (result != ONEC_JSON_OK)
		return result;
	field->text = first;
	field->len = (size_t) (c->p - first);
	if (*first == '{' || *first == '[')
	{
		field->kind = ONEC_FIELD_NESTED;
		if (!onec_json_utf8(field->text, field->len))
			return onec_json_fail(c, ONEC_ERR_DATA, "invalid UTF-8 in a nested value");
	}
	else if (*first == 'n')
		*field = (OnecField) {.kind = ONEC_FIELD_NULL};
	else
		field->kind = *first == 't' || *first == 'f' ? ONEC_FIELD_BOOL : ONEC_FIELD_NUMBER;
	return ONEC_JSON_OK;
}

/*
 * Rows
 */

static void
release_held(OnecRows *rows, int column)
{
	if (rows->held[column] == NULL)
		return;
	json_object_put(rows->held[column]);
	rows->held[column] = NULL;
	rows->nheld--;
}

static void
release_fields(OnecRows *rows)
{
	for (int i = 0; rows->nheld > 0; i++)
		release_held(rows, i);
	/* all bits clear is ABSENT without a text */
	memset(rows->fields, 0, (size_t) rows->columns.count * sizeof(OnecField));
	rows->taken = 0;
}

/* The value of a wanted member.  When a member is repeated the last one wins. */
static OnecJsonScan
take_column(OnecCursor *c, OnecBridge *bridge, int column)
{
	OnecRows   *rows = c->rows;
	OnecJsonScan	result;

	release_held(rows, column);
	rows->taken += rows->fields[column].kind == ONEC_FIELD_ABSENT;
	result = take_value(c, bridge, &rows->fields[column], &rows->held[column]);
	if (rows->held[column] != NULL)
		rows->nheld++;
	return result;
}

/* Refuse a document of another kind, telling people what it says. */
static OnecJsonScan
refuse(OnecCursor *c, const char *what)
{
	OnecError	told = {.kind = ONEC_OK};

	/* better to have the whole text than its first packet */
	if (!c->last && c->end - c->mark < REFUSED_TEXT)
		return ONEC_JSON_SHORT;
	onec_error_body(c->mark, (size_t) (c->end - c->mark), &told);
	/* JSON in which no error was found is rows of people, for all we know */
	if (told.message[0] != '\0' && strchr("{[\"", told.message[0]) != NULL)
		told.message[0] = '\0';
	onec_json_cut(told.message, sizeof(told.message) - strlen(what) - sizeof(": "));
	onec_fail(c->error, ONEC_ERR_REPLY, "%s%s%s", what, told.message[0] != '\0' ? ": " : "", told.message);
	c->error->odata_code = told.odata_code;
	c->error->has_code = told.has_code;
	c->error->own_words = told.own_words;
	return ONEC_JSON_BAD;
}

/* An unwanted value: nearly always a string. */
static inline OnecJsonScan
skip_value(OnecCursor *c, OnecBridge *bridge)
{
	OnecText	text;

	if (*c->p != '"')
		return onec_json_value(c, 0);
	c->p++;
	return onec_shape_string(bridge, c, &text);
}

/*
 * At "{", or behind a value: read on to the next value and tell its column; ONEC_JSON_END where there is
 * none.
 */
static OnecJsonScan
parse_bridge(OnecCursor *c, int member, int *column)
{
	OnecRows   *rows = c->rows;
	const char *first = c->p;
	OnecText	name;
	OnecJsonScan	result = member == 0 ? onec_json_open(c, '}') : onec_json_comma(c, '}');

	if (result == ONEC_JSON_OK)
		result = onec_json_name(c, &name);
	if (result == ONEC_JSON_OK && name.escaped)
		result = resolve_name(c, &name);
	if (result != ONEC_JSON_OK)
		return result;
	*column = onec_json_columns_find(&rows->columns, name.start, name.len);
	/* never learned, so that each is noticed */
	if (*column < 0 && is_name(&name, "odata.error"))
		return refuse(c, "1C answered with an error in place of a row");
	onec_shape_learn(&rows->shape, member, first, (size_t) (c->p - first), *column);
	return ONEC_JSON_OK;
}

/* At "{": read a row, leave the cursor behind it.  ONEC_JSON_ROW when it is complete. */
static OnecJsonScan
scan_row(OnecCursor *c)
{
	OnecRows   *rows = c->rows;
	OnecJsonScan	result = ONEC_JSON_OK;

	for (int member = 0; result == ONEC_JSON_OK; member++)
	{
		OnecBridge *bridge;
		int			column = -1;

		member = onec_usual_members(c, &rows->shape, member, rows->fields, &rows->taken);
		bridge = onec_shape_find(&rows->shape, &member, c->p, c->end);
		if (bridge != NULL)
		{
			c->p += bridge->len;
			column = bridge->column;
		}
		else
			result = parse_bridge(c, member, &column);
		if (result == ONEC_JSON_OK)
			result = column < 0 ? skip_value(c, bridge) : take_column(c, bridge, column);
	}
	if (result != ONEC_JSON_END)
		return result;
	for (int i = 0; rows->columns.repeated && i < rows->columns.count; i++)
		if (rows->columns.list[i].same_as >= 0)
			rows->fields[i] = rows->fields[rows->columns.list[i].same_as];
	if (rows->taken == rows->columns.distinct)
		rows->columns.all_seen = true;
	else
		onec_json_columns_see(&rows->columns, rows->fields);
	return ONEC_JSON_ROW;
}

/*
 * The document
 */

/* Step over a byte order mark. */
static OnecJsonScan
page_start(OnecCursor *c)
{
	static const char *const marks[] = {"\xEF\xBB\xBF", "\xFF\xFE", "\xFE\xFF"};
	size_t		have = (size_t) (c->end - c->p);

	for (int i = 0; i < 3; i++)
	{
		size_t		len = strlen(marks[i]);

		if (have < len && !c->last && memcmp(c->p, marks[i], have) == 0)
			return ONEC_JSON_SHORT;
		if (have < len || memcmp(c->p, marks[i], len) != 0)
			continue;
		if (i > 0)
			return onec_json_refuse(c, "the answer is in UTF-16, not in UTF-8");
		c->p += len;
		break;
	}
	c->rows->state = PAGE_OPEN;
	return ONEC_JSON_OK;
}

/* Go to the next unit: white space between units is done with at once. */
static OnecJsonScan
next_unit(OnecCursor *c)
{
	OnecJsonScan	result = onec_json_space(c);

	c->mark = c->p;
	return result;
}

/* The value of an envelope's member: only the link to the next page is of interest. */
static OnecJsonScan
envelope_value(OnecCursor *c, const OnecText *name)
{
	OnecRows   *rows = c->rows;
	json_object *held = NULL;
	OnecField	field;
	OnecJsonScan	result;

	if (!is_name(name, "odata.nextLink") && !is_name(name, "@odata.nextLink"))
		return onec_json_value(c, 0);
	result = take_value(c, NULL, &field, &held);
	if (result != ONEC_JSON_OK)
		return result;
	onec_buf_clear(&rows->link);
	if (field.kind == ONEC_FIELD_STRING)
		onec_buf_append(&rows->link, field.text, field.len);
	else if (field.kind != ONEC_FIELD_NULL)
		result = onec_json_refuse(c, "odata.nextLink is not a string");
	if (held != NULL)
		json_object_put(held);
	return rows->link.failed ? onec_json_fail(c, ONEC_ERR_MEMORY, "out of memory") : result;
}

/* Whether a member of the envelope tells of it: "odata.metadata", in version 4 "@odata.context". */
static bool
is_annotation(const OnecText *name)
{
	return (name->len >= 6 && memcmp(name->start, "odata.", 6) == 0) ||
		(name->len >= 7 && memcmp(name->start, "@odata.", 7) == 0);
}

/* Behind the name of a member that says the document is an error report. */
static bool
is_error_member(const OnecCursor *c, const OnecText *name)
{
	return is_name(name, "odata.error") || (*c->p == '{' &&
											(is_name(name, "exception") || is_name(name, "error")));
}

/* At "{": go to the first row of a list, or read the only row of a single entity. */
static OnecJsonScan
open_document(OnecCursor *c)
{
	OnecRows   *rows = c->rows;
	bool		entity = false;
	OnecJsonScan	result = onec_json_open(c, '}');

	while (result == ONEC_JSON_OK)
	{
		OnecText	name;

		result = onec_json_name(c, &name);
		if (result == ONEC_JSON_OK)
			result = resolve_name(c, &name);
		if (result != ONEC_JSON_OK)
			break;
		if (is_error_member(c, &name))
			return refuse(c, "1C answered with an error");
		if (*c->p == '[' && is_name(&name, "value"))
		{
			c->p++;
			rows->state = PAGE_FIRST_ROW;
			return ONEC_JSON_OK;
		}
		entity |= !is_annotation(&name);
		result = envelope_value(c, &name);
		if (result == ONEC_JSON_OK)
			result = onec_json_comma(c, '}');
	}
	if (result != ONEC_JSON_END)
		return result;
	if (!entity)
		return onec_json_refuse(c, "the answer is neither a list nor an entity");
	c->p = c->mark;
	if (!rows->entity)
		return refuse(c, "an object without a list came in place of rows");
	result = scan_row(c);
	if (result == ONEC_JSON_ROW && rows->taken == 0 && rows->columns.count > 0)
		return refuse(c, "an object came that has none of the properties asked for");
	rows->state = PAGE_TAIL;
	return result;
}

static OnecJsonScan
page_open(OnecCursor *c)
{
	if (next_unit(c) != ONEC_JSON_OK)
		return ONEC_JSON_SHORT;
	if (c->end - c->p >= 2 && (c->p[0] == '\0' || c->p[1] == '\0'))
		return onec_json_refuse(c, "the answer is in UTF-16, not in UTF-8");
	if (*c->p == '<')
		return refuse(c, "HTML or XML came in place of JSON");
	if (*c->p != '{')
		return refuse(c, "the answer is not a JSON object");
	return open_document(c);
}

/* Inside the list. */
static OnecJsonScan
page_row(OnecCursor *c)
{
	OnecRows   *rows = c->rows;
	OnecJsonScan	result;

	if (next_unit(c) != ONEC_JSON_OK)
		return ONEC_JSON_SHORT;
	if (rows->state != PAGE_NEXT_ROW && *c->p == ']')
	{
		c->p++;
		rows->state = PAGE_AFTER_MEMBER;
		return ONEC_JSON_OK;
	}
	if (rows->state == PAGE_AFTER_ROW)
	{
		if (*c->p != ',')
			return onec_json_refuse(c, "\",\" or \"]\" expected before it");
		c->p++;
		rows->state = PAGE_NEXT_ROW;
		return ONEC_JSON_OK;
	}
	if (*c->p != '{')
		return onec_json_refuse(c, "not an object");
	result = scan_row(c);
	if (result == ONEC_JSON_ROW)
		rows->state = PAGE_AFTER_ROW;
	return result;
}

/* In the envelope, behind the list. */
static OnecJsonScan
page_envelope(OnecCursor *c)
{
	OnecRows   *rows = c->rows;
	OnecText	name;
	OnecJsonScan	result;

	if (next_unit(c) != ONEC_JSON_OK)
		return ONEC_JSON_SHORT;
	if (rows->state == PAGE_AFTER_MEMBER)
	{
		if (*c->p != ',' && *c->p != '}')
			return onec_json_refuse(c, "\",\" or \"}\" expected");
		rows->state = *c->p == ',' ? PAGE_NEXT_MEMBER : PAGE_TAIL;
		c->p++;
		return ONEC_JSON_OK;
	}
	result = onec_json_name(c, &name);
	if (result == ONEC_JSON_OK)
		result = resolve_name(c, &name);
	if (result != ONEC_JSON_OK)
		return result;
	if (is_error_member(c, &name))
		return refuse(c, "1C reported an error after the rows");
	/* the rows of the first list are with the caller: too late to prefer this one */
	if (is_name(&name, "value"))
		return onec_json_refuse(c, "the answer has two lists");
	result = envelope_value(c, &name);
	if (result == ONEC_JSON_OK)
		rows->state = PAGE_AFTER_MEMBER;
	return result;
}

static OnecJsonScan
page_tail(OnecCursor *c)
{
	if (next_unit(c) == ONEC_JSON_OK)
		return onec_json_refuse(c, "more bytes after the end of the document");
	return c->last ? ONEC_JSON_END : ONEC_JSON_SHORT;
}

/* Read one unit; ONEC_JSON_OK when it was one without a row. */
static OnecJsonScan
page_step(OnecCursor *c)
{
	c->mark = c->p;
	c->row = 0;
	switch (c->rows->state)
	{
		case PAGE_START:
			return page_start(c);
		case PAGE_OPEN:
			return page_open(c);
		case PAGE_FIRST_ROW:
		case PAGE_AFTER_ROW:
		case PAGE_NEXT_ROW:
			c->row = c->rows->count + 1;
			return page_row(c);
		case PAGE_AFTER_MEMBER:
		case PAGE_NEXT_MEMBER:
			return page_envelope(c);
		case PAGE_TAIL:
			return page_tail(c);
		case PAGE_FAILED:
			break;
	}
	return onec_json_refuse(c, "the answer was refused before");
}

/*
 * Interface
 */

OnecRows *
onec_rows_create(const char *const *names, int nnames)
{
	OnecRows   *rows = calloc(1, sizeof(OnecRows));

	if (rows == NULL)
		return NULL;
	/* one more, so that no names are no zero-sized allocation */
	rows->fields = calloc((size_t) nnames + 1, sizeof(OnecField));
	rows->held = calloc((size_t) nnames + 1, sizeof(json_object *));
	if (rows->fields == NULL || rows->held == NULL ||
		!onec_json_columns_init(&rows->columns, names, nnames))
	{
		onec_rows_free(rows);
		return NULL;
	}
	onec_rows_reset(rows, true);
	return rows;
}

void
onec_rows_reset(OnecRows *rows, bool entity)
{
	rows->entity = entity;
	release_fields(rows);
	onec_json_columns_unsee(&rows->columns);
	onec_buf_clear(&rows->link);
	rows->state = PAGE_START;
	rows->count = 0;
	rows->base = 0;
	rows->retry = 0;
}

/* Turn the end of a scan into what the caller is told; "mark" becomes the end of what is done with. */
static OnecRowsStatus
settle(OnecCursor *c, OnecJsonScan result)
{
	OnecRows   *rows = c->rows;

	if (result == ONEC_JSON_SHORT && !c->last)
	{
		rows->retry = 2 * (size_t) (c->end - c->mark);
		return ONEC_ROWS_MORE;
	}
	if (result == ONEC_JSON_SHORT && rows->state == PAGE_OPEN && c->mark == c->end)
		onec_fail(c->error, ONEC_ERR_REPLY, "the answer is empty");
	else if (result == ONEC_JSON_SHORT)
		onec_json_refuse(c, "the answer ends early");
	c->mark = c->p;
	if (result == ONEC_JSON_ROW)
	{
		rows->count++;
		return ONEC_ROWS_ROW;
	}
	if (result == ONEC_JSON_END)
		return ONEC_ROWS_END;
	rows->state = PAGE_FAILED;
	return ONEC_ROWS_ERROR;
}

OnecRowsStatus
onec_rows_next(OnecRows *rows, const char *data, size_t len, bool last,
			   size_t *consumed, OnecError *error)
{
	/* an empty window may be NULL, on which pointers must not be computed */
	const char *start = data != NULL ? data : "";
	OnecCursor	c = {.p = start, .end = start + len, .mark = start, .start = start,
					 .last = last, .base = rows->base, .rows = rows, .error = error};
	OnecJsonScan	result = ONEC_JSON_OK;
	OnecRowsStatus status;

	*consumed = 0;
	release_fields(rows);
	if (len < rows->retry && !last)
		return ONEC_ROWS_MORE;
	rows->retry = 0;
	while (result == ONEC_JSON_OK)
		result = page_step(&c);
	status = settle(&c, result);
	/* a row that was cut has left traces */
	if (status != ONEC_ROWS_ROW)
		release_fields(rows);
	*consumed = (size_t) (c.mark - start);
	rows->base += *consumed;
	return status;
}

const OnecField *
onec_rows_fields(const OnecRows *rows)
{
	return rows->fields;
}

bool
onec_rows_has(const OnecRows *rows, int i)
{
	return rows->columns.all_seen || rows->columns.list[i].seen;
}

bool
onec_rows_lacked(const OnecRows *rows, int i)
{
	return rows->columns.list[i].lacked;
}

const char *
onec_rows_next_link(const OnecRows *rows)
{
	return rows->link.len > 0 ? rows->link.data : NULL;
}

void
onec_rows_free(OnecRows *rows)
{
	if (rows == NULL)
		return;
	for (int i = 0; rows->nheld > 0; i++)
		release_held(rows, i);
	onec_json_columns_free(&rows->columns);
	onec_shape_free(&rows->shape);
	if (rows->tokener != NULL)
		json_tokener_free(rows->tokener);
	onec_buf_free(&rows->name);
	onec_buf_free(&rows->link);
	free(rows->fields);
	free(rows->held);
	free(rows);
}
