/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options: one table, its validator, and the readers.
 *
 * Everything returned is palloc'd in the current context.  Values of secret options
 * never reach a message.  The validator runs again, in effect, at run time: a value
 * that an older version let through raises the same error when it is read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "catalog/pg_attribute.h"
#include "commands/defrem.h"
#include "common/base64.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "protocol/buf.h"
#include "protocol/odata/edm_types.h"
#include "protocol/odata/odata.h"
#include "table/options.h"

PG_FUNCTION_INFO_V1(onec_fdw_validator);

/* Where an option is allowed. */
#define IN_SERVER	0x1
#define IN_MAPPING	0x2
#define IN_TABLE	0x4
#define IN_COLUMN	0x8
#define READING		(IN_SERVER | IN_TABLE)

typedef enum OptionKind
{
	KIND_TEXT,					/* any text that is not empty */
	KIND_URL,
	KIND_SECRET,
	KIND_TOKEN,
	KIND_INT,					/* with a unit */
	KIND_BYTES,					/* with a unit, into int64 */
	KIND_REAL,
	KIND_BOOL,
	KIND_CHOICE,				/* one of "words", stored as its place among them */
	KIND_ZONE,
	KIND_OR_ERROR,				/* a word of its own, or "error" */
	KIND_EDM
} OptionKind;

typedef struct OptionDef
{
	const char *name;
	int			where;
	OptionKind	kind;
	size_t		offset;			/* in OnecOptions; 0: read elsewhere */
	int			unit;			/* GUC_UNIT_*, for numbers */
	double		min;
	double		max;
	const char *initial;		/* default, as a user would write it; NULL: none */
	const char *word;			/* of KIND_OR_ERROR */
	const char *const *words;	/* of KIND_CHOICE, in the order of its enum; ends in NULL */
	bool		privileged;		/* weakens safety or names a file on the server */
} OptionDef;

/* An option read elsewhere, a text, a number with unit and range, a switch, one of some words. */
#define OTHER(n, w, k) \
	{.name = (n), .where = (w), .kind = (k)}
