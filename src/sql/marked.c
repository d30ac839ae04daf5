/*-------------------------------------------------------------------------
 *
 * marked.c
 *	  Objects that carry a mark in a text of theirs, or are equal to what was sent: how what was created is
 *	  found again in a base that gives new objects keys of its own.
 *
 * "None" leads to a second creation, so this is a reading like any other: complete, or an error.  Where the
 * base refuses the condition all objects are read, and each is looked at here in any case.
 *
 * Memory: the caller's context.  Errors: ereport, as of a scan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
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
PG_FUNCTION_INFO_V1(onec_equal_objects);

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

static OnecPager *
start_reading(OnecOptions *options, const OnecWanted *wanted, const OnecQuery *query, OnecSpent *spent)
{
	OnecPager  *pager;

	options->key = pstrdup("Ref_Key");
	pager = onec_pager_create(onec_session_get(options, onec_options_writer(options)), options, wanted,
							  spent);
	onec_pager_start(pager, query);
	return pager;
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
	if (options->push_filter)
		query.filter = holds_mark(property, mark);
	pager = start_reading(options, &wanted, &query, &spent);
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

/* ---- objects equal to what was sent ---- */

/* property op 'value' */
static OnecExpr *
compare(const char *property, const char *op, OnecLiteralKind kind, const char *value)
{
	OnecExpr   *expr = onec_make_expr(ONEC_EXPR_COMPARE, 2);

	expr->op = op;
	expr->args[0] = onec_make_expr(ONEC_EXPR_FIELD, 0);
	expr->args[0]->name = property;
	expr->args[1] = onec_make_literal(kind, value);
	return expr;
}

static OnecLiteralKind
literal_of(const char *edm_type)
{
	return strcmp(edm_type, "Guid") == 0 ? ONEC_LIT_GUID
		: strcmp(edm_type, "DateTime") == 0 ? ONEC_LIT_DATETIME : ONEC_LIT_STRING;
}

/* A list of texts in UTF-8, behind the name of the key where they are names. */
static const char **
texts_of(Datum array, const char *first, int *count)
{
	Datum	   *elements;
	const char **texts;
	int			given,
				n = 0;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &given);
	texts = palloc0((given + 2) * sizeof(char *));
	if (first != NULL)
		texts[n++] = first;
	for (int i = 0; i < given; i++)
		texts[n++] = onec_utf8(TextDatumGetCString(elements[i]));
	*count = n;
	return texts;
}

/* Whether the values are equal, however a GUID is written; "fields" begin behind the key. */
static bool
all_equal(const OnecField *fields, const char **values, int nvalues)
{
	for (int i = 0; i < nvalues; i++)
	{
		char	   *told = text_of(&fields[i]);

		if (told == NULL || pg_strcasecmp(told, values[i]) != 0)
			return false;
	}
	return true;
}

/*
 * onec_internal.equal_objects(server name, entity_set text, properties text[], types text[], given text[],
 * since text): keys.  Texts that differ in ASCII case alone count as equal: whoever asks looks at each.
 */
Datum
onec_equal_objects(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	OnecOptions *options = onec_options_of_server(onec_wrapper_server(NameStr(*PG_GETARG_NAME(0)))->serverid);
	int			nnames,
				ntypes,
				nvalues;
	const char **names = texts_of(PG_GETARG_DATUM(2), "Ref_Key", &nnames);
	const char **types = texts_of(PG_GETARG_DATUM(3), NULL, &ntypes);
	const char **values = texts_of(PG_GETARG_DATUM(4), NULL, &nvalues);
	const char *since = PG_ARGISNULL(5) ? NULL : onec_utf8(text_to_cstring(PG_GETARG_TEXT_PP(5)));
	OnecWanted	wanted = {.names = names};
	OnecQuery	query = {.filter_exact = true,.hint = -1};
	OnecSpent	spent = {0};
	OnecPager  *pager;
	List	   *terms = NIL;
	const OnecField *fields;

	Assert(nnames == nvalues + 1 && ntypes == nvalues);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	options->entity_set = text_to_cstring(PG_GETARG_TEXT_PP(1));
	for (int i = 0; i < nvalues; i++)
		terms = lappend(terms, compare(names[i + 1], "eq", literal_of(types[i]), values[i]));
	if (since != NULL)
	{
		names[nnames++] = "Date";
		terms = lappend(terms, compare("Date", "ge", ONEC_LIT_DATETIME, since));
	}
	wanted.nnames = nnames;
	if (options->push_filter)
		query.filter = onec_make_list(ONEC_EXPR_AND, terms);
	pager = start_reading(options, &wanted, &query, &spent);
	while ((fields = onec_pager_next(pager)) != NULL)
	{
		char	   *key = text_of(&fields[0]);
		char	   *date = since ? text_of(&fields[nnames - 1]) : NULL;

		CHECK_FOR_INTERRUPTS();
		if (key != NULL && all_equal(fields + 1, values, nvalues)
			&& (since == NULL || (date != NULL && strcmp(date, since) >= 0)))
		{
			Datum		row[] = {DirectFunctionCall1(uuid_in, CStringGetDatum(key))};
			bool		nulls[1] = {false};

			tuplestore_putvalues(result->setResult, result->setDesc, row, nulls);
		}
	}
	onec_pager_stop(pager);
	return (Datum) 0;
}
