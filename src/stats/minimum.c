/*-------------------------------------------------------------------------
 *
 * minimum.c
 *	  The minimum of a smooth function of a few variables, without its derivatives.
 *
 * Memory: the stack.  Errors: none; what happened is in the task.
 * Surprising: NaN counts as infinite, so a value may refuse points by either.
 *
 *-------------------------------------------------------------------------
 */
#include "stats/minimum.h"

#include <math.h>
#include <string.h>

#define MAX_STEPS 2000			/* of one simplex */
#define MAX_ROUNDS 20			/* simplexes */
#define SIDE 0.5				/* of the first simplex */
#define POINT_TOLERANCE 1e-7	/* a simplex as small as this has ended */
#define VALUE_TOLERANCE 1e-14	/* so has one whose values differ by less, relative */
#define GAIN_TOLERANCE 1e-11	/* a round that improves by less, relative, is the last */

typedef struct Simplex
{
	int			n;
	double		point[ONEC_MINIMUM_MAX + 1][ONEC_MINIMUM_MAX];
	double		value[ONEC_MINIMUM_MAX + 1];
} Simplex;

static double
evaluate(OnecMinimum *task, const double *point)
{
	double		value;

	if (task->stopped || (task->stop != NULL && task->stop(task->stop_arg)))
	{
		task->stopped = true;
		return INFINITY;
	}
	task->evaluations++;
	value = task->value(point, task->arg);
	return isnan(value) ? INFINITY : value;
}

static void
build(OnecMinimum *task, Simplex *simplex, double side)
{
	simplex->n = task->dimensions;
	for (int i = 0; i <= simplex->n; i++)
	{
		memcpy(simplex->point[i], task->point, sizeof(task->point));
		if (i > 0)
			simplex->point[i][i - 1] += side;
		simplex->value[i] = evaluate(task, simplex->point[i]);
	}
}

/* Best first: a handful of points, so by insertion. */
static void
sort(Simplex *simplex)
{
	for (int i = 1; i <= simplex->n; i++)
	{
		double		point[ONEC_MINIMUM_MAX];
		double		value = simplex->value[i];
		int			j = i;

		memcpy(point, simplex->point[i], sizeof(point));
		for (; j > 0 && simplex->value[j - 1] > value; j--)
		{
			memcpy(simplex->point[j], simplex->point[j - 1], sizeof(point));
			simplex->value[j] = simplex->value[j - 1];
		}
		memcpy(simplex->point[j], point, sizeof(point));
		simplex->value[j] = value;
	}
}

/* Sorted: is there nothing left to find? */
static bool
ended(const Simplex *simplex)
{
	int			n = simplex->n;
	double		size = 0;

	for (int i = 1; i <= n; i++)
	{
		for (int d = 0; d < n; d++)
			size = fmax(size, fabs(simplex->point[i][d] - simplex->point[0][d]));
	}
	return size < POINT_TOLERANCE ||
		simplex->value[n] - simplex->value[0] <= VALUE_TOLERANCE * fabs(simplex->value[0]);
}

/* The point on the line from the worst one through the middle of the others, "by" times as far. */
static double
along(OnecMinimum *task, const Simplex *simplex, double by, double *point)
{
	int			n = simplex->n;

	for (int d = 0; d < n; d++)
	{
		double		middle = 0;

		for (int i = 0; i < n; i++)
			middle += simplex->point[i][d] / n;
		point[d] = middle + by * (middle - simplex->point[n][d]);
	}
	return evaluate(task, point);
}

static void
replace_worst(Simplex *simplex, const double *point, double value)
{
	memcpy(simplex->point[simplex->n], point, simplex->n * sizeof(double));
	simplex->value[simplex->n] = value;
}

static void
shrink(OnecMinimum *task, Simplex *simplex)
{
	for (int i = 1; i <= simplex->n; i++)
	{
		for (int d = 0; d < simplex->n; d++)
			simplex->point[i][d] = (simplex->point[i][d] + simplex->point[0][d]) / 2;
		simplex->value[i] = evaluate(task, simplex->point[i]);
	}
}

/* One step on a sorted simplex: reflect, then expand, contract or shrink. */
static void
step(OnecMinimum *task, Simplex *simplex)
{
	int			n = simplex->n;
	double		near[ONEC_MINIMUM_MAX];
	double		far[ONEC_MINIMUM_MAX];
	double		reflected = along(task, simplex, 1, near);
	double		other;

	if (reflected < simplex->value[0])
	{
		other = along(task, simplex, 2, far);
		if (other < reflected)
			replace_worst(simplex, far, other);
		else
			replace_worst(simplex, near, reflected);
	}
	else if (reflected < simplex->value[n - 1])
		replace_worst(simplex, near, reflected);
	else
	{
		bool		outside = reflected < simplex->value[n];

		other = along(task, simplex, outside ? 0.5 : -0.5, far);
		if (other < (outside ? reflected : simplex->value[n]))
			replace_worst(simplex, far, other);
		else
			shrink(task, simplex);
	}
}

/* One simplex from task->point on; whether it ended by itself. */
static bool
descend(OnecMinimum *task, double side)
{
	Simplex		simplex;
	bool		done = false;

	build(task, &simplex, side);
	for (int i = 0; i < MAX_STEPS && !done && !task->stopped; i++)
	{
		sort(&simplex);
		done = ended(&simplex);
		if (!done)
			step(task, &simplex);
	}
	sort(&simplex);
	memcpy(task->point, simplex.point[0], sizeof(task->point));
	task->best = simplex.value[0];
	return done;
}

void
onec_minimum(OnecMinimum *task)
{
	double		side = SIDE;
	double		before = INFINITY;

	task->stopped = false;
	task->converged = false;
	for (int round = 0; round < MAX_ROUNDS && !task->stopped; round++)
	{
		bool		done = descend(task, side);

		if (done && isfinite(task->best) && before - task->best <= GAIN_TOLERANCE * fabs(task->best))
		{
			task->converged = !task->stopped;
			return;
		}
		before = task->best;
		/* the other way round: the next simplex looks where this one began outside of */
		side = -side * 0.6;
		if (fabs(side) < 0.02)
			side = 0.02;
	}
}
