/*-------------------------------------------------------------------------
 *
 * totals.c
 *	  What all backends have asked of each base, in memory that they share.
 *
 * Shared memory of PostgreSQL's own is for libraries that are preloaded, and this one need not be.  So the
 * counts live in a small file of the data directory that every backend maps.  It is made whole under another
 * name and then linked to its own, so whoever finds it finds it ready; it outlives restarts, and base backups
 * leave pg_stat_tmp out.
 *
 * A server of a database has a place in it, taken by compare and exchange and never given up but to a server
 * of the same database that replaces one that is gone.  Counts are atomic: no lock, nothing to clean up after
 * a crash.
 *
 * Memory: the mapping, until backend exit.  Errors: none are raised; without the file nothing is counted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "session/totals.h"

/* the number tells files of another layout apart */
#define TOTALS_FILE PG_STAT_TMP_DIR "/onec_fdw.totals.1"
#define PLACES 512

struct OnecTotals
{
	pg_atomic_uint64 owner;		/* database and server; 0: free */
	pg_atomic_uint64 since;		/* a TimestampTz */
	pg_atomic_uint64 values[ONEC_TOTAL_COUNT];
};

static OnecTotals *places = NULL;
static int	failed = 0;			/* errno of the attempt to map them; it is made once */

/* Make the file, whole, unless another backend has been quicker. */
static bool
make_file(void)
{
	char		name[MAXPGPATH];
	int			fd;
	bool		made;

	snprintf(name, sizeof(name), "%s.%d", TOTALS_FILE, MyProcPid);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, pg_file_create_mode);
	if (fd < 0)
		return false;
	/* real blocks: a hole that cannot be filled later would kill the backend that writes to it */
	errno = posix_fallocate(fd, 0, sizeof(OnecTotals) * PLACES);
	made = errno == 0 && (link(name, TOTALS_FILE) == 0 || errno == EEXIST);
	failed = made ? 0 : errno;
	close(fd);
	unlink(name);
	errno = failed;
	return made;
}

static bool
map_file(void)
{
	int			fd = open(TOTALS_FILE, O_RDWR | O_CLOEXEC);
	struct stat st;
	void	   *at = MAP_FAILED;

	if (fd < 0 && errno == ENOENT && make_file())
		fd = open(TOTALS_FILE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0)
	{
		if (st.st_size == (off_t) (sizeof(OnecTotals) * PLACES))
			at = mmap(NULL, sizeof(OnecTotals) * PLACES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		else
			errno = EINVAL;
	}
	if (at == MAP_FAILED)
		failed = errno;
	else
		places = at;
	close(fd);
	return places != NULL;
}

bool
onec_totals_work(int *why)
{
	int			saved = errno;

	if (places == NULL && failed == 0 && !map_file() && failed == 0)
		failed = errno;
	errno = saved;
	*why = failed;
	return places != NULL;
}

static uint64
owner_of(Oid serverid)
{
	return (uint64) MyDatabaseId << 32 | serverid;
}

/* The place of an owner; NULL: it has none. */
static OnecTotals *
find(uint64 owner)
{
	for (int i = 0; i < PLACES; i++)
		if (pg_atomic_read_u64(&places[i].owner) == owner)
			return &places[i];
	return NULL;
}

static void
clear(OnecTotals *place)
{
	for (int i = 0; i < ONEC_TOTAL_COUNT; i++)
		pg_atomic_write_u64(&place->values[i], 0);
	pg_atomic_write_u64(&place->since, (uint64) GetCurrentTimestamp());
}

/* Whether a place belongs to a server of this database that has been dropped. */
static bool
is_left_behind(uint64 owner)
{
	return (Oid) (owner >> 32) == MyDatabaseId &&
		!SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum((Oid) owner));
}

OnecTotals *
onec_totals_of(Oid serverid)
{
	uint64		owner = owner_of(serverid);
	OnecTotals *place;
	int			why;

	if (!onec_totals_work(&why))
		return NULL;
	place = find(owner);
	for (int i = 0; place == NULL && i < PLACES; i++)
	{
		uint64		had = pg_atomic_read_u64(&places[i].owner);

		if (had != 0 && !is_left_behind(had))
			continue;
		if (pg_atomic_compare_exchange_u64(&places[i].owner, &had, owner))
			clear(place = &places[i]);
		else if (had == owner)
			place = &places[i]; /* another backend has just taken it for the same server */
	}
	return place;
}

void
onec_totals_add(OnecTotals *totals, Oid serverid, OnecTotal what, uint64 n)
{
	if (totals != NULL && pg_atomic_read_u64(&totals->owner) == owner_of(serverid))
		(void) pg_atomic_fetch_add_u64(&totals->values[what], (int64) n);
}

bool
onec_totals_read(Oid serverid, uint64 values[ONEC_TOTAL_COUNT], TimestampTz *since)
{
	OnecTotals *place;
	int			why;

	if (!onec_totals_work(&why) || (place = find(owner_of(serverid))) == NULL)
		return false;
	for (int i = 0; i < ONEC_TOTAL_COUNT; i++)
		values[i] = pg_atomic_read_u64(&place->values[i]);
	*since = (TimestampTz) pg_atomic_read_u64(&place->since);
	return true;
}

void
onec_totals_reset(Oid serverid)
{
	OnecTotals *place;
	int			why;

	if (onec_totals_work(&why) && (place = find(owner_of(serverid))) != NULL)
		clear(place);
}
