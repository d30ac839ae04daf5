/*-------------------------------------------------------------------------
 *
 * http_inflate.c
 *	  Compressed answers, checked to their last byte.
 *
 * libcurl takes a gzip answer that lacks its trailer (checksum and length) for complete, so the bytes are
 * inflated here: an answer is whole when zlib has seen the end and found the checksum right.
 *
 * Memory: zlib's by malloc, freed by onec_inflate_free(); what comes out is appended to the transfer's
 * window.  Errors: noted in the transfer, the first one stays.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/http/http_inflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/http/http.h"
#include "protocol/http/http_private.h"
#include "protocol/http/http_window.h"

#define ROOM (64 * 1024)		/* in the window, before each step */
#define ANY_HEADER (15 + 32)	/* zlib's or gzip's */
#define NO_HEADER (-15)			/* what some servers call deflate */

struct OnecInflate
{
	z_stream	stream;
	size_t		taken;			/* bytes of the piece that was paused; libcurl gives it again */
	bool		begun;			/* something came out: there is a header, or none */
	bool		done;			/* the end was seen, and its checksum is right */
};

bool
onec_inflate_begin(OnecTransfer *transfer)
{
	OnecInflate *coded = calloc(1, sizeof(OnecInflate));

	if (coded == NULL || inflateInit2(&coded->stream, ANY_HEADER) != Z_OK)
	{
		free(coded);
		return onec_fail(&transfer->error, ONEC_ERR_MEMORY, "out of memory");
	}
	transfer->coded = coded;
	return true;
}

/*
 * One step of zlib, whose result it returns.  No more comes out than "limit" and a byte that shows that there
 * is more.
 */
static int
step(OnecInflate *coded, OnecBuf *out, uint64_t limit)
{
	z_stream   *stream = &coded->stream;
	size_t		room = limit < ROOM ? (size_t) limit + 1 : ROOM;
	int			result;

	if (!onec_buf_reserve(out, room))
		return Z_MEM_ERROR;
	stream->next_out = (Bytef *) out->data + out->len;
	stream->avail_out = (uInt) room;
	result = inflate(stream, Z_NO_FLUSH);
	out->len += room - stream->avail_out;
	out->data[out->len] = '\0';
	return result;
}

/* Begin again without a header, if the first bytes show that there is none. */
static bool
try_bare(OnecInflate *coded, const char *data, size_t len)
{
	if (coded->begun || inflateReset2(&coded->stream, NO_HEADER) != Z_OK)
		return false;
	coded->begun = true;
	coded->stream.next_in = (Bytef *) data;
	coded->stream.avail_in = (uInt) len;
	return true;
}

static bool
fail_step(OnecTransfer *transfer, int result)
{
	if (result == Z_MEM_ERROR)
		return onec_fail(&transfer->error, ONEC_ERR_MEMORY, "out of memory");
	return onec_fail(&transfer->error, ONEC_ERR_REPLY, "compressed answer is damaged");
}

/* Take in the result of a step that made the window longer than "before". */
static bool
note_step(OnecTransfer *transfer, int result, size_t before, uint64_t limit)
{
	OnecInflate *coded = transfer->coded;
	size_t		more = transfer->body.len - before;

	if (result != Z_OK && result != Z_STREAM_END)
		return fail_step(transfer, result);
	if (more > limit)
		return onec_fail(&transfer->error, ONEC_ERR_LIMIT, "answer is larger than the limit of %zu bytes",
						 transfer->max_response);
	coded->begun = coded->begun || more > 0;
	coded->done = result == Z_STREAM_END;
	transfer->body_bytes += (int64_t) more;
	return true;
}

OnecInflated
onec_inflate_feed(OnecTransfer *transfer, const char *data, size_t len)
{
	OnecInflate *coded = transfer->coded;
	z_stream   *stream = &coded->stream;
	bool		more = true;	/* zlib may hold what there was no room for */

	stream->next_in = (Bytef *) data + coded->taken;
	stream->avail_in = (uInt) (len - coded->taken);
	coded->taken = 0;
	while (stream->avail_in > 0 || (more && !coded->done))
	{
		uint64_t	limit = transfer->max_response - (uint64_t) transfer->body_bytes;
		size_t		before = transfer->body.len;
		int			result;

		if (onec_transfer_window_full(transfer))
		{
			coded->taken = len - stream->avail_in;
			return ONEC_INFLATE_PAUSED;
		}
		result = coded->done ? Z_DATA_ERROR : step(coded, &transfer->body, limit);
		if (result == Z_DATA_ERROR && !coded->done && try_bare(coded, data, len))
			continue;
		/* no progress for want of bytes: they are to come */
		if (result == Z_BUF_ERROR)
			break;
		if (!note_step(transfer, result, before, limit))
			return ONEC_INFLATE_FAILED;
		more = stream->avail_out == 0;
	}
	return ONEC_INFLATE_TAKEN;
}

bool
onec_inflate_is_whole(const OnecTransfer *transfer)
{
	return transfer->coded == NULL || transfer->coded->done;
}

void
onec_inflate_free(OnecTransfer *transfer)
{
	if (transfer->coded != NULL)
		(void) inflateEnd(&transfer->coded->stream);
	free(transfer->coded);
	transfer->coded = NULL;
}
