"""Where frameworks keep compiled programs from one run to the next, and what a run may say of it.

A cache belongs to one role of one contestant: the process that proves leaves nothing that would make the cold start of
the one that is timed warm. What is true of a start ("warm", "cold") is counted by the process itself, never assumed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from assay.frameworks import frameworks
from assay.frameworks import target as find_target
from assay.frameworks.base import Contestant, Target

VARIABLE = "ASSAY_CACHE"  # names another folder than the user's own


def folder() -> Path:
    """`$ASSAY_CACHE`, else `assay` in the user's cache folder. Everything in it can be deleted at any time."""
    if given := os.environ.get(VARIABLE):
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"


def keeps_programs(contestant: Contestant) -> bool:
    """Whether the contestant's framework can find its compiled programs again in a later process."""
    if contestant.framework not in frameworks():
        return False
    return bool(find_target(contestant.target).compile_cache) and contestant.mode != "eager"


def environment(target: Target, role: str, owner: str, home: Path | None = None) -> dict[str, str]:
    """The variables that make a worker keep its compiled programs; those that the user has set stay as they are.

    `owner`: the contestant, or the target, whose programs they are. `home`: another folder than the user's.
    Where the folder cannot be made there are none, and the worker compiles everything anew.
    """
    if not target.compile_cache:
        return {}
    place = (home.absolute() if home else folder()) / "compiled" / role / owner.replace("/", "-").replace(":", "-")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return {}
    values = {variable: text.format(folder=place) for variable, text in target.compile_cache.items()}
    return {variable: value for variable, value in values.items() if variable not in os.environ}


def state(found: int, missed: int) -> Literal["cold", "warm", "mixed", "none"]:
    """What a start was, by the compiled programs that it found in the cache and those that it did not find."""
    if not found + missed:
        return "none"
    if not missed:
        return "warm"
    return "mixed" if found else "cold"
