"""From a warm-up: is the series steady, and how many calls make one sample?"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.measure.effort import Effort

FLAT = "flat"
WARMING = "warming"
SLOWING = "slowing"
UNSTEADY = "no steady state"

_FEWEST = 6  # calls from which a shape can be told
_DRIFT = 0.05
_SPREAD = 0.5  # interquartile range over the median, beyond which no level can be named


def classify(times: Sequence[float]) -> str:
    """The shape of a series of call times.

    The medians of its first and last thirds are compared: a change of more than 5 %, and more than twice what their
    scatter explains, is warming (getting faster) or slowing. A series whose middle half spreads over more than half its
    median has no steady state. Fewer than 6 calls: "too short to tell".
    """
    if len(times) < _FEWEST:
        return "too short to tell"
    third = len(times) // 3
    early, late = times[:third], times[-third:]
    middle = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4)
    change = (statistics.median(late) - statistics.median(early)) / middle
    scatter = (
        1.25 * (_spread(early) + _spread(late)) / (2 * middle * math.sqrt(third))
    )  # of a median: 1.25 × deviation / √n
    if abs(change) > max(_DRIFT, 2 * scatter):
        return SLOWING if change > 0 else WARMING
    return UNSTEADY if (high - low) / middle > _SPREAD else FLAT


def _spread(values: Sequence[float]) -> float:
    """A robust standard deviation: 1.4826 times the median distance from the median."""
    middle = statistics.median(values)
    return 1.4826 * statistics.median(abs(value - middle) for value in values)


def level(times: Sequence[float]) -> float:
    """Seconds of one warm call: the median of the later half."""
    return statistics.median(times[len(times) // 2 :])


@dataclass(frozen=True)
class Calls:
    """How many calls make a sample of each arm, in how many rounds it takes part, and why."""

    calls: Mapping[str, int]
    rounds: Mapping[str, int]
    reasons: tuple[str, ...]


def choose_calls(task: str, seconds: Mapping[str, float], effort: Effort) -> Calls:
    """The calls per sample for every arm of a task, given the seconds of one warm call.

    One number for all arms, such that the fastest arm's sample lasts `effort.sample_seconds`, if the slowest arm's
    then lasts no longer than `effort.longest_sample`. Otherwise the arms are divided where their speeds differ most,
    and each group has its own number: arms on both sides of such a gap differ by far more than the one or two per cent
    that an unequal number of calls may bias a comparison by.
    """
    calls: dict[str, int] = {}
    for group in _groups(sorted(seconds, key=lambda arm: seconds[arm]), seconds, effort):
        number = max(1, math.ceil(effort.sample_seconds / max(seconds[group[0]], 1e-9)))
        calls.update(dict.fromkeys(group, number))
    rounds = {}
    for arm, each in seconds.items():
        sample = max(each * calls[arm], 1e-9) * 1.2  # with its run-in
        rounds[arm] = min(effort.rounds, max(effort.fewest_rounds, int(effort.arm_seconds / sample)))
    return Calls(calls, rounds, tuple(_reasons(task, calls, rounds, seconds, effort)))


def _groups(ordered: list[str], seconds: Mapping[str, float], effort: Effort) -> list[list[str]]:
    """Arms, fastest first, cut at their largest gaps until the samples of each group fit between the two bounds."""
    fastest, slowest = seconds[ordered[0]], seconds[ordered[-1]]
    sample = max(effort.sample_seconds, fastest)  # what one call of the fastest takes, if it is longer than a sample
    if slowest / fastest * sample <= effort.longest_sample or fastest >= effort.longest_sample or len(ordered) == 1:
        return [ordered]
    gaps = [seconds[after] / seconds[before] for before, after in itertools.pairwise(ordered)]
    cut = gaps.index(max(gaps)) + 1
    return _groups(ordered[:cut], seconds, effort) + _groups(ordered[cut:], seconds, effort)


def _reasons(
    task: str, calls: Mapping[str, int], rounds: Mapping[str, int], seconds: Mapping[str, float], effort: Effort
) -> list[str]:
    reasons = []
    numbers = sorted(set(calls.values()), reverse=True)
    if len(numbers) == 1:
        reasons.append(f"{task}: {numbers[0]} calls per sample for every contestant")
    else:
        parts = [f"{number} for {', '.join(arm for arm in calls if calls[arm] == number)}" for number in numbers]
        reasons.append(
            f"{task}: one number of calls for all would make samples longer than {effort.longest_sample:g} s "
            f"(speeds differ {max(seconds.values()) / min(seconds.values()):.0f}-fold), so calls per sample are "
            + "; ".join(parts)
        )
    for arm, number in rounds.items():
        if number < effort.rounds:
            reasons.append(
                f"{task}: {arm} takes part in {number} of {effort.rounds} rounds, "
                f"because a sample of it lasts {seconds[arm] * calls[arm]:.2g} s"
            )
    return reasons