#define TEXT(n, w) \
	{.name = #n, .where = (w), .kind = KIND_TEXT, .offset = offsetof(OnecOptions, n)}
#define NUMBER(n, w, k, u, low, high, dflt) \
	{.name = #n, .where = (w), .kind = (k), .offset = offsetof(OnecOptions, n), .unit = (u), \
	 .min = (low), .max = (high), .initial = (dflt)}
#define SWITCH(n, w, dflt) \
	{.name = #n, .where = (w), .kind = KIND_BOOL, .offset = offsetof(OnecOptions, n), \
	 .initial = (dflt)}
#define CHOICE(n, w, dflt, ...) \
	{.name = #n, .where = (w), .kind = KIND_CHOICE, .offset = offsetof(OnecOptions, n), \
	 .initial = (dflt), .words = (const char *const[]) {__VA_ARGS__, NULL}}
#define PRIVILEGED(n, k, dflt) \
	{.name = #n, .where = IN_SERVER, .kind = (k), .offset = offsetof(OnecOptions, n), \
	 .initial = (dflt), .privileged = true}

static const OptionDef option_defs[] = {
	OTHER("url", IN_SERVER, KIND_URL),
	{.name = "timezone",.where = IN_SERVER,.kind = KIND_ZONE,.offset = offsetof(OnecOptions, timezone)},
	NUMBER(connect_timeout, IN_SERVER, KIND_INT, GUC_UNIT_S, 1, 3600, "60"),
	NUMBER(request_timeout, READING, KIND_INT, GUC_UNIT_S, 1, 86400, "300"),
	NUMBER(retries, READING, KIND_INT, 0, 0, 100, "4"),
	CHOICE(paging, READING, "auto", "auto", "windows", "skip"),
	NUMBER(page_size, READING, KIND_INT, 0, 0, 1000000, "0"),
	NUMBER(page_bytes, READING, KIND_BYTES, GUC_UNIT_BYTE, 1024, 1073741824, "4MB"),
	NUMBER(prefetch, READING, KIND_INT, 0, 0, 8, "1"),
	NUMBER(max_response, READING, KIND_BYTES, GUC_UNIT_BYTE, 1024, 2147483647, "512MB"),
	NUMBER(max_url, READING, KIND_INT, 0, 500, 65536, "2000"),
	NUMBER(min_interval, IN_SERVER, KIND_INT, GUC_UNIT_MS, 0, 600000, "0"),
	SWITCH(session, IN_SERVER, "auto"),
	NUMBER(session_idle, IN_SERVER, KIND_INT, GUC_UNIT_S, 0, 86400, "60"),
	SWITCH(async_capable, READING, "on"),
	SWITCH(push_filter, READING, "on"),
	SWITCH(push_order, READING, "on"),
	SWITCH(push_count, READING, "on"),
	SWITCH(push_composite, READING, "off"),
	SWITCH(push_sum, READING, "off"),
	SWITCH(allowed_only, READING, "off"),
	SWITCH(empty_as_null, READING, "on"),
	{.name = "zone_suffix",.where = READING,.kind = KIND_OR_ERROR,.word = "convert",
		.offset = offsetof(OnecOptions, converts_zones),.initial = "error"},
	SWITCH(ignores_case, READING, "off"),
	{.name = "missing_property",.where = READING | IN_COLUMN,.kind = KIND_OR_ERROR,.word = "null",
		.offset = offsetof(OnecOptions, missing_null),.initial = "error"},
	SWITCH(updatable, READING, "off"),
	CHOICE(write_mode, READING, "outbox", "outbox", "direct"),
	CHOICE(delete_mode, READING, "mark", "mark", "physical", "error"),
	NUMBER(batch_size, READING, KIND_INT, 0, 1, 65535, "100"),
	TEXT(write_user, IN_SERVER),
	CHOICE(change_source, IN_SERVER, "read", "read", "plan"),
	TEXT(exchange_plan, IN_SERVER),
	TEXT(exchange_node, IN_SERVER),
	NUMBER(request_cost, READING, KIND_REAL, 0, 0, 1e12, "1000"),
	NUMBER(tuple_cost, READING, KIND_REAL, 0, 0, 1e12, "0.1"),
	PRIVILEGED(ca_file, KIND_TEXT, NULL),
	PRIVILEGED(tls_verify, KIND_BOOL, "on"),
	OTHER("user", IN_MAPPING, KIND_SECRET),
	OTHER("password", IN_MAPPING, KIND_SECRET),
	OTHER("token", IN_MAPPING, KIND_TOKEN),
	TEXT(entity_set, IN_TABLE),
	TEXT(function, IN_TABLE),
	TEXT(key, IN_TABLE),
	TEXT(dimensions, IN_TABLE),
	TEXT(resources, IN_TABLE),
	OTHER("property", IN_COLUMN, KIND_TEXT),
	OTHER("argument", IN_COLUMN, KIND_TEXT),
	OTHER("edm_type", IN_COLUMN, KIND_EDM),
};

static int
place_of_catalog(Oid catalog)
{
	if (catalog == ForeignServerRelationId)
		return IN_SERVER;
	if (catalog == UserMappingRelationId)
		return IN_MAPPING;
	if (catalog == ForeignTableRelationId)
		return IN_TABLE;
	if (catalog == AttributeRelationId)
		return IN_COLUMN;
	return 0;
}

static const char *
place_name(int place)
{
	switch (place)
	{
		case IN_SERVER:
			return "a server";
		case IN_MAPPING:
			return "a user mapping";
		case IN_TABLE:
			return "a foreign table";
		case IN_COLUMN:
			return "a column of a foreign table";
		default:
			return "a foreign-data wrapper";
	}
}

static const OptionDef *
find_option(const char *name)
{
	for (size_t i = 0; i < lengthof(option_defs); i++)
		if (strcmp(option_defs[i].name, name) == 0)
			return &option_defs[i];
	return NULL;
}

/* The option of this place that is nearest to a misspelt name, or NULL. */
static const char *
nearest_option(const char *name, int place)
{
	const char *best = NULL;
	int			best_distance = 4;

	if (strlen(name) > 60)
		return NULL;
	for (size_t i = 0; i < lengthof(option_defs); i++)
	{
		const OptionDef *def = &option_defs[i];
		int			distance;

		if (!(def->where & place))
			continue;
		distance = varstr_levenshtein_less_equal(name, strlen(name), def->name,
												 strlen(def->name), 1, 1, 1,
												 best_distance, true);
		if (distance < best_distance && distance <= (int) strlen(name) / 2)
		{
			best = def->name;
			best_distance = distance;
		}
	}
	return best;
}

/* "a, b, c": what may stand here. */
static char *
options_of_place(int place)
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < lengthof(option_defs); i++)
		if (option_defs[i].where & place)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", option_defs[i].name);
	return names.data;
}

