/*-------------------------------------------------------------------------
 *
 * http_inflate.h
 *	  Compressed answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HTTP_INFLATE_H
#define ONEC_HTTP_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/http/http.h"

/*
 * Append what the bytes hold to the window.  PAUSED when that is full: the same bytes, and those behind them,
 * are to come again.  FAILED with the transfer's error set (REPLY, LIMIT, MEMORY).
 */
typedef enum OnecInflated
{
	ONEC_INFLATE_TAKEN,
	ONEC_INFLATE_PAUSED,
	ONEC_INFLATE_FAILED
} OnecInflated;

/* The body that follows is compressed; false with the transfer's error set when out of memory. */
extern bool onec_inflate_begin(OnecTransfer *transfer);

extern OnecInflated onec_inflate_feed(OnecTransfer *transfer, const char *data, size_t len);

/* Whether the end of a compressed body was seen and is right; true for others. */
extern bool onec_inflate_is_whole(const OnecTransfer *transfer);

extern void onec_inflate_free(OnecTransfer *transfer);

#endif							/* ONEC_HTTP_INFLATE_H */
