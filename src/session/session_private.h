/*-------------------------------------------------------------------------
 *
 * session_private.h
 *	  What the files session*.c share and nobody else may see.
 *
 * session.c keeps the sessions; ib_cookie.c chooses a 1C session for a request, idle.c ends those that nobody
 * uses; reply.c sends requests; error.c says what an answer means and raises it; retry.c paces
 * and repeats; metadata.c reads small answers and $metadata; log.c remembers the requests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SESSION_PRIVATE_H
#define ONEC_SESSION_PRIVATE_H

#include "session/session.h"

#include "nodes/pg_list.h"
#include "protocol/http/http.h"
#include "utils/relcache.h"

/* After a login was refused none is tried for so long: 1C locks accounts. */
#define ONEC_LOGIN_PAUSE_S 60

typedef struct OnecSessionKey
{
	Oid			serverid;
	Oid			userid;
} OnecSessionKey;

/*
 * Lives until backend exit: scans keep pointers to it.  When the server or the user mapping
 * changes, the next onec_session_get() renews the content in place.
 */
#define ONEC_IB_MAX 8			/* 1C sessions of a base; the largest value of prefetch */

/* A 1C session: one request at a time may use it. */
typedef struct OnecIb
{
	char	   *cookie;			/* malloc'ed; NULL: none yet */
	char	   *suspect;		/* one before it, which an answer made look dead; malloc'ed, or NULL */
	uint32		serial;			/* grows with each cookie */
	OnecReply  *holder;			/* the request that carries it, or asks for it, or NULL */
} OnecIb;

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
	ONEC_EXPECT_XML				/* $metadata */
} OnecExpect;

/* A reply's place in the request log. */
typedef struct OnecLogPlace
{
	int			slot;			/* -1: not logged */
	uint64		serial;			/* tells whether the slot still is ours */
} OnecLogPlace;

typedef struct OnecReplyTie OnecReplyTie;

struct OnecReply
{
	OnecSession *session;
	OnecTransfer *transfer;		/* NULL: it could not start, see error */
	OnecBuf		url;			/* encoded; kept for a second try without the 1C session */
	OnecBuf		text;			/* decoded, below the root */
	OnecExpect	expect;
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

/* session.c: the pool of this backend; waits on the latch and serves interrupts. */
extern OnecHttp *onec_session_pool(void);

/* session.c: the sessions of this backend, a palloc'd List of OnecSession. */
extern List *onec_session_all(void);

/* session.c: the session for the user at the server; NULL when there is none. */
extern OnecSession *onec_session_find(Oid serverid, Oid userid);

/* capability.c: have everything tried anew. */
extern void onec_session_forget_refusals(OnecSession *session);

/* capability.c: a table of the extension, opened for reading; NULL when the extension lies elsewhere or is being made. */
extern Relation onec_session_open_table(const char *name);

/* capability.c: whether what was learned then is not to be relied on any more. */
extern bool onec_session_is_old(TimestampTz since);

/* largest_page.c: forget how large pages were. */
extern void onec_session_forget_pages(OnecSession *session);

/*
 * reply.c: free abandoned replies that 1C is through with, or "all", and take the 1C sessions they brought; "all" takes those
 * of other replies too.
 */
extern void onec_session_sweep(OnecSession *session, bool all);

/* session.c: ask 1C to end all 1C sessions of the base, waiting two seconds at most.  Raises nothing. */
extern void onec_session_finish(OnecSession *session);

/* session.c: every session of this backend; allocates nothing. */
extern void onec_session_visit(void (*visit) (OnecSession *session, void *arg), void *arg);

/* idle.c: before a request: take the option session_idle, and see to it that it is kept.  FATAL when timers run out. */
extern void onec_session_watch(OnecSession *session, const OnecOptions *options);

/* idle.c: a request has ended; from now on the base's 1C sessions are idle, until the next. */
extern void onec_session_note_use(OnecSession *session);

/* ib_cookie.c: forget a 1C session, and a suspect one; they are not asked to end. */
extern void onec_ib_drop(OnecIb *ib);

/* ib_cookie.c: decide whether a request carries the cookie of a 1C session, asks for one, or goes without. */
extern void onec_ib_choose(OnecReply *reply);

/* ib_cookie.c: learn from the head of an answer; once for each answer.  Allocates by malloc only. */
extern void onec_ib_note(OnecReply *reply, const OnecHttpAnswer *answer);

/* ib_cookie.c: the request is over: its 1C session may serve another. */
extern void onec_ib_leave(OnecReply *reply);

/*
 * ib_cookie.c: whether the 1C session is dead rather than the request bad: an answer of 1C's OData has a number,
 * one of the web server's extension has none.
 */
extern bool onec_ib_looks_stale(const OnecReply *reply);

/*
 * ib_cookie.c: the 1C session of this request seems to have died; after several in a row, do without for a while.  It is kept
 * until onec_ib_settle(), which is due when the second try has got its answer: if that is no better, it was not to blame.
 */
extern void onec_ib_died(OnecReply *reply);
extern void onec_ib_settle(OnecReply *reply);

/*
 * error.c: fill "error" for an answer that is not a good one.  "reply" tells what
 * was asked; "body" is the head of the answer's body, any bytes.
 */
extern void onec_answer_error(OnecReply *reply, const OnecHttpAnswer *answer,
							  const char *body, size_t len, OnecError *error);

/*
 * error.c: look at the head of a 200.  True: a good answer.  False with "error" still ONEC_OK:
 * show more bytes; else it is not what was asked for.
 */
extern bool onec_answer_good(OnecReply *reply, const OnecHttpAnswer *answer,
							 const char *body, size_t len, bool done, OnecError *error);

/* mask.c: mask the session's secrets in a text, which has room for "size" bytes; it does not grow. */
extern void onec_mask(const OnecSession *session, char *text, size_t size);

/* mask.c: take the secrets from the session's authorization; wipe them. */
extern void onec_mask_learn(OnecSession *session);
extern void onec_mask_forget(OnecSession *session);

/* words.c: whether the head of a body holds the phrase. */
extern bool onec_words_hold(const char *body, size_t len, const char *phrase);

/* words.c: whether an error speaks of a session; of a lock, a session or a licence, which passes. */
extern bool onec_words_session(const OnecError *error);
extern bool onec_words_pass(const OnecError *error, const char *body, size_t len);

/* words.c: the parts of the request that 1C's own words may mean; 0 where others speak, or name none. */
extern unsigned onec_words_blame(const OnecReply *reply, const OnecError *error, const char *body, size_t len);

/* error.c: what a kind of failure is called. */
extern const char *onec_error_meaning(OnecErrorKind kind);

/* error.c: UTF-8 of 1C in the database's encoding; palloc'd or the text itself. */
extern char *onec_server_text(const char *utf8);

/*
 * retry.c: wait for the interval (ms), one request of the base at this address at a time, whichever backend sends
 * it.  At once where it is 0.  ERROR when the query is cancelled.
 */
extern void onec_session_pace(const char *root, int min_interval);

/* log.c: never raise, own malloc'ed memory. */
extern OnecLogPlace onec_log_begin(const char *server, const char *url);
extern void onec_log_end(OnecLogPlace place, const OnecHttpAnswer *answer, const char *error);
extern void onec_log_rows(OnecLogPlace place, int64 rows);

/* A request failed and is sent again; the second attempt is a request of its own. */
extern void onec_log_retry(void);

#endif							/* ONEC_SESSION_PRIVATE_H */
