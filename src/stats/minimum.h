/*-------------------------------------------------------------------------
 *
 * minimum.h
 *	  The minimum of a smooth function of a few variables, without its derivatives.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_MINIMUM_H
#define ONEC_MINIMUM_H

#include <stdbool.h>

#define ONEC_MINIMUM_MAX 4		/* variables */

/* A task: filled by the caller up to "stop_arg", the rest are results. */
typedef struct OnecMinimum
{
	int			dimensions;		/* at most ONEC_MINIMUM_MAX */
	double		(*value) (const double *point, void *arg);	/* infinite or NaN: not here */
	void	   *arg;			/* of "value" */
	bool		(*stop) (void *arg);	/* asked before each evaluation; may be NULL */
	void	   *stop_arg;
	double		point[ONEC_MINIMUM_MAX];	/* in: where to start; out: the best point seen */
	double		best;			/* the value there */
	int			evaluations;
	bool		stopped;		/* "stop" said so: "point" is only the best so far */
	bool		converged;
} OnecMinimum;

/*
 * Nelder and Mead's simplex (Computer Journal 7, 1965), started again from where it ended until
 * that improves nothing: a simplex that has collapsed far from a minimum is found out.
 * Takes no memory.  "evaluations" goes on from what it was.
 */
extern void onec_minimum(OnecMinimum *task);

#endif							/* ONEC_MINIMUM_H */