static void
refuse_unknown(const char *name, int place)
{
	const OptionDef *def = find_option(name);
	const char *near = nearest_option(name, place);
	char	   *valid = options_of_place(place);

	if (def != NULL && (def->where & IN_MAPPING))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" is not allowed for %s", name, place_name(place)),
				 errhint("Logins belong in a user mapping: CREATE USER MAPPING FOR … SERVER … OPTIONS (user "
						 "…, password …).")));
	if (def != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" is not allowed for %s", name, place_name(place)),
				 errhint("It is an option of %s.",
						 place_name(def->where & IN_SERVER ? IN_SERVER : def->where))));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\" for %s", name, place_name(place)),
			 near ? errhint("Perhaps you meant the option \"%s\".", near) :
			 valid[0] ? errhint("Valid options in this context are: %s", valid) :
			 errhint("There are no valid options in this context.")));
}

static void
refuse_value(const OptionDef *def, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 def->kind == KIND_SECRET || def->kind == KIND_TOKEN ?
			 errmsg("invalid value for option \"%s\"", def->name) :
			 errmsg("invalid value for option \"%s\": \"%s\"", def->name, value),
			 hint ? errhint("%s", hint) : 0));
}

static double
number_value(const OptionDef *def, const char *value)
{
	const char *hint = NULL;
	double		number;
	char	   *range;

	if (!parse_real(value, &number, def->unit, &hint) || isnan(number))
		refuse_value(def, value, hint ? hint : "A number is expected.");
	if (def->kind != KIND_REAL)
		number = rint(number);
	range = psprintf("The value must be between %.0f and %.0f.", def->min, def->max);
	if (number < def->min || number > def->max)
		refuse_value(def, value, range);
	return number;
}

/* "session" also knows auto, which means on. */
static bool
bool_value(const OptionDef *def, const char *value)
{
	bool		result;

	if (strcmp(def->name, "session") == 0 && pg_strcasecmp(value, "auto") == 0)
		return true;
	if (!parse_bool(value, &result))
		refuse_value(def, value, "Use on or off.");
	return result;
}

/* "auto, windows or skip" */
static char *
words_told(const char *const *words)
{
	StringInfoData told;

	initStringInfo(&told);
	for (int i = 0; words[i] != NULL; i++)
		appendStringInfo(&told, "%s%s", i == 0 ? "" : words[i + 1] != NULL ? ", " : " or ", words[i]);
	return told.data;
}

static int
choice_value(const OptionDef *def, const char *value)
{
	for (int i = 0; def->words[i] != NULL; i++)
		if (strcmp(value, def->words[i]) == 0)
			return i;
	refuse_value(def, value, psprintf("Use %s.", words_told(def->words)));
	return 0;
}

/* Whether an option that may say "error" says the other word. */
static bool
not_error(const OptionDef *def, const char *value)
{
	if (strcmp(value, "error") != 0 && strcmp(value, def->word) != 0)
		refuse_value(def, value, psprintf("Use error or %s.", def->word));
	return strcmp(value, def->word) == 0;
}

static char *
root_of_url(const OptionDef *def, const char *value)
{
	OnecBuf		buf;
	const char *why = NULL;
	char	   *root = NULL;

	onec_buf_init(&buf);
	if (onec_odata_root(value, &buf, &why) && !buf.failed)
		root = pstrdup(buf.data);
	onec_buf_free(&buf);
	if (root == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", def->name),
				 errdetail("%s", why ? why : "Out of memory."),
				 errhint("Give the address of the published base, such as https://host/base or "
						 "https://host/base/odata/standard.odata; the login belongs in a user mapping.")));
	return root;
}

/* The base64 part of a token; NULL when it cannot be one. */
static const char *
token_body(const char *value)
{
	size_t		len;

	if (pg_strncasecmp(value, "Basic ", 6) == 0)
		value += 6;
	len = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
	return len > 0 && value[len] == '\0' ? value : NULL;
}

