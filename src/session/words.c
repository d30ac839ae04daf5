/*-------------------------------------------------------------------------
 *
 * words.c
 *	  What 1C's own words in an error mean: which part of the request it refuses, or that it is busy.
 *
 * A refusal is believed only where 1C itself speaks and names what it refuses.  Its texts are Russian or
 * English whatever "lang" says, and differ between versions, so a few phrases have to do; the pager tries
 * whether they tell the truth.
 *
 * Memory: none.  Errors: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "onec_error.h"
#include "protocol/odata/odata.h"
#include "session/reply.h"
#include "session/session_private.h"
#include "session/words.h"

/* Bytes of a page that are searched for a known phrase. */
#define PHRASE_WINDOW 65536

/* Numbers of 1C's odata.error that mean a part of the request. */
#define CODE_BAD_URL 6
#define CODE_NO_METHOD 11
#define CODE_OPTION 14
#define CODE_FORBIDDEN 19
#define CODE_FUNCTION 21

bool
onec_words_hold(const char *body, size_t len, const char *phrase)
{
	return len > 0 && memmem(body, Min(len, PHRASE_WINDOW), phrase, strlen(phrase)) != NULL;
}

/* In the body as it came, or in what was understood of it. */
static bool
says(const OnecError *error, const char *body, size_t len, const char *const *phrases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(error->message, phrases[i]) != NULL || onec_words_hold(body, len, phrases[i]))
			return true;
	return false;
}

#define SAYS(phrases) says(error, body, len, phrases, lengthof(phrases))

/* Whether a text has the word, or one that begins with it: "session" is not in "expression". */
static bool
has_word(const char *text, const char *word)
{
	for (const char *p = text; (p = strstr(p, word)) != NULL; p++)
		if (p == text || (!IS_HIGHBIT_SET(p[-1]) && !isalpha((unsigned char) p[-1])))
			return true;
	return false;
}

bool
onec_words_session(const OnecError *error)
{
	return has_word(error->message, "Сеанс") || has_word(error->message, "сеанс") ||
		has_word(error->message, "Session") || has_word(error->message, "session");
}

bool
onec_words_path(const OnecError *error)
{
	return strstr(error->message, "Сегмент пути") != NULL || strstr(error->message, "ath segment") != NULL;
}

bool
onec_words_pass(const OnecError *error, const char *body, size_t len)
{
	static const char *const phrases[] = {
		"лицензи", "Лицензи",
		"\xeb\xe8\xf6\xe5\xed\xe7\xe8", "\xcb\xe8\xf6\xe5\xed\xe7\xe8",	/* the same in cp1251 */
		"licence", "Licence", "license", "License",
		"локиров"
	};

	return SAYS(phrases) || onec_words_session(error) ||
		has_word(error->message, "lock") || has_word(error->message, "Lock") ||
		has_word(error->message, "deadlock");
}

/* Whether the text names a function that the request's condition calls. */
static bool
names_function(const OnecReply *reply, const char *text)
{
	static const char *const functions[] = {
		"startswith", "endswith", "substringof", "like", "cast", "isof", "year", "quarter", "month", "day",
		"hour",
		"minute", "second", "datedifference", "dateadd", "concat", "substring", "isnull"
	};

	for (size_t i = 0; i < lengthof(functions); i++)
	{
		const char *call = reply->text.data ? strstr(reply->text.data, functions[i]) : NULL;

		if (call != NULL && call[strlen(functions[i])] == '(' && has_word(text, functions[i]))
			return true;
	}
	return false;
}

static bool
names_count(const OnecError *error)
{
	if (strstr(error->message, "$count") != NULL)
		return true;
	return error->has_code && (error->odata_code == CODE_BAD_URL || error->odata_code == CODE_NO_METHOD ||
							   error->odata_code == CODE_FORBIDDEN || error->odata_code == CODE_FUNCTION);
}

unsigned
onec_words_blame(const OnecReply *reply, const OnecError *error, const char *body, size_t len)
{
	static const char *const any[] = {
		"AUTOORDER", "перация не разрешена", "peration is not allowed", "peration not allowed"
	};
	static const char *const of_filter[] = {
		"$filter", ONEC_CONDITION, "есоответствие типов", "ype mismatch", "неограниченной длины",
		"Неверные параметры", "отбор"
	};
	static const char *const of_order[] = {"$orderby", "неограниченной длины", "упорядоч"};
	unsigned	parts = 0;

	if (!error->own_words || onec_words_pass(error, body, len))
		return 0;
	if (SAYS(any))
		return reply->parts;
	if (SAYS(of_filter) || names_function(reply, error->message))
		parts |= ONEC_PART_FILTER;
	if (SAYS(of_order))
		parts |= ONEC_PART_ORDER;
	if (names_count(error))
		parts |= ONEC_PART_COUNT;
	if (parts == 0 && error->has_code && (error->odata_code == CODE_OPTION ||
										  error->odata_code == CODE_FUNCTION))
		parts = ONEC_PART_FILTER | ONEC_PART_ORDER;
	return parts & reply->parts;
}
