/*-------------------------------------------------------------------------
 *
 * http_window.h
 *	  What a caller sees of a transfer: the window of unread bytes, and the answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HTTP_WINDOW_H
#define ONEC_HTTP_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/http/http.h"

/* What is known of an answer; texts live as long as the transfer. */
typedef struct OnecHttpAnswer
{
	long		status;			/* 0 until the status line has arrived */
	const char *content_type;	/* or NULL */
	const char *location;		/* or NULL */
	const char *cookie;			/* "ibsession=…" from Set-Cookie, or NULL */
	long		retry_after_s;	/* -1: not given */
	int64_t		body_bytes;		/* decoded bytes received so far */
	int64_t		wire_bytes;		/* bytes on the wire so far, header and body */
	double		elapsed_ms;		/* since start, until now or until done */
	bool		sent;			/* the server may have got the request */
	bool		reused;			/* went over a connection that was already open */
} OnecHttpAnswer;

/* Whether more is held back until the window has been read. */
extern bool onec_transfer_paused(const OnecTransfer *transfer);

/* Whether the complete answer has arrived (successfully). */
extern bool onec_transfer_done(const OnecTransfer *transfer);

/* Whether it ended, well or badly. */
extern bool onec_transfer_ended(const OnecTransfer *transfer);

/* The unread bytes; they stay where they are until the pool is driven again or they are consumed. */
extern const char *onec_transfer_data(const OnecTransfer *transfer, size_t *len);
extern void onec_transfer_consume(OnecTransfer *transfer, size_t n);

/* While pinned, unread bytes stay where they are whatever drives the pool; more of them do not come. */
extern void onec_transfer_pin(OnecTransfer *transfer, bool pinned);

extern void onec_transfer_answer(const OnecTransfer *transfer, OnecHttpAnswer *answer);

/* Whether more has to wait until the window has been read. */
extern bool onec_transfer_window_full(const OnecTransfer *transfer);

/* Unread bytes. */
extern size_t onec_transfer_unread(const OnecTransfer *transfer);

#endif							/* ONEC_HTTP_WINDOW_H */
