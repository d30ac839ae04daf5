/*-------------------------------------------------------------------------
 *
 * options.h
 *	  What the user configured: options of server, user mapping, table.
 *
 * One table in options.c names every option, where it is allowed, its range and
 * default; the validator, its hints and the readers below are driven by it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_OPTIONS_H
#define ONEC_OPTIONS_H

#include "postgres.h"

typedef enum OnecPaging
{
	ONEC_PAGING_AUTO,
	ONEC_PAGING_WINDOWS,
	ONEC_PAGING_SKIP
} OnecPaging;

/* What becomes of rows that are written here. */
typedef enum OnecWriteMode
{
	ONEC_WRITE_OUTBOX,			/* queued in the transaction, sent after it */
	ONEC_WRITE_DIRECT			/* sent at once */
} OnecWriteMode;

/* What DELETE does. */
typedef enum OnecDeleteMode
{
	ONEC_DELETE_MARK,			/* the mark of deletion */
	ONEC_DELETE_PHYSICAL,
	ONEC_DELETE_ERROR
} OnecDeleteMode;

/* What tells a sync which objects have changed. */
typedef enum OnecChangeSource
{
	ONEC_CHANGES_READ,			/* reading the sets */
	ONEC_CHANGES_PLAN			/* an exchange plan, the node of which may be changed */
} OnecChangeSource;

/* Options of a server, overlaid by those of a table if there is one. */
typedef struct OnecOptions
{
	Oid			serverid;
	char	   *server_name;
	char	   *root;			/* url in standard form, ends in /odata/standard.odata */
	char	   *timezone;		/* where the base is; NULL: not given */
	int			connect_timeout;	/* s */
	int			request_timeout;	/* s */
	int			retries;
	int			paging;			/* OnecPaging */
	int			page_size;		/* rows; 0: automatic */
	int64		page_bytes;
	int			prefetch;
	int64		max_response;	/* bytes */
	int			max_url;		/* bytes */
	int			min_interval;	/* ms */
	bool		session;		/* use IBSession */
	int			session_idle;	/* s, after which 1C sessions that are not used are ended; 0: never */
	bool		async_capable;	/* may be read beside other tables of an Append */
	bool		push_filter;
	bool		push_order;
	bool		push_count;
	bool		push_composite;
	bool		push_sum;
	bool		allowed_only;
	bool		empty_as_null;
	bool		converts_zones; /* dates with a zone are taken, and converted */
	bool		missing_null;	/* a property that no row of a page has is NULL; else an error */
	bool		updatable;		/* rows may be written */
	int			write_mode;		/* OnecWriteMode */
	int			delete_mode;	/* OnecDeleteMode */
	int			batch_size;		/* rows that one INSERT queues at once */
	char	   *write_user;		/* the role whose login delivers; NULL: whoever delivers */
	int			change_source;	/* OnecChangeSource */
	char	   *exchange_plan;	/* its set; NULL: not given */
	char	   *exchange_node;	/* key or code of the node; NULL: not given */
	bool		ignores_case;	/* 1C compares text without regard to case */
	bool		tls_verify;		/* check the certificate */
	double		request_cost;
	double		tuple_cost;
	char	   *ca_file;		/* NULL: the system's */

	/* of the table; NULL when there is none */
	char	   *entity_set;
	char	   *function;
	char	   *key;			/* properties of the entity key, comma-separated */
	char	   *dimensions;		/* of the function, or of the register's totals; likewise */
	char	   *resources;		/* which the register adds up; likewise */
} OnecOptions;

/* Both palloc in the current context.  ERROR: HV00B-class codes for missing required options. */
extern OnecOptions *onec_options_of_server(Oid serverid);
extern OnecOptions *onec_options_of_table(Oid relid);

/* Whose login delivers: the caller's, or that of "write_user"; ERROR where the owner may not say so. */
extern Oid	onec_options_writer(const OnecOptions *options);

/*
 * The value of the Authorization header for "userid" at the server, palloc'd: "Basic …".
 * ERROR when the user has no mapping (42704), or one without login (28000).  The text is
 * a secret: it must not reach any message.
 */
extern char *onec_options_authorization(Oid userid, Oid serverid);

#endif							/* ONEC_OPTIONS_H */
