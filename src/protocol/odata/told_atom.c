/*-------------------------------------------------------------------------
 *
 * told_atom.c
 *	  A message of an exchange plan as an Atom feed, read with expat.
 *
 * An object that has changed is an entry, one that is gone a deleted-entry (RFC 6721).  Elements are known by
 * their local names and their depth, for a tabular part has a Ref_Key in each of its rows.
 *
 * Memory: expat's, and buffers of malloc.  Errors: the first one is kept, and ends the parsing; nothing is
 * raised in a callback.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/odata/told_atom.h"

#include <expat.h>
#include <string.h>

#include "protocol/buf.h"

#define SEPARATOR '\n'			/* between namespace and local name */
#define PIECE (1 << 20)

typedef struct Feed
{
	XML_Parser	xml;
	OnecTold   *told;
	OnecError	error;
	int			depth;			/* of the open element; the feed is 1 */
	int			properties;		/* depth of the open m:properties, or 0 */
	OnecBuf    *taking;			/* where text goes, or NULL */
	OnecBuf		type;
	OnecBuf		key;
	OnecBuf		id;
} Feed;

static const char *
local_name(const char *name)
{
	const char *behind = strrchr(name, SEPARATOR);

	return behind ? behind + 1 : name;
}

static void
stop(Feed *feed)
{
	XML_StopParser(feed->xml, XML_FALSE);
}

static const char *
attribute(const XML_Char **attributes, const char *name)
{
	for (; attributes[0] != NULL; attributes += 2)
		if (strcmp(local_name(attributes[0]), name) == 0)
			return attributes[1];
	return NULL;
}

static void
take_into(Feed *feed, OnecBuf *buf)
{
	onec_buf_clear(buf);
	feed->taking = buf;
}

static void
begin_entry(Feed *feed, const char *name, const XML_Char **attributes)
{
	onec_buf_clear(&feed->type);
	onec_buf_clear(&feed->key);
	onec_buf_clear(&feed->id);
	if (strcmp(name, "deleted-entry") == 0 &&
		!onec_told_add(feed->told, NULL, NULL, attribute(attributes, "ref"), true, &feed->error))
		stop(feed);
}

static void XMLCALL
on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	Feed	   *feed = arg;

	name = local_name(name);
	feed->depth++;
	feed->taking = NULL;
	if (feed->depth == 1 && strcmp(name, "feed") != 0)
	{
		onec_fail(&feed->error, ONEC_ERR_REPLY, "the answer is no Atom feed");
		stop(feed);
	}
	else if (feed->depth == 2)
		begin_entry(feed, name, attributes);
	else if (feed->depth == 3 && strcmp(name, "id") == 0)
		take_into(feed, &feed->id);
	else if (feed->depth == 3 && strcmp(name, "category") == 0 && attribute(attributes, "term") != NULL)
	{
		onec_buf_clear(&feed->type);
		onec_buf_puts(&feed->type, attribute(attributes, "term"));
	}
	else if (feed->properties == 0 && feed->depth <= 4 && strcmp(name, "properties") == 0)
		feed->properties = feed->depth;
	else if (feed->properties > 0 && feed->depth == feed->properties + 1 && strcmp(name, "Ref_Key") == 0)
		take_into(feed, &feed->key);
}

static void XMLCALL
on_end(void *arg, const XML_Char *name)
{
	Feed	   *feed = arg;

	feed->taking = NULL;
	if (feed->depth == feed->properties)
		feed->properties = 0;
	if (feed->depth == 2 && strcmp(local_name(name), "entry") == 0 &&
		!onec_told_add(feed->told, feed->type.data, feed->key.data, feed->id.data, false, &feed->error))
		stop(feed);
	feed->depth--;
}

static void XMLCALL
on_text(void *arg, const XML_Char *text, int len)
{
	Feed	   *feed = arg;

	if (feed->taking != NULL)
		onec_buf_append(feed->taking, text, (size_t) len);
}

/* Nothing of 1C has one, and entities expand. */
static void XMLCALL
on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid, int internal)
{
	Feed	   *feed = arg;

	(void) name;
	(void) sysid;
	(void) pubid;
	(void) internal;
	onec_fail(&feed->error, ONEC_ERR_REPLY, "the answer has a document type declaration");
	stop(feed);
}

static void
parse(Feed *feed, const char *data, size_t len)
{
	enum XML_Status status = XML_STATUS_OK;

	XML_SetUserData(feed->xml, feed);
	XML_SetElementHandler(feed->xml, on_start, on_end);
	XML_SetCharacterDataHandler(feed->xml, on_text);
	XML_SetStartDoctypeDeclHandler(feed->xml, on_doctype);
	do
	{
		int			piece = len > PIECE ? PIECE : (int) len;

		len -= (size_t) piece;
		status = XML_Parse(feed->xml, data, piece, len == 0);
		data += piece;
	} while (len > 0 && status == XML_STATUS_OK);
	if (status != XML_STATUS_OK && feed->error.kind == ONEC_OK)
		onec_fail(&feed->error, ONEC_ERR_REPLY, "the answer is no well-formed Atom: %s",
				  XML_ErrorString(XML_GetErrorCode(feed->xml)));
	if (feed->type.failed || feed->key.failed || feed->id.failed)
		onec_fail(&feed->error, ONEC_ERR_MEMORY, "out of memory");
}

bool
onec_told_atom(OnecTold *told, const char *data, size_t len, OnecError *error)
{
	Feed		feed = {.told = told,.xml = XML_ParserCreateNS(NULL, SEPARATOR)};

	if (feed.xml == NULL)
		return onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	parse(&feed, data, len);
	XML_ParserFree(feed.xml);
	onec_buf_free(&feed.type);
	onec_buf_free(&feed.key);
	onec_buf_free(&feed.id);
	return feed.error.kind == ONEC_OK || onec_fail(error, feed.error.kind, "%s", feed.error.message);
}
