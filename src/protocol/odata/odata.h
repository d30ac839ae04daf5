/*-------------------------------------------------------------------------
 *
 * odata.h
 *	  A request to 1C as a tree, and its URL.
 *
 * The tree is plain data made by the caller, who owns all memory in it; nothing
 * here changes it.  Names are the real 1C names in UTF-8.  Every URL can be
 * printed twice: encoded for the wire and decoded for people (EXPLAIN, logs).
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ODATA_H
#define ONEC_ODATA_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/buf.h"

/* How a constant is written (doc/1c-odata.md 6.2). */
typedef enum OnecLiteralKind
{
	ONEC_LIT_STRING,			/* 'O''Brien' */
	ONEC_LIT_GUID,				/* guid'…' */
	ONEC_LIT_DATETIME,			/* datetime'YYYY-MM-DDTHH:MM:SS' */
	ONEC_LIT_NUMBER,			/* plain decimal, printed as it stands */
	ONEC_LIT_BOOL,				/* text "true" or "false" */
	ONEC_LIT_REFERENCE,			/* cast(guid'…','Document_X'): composite values */
	ONEC_LIT_PARAM				/* not known yet: printed as it stands, e.g. $1 */
} OnecLiteralKind;

typedef enum OnecExprKind
{
	ONEC_EXPR_FIELD,			/* name */
	ONEC_EXPR_LITERAL,			/* literal */
	ONEC_EXPR_COMPARE,			/* args[0] op args[1]; op is eq ne lt le gt ge */
	ONEC_EXPR_ARITH,			/* args[0] op args[1]; op is add sub mul div */
	ONEC_EXPR_AND,				/* args, at least one */
	ONEC_EXPR_OR,				/* args, at least one */
	ONEC_EXPR_NOT,				/* args[0] */
	ONEC_EXPR_IN,				/* args[0] is the field, args[1..] literals: "f eq a or f eq b" */
	ONEC_EXPR_CALL				/* name(args): startswith, like, year, cast, … */
} OnecExprKind;

typedef struct OnecExpr OnecExpr;
struct OnecExpr
{
	OnecExprKind kind;
	const char *op;				/* COMPARE, ARITH: the OData operator */
	const char *name;			/* FIELD: property path; CALL: function */
	OnecLiteralKind lit_kind;	/* LITERAL */
	const char *lit_text;		/* LITERAL: unquoted, unescaped UTF-8 */
	const char *lit_type;		/* LITERAL, REFERENCE: type without "StandardODATA." */
	int			nargs;
	OnecExpr  **args;
};

typedef struct OnecOrder
{
	const char *property;
	bool		descending;
} OnecOrder;

#define ONEC_CONDITION "Condition"

/* A named parameter of a virtual table or a part of an entity key. */
typedef struct OnecArgument
{
	const char *name;
	const OnecExpr *value;		/* LITERAL; for ONEC_CONDITION any filter tree, which is
								 * printed, then quoted as one string literal */
} OnecArgument;

typedef struct OnecRequest
{
	const char *entity_set;		/* NULL asks for the service document, or for a function of the base itself */
	const char *resource;		/* not NULL: what follows the root, as 1C itself has written it in a link; the
								 * rest is not looked at, and the answer may be anything */
	bool		metadata;		/* $metadata instead of a set */
	const OnecExpr *key;		/* LITERAL: one entity, Set(guid'…') */
	const char *function;		/* Balance, SliceLast …; SelectChanges … of the base; or NULL */
	const OnecArgument *arguments;	/* travel in the query string */
	int			narguments;
	bool		count;			/* …/$count */
	const char *const *select;
	int			nselect;		/* 0: no $select */
	const OnecExpr *filter;		/* NULL: none */
	const OnecOrder *order;
	int			norder;
	int64_t		top;			/* < 0: none */
	int64_t		skip;			/* <= 0: none */
	bool		allowed_only;
} OnecRequest;

/*
 * Bring the root address of a base to its standard form: no trailing slash, path ends
 * in "/odata/standard.odata" (added when missing).  Appends it to "out".  False, with
 * a short reason in *why, for anything but http(s) with a host, or with user info,
 * query or fragment.
 */
extern bool onec_odata_root(const char *url, OnecBuf *out, const char **why);

/*
 * Append the URL of "request" below "root" (as onec_odata_root made it), percent-encoded.
 * Data requests carry $format=application/json;odata=nometadata, but for functions of the base, which
 * answer in the form that is 1C's own.  Options come in the
 * fixed order $format, arguments, $select, $filter, $orderby, $top, $skip, allowedOnly, so
 * that tests can compare whole URLs.  False only when out of memory.
 */
extern bool onec_odata_url(const char *root, const OnecRequest *request, OnecBuf *out);

/* Whether it calls a function of the base itself (SelectChanges), not of a set. */
extern bool onec_odata_is_action(const OnecRequest *request);

/*
 * The same for people: only what follows the root, nothing percent-encoded, without
 * $format: "Catalog_X?$select=Ref_Key&$filter=Code eq '1'".
 */
extern bool onec_odata_text(const OnecRequest *request, OnecBuf *out);

/* Append a filter tree alone, decoded.  Every operand that is an operation is in parentheses. */
extern void onec_odata_filter(const OnecExpr *expr, OnecBuf *out);

/* Bytes that "expr" takes in an encoded URL: the unit of the max_url budget. */
extern size_t onec_odata_encoded_size(const OnecExpr *expr);

#endif							/* ONEC_ODATA_H */
