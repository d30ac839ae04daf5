/*-------------------------------------------------------------------------
 *
 * buf.c
 *	  A growing byte buffer on malloc.
 *
 * Memory: one malloc'ed block per buffer, owned by it, at least doubled when it
 * grows, so that appending is linear.  Errors: a failed allocation is remembered
 * in the buffer ("failed") and later appends do nothing; the caller checks once.
 * onec_buf_clear() keeps the memory but also forgets the failure.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

void
onec_buf_init(OnecBuf *buf)
{
	buf->data = NULL;
	buf->len = 0;
	buf->cap = 0;
	buf->failed = false;
}

void
onec_buf_clear(OnecBuf *buf)
{
	buf->len = 0;
	buf->failed = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

void
onec_buf_free(OnecBuf *buf)
{
	free(buf->data);
	onec_buf_init(buf);
}

bool
onec_buf_reserve(OnecBuf *buf, size_t more)
{
	size_t		need;
	size_t		cap;
	char	   *data;

	if (buf->failed)
		return false;
	if (more > SIZE_MAX / 2 - 1 - buf->len)
	{
		buf->failed = true;
		return false;
	}
	need = buf->len + more + 1;
	if (need <= buf->cap)
		return true;
	/* need and cap are both below half of SIZE_MAX, so doubling cannot wrap */
	cap = buf->cap > 0 ? buf->cap * 2 : FIRST_CAPACITY;
	if (cap < need)
		cap = need;
	data = realloc(buf->data, cap);
	if (data == NULL)
	{
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->cap = cap;
	data[buf->len] = '\0';
	return true;
}

void
onec_buf_append(OnecBuf *buf, const char *data, size_t len)
{
	if (!onec_buf_reserve(buf, len))
		return;
	/* memcpy() from NULL is undefined even for no bytes */
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void
onec_buf_puts(OnecBuf *buf, const char *text)
{
	onec_buf_append(buf, text, strlen(text));
}

void
onec_buf_putc(OnecBuf *buf, char c)
{
	onec_buf_append(buf, &c, 1);
}

void
onec_buf_shift(OnecBuf *buf, size_t n)
{
	if (n == 0)
		return;
	memmove(buf->data, buf->data + n, buf->len - n);
	buf->len -= n;
	buf->data[buf->len] = '\0';
}
