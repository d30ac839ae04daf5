/*-------------------------------------------------------------------------
 *
 * http_body.c
 *	  What a request carries to the server, sent at most once.
 *
 * Bodies of requests are about people: the copy is wiped when the transfer is over.
 *
 * Memory: malloc, owned by the transfer.  Errors: libcurl's codes.
 *
 *-------------------------------------------------------------------------
 */
#define _DEFAULT_SOURCE			/* explicit_bzero */

#include <stdlib.h>
#include <string.h>

#include "protocol/http/http_body.h"
#include "protocol/http/http_private.h"

bool
onec_http_changes(const OnecHttpRequest *request)
{
	return strcmp(request->method, "GET") != 0;
}

/* libcurl's read callback. */
static size_t
read_callback(char *to, size_t size, size_t count, void *arg)
{
	OnecTransfer *transfer = arg;
	size_t		n = transfer->sending_len - transfer->sent;

	if (n > size * count)
		n = size * count;
	memcpy(to, transfer->sending + transfer->sent, n);
	transfer->sent += n;
	return n;
}

static bool
copy_body(OnecTransfer *transfer, const OnecHttpRequest *request)
{
	if (request->body_len == 0)
		return true;
	transfer->sending = malloc(request->body_len);
	if (transfer->sending == NULL)
		return false;
	memcpy(transfer->sending, request->body, request->body_len);
	transfer->sending_len = request->body_len;
	return true;
}

CURLcode
onec_http_body_set(CURL *easy, OnecTransfer *transfer, const OnecHttpRequest *request)
{
	CURLcode	code = copy_body(transfer, request) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
	bool		bare = strcmp(request->method, "DELETE") == 0;

	if (code != CURLE_OK || !onec_http_changes(request))
		return code;
	code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	if (code == CURLE_OK && !bare)
		code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
	if (code == CURLE_OK && !bare)
		code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) transfer->sending_len);
	if (transfer->sending_len == 0)
	{
		if (code == CURLE_OK && !bare)
			code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
		return code;
	}
	/* without a way back in it, libcurl cannot send it again */
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_callback);
	return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_READDATA, transfer) : code;
}

void
onec_http_body_free(OnecTransfer *transfer)
{
	if (transfer->sending != NULL)
		explicit_bzero(transfer->sending, transfer->sending_len);
	free(transfer->sending);
	transfer->sending = NULL;
}
