/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  A message of an exchange plan: asked for, and confirmed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PLAN_H
#define ONEC_PLAN_H

#include "postgres.h"

#include "session/session.h"
#include "table/options.h"
#include "writing/change.h"

/*
 * Ask for the changes of message "number" of node "node", a GUID, of the plan in "options"; or, to "confirm",
 * tell 1C that they are here, after which it forgets them.  Either changes the node.  Raises as onec_write().
 */
extern void onec_plan_send(OnecSession *session, const OnecOptions *options, const char *node, int64 number,
						   bool confirm, OnecWritten *written);

/* Raise what became of it; written->error is one. */
pg_noreturn extern void onec_plan_raise(OnecSession *session, const OnecOptions *options,
										const OnecWritten *written);

#endif							/* ONEC_PLAN_H */
