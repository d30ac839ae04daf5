/*-------------------------------------------------------------------------
 *
 * log.h
 *	  The last requests of this backend, and how many there were.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_LOG_H
#define ONEC_LOG_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "protocol/http/http_window.h"

/* Setting onec_fdw.log_requests: write finished requests to the server log. */
extern bool onec_log_requests;

/* One entry of the request log of this backend. */
typedef struct OnecLogged
{
	char	   *server;
	Oid			userid;			/* by whose user mapping */
	char	   *url;			/* decoded, below the root; no secrets */
	int			status;			/* 0: no answer */
	double		ms;
	int64		rows;			/* -1: not rows */
	int64		bytes;
	char	   *error;			/* NULL: it went well */
	TimestampTz at;
} OnecLogged;

/* What this backend has asked of all bases since it began. */
typedef struct OnecCounters
{
	int64		requests;		/* every attempt */
	int64		retries;		/* those of them that repeat one that failed */
	int64		bytes;			/* of answers, as they came over the wire */
} OnecCounters;

/* A reply's place in the request log. */
typedef struct OnecLogPlace
{
	int			slot;			/* -1: not logged */
	uint64		serial;			/* tells whether the slot still is ours */
} OnecLogPlace;

extern OnecCounters onec_log_counters(void);

/* Entries of the log, oldest first, at most 200. */
extern int	onec_session_log(const OnecLogged **entries[]);

/* Never raise, own malloc'ed memory. */
extern OnecLogPlace onec_log_begin(const char *server, Oid userid, const char *url);
extern void onec_log_end(OnecLogPlace place, const OnecHttpAnswer *answer, const char *error);
extern void onec_log_rows(OnecLogPlace place, int64 rows);

/* A request failed and is sent again; the second attempt is a request of its own. */
extern void onec_log_retry(void);

#endif							/* ONEC_LOG_H */
