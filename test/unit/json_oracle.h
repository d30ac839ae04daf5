/*-------------------------------------------------------------------------
 *
 * json_oracle.h
 *	  The rows of a page as json-c knows them, against those of json_rows.c.
 *
 * Every name of any row is wanted.  Each window is an allocation of its own, so that a sanitizer sees a read
 * past its end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TEST_JSON_ORACLE_H
#define ONEC_TEST_JSON_ORACLE_H

#include <json-c/json.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/json/json_rows.h"

#include "tap.h"

#define ORACLE_NAMES 1000

/* Whether a field says what json-c says of the same member. */
static bool TAP_UNUSED
same_value(const OnecField *field, json_object *value, bool present)
{
	json_object *nested;
	OnecBuf		text;
	bool		same;

	if (!present)
		return field->kind == ONEC_FIELD_ABSENT;
	if (value == NULL)
		return field->kind == ONEC_FIELD_NULL;
	onec_buf_init(&text);
	onec_buf_append(&text, field->text, field->len);
	switch (json_object_get_type(value))
	{
		case json_type_string:
			same = field->kind == ONEC_FIELD_STRING &&
				field->len == (size_t) json_object_get_string_len(value) &&
				memcmp(field->text, json_object_get_string(value), field->len) == 0;
			break;
		case json_type_boolean:
			same = field->kind == ONEC_FIELD_BOOL && strcmp(text.data, json_object_get_string(value)) == 0;
			break;
		case json_type_int:
		case json_type_double:
			same = field->kind == ONEC_FIELD_NUMBER && strcmp(text.data, json_object_get_string(value)) == 0;
			break;
		default:
			nested = json_tokener_parse(text.data);
			same = field->kind == ONEC_FIELD_NESTED && json_object_equal(nested, value);
			json_object_put(nested);
			break;
	}
	onec_buf_free(&text);
	return same;
}

/* Every name of every row (or of the entity), each once. */
static int TAP_UNUSED
collect_names(json_object *list, const char **names)
{
	int			count = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++)
	{
		json_object_object_foreach(json_object_array_get_idx(list, i), key, value)
		{
			int			known = 0;

			(void) value;
			while (known < count && strcmp(names[known], key) != 0)
				known++;
			if (known == count && count < ORACLE_NAMES)
				names[count++] = key;
		}
	}
	return count;
}

/* Values of the current row that are not those of "row". */
static int TAP_UNUSED
compare_row(const OnecRows *rows, const char **names, int nnames, json_object *row)
{
	int			wrong = 0;

	for (int i = 0; i < nnames; i++)
	{
		json_object *value = NULL;
		bool		present = json_object_object_get_ex(row, names[i], &value);

		wrong += !same_value(&onec_rows_fields(rows)[i], value, present);
	}
	return wrong;
}

/* Wrong values of a page that arrives in pieces of "step" bytes, or -1 when it was not read to its end. */
static int TAP_UNUSED
compare_rows(const OnecBuf *page, size_t step, json_object *list)
{
	const char *names[ORACLE_NAMES];
	int			nnames = collect_names(list, names);
	OnecRows   *rows = onec_rows_create(names, nnames);
	OnecError	error = {.kind = ONEC_OK};
	OnecRowsStatus status = ONEC_ROWS_MORE;
	size_t		done = 0;
	size_t		have = 0;
	size_t		count = 0;
	int			wrong = 0;

	while (status == ONEC_ROWS_ROW || status == ONEC_ROWS_MORE)
	{
		char	   *window;
		size_t		used;

		if (status == ONEC_ROWS_MORE)
			have = step < page->len - have ? have + step : page->len;
		window = malloc(have - done + 1);
		memcpy(window + 1, page->data + done, have - done);
		status = onec_rows_next(rows, window + 1, have - done, have == page->len, &used, &error);
		if (status == ONEC_ROWS_ROW)
			wrong += compare_row(rows, names, nnames,
								 json_object_array_get_idx(list, count++));
		free(window);
		done += used;
	}
	if (status != ONEC_ROWS_END || count != json_object_array_length(list))
		wrong = -1;
	onec_rows_free(rows);
	return wrong;
}

/* The same of any good page: a list, or a single entity. */
static int TAP_UNUSED
oracle_differences(const OnecBuf *page, size_t step)
{
	const char *text = strncmp(page->data, "\xEF\xBB\xBF", 3) == 0 ? page->data + 3 : page->data;
	json_object *document = json_tokener_parse(text);
	json_object *list = NULL;
	int			wrong;

	if (json_object_object_get_ex(document, "value", &list) && json_object_is_type(list, json_type_array))
		json_object_get(list);
	else
	{
		list = json_object_new_array();
		json_object_array_add(list, json_object_get(document));
	}
	wrong = compare_rows(page, step, list);
	json_object_put(list);
	json_object_put(document);
	return wrong;
}

#endif							/* ONEC_TEST_JSON_ORACLE_H */
