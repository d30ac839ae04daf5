/*-------------------------------------------------------------------------
 *
 * http_window.c
 *	  What a caller sees of a transfer: the window of unread bytes, and the answer.
 *
 * Bytes are appended behind and consumed in front; they move only in http_transfer.c, when more come.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/http/http_window.h"

#include "onec_error.h"
#include "protocol/http/http.h"
#include "protocol/http/http_private.h"

size_t
onec_transfer_unread(const OnecTransfer *transfer)
{
	return transfer->body.len - transfer->consumed;
}

bool
onec_transfer_window_full(const OnecTransfer *transfer)
{
	size_t		unread = onec_transfer_unread(transfer);
	const OnecTransfer *starting = transfer->http->starting;

	/* the caller may hold a pointer into this window: keep still */
	if (transfer->pinned || (starting != NULL && starting != transfer))
		return true;
	return transfer->high_water > 0 && unread > transfer->high_water && unread > transfer->wanted;
}

void
onec_transfer_pin(OnecTransfer *transfer, bool pinned)
{
	transfer->pinned = pinned;
}

bool
onec_transfer_done(const OnecTransfer *transfer)
{
	return transfer->ended && transfer->error.kind == ONEC_OK;
}

bool
onec_transfer_paused(const OnecTransfer *transfer)
{
	return transfer->paused;
}

bool
onec_transfer_ended(const OnecTransfer *transfer)
{
	return transfer->ended;
}

const char *
onec_transfer_data(const OnecTransfer *transfer, size_t *len)
{
	*len = onec_transfer_unread(transfer);
	return *len > 0 ? transfer->body.data + transfer->consumed : "";
}

void
onec_transfer_consume(OnecTransfer *transfer, size_t n)
{
	transfer->consumed += n;
}

void
onec_transfer_answer(const OnecTransfer *transfer, OnecHttpAnswer *answer)
{
	int64_t		until = transfer->ended ? transfer->ended_at : onec_http_now();
	curl_off_t	coded = (curl_off_t) transfer->coded_bytes;
	long		connects = 0;

	answer->status = transfer->status;
	answer->content_type = transfer->content_type;
	answer->location = transfer->location;
	answer->cookie = transfer->cookie;
	answer->retry_after_s = transfer->retry_after_s;
	answer->body_bytes = transfer->body_bytes;
	answer->sent = transfer->connected || transfer->sent > 0;
	answer->reused = transfer->reused;
	if (!transfer->ended)
	{
		(void) curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &coded);
		(void) curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
		answer->reused = transfer->connected && connects == 0;
	}
	answer->wire_bytes = (int64_t) transfer->header_bytes + (int64_t) coded;
	answer->elapsed_ms = (double) (until - transfer->started_at) / 1000;
}
