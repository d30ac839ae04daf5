/*-------------------------------------------------------------------------
 *
 * fuzz_json_rows.c
 *	  libFuzzer target: any bytes as a page.
 *
 * Promises checked: nothing is read outside of the window (by the sanitizers); a page gives the same
 * outcome byte by byte and many bytes at a time, in one piece and in many, and after whatever pages were
 * read before it; what is accepted is JSON for a strict json-c too; values are valid UTF-8 without NUL.
 * The same bytes go through the error body and service document readers.
 *
 * The first byte of the input chooses the size of the pieces; test/fuzz/json_rows holds seeds.
 *
 *-------------------------------------------------------------------------
 */

#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/json/error_body.h"
#include "protocol/json/json_rows.h"
#include "protocol/json/json_scan.h"
#include "protocol/json/json_usual.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"a", "Ref_Key", "Сумма", "value", "a"};

#define NNAMES 5

static void
check(bool promise)
{
	if (!promise)
		abort();
}

static void
put_row(OnecBuf *out, const OnecRows *rows)
{
	const OnecField *fields = onec_rows_fields(rows);

	for (int i = 0; i < NNAMES; i++)
	{
		const OnecField *field = &fields[i];

		check(field->text == NULL || onec_json_utf8(field->text, field->len));
		check(field->text == NULL || memchr(field->text, '\0', field->len) == NULL);
		check((field->kind <= ONEC_FIELD_NULL) == (field->text == NULL));
		onec_buf_putc(out, (char) ('0' + field->kind));
		onec_buf_append(out, field->text, field->len);
		onec_buf_putc(out, '\n');
	}
}

/* Read in pieces of "step" bytes; the transcript tells the whole outcome. */
static OnecRowsStatus
read_page(OnecRows *rows, const char *page, size_t len, size_t step, OnecBuf *out)
{
	OnecError	error = {.kind = ONEC_OK};
	OnecRowsStatus status = ONEC_ROWS_MORE;
	size_t		have = step < len ? step : len;
	size_t		done = 0;

	while (status == ONEC_ROWS_ROW || status == ONEC_ROWS_MORE)
	{
		size_t		used;
		char	   *window = malloc(have - done + 1);

		/* the window ends where its allocation ends */
		memcpy(window + 1, page + done, have - done);
		status = onec_rows_next(rows, window + 1, have - done, have == len, &used, &error);
		check(used <= have - done);
		if (status == ONEC_ROWS_ROW)
			put_row(out, rows);
		free(window);
		done += used;
		check(status != ONEC_ROWS_MORE || have < len);
		if (status == ONEC_ROWS_MORE)
			have = step < len - have ? have + step : len;
	}
	check((status == ONEC_ROWS_ERROR) == (error.kind != ONEC_OK));
	check(status == ONEC_ROWS_ERROR || done == len);
	check(onec_json_utf8(error.message, strlen(error.message)));
	onec_buf_puts(out, error.message);
	if (onec_rows_next_link(rows) != NULL && status == ONEC_ROWS_END)
		onec_buf_puts(out, onec_rows_next_link(rows));
	return status;
}

/* json-c has to accept what was accepted. */
static void
check_oracle(const char *page, size_t len)
{
	json_tokener *tokener = json_tokener_new_ex(80);
	json_object *document;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	if (len >= 3 && memcmp(page, "\xEF\xBB\xBF", 3) == 0)
	{
		page += 3;
		len -= 3;
	}
	document = json_tokener_parse_ex(tokener, page, (int) len);
	check(json_object_is_type(document, json_type_object));
	json_object_put(document);
	json_tokener_free(tokener);
}

/* Going such a way, a page has the outcome of the plain scanner, which knows no shape. */
static void
check_way(OnecUsualWay way, OnecRows *kept, const char *page, size_t len, size_t step, const OnecBuf *plain,
		  OnecRowsStatus status)
{
	OnecRows   *fresh = onec_rows_create(names, NNAMES);
	OnecBuf		whole;
	OnecBuf		pieces;

	onec_buf_init(&whole);
	onec_buf_init(&pieces);
	if (onec_usual_choose(way))
	{
		check(read_page(fresh, page, len, len, &whole) == status);
		check(whole.len == plain->len && memcmp(whole.data, plain->data, plain->len) == 0);
		onec_rows_reset(kept, true);
		check(read_page(kept, page, len, step, &pieces) == status);
		check(pieces.len == plain->len && memcmp(pieces.data, plain->data, plain->len) == 0);
	}
	onec_rows_free(fresh);
	onec_buf_free(&whole);
	onec_buf_free(&pieces);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static OnecRows *kept = NULL;	/* has seen all the pages before */
	const char *page = (const char *) data + 1;
	OnecRows   *fresh;
	OnecError	error = {.kind = ONEC_OK};
	OnecBuf		plain;
	OnecRowsStatus status;

	if (size == 0)
		return 0;
	size--;
	onec_buf_init(&plain);
	if (kept == NULL)
		kept = onec_rows_create(names, NNAMES);
	fresh = onec_rows_create(names, NNAMES);
	(void) onec_usual_choose(ONEC_USUAL_NONE);
	status = read_page(fresh, page, size, size, &plain);
	onec_rows_free(fresh);
	check_way(ONEC_USUAL_16, kept, page, size, (size_t) data[0] % 32 + 1, &plain, status);
	check_way(ONEC_USUAL_32, kept, page, size, (size_t) data[0] + 1, &plain, status);
	if (status == ONEC_ROWS_END)
		check_oracle(page, size);
	onec_error_body(page, size, &error);
	check(onec_json_utf8(error.message, strlen(error.message)));
	onec_buf_free(&plain);
	return 0;
}
