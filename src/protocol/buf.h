/*-------------------------------------------------------------------------
 *
 * buf.h
 *	  A growing byte buffer on malloc.
 *
 * The protocol layer lives without a server, and inside library callbacks, so
 * it cannot palloc.  Failure to grow is remembered in the buffer: appends after
 * it do nothing and the caller checks "failed" once at the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_BUF_H
#define ONEC_BUF_H

#include <stdbool.h>
#include <stddef.h>

typedef struct OnecBuf
{
	char	   *data;			/* NUL-terminated unless NULL */
	size_t		len;
	size_t		cap;
	bool		failed;			/* an allocation failed; content is incomplete */
} OnecBuf;

/* Make an empty buffer that holds no memory yet. */
extern void onec_buf_init(OnecBuf *buf);

/* Forget the content, keep the memory. */
extern void onec_buf_clear(OnecBuf *buf);

/* Give the memory back; the buffer is empty and usable again. */
extern void onec_buf_free(OnecBuf *buf);

/* Room for "more" further bytes and the terminator; false when out of memory. */
extern bool onec_buf_reserve(OnecBuf *buf, size_t more);

extern void onec_buf_append(OnecBuf *buf, const char *data, size_t len);
extern void onec_buf_puts(OnecBuf *buf, const char *text);
extern void onec_buf_putc(OnecBuf *buf, char c);

/* Drop "n" bytes at the front (n <= len), moving the rest down. */
extern void onec_buf_shift(OnecBuf *buf, size_t n);

#endif							/* ONEC_BUF_H */
