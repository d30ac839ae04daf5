/*-------------------------------------------------------------------------
 *
 * write.c
 *	  What the outbox asks of C: one request that changes an object or looks at it, and what may be
 *	  written.
 *
 * Requests go out with the login of whoever calls, of whoever writes to a foreign table, or of option
 * write_user.  Bodies and answers are about people: they are in no message and no log.
 *
 * Memory: the caller's context.  Errors: ereport for what is wrong with the call; what 1C says is a result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "protocol/odata/edm.h"
#include "protocol/odata/edm_types.h"
#include "session/metadata.h"
#include "session/session.h"
#include "sql/wrapper.h"
#include "table/options.h"
#include "table/text.h"
#include "writing/change.h"

PG_FUNCTION_INFO_V1(onec_write_once);
PG_FUNCTION_INFO_V1(onec_write_address_of);
PG_FUNCTION_INFO_V1(onec_published_properties);

static const char *
text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : onec_utf8(text_to_cstring(PG_GETARG_TEXT_PP(n)));
}

static const char *
key_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(n)));
}

/* The options of a server that may be written to, unless it is only looked at. */
static OnecOptions *
options_for(const char *server, const char *method)
{
	OnecOptions *options = onec_options_of_server(onec_wrapper_server(server)->serverid);

	if (strcmp(method, "GET") != 0 && !options->updatable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" is not updatable", server),
				 errhint("ALTER SERVER %s OPTIONS (ADD updatable 'on');", quote_identifier(server))));
	return options;
}

/*
 * onec_internal.write_once(server name, method text, entity_set text, key uuid, action text, body json,
 * if_match text, load_mode boolean): outcome, status, code, message, answer, retry_after, ms
 */
Datum
onec_write_once(PG_FUNCTION_ARGS)
{
	char	   *server = NameStr(*PG_GETARG_NAME(0));
	OnecWrite	write = {.method = text_argument(fcinfo, 1),.entity_set = text_argument(fcinfo, 2),
		.action = text_argument(fcinfo, 4),.body = text_argument(fcinfo, 5),
	.if_match = text_argument(fcinfo, 6),.load_mode = PG_GETARG_BOOL(7)};
	OnecOptions *options = options_for(server, write.method);
	TimestampTz began = GetCurrentTimestamp();
	OnecWritten written;
	Datum		values[7];
	bool		nulls[7] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "onec_internal.write_once() must return a row");
	write.key = key_argument(fcinfo, 3);
	onec_write(onec_session_get(options, OidIsValid(onec_write_login) ? onec_write_login
								: onec_options_writer(options)), options, &write, &written);
	values[0] = CStringGetTextDatum(onec_outcome_name(written.outcome));
	values[1] = Int32GetDatum((int32) written.error.http_status);
	nulls[1] = written.error.http_status == 0;
	values[2] = Int32GetDatum(written.error.odata_code);
	nulls[2] = !written.error.has_code;
	nulls[3] = written.error.kind == ONEC_OK;
	values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(onec_server_text(written.error.message));
	nulls[4] = written.outcome != ONEC_OUT_STORED || written.answer_len == 0;
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(onec_server_text(written.answer));
	values[5] = Int32GetDatum((int32) Min(written.retry_after, 86400));
	nulls[5] = written.retry_after < 0;
	values[6] = Float8GetDatum((double) (GetCurrentTimestamp() - began) / 1000);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* onec_internal.write_address(server name, entity_set text, key uuid, action text) */
Datum
onec_write_address_of(PG_FUNCTION_ARGS)
{
	ForeignServer *server = onec_wrapper_server(NameStr(*PG_GETARG_NAME(0)));
	OnecWrite	write = {.entity_set = text_argument(fcinfo, 1),.key = key_argument(fcinfo, 2),
	.action = text_argument(fcinfo, 3)};

	PG_RETURN_TEXT_P(cstring_to_text(onec_server_text(
		onec_write_address(onec_options_of_server(server->serverid), &write))));
}

/* ---- what may be written ---- */

/* An object of its own, known by a reference: the only kind that is written yet. */
static bool
is_object(const OnecEntitySet *set)
{
	return set->type != NULL && set->type->nkeys == 1 && strcmp(set->type->keys[0], "Ref_Key") == 0;
}

/* The rows of a tabular part: "Collection(StandardODATA.Catalog_X_Part_RowType)"; NULL where not told. */
static const OnecEdmStruct *
rows_of(const OnecEdm *edm, const OnecProperty *property)
{
	const char *dot = strrchr(property->type_name, '.');
	char	   *name;

	if (property->type != ONEC_EDM_COLLECTION || dot == NULL)
		return NULL;
	name = pstrdup(dot + 1);
	name[strcspn(name, ")")] = '\0';
	return onec_edm_find_type(edm, name);
}

static void
put_property(ReturnSetInfo *result, const OnecEntitySet *set, const char *part, const OnecProperty *property,
			 int ordinal)
{
	Datum		values[7];
	bool		nulls[7] = {false};

	values[0] = CStringGetTextDatum(onec_server_text(set->name));
	values[1] = CStringGetTextDatum(onec_server_text(part));
	values[2] = CStringGetTextDatum(onec_server_text(property->name));
	values[3] = CStringGetTextDatum(onec_edm_type_label(property->type));
	values[4] = CStringGetTextDatum(onec_server_text(property->type_name));
	values[5] = Int32GetDatum(property->length);
	values[6] = Int32GetDatum(ordinal);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* onec_internal.published_properties(server name) */
Datum
onec_published_properties(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	OnecOptions *options = onec_options_of_server(onec_wrapper_server(NameStr(*PG_GETARG_NAME(0)))->serverid);
	const OnecEdm *edm = onec_session_edm(onec_session_get(options, GetUserId()), options, false);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < edm->nsets; i++)
	{
		const OnecEntitySet *set = &edm->sets[i];

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; is_object(set) && j < set->type->nproperties; j++)
		{
			const OnecProperty *property = &set->type->properties[j];
			const OnecEdmStruct *rows = rows_of(edm, property);

			put_property(result, set, "", property, j + 1);
			for (int k = 0; rows != NULL && k < rows->nproperties; k++)
				put_property(result, set, property->name, &rows->properties[k], k + 1);
		}
	}
	return (Datum) 0;
}
