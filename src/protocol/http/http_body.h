/*-------------------------------------------------------------------------
 *
 * http_body.h
 *	  What a request carries to the server, sent at most once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HTTP_BODY_H
#define ONEC_HTTP_BODY_H

#include <stdbool.h>

#include <curl/curl.h>

#include "protocol/http/http.h"

/* Whether the server may change something by it: any method but GET. */
extern bool onec_http_changes(const OnecHttpRequest *request);

/*
 * Keep a copy of the body for the transfer, and tell libcurl method and body.  A request that may change
 * something is never sent twice: libcurl would send it again over a new connection where an open one turns
 * out dead, so one with a body cannot be rewound, and one without goes over a connection of its own.
 */
extern CURLcode onec_http_body_set(CURL *easy, OnecTransfer *transfer, const OnecHttpRequest *request);

/* Forget the copy. */
extern void onec_http_body_free(OnecTransfer *transfer);

#endif							/* ONEC_HTTP_BODY_H */
