/*-------------------------------------------------------------------------
 *
 * mask.c
 *	  Login data that a server echoes go into no message.
 *
 * What is masked: the password, "user:password", and the base64 of either, as they are or written for a URL,
 * a page of HTML or JSON.  A password of less than six characters is masked inside "user:password" only, for
 * it may be a word.
 *
 * Memory: the secrets are kept in the session's context, and wiped with the login.  Errors: none are raised
 * but for want of memory when the secrets are made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "protocol/hex.h"
#include "session/mask.h"
#include "session/session.h"
#include "session/session_private.h"

#define SHORTEST_PASSWORD 6		/* characters that are masked wherever they stand */
#define TELLING 4				/* bytes of a secret that are one, at the end of a text that was cut */
#define LONGEST_ESCAPE 6
#define MASK "***"

typedef struct OnecSecret
{
	char	   *bytes;
	size_t		len;
	bool		coded;			/* base64: its "+" and "/" may be written "-" and "_" */
} Secret;

/* ---- the secrets of a login ---- */

static void
add_secret(OnecSession *session, const char *bytes, size_t len, bool coded)
{
	Secret	   *secret = MemoryContextAlloc(session->context, sizeof(Secret));
	MemoryContext old;

	while (coded && len > 0 && bytes[len - 1] == '=')
		len--;
	secret->bytes = MemoryContextAlloc(session->context, len + 1);
	memcpy(secret->bytes, bytes, len);
	secret->bytes[len] = '\0';
	secret->len = len;
	secret->coded = coded;
	old = MemoryContextSwitchTo(session->context);
	session->secrets = lappend(session->secrets, secret);
	MemoryContextSwitchTo(old);
}

/* Of UTF-8. */
static int
characters(const char *text, int len)
{
	int			count = 0;

	for (int i = 0; i < len; i++)
		count += (text[i] & 0xC0) != 0x80;
	return count;
}

/* The password alone, and its base64. */
static void
add_password(OnecSession *session, const char *password, int len)
{
	int			room = pg_b64_enc_len(len) + 1;
	char	   *code;
	int			done;

	if (characters(password, len) < SHORTEST_PASSWORD)
		return;
	add_secret(session, password, len, false);
	code = palloc(room);
	done = pg_b64_encode((const void *) password, len, code, room);
	if (done > 0)
		add_secret(session, code, done, true);
	explicit_bzero(code, room);
	pfree(code);
}

void
onec_mask_forget(OnecSession *session)
{
	ListCell   *lc;

	foreach(lc, session->secrets)
	{
		Secret	   *secret = lfirst(lc);

		explicit_bzero(secret->bytes, secret->len);
		pfree(secret->bytes);
	}
	list_free_deep(session->secrets);
	session->secrets = NIL;
}

void
onec_mask_learn(OnecSession *session)
{
	const char *token = strchr(session->authorization, ' ');
	int			len;
	int			room;
	char	   *pair;
	char	   *colon;

	if (token == NULL)
		return;
	token++;
	len = (int) strlen(token);
	if (len < (int) strlen(MASK))
		return;
	add_secret(session, token, len, true);
	room = pg_b64_dec_len(len) + 1;
	pair = palloc0(room);
	len = pg_b64_decode(token, len, (void *) pair, room - 1);
	colon = len > 0 ? memchr(pair, ':', len) : NULL;
	/* without a password there is nothing to hide */
	if (colon != NULL && colon + 1 < pair + len && len >= (int) strlen(MASK))
	{
		add_secret(session, pair, len, false);
		add_password(session, colon + 1, (int) (pair + len - colon) - 1);
	}
	explicit_bzero(pair, room);
	pfree(pair);
}

/* ---- looking for them ---- */

static bool
is_blank(unsigned char c)
{
	return c <= ' ' || c == 0x7f;
}

/*
 * What is written for a URL, HTML or JSON at "p", for a URL "twice" maybe: its bytes in UTF-8, and how many
 * bytes of the text it takes; 0: it is nothing of the kind.
 */
