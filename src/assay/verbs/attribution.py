"""Why a contestant is slower than the fastest: the parts of both calls' time, and their differences."""

from __future__ import annotations

from typing import cast

from assay.measure import Record, record
from assay.show import facts, words

_WORTH_TELLING = 0.1  # of the difference


def attributions(found: Record) -> tuple[facts.Attribution, ...]:
    """An entry for each profile of a contestant that was timed; fastest first within a task."""
    part = found.under(0)
    medians = {
        (m.contestant, m.task, m.batch_size): m.median_s
        for m in part.measurements
        if m.status == "ok" and m.median_s is not None
    }
    told: list[facts.Attribution] = []
    for kind, size in part.header.tasks:
        profiles = [p for p in part.profiles if (p.task, p.batch_size) == (kind, size) and _key(p) in medians]
        profiles.sort(key=lambda p: medians[_key(p)] or 0.0)
        fastest = _parts(profiles[0], medians[_key(profiles[0])] or 0.0) if profiles else ()
        for profile in profiles:
            told.append(_attribution(profile, medians[_key(profile)] or 0.0, profiles[0].contestant, fastest))
    return tuple(told)


def _key(profile: record.Profile) -> tuple[str, str, int]:
    return profile.contestant, profile.task, profile.batch_size


def _parts(profile: record.Profile, median: float) -> tuple[facts.Part, ...]:
    return tuple(facts.Part(name, share * median) for name, share in profile.kinds)


def _attribution(
    profile: record.Profile, median: float, fastest: str, of_fastest: tuple[facts.Part, ...]
) -> facts.Attribution:
    mine = _parts(profile, median)
    is_fastest = profile.contestant == fastest
    return facts.Attribution(
        contestant=profile.contestant,
        task=cast("facts.Task", profile.task),
        batch_size=profile.batch_size,
        parts=mine,
        operators=tuple(
            facts.ProfiledOperator(name, kind, share * median, count) for name, kind, share, count in profile.operators
        ),
        slowed=profile.seconds / median if median else 1.0,
        slower_than=None if is_fastest else fastest,
        statement=_alone(profile, mine) if is_fastest else _difference(profile, mine, fastest, of_fastest),
    )


def _alone(profile: record.Profile, parts: tuple[facts.Part, ...]) -> str:
    whole = sum(part.seconds for part in parts) or 1.0
    said = [f"{part.seconds / whole:.0%} {part.name}" for part in parts if part.seconds >= _WORTH_TELLING * whole]
    return f"{profile.contestant}: the fastest; {words.listed(said)}"


def _difference(
    profile: record.Profile, mine: tuple[facts.Part, ...], fastest: str, theirs: tuple[facts.Part, ...]
) -> str:
    """`b: 6.2 ms slower than a: 4.1 ms more of dispatch and Python, 2.5 ms more of convolution`."""
    other = {part.name: part.seconds for part in theirs}
    own = {part.name: part.seconds for part in mine}
    more = {name: own.get(name, 0.0) - other.get(name, 0.0) for name in {**own, **other}}
    slower = sum(more.values())
    ordered = sorted(more.items(), key=lambda pair: -abs(pair[1]))
    told = [(name, gap) for name, gap in ordered if abs(gap) >= _WORTH_TELLING * slower]
    said = [f"{words.seconds(abs(gap))} {'more' if gap > 0 else 'less'} of {name}" for name, gap in told[:4]]
    return f"{profile.contestant}: {words.seconds(slower)} slower than {fastest}: {words.listed(said)}"
