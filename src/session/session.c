/*-------------------------------------------------------------------------
 *
 * session.c
 *	  The sessions of this backend: logins, connections, and their end.
 *
 * All sessions share one pool of connections, so that a request may reuse whatever connection
 * is open; logins travel in a header of each request and nowhere else.
 *
 * A session is never freed, because scans keep pointers to it: when the server or the user
 * mapping changes, its content is renewed in place, and a scan begun before is refused its
 * next request if the address is another one now.
 *
 * Memory: contexts below TopMemoryContext until backend exit; the 1C cookie is malloc'ed.
 * Errors: ereport, except at backend exit, where nothing is raised and nothing waits longer
 * than two seconds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/http/http.h"
#include "protocol/http/http_window.h"
#include "protocol/odata/odata.h"
#include "session/capability.h"
#include "session/ib_cookie.h"
#include "session/largest_page.h"
#include "session/mask.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/session_private.h"
#include "session/totals.h"
#include "table/options.h"

#define LONGEST_WAIT_MS 60000L	/* in one go; a latch takes no more than an int */
#define FINISH_MS 1000			/* for closing 1C sessions */
#define FINISH_MAX 16			/* 1C sessions closed at most; others time out in 1C */
#define FINISH_BODY 65536		/* as much of the answer as is let in */

typedef struct SessionEntry
{
	OnecSessionKey key;
	OnecSession *session;		/* NULL only when its creation failed */
} SessionEntry;

static HTAB *sessions = NULL;	/* made by the first onec_session_get() */
static OnecHttp *pool = NULL;	/* likewise by the first request */
static uint64 catalog_changes = 0;	/* counted by the syscache callbacks */
static bool uninterruptible = false;	/* set while 1C sessions are being closed */

/* What pg_stat_activity says of the waits, from 17 on. */
static uint32 answer_event;
static uint32 pause_event;
static uint32 finish_event;
static bool pausing = false;	/* the next wait is not for 1C */

static void finish_all(int code, Datum arg);

/* OnecHttpWait: the only place where this backend waits for 1C. */
static void
wait_for_pool(int fd, long timeout_ms, void *arg)
{
	uint32		event = pausing ? pause_event : answer_event;
	int			events;

	pausing = false;
	timeout_ms = Min(timeout_ms, LONGEST_WAIT_MS);
	if (uninterruptible)
	{
		struct pollfd pfd = {.fd = fd,.events = POLLIN};

		pgstat_report_wait_start(finish_event);
		(void) poll(&pfd, 1, (int) timeout_ms);
		pgstat_report_wait_end();
		return;
	}
	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   fd, timeout_ms, event);
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static void
make_pool(void)
{
	answer_event = onec_wait_event("OnecAnswer");
	pause_event = onec_wait_event("OnecPause");
	finish_event = onec_wait_event("OnecFinish");
	pool = onec_http_create(wait_for_pool, NULL);
	if (pool == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
}

OnecHttp *
onec_session_pool(void)
{
	if (pool == NULL)
		make_pool();
	return pool;
}

void
onec_session_pause(long timeout_ms)
{
	OnecHttp   *http = onec_session_pool();

	pausing = true;
	onec_http_wait(http, timeout_ms);
}

/* ---- the cache of sessions ---- */

static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS scan;
	SessionEntry *entry;

	catalog_changes++;
	if (cacheid != FOREIGNSERVEROID)
		return;
	hash_seq_init(&scan, sessions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->session != NULL &&
			(hashvalue == 0 || hashvalue == entry->session->server_hash))
			entry->session->server_changed = true;
}

static void
make_cache(void)
{
	HASHCTL		ctl = {.keysize = sizeof(OnecSessionKey),.entrysize = sizeof(SessionEntry)};

	sessions = hash_create("onec sessions", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, catalog_changed, (Datum) 0);
	before_shmem_exit(finish_all, (Datum) 0);
}

static OnecSession *
make_session(const OnecSessionKey *key)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "onec session",
												  ALLOCSET_SMALL_SIZES);
	OnecSession *session = MemoryContextAllocZero(context, sizeof(OnecSession));

	session->key = *key;
	session->context = context;
	session->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID,
												 ObjectIdGetDatum(key->serverid));
	return session;
}

