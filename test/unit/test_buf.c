/*-------------------------------------------------------------------------
 *
 * test_buf.c
 *	  The growing byte buffer: growth, shifting, and the sticky failure.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/buf.h"

#include <stdint.h>

#include "tap.h"

static void
test_append(void)
{
	OnecBuf		buf;

	onec_buf_init(&buf);
	ok(buf.data == NULL && buf.len == 0 && buf.cap == 0 && !buf.failed, "an empty buffer holds no memory");
	onec_buf_append(&buf, NULL, 0);
	is_int(buf.len, 0, "nothing appended");
	onec_buf_puts(&buf, "abc");
	onec_buf_putc(&buf, 'd');
	onec_buf_append(&buf, "e\0f", 3);
	is_int(buf.len, 7, "length with a NUL byte inside");
	ok(memcmp(buf.data, "abcde\0f", 8) == 0, "content and terminator");
	onec_buf_free(&buf);
	ok(buf.data == NULL && buf.cap == 0, "freed");
	onec_buf_puts(&buf, "again");
	is_str(buf.data, "again", "usable after free");
	onec_buf_free(&buf);
}

static void
test_growth(void)
{
	OnecBuf		buf;
	int			moves = 0;
	size_t		cap = 0;
	bool		good = true;

	onec_buf_init(&buf);
	for (int i = 0; i < 100000; i++)
	{
		onec_buf_putc(&buf, (char) ('a' + i % 26));
		if (buf.cap != cap)
			moves++;
		cap = buf.cap;
	}
	for (int i = 0; i < 100000; i++)
		good = good && buf.data[i] == (char) ('a' + i % 26);
	ok(good && buf.len == 100000 && buf.data[100000] == '\0', "content survives growth");
	ok(moves <= 12, "capacity doubles (%d moves)", moves);
	onec_buf_clear(&buf);
	ok(buf.len == 0 && buf.cap == cap && buf.data[0] == '\0', "clear keeps the memory");
	ok(onec_buf_reserve(&buf, cap - 1) && buf.cap == cap, "reserve within the capacity moves nothing");
	ok(onec_buf_reserve(&buf, cap) && buf.cap > cap, "the terminator is counted");
	onec_buf_free(&buf);
}

static void
test_shift(void)
{
	OnecBuf		buf;

	onec_buf_init(&buf);
	onec_buf_shift(&buf, 0);
	ok(buf.data == NULL, "no shift of an empty buffer");
	onec_buf_puts(&buf, "0123456789");
	onec_buf_shift(&buf, 4);
	is_str(buf.data, "456789", "front dropped");
	is_int(buf.len, 6, "length after shift");
	onec_buf_shift(&buf, 6);
	is_str(buf.data, "", "everything dropped");
	onec_buf_free(&buf);
}

static void
test_failure(void)
{
	OnecBuf		buf;

	onec_buf_init(&buf);
	onec_buf_puts(&buf, "kept");
	ok(!onec_buf_reserve(&buf, SIZE_MAX), "more than any memory is refused");
	ok(buf.failed, "the failure is remembered");
	onec_buf_puts(&buf, "lost");
	is_str(buf.data, "kept", "appends after a failure do nothing");
	ok(!onec_buf_reserve(&buf, 1), "reserve after a failure fails");
	onec_buf_clear(&buf);
	onec_buf_puts(&buf, "new");
	is_str(buf.data, "new", "clear forgets the failure");
	onec_buf_free(&buf);
}

int
main(void)
{
	test_append();
	test_growth();
	test_shift();
	test_failure();
	return tap_done();
}
