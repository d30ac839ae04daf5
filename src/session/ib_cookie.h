/*-------------------------------------------------------------------------
 *
 * ib_cookie.h
 *	  Which 1C session (IBSession) a request goes with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_IB_COOKIE_H
#define ONEC_IB_COOKIE_H

#include "postgres.h"

#include "protocol/http/http_window.h"
#include "session/reply.h"
#include "session/session_private.h"

/* Forget a 1C session, and a suspect one; they are not asked to end. */
extern void onec_ib_drop(OnecIb *ib);

/* Decide whether a request carries the cookie of a 1C session, asks for one, or goes without. */
extern void onec_ib_choose(OnecReply *reply);

/* Learn from the head of an answer; once for each answer.  Allocates by malloc only. */
extern void onec_ib_note(OnecReply *reply, const OnecHttpAnswer *answer);

/* The request is over: its 1C session may serve another. */
extern void onec_ib_leave(OnecReply *reply);

/*
 * Whether the 1C session is dead rather than the request bad: an answer of 1C's OData has a number,
 * one of the web server's extension has none.
 */
extern bool onec_ib_looks_stale(const OnecReply *reply);

/*
 * The 1C session of this request seems to have died; after several in a row, do without for a while.  It is
 * kept until onec_ib_settle(), which is due when the second try has got its answer: if that is no better, it
 * was not to blame.
 */
extern void onec_ib_died(OnecReply *reply);
extern void onec_ib_settle(OnecReply *reply);

#endif							/* ONEC_IB_COOKIE_H */
