/*-------------------------------------------------------------------------
 *
 * error_body.h
 *	  Errors of 1C in any of their four forms.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ERROR_BODY_H
#define ONEC_ERROR_BODY_H

#include <stddef.h>

#include "onec_error.h"

/*
 * Read the body of a failed answer in any of 1C's four forms (odata.error JSON,
 * m:error XML, exception JSON, HTML or plain text) into error->message, ->odata_code,
 * ->has_code, ->own_words: tags stripped, at most 1 KB, control characters replaced, invalid UTF-8
 * replaced.  Never fails: an unreadable body gives an empty message.
 */
extern void onec_error_body(const char *body, size_t len, OnecError *error);

#endif							/* ONEC_ERROR_BODY_H */
