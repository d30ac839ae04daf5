/*-------------------------------------------------------------------------
 *
 * replies.c
 *	  All answers under way, for a caller that waits himself.
 *
 * Memory: none.  Errors: as onec_session_pool().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "protocol/http/http.h"
#include "session/replies.h"
#include "session/session.h"

int
onec_replies_fd(void)
{
	int			fd = onec_http_fd(onec_session_pool());

	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void
onec_replies_watch(void)
{
	(void) onec_http_fd(onec_session_pool());
}

void
onec_replies_poll(void)
{
	onec_http_poll(onec_session_pool());
}

void
onec_replies_waited(void)
{
	onec_http_waited(onec_session_pool());
}