static void
check_value(const OptionDef *def, const char *value)
{
	OnecEdmType edm;

	if (value[0] == '\0' && def->kind != KIND_SECRET)
		refuse_value(def, value, "The value must not be empty.");
	switch (def->kind)
	{
		case KIND_TEXT:
			break;
		case KIND_SECRET:
			if (strpbrk(value, "\r\n") != NULL ||
				(strcmp(def->name, "user") == 0 && strchr(value, ':') != NULL))
				refuse_value(def, value, "A login holds no colon, and no line break.");
			break;
		case KIND_TOKEN:
			if (token_body(value) == NULL)
				refuse_value(def, value, "The token is the base64 of login:password.");
			break;
		case KIND_URL:
			pfree(root_of_url(def, value));
			break;
		case KIND_INT:
		case KIND_BYTES:
		case KIND_REAL:
			(void) number_value(def, value);
			break;
		case KIND_BOOL:
			(void) bool_value(def, value);
			break;
		case KIND_CHOICE:
			(void) choice_value(def, value);
			break;
		case KIND_ZONE:
			if (pg_tzset(value) == NULL)
				refuse_value(def, value, "Use a name of pg_timezone_names, such as Europe/Moscow.");
			break;
		case KIND_OR_ERROR:
			(void) not_error(def, value);
			break;
		case KIND_EDM:
			if (!onec_edm_type_from_label(value, &edm))
				refuse_value(def, value, "Use a type of $metadata, such as String, Guid or DateTime.");
			break;
	}
}

/* Options that let a server read files or trust anyone are not for every owner of a server. */
static void
check_privilege(const OptionDef *def, const char *value)
{
	if (!def->privileged || superuser())
		return;
	if (def->kind == KIND_BOOL && bool_value(def, value))
		return;
	if (def->kind == KIND_TEXT && has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to set option \"%s\"", def->name),
			 def->kind == KIND_TEXT ?
			 errhint("Only roles with privileges of pg_read_server_files may name files of the server.") :
			 errhint("Only a superuser may turn the check of certificates off.")));
}

static void
check_together(int place, bool has_url, bool has_user, bool has_password, bool has_token)
{
	if (place == IN_SERVER && !has_url)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"url\" is required for a server of onec_fdw"),
				 errhint("Give the address of the published base: OPTIONS (url 'https://host/base').")));
	if (place != IN_MAPPING)
		return;
	if (has_token && (has_user || has_password))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"token\" excludes \"user\" and \"password\"")));
	if (has_password && !has_user)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"password\" needs \"user\" beside it")));
}

/* Who asks an exchange plan names it, and his node in it: nobody else's may be changed. */
static void
check_plan(List *options)
{
	bool		asks = false;
	int			named = 0;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *elem = lfirst_node(DefElem, lc);

		if (strcmp(elem->defname, "change_source") == 0)
			asks = strcmp(defGetString(elem), "plan") == 0;
		named += strcmp(elem->defname, "exchange_plan") == 0 || strcmp(elem->defname, "exchange_node") == 0;
	}
	if (asks && named < 2)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"change_source\" needs \"exchange_plan\" and \"exchange_node\" beside it"),
				 errhint("Name the exchange plan and a node of it that nobody else uses: OPTIONS "
						 "(exchange_plan 'ExchangePlan_Сайт', exchange_node '002').")));
}

/*
 * onec_fdw_validator(options text[], catalog oid): called by CREATE and ALTER of servers, user mappings,
 * tables and columns.
 */
Datum
onec_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	int			place = place_of_catalog(PG_GETARG_OID(1));
	bool		has_url = false;
	bool		has_user = false;
	bool		has_password = false;
	bool		has_token = false;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *elem = lfirst_node(DefElem, lc);
		const OptionDef *def = find_option(elem->defname);
		char	   *value = defGetString(elem);

		if (def == NULL || !(def->where & place))
			refuse_unknown(elem->defname, place);
		check_value(def, value);
		check_privilege(def, value);
		has_url |= strcmp(def->name, "url") == 0;
		has_user |= strcmp(def->name, "user") == 0;
		has_password |= strcmp(def->name, "password") == 0;
		has_token |= strcmp(def->name, "token") == 0;
	}
	check_together(place, has_url, has_user, has_password, has_token);
	if (place == IN_SERVER)
		check_plan(options);
	PG_RETURN_VOID();
}

