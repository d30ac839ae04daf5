/*-------------------------------------------------------------------------
 *
 * onec_error.h
 *	  What can go wrong while talking to 1C, and the SQLSTATE of each kind.
 *
 * The protocol layer knows nothing of ereport(): it fills an OnecError and
 * returns failure.  session/error.c turns it into an ereport with the help of the
 * one table below.  An OnecError owns no memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ERROR_H
#define ONEC_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* Longest remote text that is passed on, with terminator: an error page may be of any size. */
#define ONEC_ERROR_TEXT 1025

/*
 * X(kind, sqlstate macro, meaning).  The sqlstate is only expanded where
 * PostgreSQL's headers are.
 */
#define ONEC_ERROR_KINDS(X) \
	X(CONNECT, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "could not connect") \
	X(TLS, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "secure connection refused") \
	X(TIMEOUT, ERRCODE_CONNECTION_FAILURE, "no answer in time") \
	X(BROKEN, ERRCODE_CONNECTION_FAILURE, "connection broken") \
	X(AUTH, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, "login refused") \
	X(RIGHTS, ERRCODE_INSUFFICIENT_PRIVILEGE, "no right in 1C") \
	X(NO_SET, ERRCODE_FDW_TABLE_NOT_FOUND, "entity set not published") \
	X(NO_ROW, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY, "no such object") \
	X(NO_PROPERTY, ERRCODE_FDW_COLUMN_NAME_NOT_FOUND, "no such property") \
	X(REFUSED, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY, "request refused") \
	X(PASSING, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY, "request failed") \
	X(SERVER, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY, "1C failed") \
	X(BUSY, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "1C is busy or has no licence") \
	X(URL_TOO_LONG, ERRCODE_FDW_INVALID_STRING_LENGTH_OR_BUFFER_LENGTH, "URL too long") \
	X(REDIRECT, ERRCODE_FDW_ERROR, "redirect not followed") \
	X(REPLY, ERRCODE_FDW_ERROR, "malformed answer") \
	X(DATA, ERRCODE_FDW_INVALID_DATA_TYPE, "value not understood") \
	X(LIMIT, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "answer over the limit") \
	X(MEMORY, ERRCODE_OUT_OF_MEMORY, "out of memory")

typedef enum OnecErrorKind
{
	ONEC_OK = 0,
#define ONEC_ERROR_ENUM(kind, sqlstate, meaning) ONEC_ERR_##kind,
	ONEC_ERROR_KINDS(ONEC_ERROR_ENUM)
#undef ONEC_ERROR_ENUM
} OnecErrorKind;

/* Parts of a request without which 1C might answer it. */
#define ONEC_PART_FILTER	1
#define ONEC_PART_ORDER		2
#define ONEC_PART_COUNT		4

typedef struct OnecError
{
	OnecErrorKind kind;
	long		http_status;	/* 0: no answer was received */
	int			odata_code;		/* meaningful only with has_code */
	bool		has_code;		/* the body was an odata.error with a number */
	bool		own_words;		/* 1C itself says it: odata.error, m:error, exception, its error page */
	unsigned	parts;			/* REFUSED: which parts of the request its words may mean */
	char		message[ONEC_ERROR_TEXT];	/* short, UTF-8, no control characters */
} OnecError;

/*
 * Make it an error that has not happened, without writing over the room for its text: cheap enough for every
 * row.
 */
static inline void
onec_no_error(OnecError *error)
{
	error->kind = ONEC_OK;
	error->http_status = 0;
	error->odata_code = 0;
	error->has_code = false;
	error->own_words = false;
	error->parts = 0;
	error->message[0] = '\0';
}

/*
 * Record a failure; returns false so that callers can "return onec_fail(...)".
 * Keeps an error that is already there: the first cause is the one to report.
 */
static inline bool
__attribute__((format(printf, 3, 4)))
onec_fail(OnecError *error, OnecErrorKind kind, const char *format, ...)
{
	va_list		args;

	if (error->kind != ONEC_OK)
		return false;
	error->kind = kind;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return false;
}

#endif							/* ONEC_ERROR_H */
