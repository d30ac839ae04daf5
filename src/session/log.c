/*-------------------------------------------------------------------------
 *
 * log.c
 *	  The last requests of this backend.
 *
 * A ring of 200 entries that begin with the request and are completed when it ends, so a
 * request that was cancelled is there too.
 *
 * Memory: entries own malloc'ed texts, because requests end inside memory context callbacks
 * where palloc must not fail.  Errors: none are raised; without memory a text is left out.
 * Texts are UTF-8, except the server's name, which is in the database's encoding.  Secrets
 * travel in headers, and headers are not logged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "protocol/http/http_window.h"
#include "session/log.h"
#include "session/session_private.h"

bool		onec_log_requests = false;

#define LOG_ENTRIES 200

/* The ring and the sums; changed by the functions below only. */
static OnecLogged ring[LOG_ENTRIES];
static uint64 serials[LOG_ENTRIES];
static uint64 last_serial = 0;
static OnecCounters counters;

static void
replace_text(char **text, const char *value)
{
	free(*text);
	*text = value ? strdup(value) : NULL;
}

OnecLogPlace
onec_log_begin(const char *server, Oid userid, const char *url)
{
	OnecLogPlace place;
	OnecLogged *entry;

	place.serial = ++last_serial;
	counters.requests++;
	place.slot = (place.serial - 1) % LOG_ENTRIES;
	entry = &ring[place.slot];
	serials[place.slot] = place.serial;
	replace_text(&entry->server, server);
	entry->userid = userid;
	replace_text(&entry->url, url);
	replace_text(&entry->error, "not finished");
	entry->status = 0;
	entry->ms = 0;
	entry->rows = -1;
	entry->bytes = 0;
	entry->at = GetCurrentTimestamp();
	return place;
}

/* The entry, unless newer requests have taken its place. */
static OnecLogged *
entry_at(OnecLogPlace place)
{
	if (place.slot < 0 || serials[place.slot] != place.serial)
		return NULL;
	return &ring[place.slot];
}

void
onec_log_end(OnecLogPlace place, const OnecHttpAnswer *answer, const char *error)
{
	OnecLogged *entry = entry_at(place);

	counters.bytes += answer->wire_bytes;
	if (entry == NULL)
		return;
	entry->status = (int) answer->status;
	entry->ms = answer->elapsed_ms;
	entry->bytes = answer->wire_bytes;
	replace_text(&entry->error, error);
}

void
onec_log_rows(OnecLogPlace place, int64 rows)
{
	OnecLogged *entry = entry_at(place);

	if (entry != NULL)
		entry->rows = rows;
}

void
onec_log_retry(void)
{
	counters.retries++;
}

OnecCounters
onec_log_counters(void)
{
	return counters;
}

/* The array is palloc'd; the entries change with the next request. */
int
onec_session_log(const OnecLogged **entries[])
{
	uint64		count = Min(last_serial, (uint64) LOG_ENTRIES);
	const OnecLogged **list = palloc(sizeof(OnecLogged *) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
		list[i] = &ring[(last_serial - count + i) % LOG_ENTRIES];
	*entries = list;
	return (int) count;
}