/* Store one value where its definition says. */
static void
store_value(OnecOptions *options, const OptionDef *def, const char *value)
{
	char	   *field = (char *) options + def->offset;

	if (def->kind == KIND_URL)
		options->root = root_of_url(def, value);
	if (def->offset == 0)
		return;
	switch (def->kind)
	{
		case KIND_INT:
			*(int *) field = (int) number_value(def, value);
			break;
		case KIND_BYTES:
			*(int64 *) field = (int64) number_value(def, value);
			break;
		case KIND_REAL:
			*(double *) field = number_value(def, value);
			break;
		case KIND_BOOL:
			*(bool *) field = bool_value(def, value);
			break;
		case KIND_CHOICE:
			*(int *) field = choice_value(def, value);
			break;
		case KIND_OR_ERROR:
			*(bool *) field = not_error(def, value);
			break;
		default:
			*(char **) field = pstrdup(value);
	}
}

static void
store_list(OnecOptions *options, List *list)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *elem = lfirst_node(DefElem, lc);
		const OptionDef *def = find_option(elem->defname);

		if (def != NULL)
			store_value(options, def, defGetString(elem));
	}
}

OnecOptions *
onec_options_of_server(Oid serverid)
{
	ForeignServer *server = GetForeignServer(serverid);
	OnecOptions *options = palloc0(sizeof(OnecOptions));

	for (size_t i = 0; i < lengthof(option_defs); i++)
		if (option_defs[i].initial != NULL)
			store_value(options, &option_defs[i], option_defs[i].initial);
	options->serverid = serverid;
	options->server_name = pstrdup(server->servername);
	store_list(options, server->options);
	if (options->root == NULL)
		check_together(IN_SERVER, false, false, false, false);
	return options;
}

OnecOptions *
onec_options_of_table(Oid relid)
{
	ForeignTable *table = GetForeignTable(relid);
	OnecOptions *options = onec_options_of_server(table->serverid);

	store_list(options, table->options);
	if (options->entity_set == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"entity_set\" is required for foreign table \"%s\"",
						get_rel_name(relid)),
				 errhint("Name the entity set of 1C: OPTIONS (entity_set 'Catalog_Номенклатура').")));
	return options;
}

/* "Basic " and the base64 of "login:password" in UTF-8, whatever the database's encoding is. */
static char *
basic_header(const char *user, const char *password)
{
	char	   *plain = psprintf("%s:%s", user, password);
	char	   *utf8 = pg_server_to_any(plain, strlen(plain), PG_UTF8);
	int			len = strlen(utf8);
	int			size = pg_b64_enc_len(len);
	char	   *header = palloc0(6 + size + 1);
	int			done;

	memcpy(header, "Basic ", 6);
	done = pg_b64_encode((const void *) utf8, len, header + 6, size);
	if (done < 0)
		elog(ERROR, "could not encode the login");
	header[6 + done] = '\0';
	return header;
}

Oid
onec_options_writer(const OnecOptions *options)
{
	Oid			role;

	if (options->write_user == NULL)
		return GetOuterUserId();
	role = get_role_oid(options->write_user, false);
	/* whoever owns the server has said so, and may not lend what is not theirs */
	if (!has_privs_of_role(GetForeignServer(options->serverid)->owner, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the owner of server \"%s\" may not act as role \"%s\"", options->server_name,
						options->write_user),
				 errhint("Option \"write_user\" names a role whose privileges the server's owner has.")));
	return role;
}

char *
onec_options_authorization(Oid userid, Oid serverid)
{
	UserMapping *mapping = GetUserMapping(userid, serverid);
	const char *user = NULL;
	const char *password = "";
	const char *token = NULL;
	ListCell   *lc;

	foreach(lc, mapping->options)
	{
		DefElem    *elem = lfirst_node(DefElem, lc);

		if (strcmp(elem->defname, "user") == 0)
			user = defGetString(elem);
		else if (strcmp(elem->defname, "password") == 0)
			password = defGetString(elem);
		else if (strcmp(elem->defname, "token") == 0)
			token = token_body(defGetString(elem));
	}
	if (token != NULL)
		return psprintf("Basic %s", token);
	if (user == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("user mapping of \"%s\" for server \"%s\" has no login",
						GetUserNameFromId(userid, true), GetForeignServer(serverid)->servername),
				 errhint("ALTER USER MAPPING … OPTIONS (ADD user …, ADD password …), or token.")));
	return basic_header(user, password);
}
