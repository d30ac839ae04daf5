/*-------------------------------------------------------------------------
 *
 * resource.c
 *	  What a link of 1C leads to: the bytes of a file.
 *
 * A link is followed only below the address of the base itself: whoever can write a file into 1C must not
 * have this server ask hosts of his choice.  Redirects are never followed (http.h).
 *
 * Memory: the caller's context.  Errors: ereport; an answer in which 1C refuses is NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "compat.h"
#include "protocol/odata/odata.h"
#include "session/metadata.h"
#include "session/session.h"
#include "sql/wrapper.h"
#include "table/options.h"
#include "table/text.h"

PG_FUNCTION_INFO_V1(onec_own_address);
PG_FUNCTION_INFO_V1(onec_resource);

static OnecOptions *
options_of(const char *name)
{
	return onec_options_of_server(onec_wrapper_server(name)->serverid);
}

/* What follows "base" and a slash in "address", or NULL. */
static const char *
behind(const char *base, const char *address)
{
	size_t		len = strlen(base);

	return strncmp(address, base, len) == 0 && address[len] == '/' ? address + len + 1 : NULL;
}

/* Whether it names a host or a scheme, leads upwards, or holds what no link of 1C has. */
static bool
leads_away(const char *path)
{
	size_t		head = strcspn(path, "/(");

	if (path[0] == '\0' || path[0] == '/' || memchr(path, ':', head) != NULL ||
		strstr(path, "..") != NULL || strcasestr(path, "%2e") != NULL || strcasestr(path, "%2f") != NULL)
		return true;
	for (const char *c = path; *c != '\0'; c++)
		if ((unsigned char) *c <= ' ' || strchr("\\?#\x7f", *c) != NULL)
			return true;
	return false;
}

/* The part of an address that stands below the root of the base; NULL: it leads elsewhere. */
static const char *
own_part(const OnecOptions *options, const char *address)
{
	const char *host = strstr(options->root, "://") + 3;
	const char *path = host + strcspn(host, "/");
	const char *part = behind(options->root, address);

	if (part == NULL && address[0] == '/')
		part = behind(path, address);
	else if (part == NULL)
		part = address;
	return part == NULL || leads_away(part) ? NULL : part;
}

/* onec_internal.own_address(server name, address text): what follows the base's own; NULL: it leads away */
Datum
onec_own_address(PG_FUNCTION_ARGS)
{
	const OnecOptions *options = options_of(NameStr(*PG_GETARG_NAME(0)));
	const char *part = own_part(options, onec_utf8(text_to_cstring(PG_GETARG_TEXT_PP(1))));

	if (part == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(onec_server_text(part)));
}

/* onec_internal.resource(server name, address text, max_bytes int): NULL where 1C has nothing there */
Datum
onec_resource(PG_FUNCTION_ARGS)
{
	OnecOptions *options = options_of(NameStr(*PG_GETARG_NAME(0)));
	OnecRequest request = {.top = -1};
	OnecError	error;
	char	   *body;
	size_t		len;
	bytea	   *found;

	request.resource = own_part(options, onec_utf8(text_to_cstring(PG_GETARG_TEXT_PP(1))));
	if (request.resource == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("link of server \"%s\" leads to another host", options->server_name)));
	options->max_response = Min(options->max_response, PG_GETARG_INT32(2));
	if (!onec_session_fetch(onec_session_get(options, GetUserId()), options, &request, NULL, &body, &len,
							&error))
		PG_RETURN_NULL();
	found = palloc(VARHDRSZ + len);
	SET_VARSIZE(found, VARHDRSZ + len);
	memcpy(VARDATA(found), body, len);
	PG_RETURN_BYTEA_P(found);
}
