/*-------------------------------------------------------------------------
 *
 * http_answer.h
 *	  Header lines and failures of a transfer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HTTP_ANSWER_H
#define ONEC_HTTP_ANSWER_H

#include <curl/curl.h>

#include "protocol/http/http.h"

/* Take note of a status or header line of the final answer, without its line end. */
extern void onec_answer_line(OnecTransfer *transfer, const char *line, size_t len);

/* Put a failure that libcurl reported into the transfer's error. */
extern void onec_answer_explain(OnecTransfer *transfer, CURLcode code);

#endif							/* ONEC_HTTP_ANSWER_H */
