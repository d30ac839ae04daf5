/*-------------------------------------------------------------------------
 *
 * idle.h
 *	  1C sessions that nobody uses are ended: they hold licences.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_IDLE_H
#define ONEC_IDLE_H

#include "postgres.h"

#include "session/session.h"
#include "table/options.h"

/*
 * Before a request: take the option session_idle, and see to it that it is kept.  FATAL when timers run out.
 */
extern void onec_session_watch(OnecSession *session, const OnecOptions *options);

/* A request has ended; from now on the base's 1C sessions are idle, until the next. */
extern void onec_session_note_use(OnecSession *session);

#endif							/* ONEC_IDLE_H */
