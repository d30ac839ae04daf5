/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  The few assertions of the unit tests, printed as TAP.
 *
 * A test program runs its checks and ends with "return tap_done();", which
 * prints the plan and gives the exit status: 0 only if at least one check ran
 * and none failed.  A program that stops early prints no plan, which a TAP
 * reader takes for a failure.  Every check returns whether it passed.
 *
 *	  #include "tap.h"
 *
 *	  int
 *	  main(void)
 *	  {
 *		  is_int(1 + 1, 2, "sum");
 *		  return tap_done();
 *	  }
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TEST_TAP_H
#define ONEC_TEST_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A header-only helper: a test need not use all of it. */
#define TAP_UNUSED __attribute__((unused))

static int	tap_run TAP_UNUSED = 0;
static int	tap_failed TAP_UNUSED = 0;

/* The base of all checks: the name is a printf format. */
static bool TAP_UNUSED
__attribute__((format(printf, 4, 5)))
tap_ok_at(bool passed, const char *file, int line, const char *format,...)
{
	va_list		args;
	char		name[500];

	tap_run++;
	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	/* a line feed would end the check, a # would begin a directive */
	for (char *p = name; *p != '\0'; p++)
	{
		if ((unsigned char) *p < ' ' || *p == '#')
			*p = '?';
	}
	printf("%sok %d - %s\n", passed ? "" : "not ", tap_run, name);
	if (!passed)
	{
		tap_failed++;
		printf("#   failed at %s line %d\n", file, line);
	}
	fflush(stdout);
	return passed;
}

/* Print a text of any bytes on one line. */
static void TAP_UNUSED
tap_show(const char *what, const char *text)
{
	printf("#   %s: ", what);
	if (text == NULL)
		printf("NULL");
	else
	{
		putchar('"');
		for (const unsigned char *p = (const unsigned char *) text; *p != '\0'; p++)
		{
			if (*p < 0x20 || *p == 0x7f)
				printf("\\x%02x", *p);
			else
				putchar(*p);
		}
		putchar('"');
	}
	putchar('\n');
	fflush(stdout);
}

static bool TAP_UNUSED
tap_int_at(long long got, long long want, const char *name, const char *file, int line)
{
	bool		passed = tap_ok_at(got == want, file, line, "%s", name);

	if (!passed)
		printf("#   got: %lld\n#   want: %lld\n", got, want);
	return passed;
}

static bool TAP_UNUSED
tap_str_at(const char *got, const char *want, const char *name, const char *file, int line)
{
	bool		same = (got == NULL || want == NULL) ? got == want : strcmp(got, want) == 0;

	tap_ok_at(same, file, line, "%s", name);
	if (!same)
	{
		tap_show("got", got);
		tap_show("want", want);
	}
	return same;
}

static bool TAP_UNUSED
tap_contains_at(const char *got, const char *part, const char *name, const char *file, int line)
{
	bool		found = got != NULL && strstr(got, part) != NULL;

	tap_ok_at(found, file, line, "%s", name);
	if (!found)
	{
		tap_show("got", got);
		tap_show("want inside", part);
	}
	return found;
}

static bool TAP_UNUSED
tap_bytes_at(const char *got, size_t got_len, const char *want, const char *file, int line)
{
	bool		same = got != NULL && got_len == strlen(want) && memcmp(got, want, got_len) == 0;

	if (!same)
	{
		printf("#   %s line %d: %zu bytes: \"%.*s\"\n", file, line, got_len,
			   got == NULL ? 0 : (int) got_len, got == NULL ? "" : got);
		tap_show("want", want);
	}
	return same;
}

/* ok(condition, "name %d", …) */
#define ok(condition, ...) tap_ok_at((condition), __FILE__, __LINE__, __VA_ARGS__)
#define pass(...) tap_ok_at(true, __FILE__, __LINE__, __VA_ARGS__)
#define fail(...) tap_ok_at(false, __FILE__, __LINE__, __VA_ARGS__)

/* is_int(got, want, "name"): any integer, boolean or enum */
#define is_int(got, want, name) \
	tap_int_at((long long) (got), (long long) (want), (name), __FILE__, __LINE__)

/* is_str(got, want, "name"): C strings, NULL equals only NULL */
#define is_str(got, want, name) tap_str_at((got), (want), (name), __FILE__, __LINE__)

/* is_mem(got, len, "want", "name"): bytes that have no terminator */
#define is_mem(got, len, want, name) \
	tap_ok_at(tap_bytes_at((got), (len), (want), __FILE__, __LINE__), __FILE__, __LINE__, "%s", (name))

/* contains(got, "part", "name"): "part" is somewhere in "got" */
#define contains(got, part, name) tap_contains_at((got), (part), (name), __FILE__, __LINE__)

/* One line that only people read. */
static void TAP_UNUSED
__attribute__((format(printf, 1, 2)))
diag(const char *format,...)
{
	va_list		args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* A check that cannot be made here, e.g. for want of data. */
static void TAP_UNUSED
skip(const char *reason)
{
	tap_run++;
	printf("ok %d # skip %s\n", tap_run, reason);
	fflush(stdout);
}

/* Everything that follows would be meaningless: stop. */
static void TAP_UNUSED
bail_out(const char *reason)
{
	printf("Bail out! %s\n", reason);
	exit(1);
}

/* The plan; the exit status of the program. */
static int TAP_UNUSED
tap_done(void)
{
	printf("1..%d\n", tap_run);
	if (tap_failed > 0)
		printf("# %d of %d failed\n", tap_failed, tap_run);
	fflush(stdout);
	return (tap_run > 0 && tap_failed == 0) ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif							/* ONEC_TEST_TAP_H */