static void
wipe(char *secret)
{
	if (secret == NULL)
		return;
	explicit_bzero(secret, strlen(secret));
	pfree(secret);
}

static void
set_text(OnecSession *session, char **text, const char *value)
{
	char	   *copy = value ? MemoryContextStrdup(session->context, value) : NULL;

	if (*text != NULL)
		pfree(*text);
	*text = copy;
}

/* Forget what was learned of the base, so that ALTER SERVER is a way to have it tried anew. */
static void
forget_learned(OnecSession *session)
{
	onec_session_forget_refusals(session);
	onec_session_forget_pages(session);
	session->ib_ignored = false;
	session->ib_stale_row = 0;
	session->ib_not_before = 0;
	session->edm_read = 0;
	session->server_changed = false;
}

/* Take in what the catalogs say now. */
static void
renew(OnecSession *session, const OnecOptions *options)
{
	uint64		changes = catalog_changes;
	char	   *authorization = onec_options_authorization(session->key.userid,
														   session->key.serverid);
	bool		fresh = session->authorization == NULL;
	bool		same = !fresh &&
		strcmp(session->authorization, authorization) == 0 &&
		strcmp(session->root, options->root) == 0;

	if (!same)
	{
		onec_session_finish(session);
		session->generation++;
		session->started = 0;
		session->server_changed = true;
		wipe(session->authorization);
		session->authorization = NULL;	/* should the next lines fail */
		set_text(session, &session->root, options->root);
		onec_mask_forget(session);
		session->authorization = MemoryContextStrdup(session->context, authorization);
		onec_mask_learn(session);
	}
	wipe(authorization);
	/* another login, or an account that was unlocked: worth a try */
	session->refused_at = 0;
	set_text(session, &session->server_name, options->server_name);
	set_text(session, &session->ca_file, options->ca_file);
	session->insecure = !options->tls_verify;
	session->totals = onec_totals_of(session->key.serverid);
	if (session->server_changed)
		forget_learned(session);
	if (fresh)
		session->largest_recalled = false;
	session->seen_changes = changes;
}

OnecSession *
onec_session_get(const OnecOptions *options, Oid userid)
{
	OnecSessionKey key = {.serverid = options->serverid,.userid = userid};
	SessionEntry *entry;
	OnecSession *session;
	bool		found;

	if (sessions == NULL)
		make_cache();
	entry = hash_search(sessions, &key, HASH_ENTER, &found);
	if (!found)
		entry->session = NULL;
	if (entry->session == NULL)
		entry->session = make_session(&key);
	session = entry->session;
	if (session->authorization == NULL || session->seen_changes != catalog_changes ||
		strcmp(session->root, options->root) != 0)
		renew(session, options);
	return session;
}

OnecSession *
onec_session_find(Oid serverid, Oid userid)
{
	OnecSessionKey key = {.serverid = serverid,.userid = userid};
	SessionEntry *entry = sessions ? hash_search(sessions, &key, HASH_FIND, NULL) : NULL;

	/* one that has yet to be renewed is as good as none */
	return entry != NULL && entry->session != NULL && !entry->session->server_changed ? entry->session : NULL;
}

void
onec_session_visit(void (*visit) (OnecSession *session, void *arg), void *arg)
{
	HASH_SEQ_STATUS scan;
	SessionEntry *entry;

	if (sessions == NULL)
		return;
	hash_seq_init(&scan, sessions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->session != NULL)
			visit(entry->session, arg);
}

List *
onec_session_all(void)
{
	List	   *all = NIL;
	HASH_SEQ_STATUS scan;
	SessionEntry *entry;

	if (sessions == NULL)
		return NIL;
	hash_seq_init(&scan, sessions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->session != NULL && entry->session->server_name != NULL)
			all = lappend(all, entry->session);
	return all;
}

/* ---- the end ---- */

