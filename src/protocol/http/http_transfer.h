/*-------------------------------------------------------------------------
 *
 * http_transfer.h
 *	  One transfer, for the pool (http.c) and the callbacks of libcurl.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HTTP_TRANSFER_H
#define ONEC_HTTP_TRANSFER_H

#include <curl/curl.h>

#include "onec_error.h"
#include "protocol/http/http.h"

/*
 * A transfer with its libcurl handle set up but not in the pool yet; NULL with
 * "error" set.
 */
extern OnecTransfer *onec_transfer_create(OnecHttp *http, const OnecHttpRequest *request, OnecError *error);

/*
 * The transfer has ended: keep the reason, give the libcurl handle back.  Its
 * own error, if there is one already, goes before "code".
 */
extern void onec_transfer_finish(OnecTransfer *transfer, CURLcode code);

/* Whether it is paused and its window has room again. */
extern bool onec_transfer_resumable(const OnecTransfer *transfer);

/* Nobody drove the pool for so many microseconds: that is not counted against connecting. */
extern void onec_transfer_was_away(OnecTransfer *transfer, int64_t away);

/*
 * Something came for it, and may have waited for the caller: his absence does not count against the answer.
 */
extern void onec_transfer_moved(OnecTransfer *transfer);

/* Go on with a paused transfer; time spent paused is added to its deadline. */
extern void onec_transfer_resume(OnecTransfer *transfer, int64_t now);

/* End the transfer if one of its deadlines has passed at "now". */
extern void onec_transfer_check(OnecTransfer *transfer, int64_t now);

/* The next moment at which onec_transfer_check() may have something to do. */
extern int64_t onec_transfer_deadline(const OnecTransfer *transfer);

/* Free the memory of a transfer that is out of the pool. */
extern void onec_transfer_release(OnecTransfer *transfer);

#endif							/* ONEC_HTTP_TRANSFER_H */
