/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  A message of an exchange plan: asked for, and confirmed.
 *
 * POST, without a body: SelectChanges stamps what is registered for the node with the number of the message
 * and answers it; asked for again by the same number it answers that again, with what has come since.
 * NotifyChangesReceived makes 1C forget what is stamped up to the number.  Both take the node as the address
 * of its object.  Nothing is sent twice here.
 *
 * Memory: the caller's context.  Errors: see plan.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "protocol/odata/odata.h"
#include "session/error.h"
#include "session/reply.h"
#include "table/options.h"
#include "table/text.h"
#include "writing/plan.h"

void
onec_plan_send(OnecSession *session, const OnecOptions *options, const char *node, int64 number, bool confirm,
			   OnecWritten *written)
{
	/* quotes inside are not doubled: so 1C's guide has it */
	char	   *address = psprintf("'%s/%s(guid'%s')'", options->root, onec_utf8(options->exchange_plan),
								   node);
	char	   *digits = psprintf(INT64_FORMAT, number);
	OnecExpr	point = {.kind = ONEC_EXPR_LITERAL,.lit_kind = ONEC_LIT_PARAM,.lit_text = address};
	OnecExpr	message = {.kind = ONEC_EXPR_LITERAL,.lit_kind = ONEC_LIT_NUMBER,.lit_text = digits};
	OnecArgument arguments[] = {{"DataExchangePoint", &point}, {"MessageNo", &message}};
	OnecRequest request = {.function = confirm ? "NotifyChangesReceived" : "SelectChanges",
	.arguments = arguments,.narguments = lengthof(arguments),.top = -1};
	OnecChange	change = {.method = "POST"};

	onec_write_request(session, options, &request, &change, written);
}

void
onec_plan_raise(OnecSession *session, const OnecOptions *options, const OnecWritten *written)
{
	OnecRequest request = {.function = "SelectChanges",.top = -1};

	onec_session_raise(session, options, &request, &written->error);
}