/* Ask 1C to end a session; NULL when that cannot even be asked. */
static OnecTransfer *
start_finish(const OnecSession *session, const char *cookie)
{
	OnecRequest service = {.top = -1};
	OnecError	error = {0};
	OnecTransfer *transfer = NULL;
	OnecBuf		url;

	onec_buf_init(&url);
	if (onec_odata_url(session->root, &service, &url) && !url.failed)
	{
		OnecHttpRequest request = {
			.method = "GET",.url = url.data,.authorization = session->authorization,
			.accept = "application/json",.ib_session = "finish",.cookie = cookie,
			.ca_file = session->ca_file,.insecure = session->insecure,
			.connect_timeout_ms = FINISH_MS,.request_timeout_ms = FINISH_MS,
			.max_response = FINISH_BODY,.high_water = FINISH_BODY
		};

		onec_totals_add(session->totals, session->key.serverid, ONEC_TOTAL_REQUESTS, 1);
		transfer = onec_http_start(pool, &request, &error);
	}
	onec_buf_free(&url);
	return transfer;
}

/* Whether 1C has at least begun to answer: then the session is gone. */
static bool
answered(const OnecTransfer *transfer)
{
	OnecHttpAnswer answer;

	if (transfer == NULL || onec_transfer_ended(transfer))
		return true;
	onec_transfer_answer(transfer, &answer);
	return answer.status != 0;
}

static TimestampTz
finish_deadline(void)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FINISH_MS);
}

/* Wait until 1C has begun to answer all, or the deadline has passed. */
static void
wait_for_answers(OnecTransfer **transfers, int count, TimestampTz deadline)
{
	long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
	int			open = 0;

	onec_http_poll(pool);
	while (open < count && left > 0)
	{
		if (answered(transfers[open]))
			open++;
		else
			onec_http_wait(pool, left);
		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
	}
}

/*
 * Ask for the end of a base's 1C sessions, and forget them; returns the number asked for.  Those that are on
 * their way are waited for until the deadline.
 */
static int
start_finishes(OnecSession *session, OnecTransfer **transfers, int room, TimestampTz deadline)
{
	OnecTransfer *late[ONEC_IB_MAX];
	int			count = 0;

	/* a 1C session that is on its way here has to be known before it can be ended */
	for (OnecReply *reply = session->replies; reply != NULL && count < ONEC_IB_MAX; reply = reply->older)
		if (reply->with_start && !reply->ib_noted && reply->transfer != NULL)
			late[count++] = reply->transfer;
	uninterruptible = true;
	if (count > 0)
		wait_for_answers(late, count, deadline);
	uninterruptible = false;
	onec_session_sweep(session, true);
	count = 0;
	for (int i = 0; i < ONEC_IB_MAX; i++)
	{
		OnecIb	   *ib = &session->ib[i];

		if (ib->cookie != NULL && count < room)
			transfers[count++] = start_finish(session, ib->cookie);
		if (ib->suspect != NULL && count < room)
			transfers[count++] = start_finish(session, ib->suspect);
		onec_ib_drop(ib);
	}
	return count;
}

/*
 * Free 1C's licences; never raises, takes FINISH_MS at most for all of them, after as much for those on their
 * way.
 */
static void
finish_transfers(OnecTransfer **transfers, int count)
{
	uninterruptible = true;
	if (count > 0)
		wait_for_answers(transfers, count, finish_deadline());
	for (int i = 0; i < count; i++)
		onec_transfer_free(transfers[i]);
	uninterruptible = false;
}

void
onec_session_finish(OnecSession *session)
{
	OnecTransfer *transfers[2 * ONEC_IB_MAX];

	if (pool != NULL)
		finish_transfers(transfers, start_finishes(session, transfers, lengthof(transfers),
												   finish_deadline()));
}

/* Close all 1C sessions that are open, waiting two seconds at most; called at backend exit. */
static void
finish_all(int code, Datum arg)
{
	OnecTransfer *transfers[FINISH_MAX];
	TimestampTz deadline = finish_deadline();
	HASH_SEQ_STATUS scan;
	SessionEntry *entry;
	int			count = 0;

	if (pool == NULL)
		return;
	hash_seq_init(&scan, sessions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->session != NULL)
			count += start_finishes(entry->session, transfers + count, FINISH_MAX - count, deadline);
	finish_transfers(transfers, count);
}
