/*-------------------------------------------------------------------------
 *
 * session.h
 *	  One 1C base as this backend knows it.
 *
 * Holds credentials, connections, 1C sessions (IBSession), what the base was found unable to do, and the
 * metadata read last.  A session is kept per (server, user) until backend exit; when the server or the user
 * mapping changes, its content is renewed in place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SESSION_H
#define ONEC_SESSION_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "protocol/http/http.h"
#include "table/options.h"

typedef struct OnecSession OnecSession;

/*
 * The session for "userid" at the server of "options"; made when there is none.  Sends
 * nothing.  ERROR as onec_options_authorization().
 */
extern OnecSession *onec_session_get(const OnecOptions *options, Oid userid);

/* The pool of this backend; waits on the latch and serves interrupts. */
extern OnecHttp *onec_session_pool(void);

/* Wait so long at most before a request, while others come on; serves interrupts. */
extern void onec_session_pause(long timeout_ms);

/* The sessions of this backend, a palloc'd List of OnecSession. */
extern List *onec_session_all(void);

/* The session for the user at the server; NULL when there is none. */
extern OnecSession *onec_session_find(Oid serverid, Oid userid);

/* Ask 1C to end all 1C sessions of the base, waiting two seconds at most.  Raises nothing. */
extern void onec_session_finish(OnecSession *session);

/* Every session of this backend; allocates nothing. */
extern void onec_session_visit(void (*visit) (OnecSession *session, void *arg), void *arg);

#endif							/* ONEC_SESSION_H */
