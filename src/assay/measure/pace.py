"""Whether one more replicate is measured: decided between replicates only, by scatter and time, never by a result.

The first replicates (`Effort.processes`) are a pilot. Their scatter fixes how many are needed for intervals of the wanted
width (Stein's two-stage procedure), so the number does not depend on what the later ones show, nor on who is ahead.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from assay.measure.effort import Effort
from assay.measure.events import ReplicateDone
from assay.measure.outlook import Outlook

ENDED = "ended after"  # how the decision begins that says why no more replicates were measured


class Pace:
    """Counts the replicates under one condition and says when it is enough.

    `share`: the part of the budget that is gone when this condition has to be done; `began`: when the run was begun, in
    the seconds of `clock`.
    """

    def __init__(
        self,
        effort: Effort,
        share: float = 1.0,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._effort = effort
        self._share = share
        self._clock = clock
        self._since = clock()  # when the replicate that is going on was begun
        self._began = self._since if began is None else began
        self._one: float | None = None  # seconds of a replicate
        self.done = 0
        self.wanted = effort.processes
        self.reason = ""  # why it ended, once `another` was False

    def finished(self, look: Callable[[], Outlook], expected: float | None = None) -> ReplicateDone:
        """A replicate has ended. `expected`: what the next one will take, where this one did more than be measured."""
        now = self._clock()
        self._one = now - self._since if expected is None else expected
        self._since = now
        self.done += 1
        several = self._effort.most_processes > 1
        outlook = look() if several else Outlook(None, None)
        if self.done == self._effort.processes and outlook.processes is not None:
            self.wanted = min(max(self.done, outlook.processes), self._effort.most_processes)
        left = max(0, self._affordable() - self.done) * self._one
        return ReplicateDone(self.done, self._affordable(), left, outlook.smallest_difference)

    def go_on(self, done: int, look: Callable[[], Outlook]) -> None:
        """So many replicates were complete when the run was cut short."""
        self.done = done
        several = self._effort.most_processes > 1
        found = look() if several and done >= self._effort.processes else Outlook(None, None)
        if found.processes is not None:
            self.wanted = min(max(self._effort.processes, found.processes), self._effort.most_processes)

    def another(self) -> bool:
        """True if one more replicate is wanted and can be afforded."""
        if self.done >= self.wanted:
            self.reason = self._enough()
            return False
        if self._affordable() <= self.done:
            self.reason = f"the budget of {self._effort.budget_s:g} s does not hold one more"
            return False
        return True

    @property
    def over(self) -> bool:
        """True if a budget that was meant strictly is used up: then nothing more is begun."""
        effort = self._effort
        if effort.budget_s is None or not effort.strict_budget:
            return False
        return self._clock() - self._began >= effort.budget_s * self._share

    def summary(self) -> str:
        """Why it ended, for the record."""
        count = "one process" if self.done == 1 else f"{self.done} processes"
        return f"{ENDED} {count}: {self.reason}"

    def _affordable(self) -> int:
        """How many replicates there will be, if each takes as long as the last one."""
        effort = self._effort
        if effort.budget_s is None or not self._one:
            return self.wanted
        spare = effort.budget_s * self._share - (self._clock() - self._began)
        fitting = self.done + max(0, int(spare / self._one))
        least = self.done if effort.strict_budget else effort.processes
        return min(self.wanted, max(fitting, least))

    def _enough(self) -> str:
        effort = self._effort
        if effort.most_processes == effort.processes:
            return "as many as this effort measures"
        if self.wanted == effort.most_processes:
            return "the most that this effort measures"
        return f"as many as the scatter of the first {effort.processes} asked for"
