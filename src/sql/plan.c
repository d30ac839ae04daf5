/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  What a sync asks of C about an exchange plan: the message, and its confirmation.
 *
 * The owner of the server has consented by change_source 'plan'; without it no node is changed.
 *
 * Memory: the message is read whole, then what it tells is kept in malloc'ed memory until it is in the
 * tuplestore.  Errors: ereport, as for a reading that fails.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "compat.h"
#include "protocol/json/json_told.h"
#include "protocol/odata/told_atom.h"
#include "protocol/told.h"
#include "session/error.h"
#include "session/metadata.h"
#include "session/session.h"
#include "sql/wrapper.h"
#include "table/options.h"
#include "table/text.h"
#include "writing/plan.h"

PG_FUNCTION_INFO_V1(onec_plan_changes);
PG_FUNCTION_INFO_V1(onec_plan_received);
PG_FUNCTION_INFO_V1(onec_plan_nodes);

/* The options of a server whose exchange plan may be asked. */
static OnecOptions *
options_for(const char *server)
{
	OnecOptions *options = onec_options_of_server(onec_wrapper_server(server)->serverid);

	if (options->change_source != ONEC_CHANGES_PLAN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" asks no exchange plan", server),
				 errhint("ALTER SERVER %s OPTIONS (ADD change_source 'plan', ADD exchange_plan …, ADD "
						 "exchange_node …);", quote_identifier(server))));
	return options;
}

static char *
uuid_argument(FunctionCallInfo fcinfo, int n)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(n)));
}

/* onec_internal.plan_nodes(server name, node uuid): its nodes, or the one, as 1C writes them in JSON */
Datum
onec_plan_nodes(PG_FUNCTION_ARGS)
{
	OnecOptions *options = options_for(NameStr(*PG_GETARG_NAME(0)));
	OnecExpr	key = {.kind = ONEC_EXPR_LITERAL,.lit_kind = ONEC_LIT_GUID};
	OnecRequest request = {.entity_set = onec_utf8(options->exchange_plan),.top = -1};
	OnecSession *session;
	OnecError	error;
	char	   *body;
	size_t		len;

	if (!PG_ARGISNULL(1))
	{
		key.lit_text = uuid_argument(fcinfo, 1);
		request.key = &key;
	}
	session = onec_session_get(options, GetUserId());
	if (!onec_session_fetch(session, options, &request, NULL, &body, &len, &error))
		onec_session_raise(session, options, &request, &error);
	PG_RETURN_TEXT_P(cstring_to_text(onec_server_text(body)));
}

/* Send it to the server of the first argument, for node and number of the other two. */
static void
send_message(FunctionCallInfo fcinfo, bool confirm, OnecWritten *written)
{
	OnecOptions *options = options_for(NameStr(*PG_GETARG_NAME(0)));
	char	   *node = uuid_argument(fcinfo, 1);
	OnecSession *session = onec_session_get(options, GetUserId());

	onec_plan_send(session, options, node, PG_GETARG_INT64(2), confirm, written);
	if (written->error.kind != ONEC_OK)
		onec_plan_raise(session, options, written);
}

/* Atom is what 1C gives, JSON what some do. */
static bool
read_message(OnecTold *told, const OnecWritten *written, OnecError *error)
{
	const char *first = written->answer + strspn(written->answer, " \t\r\n");

	if (*first == '{')
		return onec_told_json(told, written->answer, written->answer_len, error);
	if (*first != '<')
		return onec_fail(error, ONEC_ERR_REPLY, "the answer is neither Atom nor JSON");
	return onec_told_atom(told, first, written->answer_len - (size_t) (first - written->answer), error);
}

static void
put_objects(ReturnSetInfo *result, const OnecTold *told)
{
	for (size_t i = 0; i < told->count; i++)
	{
		const OnecToldObject *object = &told->objects[i];
		Datum		values[3] = {0};
		bool		nulls[3] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = CStringGetTextDatum(onec_server_text(object->entity_set));
		nulls[1] = object->key[0] == '\0';
		if (!nulls[1])
			values[1] = DirectFunctionCall1(uuid_in, CStringGetDatum(object->key));
		values[2] = BoolGetDatum(object->gone);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* onec_internal.plan_changes(server name, node uuid, number bigint): what the message tells */
Datum
onec_plan_changes(PG_FUNCTION_ARGS)
{
	OnecTold	told = {0};
	OnecError	error = {0};
	OnecWritten written;

	InitMaterializedSRF(fcinfo, 0);
	send_message(fcinfo, false, &written);
	PG_TRY();
	{
		if (!read_message(&told, &written, &error))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("changes told by server \"%s\" are not understood", NameStr(*PG_GETARG_NAME(0))),
					 errdetail("%s", onec_server_text(error.message))));
		put_objects((ReturnSetInfo *) fcinfo->resultinfo, &told);
	}
	PG_FINALLY();
	{
		onec_told_free(&told);
	}
	PG_END_TRY();
	return (Datum) 0;
}

/* onec_internal.plan_received(server name, node uuid, number bigint): 1C may forget them */
Datum
onec_plan_received(PG_FUNCTION_ARGS)
{
	OnecWritten written;

	send_message(fcinfo, true, &written);
	PG_RETURN_VOID();
}