static size_t
decode(const char *p, bool twice, unsigned char *out, int *nout)
{
	static const struct
	{
		const char *text;
		char		byte;
	}			names[] = {
		{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&#39;", '\''},
		{"&#34;", '"'},
		{"&#x27;", '\''}, {"\\\"", '"'}, {"\\\\", '\\'}, {"\\/", '/'}, {"+", ' '}
	};
	int			value;

	*nout = 1;
	for (size_t i = 0; i < lengthof(names); i++)
		if (pg_strncasecmp(p, names[i].text, strlen(names[i].text)) == 0)
		{
			out[0] = names[i].byte;
			return strlen(names[i].text);
		}
	if (twice ? strncmp(p, "%25", 3) == 0 : p[0] == '%')
	{
		size_t		skip = twice ? 3 : 1;

		value = onec_hex(p + skip, 2);
		out[0] = (unsigned char) value;
		return value >= 0 ? skip + 2 : 0;
	}
	if (p[0] == '\\' && p[1] == 'u' && (value = onec_hex(p + 2, 4)) > 0)
	{
		(void) unicode_to_utf8(value, out);
		*nout = pg_utf_mblen(out);
		return 6;
	}
	return 0;
}

static bool
is_same(const Secret *secret, char a, char b)
{
	if (secret->coded && ((a == '-' && b == '+') || (a == '_' && b == '/')))
		return true;
	return pg_ascii_tolower((unsigned char) a) == pg_ascii_tolower((unsigned char) b);
}

/* Whether the secret goes on with these bytes. */
static bool
begins_with(const Secret *secret, size_t at, const unsigned char *bytes, int count)
{
	if (at + count > secret->len)
		return false;
	for (int i = 0; i < count; i++)
		if (!is_same(secret, (char) bytes[i], secret->bytes[at + i]))
			return false;
	return true;
}

/*
 * Where the secret from its byte "at" on ends in the text at "p", or NULL.  "cut": the text may end before
 * it.
 */
static const char *
match(const Secret *secret, size_t at, const char *p, bool cut)
{
	const char *found = NULL;

	if (at == secret->len)
		return p;
	if (*p == '\0')
		return cut && at >= TELLING ? p : NULL;
	if (is_blank(secret->bytes[at]) && is_blank(*p))
	{
		while (at < secret->len && is_blank(secret->bytes[at]))
			at++;
		while (*p != '\0' && is_blank(*p))
			p++;
		return match(secret, at, p, cut);
	}
	/* so may it within an escape */
	if (cut && at >= TELLING && strchr("&%\\", *p) != NULL && strlen(p) < LONGEST_ESCAPE)
		return p + strlen(p);
	if (is_same(secret, *p, secret->bytes[at]))
		found = match(secret, at + 1, p + 1, cut);
	for (int twice = 0; twice < 2 && found == NULL; twice++)
	{
		unsigned char out[8];
		int			nout;
		size_t		n = decode(p, twice != 0, out, &nout);

		if (n > 0 && begins_with(secret, at, out, nout))
			found = match(secret, at + nout, p + n, cut);
	}
	return found;
}

/* The end of the longest secret that begins at "p"; NULL: none does. */
static const char *
secret_end(const OnecSession *session, const char *p, bool cut)
{
	const char *end = NULL;
	ListCell   *lc;

	foreach(lc, session->secrets)
	{
		const Secret *secret = lfirst(lc);
		const char *found = match(secret, 0, p, cut);

		while (found != NULL && secret->coded && *found == '=')
			found++;
		if (found != NULL && (end == NULL || found > end))
			end = found;
	}
	return end;
}

void
onec_mask(const OnecSession *session, char *text, size_t size)
{
	/* a text that fills its room was cut; so was, maybe, a character at its end */
	bool		cut = strlen(text) + MAX_MULTIBYTE_CHAR_LEN >= size;
	const char *p = text;
	char	   *out = text;

	while (*p != '\0')
	{
		const char *end = secret_end(session, p, cut);

		if (end == NULL)
		{
			*out++ = *p++;
			continue;
		}
		/* the text must not grow, though a secret of blanks may be shorter than its mask */
		memcpy(out, MASK, Min(strlen(MASK), (size_t) (end - p)));
		out += Min(strlen(MASK), (size_t) (end - p));
		p = end;
	}
	*out = '\0';
}
