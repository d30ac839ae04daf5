"""When customers come: the MBG/NBD process, seasons, and hours; and what they spend.

Each customer buys at a rate of his own (gamma) and, after each purchase, the first one too,
leaves for good with a probability of his own (beta).  Seasons multiply the rate: candidates
are drawn at the highest rate and thinned by the weight of their day, so that weights of mean
one leave the parameters as they are.  New customers come so that the shop neither grows nor
shrinks: their density is solved from the expected purchases of those who came before.
"""

from __future__ import annotations

import random
from bisect import bisect
from calendar import monthrange
from datetime import datetime, timedelta
from itertools import accumulate

START, END = datetime(2024, 5, 23), datetime(2026, 11, 22, 23, 59, 59)
DAYS = (END - START).days + 1
R, ALPHA, A, B = 0.6, 9.0, 0.9, 3.2  # weeks
P, Q, V = 4.0, 4.5, 3719.0  # gamma-gamma, roubles a receipt
MONTHS = (.70, 1.10, 1.40, .78, .82, .82, .78, .82, .86, .92, 1.10, 1.90)
WEEKEND = 1.3
HOURS = tuple(accumulate((4, 6, 8, 9, 9, 9, 9, 10, 11, 10, 7, 4)))  # from 10 to 21
PARAMETERS = {
    "start": START.isoformat(), "end": END.isoformat(), "unit": "week",
    "mbgnbd": {"r": R, "alpha": ALPHA, "a": A, "b": B}, "gamma_gamma": {"p": P, "q": Q, "v": V},
    "month_weights": list(MONTHS), "weekend_weight": WEEKEND,
    "day_weights": {"03-01..03-08": 3, "02-07..02-14": 1.6, "12-15..12-31": 2, "01-01..01-05": .3}}


def _inside(day: datetime) -> float:
    """Weight of a day within its month, before that month's mean is made its month's weight."""
    weight = WEEKEND if day.weekday() >= 5 else 1.0
    if day.month == 3 and day.day <= 8:
        weight *= 3
    elif day.month == 2 and 7 <= day.day <= 14:
        weight *= 1.6
    elif day.month == 12 and day.day >= 15:
        weight *= 2
    elif day.month == 1 and day.day <= 5:
        weight *= .3
    return weight


def day_weights(thinned: bool) -> list[float]:
    """The weight of each day of the window."""
    if not thinned:
        return [1.0] * DAYS
    means: dict[tuple[int, int], float] = {}
    found = []
    for at in range(DAYS):
        day = START + timedelta(days=at)
        month = day.year, day.month
        if month not in means:
            days = monthrange(*month)[1]
            means[month] = sum(_inside(datetime(*month, number)) for number in range(1, days + 1)) / days
        found.append(MONTHS[day.month - 1] * _inside(day) / means[month])
    return found


def _repeat_rate(age: float, steps: int = 120) -> float:
    """Expected purchases a week of a customer who came "age" weeks ago."""
    total = weights = 0.0
    for at in range(steps):
        p = (at + .5) / steps
        weight = p ** (A - 1) * (1 - p) ** (B - 1)
        weights += weight
        total += weight * (1 - p) * R * ALPHA ** R / (ALPHA + p * age) ** (R + 1)
    return total / weights


def arrivals() -> list[float]:
    """Density of new customers by week, such that all purchases together stay level."""
    weeks = DAYS // 7 + 1
    rates = [_repeat_rate(week + .5) for week in range(weeks)]
    found: list[float] = []
    for week in range(weeks):
        found.append(max(1 - sum(found[k] * rates[week - k - 1] for k in range(week)), .05))
    return found


class Process:
    def __init__(self, seed: object, thinned: bool):
        self.rng = random.Random(f"{seed}/process")
        self.weights = day_weights(thinned)
        self.highest = max(self.weights)
        density = arrivals()
        self.first_days = list(accumulate(density[at // 7] * weight for at, weight in enumerate(self.weights)))
        self.any_days = list(accumulate(self.weights))

    def moment(self, day: int) -> datetime:
        """A time of that day at which shops are open."""
        rng = self.rng
        hour = 10 + bisect(HOURS, rng.random() * HOURS[-1])
        return START + timedelta(days=day, hours=hour, seconds=rng.randrange(3600))

    def passer_by(self) -> datetime:
        return self.moment(bisect(self.any_days, self.rng.random() * self.any_days[-1]))

    def visits(self) -> list[datetime]:
        """Purchases of one customer, the first always inside the window."""
        rng = self.rng
        rate = rng.gammavariate(R, 1 / ALPHA) * self.highest / 7  # candidates a day
        leaves = rng.betavariate(A, B)
        day = bisect(self.first_days, rng.random() * self.first_days[-1])
        found, at = [self.moment(day)], day + rng.random()
        while rng.random() >= leaves:
            while True:
                at += rng.expovariate(rate) if rate > 1e-12 else DAYS
                if at >= DAYS:
                    return sorted(found)
                if rng.random() * self.highest < self.weights[int(at)]:
                    break
            found.append(self.moment(int(at)))
        return sorted(found)

    def spender(self) -> float:
        """The scale of what a customer spends at a time."""
        return V / self.rng.gammavariate(Q, 1)

    def spends(self, scale: float) -> float:
        """Roubles of one receipt."""
        return self.rng.gammavariate(P, scale)
