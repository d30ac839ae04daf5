/*-------------------------------------------------------------------------
 *
 * service.c
 *	  The service document: names of the entity sets that a base publishes.
 *
 * A page like any other, so json_rows reads it.  Names are handed over only when the whole
 * document was good.  Memory is malloc'ed and given back before return.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_rows.h"

#include <string.h>

#include "protocol/buf.h"

/* Read the names into "names", each with its terminator; a service document is a page like any other. */
static bool
read_names(OnecRows *rows, const char *body, size_t len, OnecBuf *names, OnecError *error)
{
	OnecRowsStatus status;
	size_t		consumed = 0;

	while ((status = onec_rows_next(rows, body, len, true, &consumed, error)) == ONEC_ROWS_ROW)
	{
		const OnecField *name = onec_rows_fields(rows);

		if (name->kind != ONEC_FIELD_STRING || name->len == 0)
			return onec_fail(error, ONEC_ERR_REPLY, "an entity set without a name");
		onec_buf_append(names, name->text, name->len);
		onec_buf_putc(names, '\0');
		body += consumed;
		len -= consumed;
	}
	return status == ONEC_ROWS_END;
}

bool
onec_service_document(const char *body, size_t len,
					  void (*found) (void *arg, const char *name), void *arg,
					  OnecError *error)
{
	static const char *const wanted[] = {"name"};
	OnecRows   *rows = onec_rows_create(wanted, 1);
	OnecError	told = {.kind = ONEC_OK};
	OnecBuf		names;
	bool		good;

	if (rows == NULL)
		return onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	onec_rows_reset(rows, false);
	onec_buf_init(&names);
	good = read_names(rows, body, len, &names, &told);
	onec_rows_free(rows);
	if (names.failed)
		good = onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	else if (!good)
		onec_fail(error, told.kind == ONEC_ERR_MEMORY ? ONEC_ERR_MEMORY : ONEC_ERR_REPLY,
				  "the answer is not a service document: %.300s", told.message);
	for (size_t at = 0; good && at < names.len; at += strlen(names.data + at) + 1)
		found(arg, names.data + at);
	onec_buf_free(&names);
	return good;
}
