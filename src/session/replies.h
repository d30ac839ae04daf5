/*-------------------------------------------------------------------------
 *
 * replies.h
 *	  All answers under way, for a caller that waits himself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_REPLIES_H
#define ONEC_REPLIES_H

/*
 * For a caller that waits himself: a descriptor of his own (he closes it) that is readable when
 * onec_reply_ready() may have become true for any reply; -1 when none is to be had.  onec_replies_watch()
 * tells it of the timers, before each wait; onec_replies_waited() goes after each wait.  onec_replies_poll()
 * lets all answers come on.
 */
extern int	onec_replies_fd(void);
extern void onec_replies_poll(void);
extern void onec_replies_watch(void);
extern void onec_replies_waited(void);

#endif							/* ONEC_REPLIES_H */
