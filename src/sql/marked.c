/*-------------------------------------------------------------------------
 *
 * marked.c
 *	  Objects that carry a mark in a text of theirs: how what was created is found again in a base that gives
 *	  new objects keys of its own.
 *
 * "None" leads to a second creation, so this is a reading like any other: complete, or an error.  Where the
 * base refuses the condition all objects are read, and each is looked at here in any case.
 *
 * Memory: the caller's context.  Errors: ereport, as of a scan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "compat.h"
#include "protocol/odata/odata.h"
#include "pushdown/filter.h"
#include "reading/pager.h"
#include "session/reply.h"
#include "session/session.h"
#include "sql/wrapper.h"
#include "table/options.h"
#include "table/text.h"

PG_FUNCTION_INFO_V1(onec_marked_objects);

/* substringof('mark', property) */
static OnecExpr *
holds_mark(const char *property, const char *mark)
{
	OnecExpr   *field = onec_make_expr(ONEC_EXPR_FIELD, 0);

	field->name = property;
	return onec_make_call("substringof", onec_make_literal(ONEC_LIT_STRING, mark), field);
}

static char *
text_of(const OnecField *field)
{
	return field->kind == ONEC_FIELD_STRING ? pnstrdup(field->text, field->len) : NULL;
}

/* onec_internal.marked_objects(server name, entity_set text, property text, mark text): key, told */
Datum
onec_marked_objects(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *server = NameStr(*PG_GETARG_NAME(0));
	OnecOptions *options = onec_options_of_server(onec_wrapper_server(server)->serverid);
	const char *property = onec_utf8(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	const char *mark = onec_utf8(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	const char *names[] = {"Ref_Key", property};
	OnecWanted	wanted = {.names = names,.nnames = lengthof(names)};
	OnecQuery	query = {.filter_exact = true,.hint = -1};
	OnecSpent	spent = {0};
	OnecPager  *pager;
	const OnecField *fields;

	InitMaterializedSRF(fcinfo, 0);
	options->entity_set = text_to_cstring(PG_GETARG_TEXT_PP(1));
	options->key = pstrdup("Ref_Key");
	if (options->push_filter)
		query.filter = holds_mark(property, mark);
	pager = onec_pager_create(onec_session_get(options, onec_options_writer(options)), options, &wanted,
							  &spent);
	onec_pager_start(pager, &query);
	while ((fields = onec_pager_next(pager)) != NULL)
	{
		char	   *key = text_of(&fields[0]);
		char	   *told = text_of(&fields[1]);

		CHECK_FOR_INTERRUPTS();
		if (key != NULL && told != NULL && strstr(told, mark) != NULL)
		{
			Datum		values[] = {DirectFunctionCall1(uuid_in, CStringGetDatum(key)),
				CStringGetTextDatum(onec_server_text(told))};
			bool		nulls[2] = {false};

			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
	}
	onec_pager_stop(pager);
	return (Datum) 0;
}
