/*-------------------------------------------------------------------------
 *
 * error.h
 *	  What an answer of 1C means; the only place where an error of 1C becomes an ereport.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SESSION_ERROR_H
#define ONEC_SESSION_ERROR_H

#include "postgres.h"

#include "compat.h"
#include "onec_error.h"
#include "protocol/http/http_window.h"
#include "protocol/odata/odata.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/options.h"

/*
 * Raise "error" with its SQLSTATE, what was asked in the CONTEXT, 1C's text in the DETAIL and
 * advice in the HINT.
 */
pg_noreturn extern void onec_session_raise(OnecSession *session, const OnecOptions *options,
							   const OnecRequest *request, const OnecError *error);

/*
 * Fill "error" for an answer that is not a good one.  "reply" tells what
 * was asked; "body" is the head of the answer's body, any bytes.
 */
extern void onec_answer_error(OnecReply *reply, const OnecHttpAnswer *answer,
							  const char *body, size_t len, OnecError *error);

/*
 * Look at the head of a 200.  True: a good answer.  False with "error" still ONEC_OK:
 * show more bytes; else it is not what was asked for.
 */
extern bool onec_answer_good(OnecReply *reply, const OnecHttpAnswer *answer,
							 const char *body, size_t len, bool done, OnecError *error);

/* What a kind of failure is called. */
extern const char *onec_error_meaning(OnecErrorKind kind);

#endif							/* ONEC_SESSION_ERROR_H */
