/*-------------------------------------------------------------------------
 *
 * session_private.h
 *	  The structures that the files of this room share and nobody else may see.
 *
 * session.c keeps the sessions; ib_cookie.c chooses a 1C session for a request, idle.c ends those that nobody
 * uses; reply.c sends requests; error.c says what an answer means and raises it; retry.c paces
 * and repeats; metadata.c reads small answers and $metadata; log.c remembers the requests, and
 * totals.c counts those of all backends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SESSION_PRIVATE_H
#define ONEC_SESSION_PRIVATE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/http/http.h"
#include "protocol/odata/edm.h"
#include "session/log.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/totals.h"

/* After a login was refused none is tried for so long: 1C locks accounts. */
#define ONEC_LOGIN_PAUSE_S 60

typedef struct OnecSessionKey
{
	Oid			serverid;
	Oid			userid;
} OnecSessionKey;

#define ONEC_IB_MAX 8			/* 1C sessions of a base; the largest value of prefetch */

/* A 1C session: one request at a time may use it. */
typedef struct OnecIb
{
	char	   *cookie;			/* malloc'ed; NULL: none yet */
	char	   *suspect;		/* one before it, which an answer made look dead; malloc'ed, or NULL */
	uint32		serial;			/* grows with each cookie */
	OnecReply  *holder;			/* the request that carries it, or asks for it, or NULL */
} OnecIb;

/*
 * Lives until backend exit: scans keep pointers to it.  When the server or the user mapping
 * changes, the next onec_session_get() renews the content in place.
 */
struct OnecSession
{
	OnecSessionKey key;
	MemoryContext context;		/* everything below that is palloc'd */
	uint64		seen_changes;	/* count of catalog changes this content takes in */
	bool		server_changed; /* the server itself changed: forget what was learned of it */
	uint32		server_hash;	/* of the server's syscache entry */
	uint32		generation;		/* grows when login or address change */

	/* as read from the catalogs */
	char	   *server_name;
	char	   *root;
	char	   *authorization;	/* secret */
	List	   *secrets;		/* what to mask in texts of the server, see mask.c */
	char	   *ca_file;		/* or NULL */
	bool		insecure;

	OnecIb		ib[ONEC_IB_MAX];	/* 1C sessions, as many as requests may be under way */
	OnecReply  *replies;		/* all there are, newest first */
	bool		ib_ignored;		/* the base takes no notice of IBSession */
	int			ib_stale_row;	/* 1C sessions that died before they served */
	TimestampTz ib_not_before;	/* do not ask for a 1C session before */
	TimestampTz ib_used;		/* when a request last ended */
	int			ib_idle;		/* s, after which 1C sessions are ended; 0: never */

	OnecTotals *totals;			/* where all backends count, or NULL */
	int64		started;		/* requests so far */
	TimestampTz refused_at;		/* when the login was refused, 0: it was not */
	int			gave_up_after;	/* attempts of the request given up last, 0: none */

	int64		largest_page;	/* rows, of all that came */
	TimestampTz largest_seen;
	bool		largest_recalled;	/* the table has been looked at, or is not to be */
	List	   *refusals;		/* of SetRefusals, see capability.c */

	OnecEdm    *edm;			/* or NULL */
	TimestampTz edm_read;		/* 0: do not use edm any more */
	TimestampTz edm_warned;		/* begin of the statement that was told of names left out */
};

/* What the body of a good answer must look like. */
typedef enum OnecExpect
{
	ONEC_EXPECT_JSON,
	ONEC_EXPECT_TEXT,			/* a count */
	ONEC_EXPECT_XML,			/* $metadata */
	ONEC_EXPECT_ANY				/* what a link leads to; what 1C chooses */
} OnecExpect;

typedef struct OnecReplyTie OnecReplyTie;

struct OnecReply
{
	OnecSession *session;
	OnecTransfer *transfer;		/* NULL: it could not start, see error */
	OnecBuf		url;			/* encoded; kept for a second try without the 1C session */
	OnecBuf		text;			/* decoded, below the root */
	OnecExpect	expect;
	const OnecChange *change;	/* while it is being sent, if it is one */
	bool		changes;		/* it may change something: never sent twice, nothing of its answer logged */
	bool		of_set;			/* asks for an entity set: 404 then means the set */
	unsigned	parts;			/* of the request that a base may refuse: ONEC_PART bits */
	int			connect_timeout;	/* s, as are the others */
	int			request_timeout;
	int			min_interval;	/* ms */
	size_t		max_response;
	size_t		high_water;
	OnecReply  *older;			/* of the session's replies */
	int			ib_room;		/* 1C sessions that may be had; 0: the option "session" is off */
	OnecIb	   *ib;				/* that of this request, or NULL */
	uint32		ib_serial;		/* of its cookie */
	OnecIb	   *suspected;		/* the 1C session of the first try, where this is the second */
	uint32		generation;		/* of the session, when this was sent */

	bool		with_cookie;	/* this request carries the cookie of the 1C session */
	bool		with_start;		/* this request asks for a 1C session */
	bool		ib_noted;		/* what the answer says of the 1C session was noted */
	bool		ib_gone;		/* the answer speaks of a session that is gone */
	bool		restarted;		/* the 1C session was dead; this is the second try */
	size_t		looked;			/* bytes of the head that were not enough to judge by */
	bool		judged;			/* a good answer: its bytes may be handed out */
	bool		ended;			/* accounted and logged */
	bool		abandoned;		/* nobody reads it; freed once 1C is through with it */
	TimestampTz abandoned_at;
	bool		cancelled;		/* its query failed, perhaps for want of its answer */
	OnecError	error;			/* kind ONEC_OK: none yet */
	long		retry_after_s;	/* -1: not asked for */
	double		elapsed_ms;		/* when it ended */

	OnecSpent  *spent;			/* or NULL */
	OnecLogPlace log;
	OnecReplyTie *tie;			/* or NULL */
	size_t		unpolled;		/* bytes consumed since the pool was driven */
};

#endif							/* ONEC_SESSION_PRIVATE_H */
