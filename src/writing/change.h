/*-------------------------------------------------------------------------
 *
 * change.h
 *	  One change of one object as one request, and what became of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_CHANGE_H
#define ONEC_CHANGE_H

#include "postgres.h"

#include "onec_error.h"
#include "protocol/odata/odata.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/options.h"

/* What is known after the one request. */
typedef enum OnecOutcome
{
	ONEC_OUT_STORED,			/* done; or found, where it was asked for */
	ONEC_OUT_MISSING,			/* no such object */
	ONEC_OUT_EXISTS,			/* there is an object of that key already */
	ONEC_OUT_CHANGED,			/* the object is another version than If-Match says */
	ONEC_OUT_REFUSED,			/* by 1C itself: it would refuse again, and nothing is stored */
	ONEC_OUT_RIGHTS,			/* the login may not */
	ONEC_OUT_LOGIN,				/* the login was refused, or not tried for that reason */
	ONEC_OUT_PASSING,			/* nothing is stored; later it may fare better */
	ONEC_OUT_UNKNOWN			/* it may be stored, or be so yet */
} OnecOutcome;

/* All in UTF-8. */
typedef struct OnecWrite
{
	const char *method;			/* GET, POST, PATCH, DELETE */
	const char *entity_set;
	const char *key;			/* a GUID, or NULL */
	const char *action;			/* Post, Unpost, or NULL */
	const char *body;			/* JSON, or NULL */
	const char *if_match;		/* DataVersion, or NULL */
	bool		load_mode;		/* past the checks of the configuration */
} OnecWrite;

typedef struct OnecWritten
{
	OnecOutcome outcome;
	OnecError	error;			/* its text has no secrets, but may quote the body */
	long		retry_after;	/* s; -1: not asked for */
	char	   *answer;			/* palloc'd, UTF-8, terminated; empty where 1C answered nothing */
	size_t		answer_len;
} OnecWritten;

/*
 * Send it, once, and read the answer.  Raises nothing but what comes of memory, of an address beyond reason
 * and of interrupts, after which the outcome is unknown.
 */
extern void onec_write(OnecSession *session, const OnecOptions *options, const OnecWrite *write,
					   OnecWritten *written);

/* The same for a request that is made already; "change" is NULL where nothing is changed. */
extern void onec_write_request(OnecSession *session, const OnecOptions *options, const OnecRequest *request,
							   const OnecChange *change, OnecWritten *written);

/* Whose login onec_internal.write_once() uses in place of its caller's; InvalidOid: the caller's. */
extern Oid	onec_write_login;

/* The address that it would be sent to, palloc'd, UTF-8. */
extern char *onec_write_address(const OnecOptions *options, const OnecWrite *write);

/* "stored", "missing" …: what SQL calls it. */
extern const char *onec_outcome_name(OnecOutcome outcome);

#endif							/* ONEC_CHANGE_H */
