"""What happens while a comparison runs: a live table on a terminal, one line per finished row elsewhere.

The caller tells what it knows through `Progress`; nothing here knows where the news come from. On a terminal the table
is redrawn once a second at most: the processors belong to what is being timed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from assay.show import words
from assay.show.facts import Measurement, Proof
from assay.show.table import proof_text
from assay.show.terminal import STYLES, signs_for

REDRAWS_PER_SECOND = 1.0
NOTICES_SHOWN = 3
FINISHED = ("done", "failed")
STATES = {
    "waiting": "waiting",
    "writing": "writing the code",
    "importing": "importing the framework",
    "proving": "proving equality",
    "proved": "proven",
    "building": "building the model",
    "compiling": "first call, compiling",
    "ready": "ready",
    "warming": "warming up",
    "timing": "measuring",
    "training": "training on real data",
    "done": "done",
    "failed": "failed",
}


@dataclass
class _Line:
    """What is known of a contestant so far."""

    state: str = "waiting"
    detail: str = ""
    proof: Proof | None = None
    times: dict[tuple[str, int], Measurement] = field(default_factory=dict)
    printed: bool = False

    @property
    def verified(self) -> bool:
        """No figure is shown of a contestant that is not proven equal."""
        return self.proof is not None and self.proof.status == "equal"


class Progress:
    """Feeds a live view. Use it as a context manager; every method may be called from any thread.

    with Progress(names, title="digits-cnn") as progress:
        progress.state("jax:jit", "proving", "gradients")
        progress.proof(Proof("jax:jit", "equal", …))
        progress.measurements([Measurement("jax:jit", "train", …), …])
        progress.state("jax:jit", "done")
    """

    def __init__(self, contestants: Sequence[str], *, title: str = "", console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._signs = signs_for(self._console)
        self._title = title
        self._lines = {name: _Line() for name in contestants}
        self._done, self._expected = 0, 0
        self._replicates = ""
        self._notices: list[str] = []
        self._started = time.monotonic()
        self._lock = threading.RLock()
        self._live: Live | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._draw,
                console=self._console,
                refresh_per_second=REDRAWS_PER_SECOND,
                transient=True,  # the final table takes its place
                vertical_overflow="ellipsis",
            )

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        else:
            self._print_rest()

    # ------------------------------------------------------------ news

    def state(self, contestant: str, state: str, detail: str = "") -> None:
        """A contestant went into a state, one of `STATES`; a failure's detail is its reason."""
        with self._lock:
            line = self._line(contestant)
            line.state, line.detail = state, words.one_line(detail)
            awaited = state == "done" and line.times and all(item.median_s is None for item in line.times.values())
            if state in FINISHED and not awaited:  # its figures come in a moment, with all others
                self._finish(contestant)

    def proof(self, proof: Proof) -> None:
        """A contestant's proof came in."""
        with self._lock:
            self._line(proof.contestant).proof = proof

    def measurements(self, found: Iterable[Measurement]) -> None:
        """Figures that stand, or stand so far; later ones replace them. A log has a verified row as soon as it is there.

        Of several conditions (threads, precision) the first one's are shown; the result has them all.
        """
        found = list(found)
        first = [m for m in found if (m.threads, m.precision) == (found[0].threads, found[0].precision)]
        with self._lock:
            for measurement in first:
                self._line(measurement.contestant).times[measurement.task, measurement.batch_size] = measurement
            for name, line in self._lines.items():
                if line.verified and any(item.median_s is not None for item in line.times.values()):
                    self._finish(name)

    def samples(self, done: int, expected: int) -> None:
        """How much of the measurement is done."""
        with self._lock:
            self._done, self._expected = done, expected

    def replicates(self, done: int, wanted: int, seconds_left: float, smallest: float | None) -> None:
        """One more process of every contestant was timed: what is left, and what could be told now."""
        if wanted <= 1:
            return
        said = f"{done} of {words.counted(wanted, 'process', 'processes')} each"
        said += f", about {words.roughly(seconds_left)} left" if done < wanted else ""
        said += f", differences from {words.percent(smallest)} on can be told" if smallest is not None else ""
        with self._lock:
            self._replicates = said
            if not self._live:
                self._say(said)

    def notice(self, text: str) -> None:
        """Something worth a line of its own."""
        with self._lock:
            said = words.one_line(text)
            self._notices.append(said)
            if not self._live:
                self._say(said)

    # ------------------------------------------------------------ lines, where there is no terminal

    def _line(self, contestant: str) -> _Line:
        return self._lines.setdefault(contestant, _Line())

    def _finish(self, contestant: str) -> None:
        line = self._lines[contestant]
        if self._live or line.printed:
            return
        line.printed = True
        self._say(f"{words.one_line(contestant, 60):<24} {self._told(line)}")

    def _told(self, line: _Line) -> str:
        """`✓ equal 3e-13  train step (64) 6.68 ms  inference (1) 311 µs`, or why there is nothing of the kind."""
        parts = [f"{self._signs.of(line.proof.status)} {proof_text(line.proof)}"] if line.proof else []
        measured = _in_order(line.times.values()) if line.verified else []
        parts += [_time_text(m) for m in measured if m.median_s is not None]
        reasons = dict.fromkeys(words.one_line(m.reason) for m in measured if m.median_s is None and m.reason)
        if line.state == "failed":
            reasons = dict.fromkeys([line.detail or "no reason given", *reasons])
        if line.state not in FINISHED and not any(m.median_s is not None for m in measured):
            reasons[f"stopped while {STATES.get(line.state, line.state)}"] = None
        parts += [f"{self._signs.different} {reason}" for reason in reasons]
        return "  ".join(parts)

    def _say(self, text: str) -> None:
        stamp = f"{time.monotonic() - self._started:6.1f} s"
        self._console.print(
            Text(self._signs.plain(f"{stamp}  {text}")), soft_wrap=True
        )  # a log's lines are not cut to a width that nobody sees

    def _print_rest(self) -> None:
        """What a comparison that was cut short knows of the others."""
        for name, line in self._lines.items():
            if not line.printed and (line.proof or line.times):
                self._finish(name)

    # ------------------------------------------------------------ the live table

    def _draw(self) -> RenderableType:
        with self._lock:
            kinds = sorted({kind for line in self._lines.values() for kind in line.times}, key=_kind_order)
            headings = ["proof", *(f"{'train' if task == 'train' else 'infer'} {size:,}" for task, size in kinds)]
            rows = [(name, line, self._figures(line, kinds)) for name, line in self._lines.items()]
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", expand=True)
            table.add_column("contestant", no_wrap=True, min_width=max(map(len, self._lines), default=0))
            for i, heading in enumerate(headings):
                width = max([len(heading), *(figures[i].cell_len for _, _, figures in rows)])
                table.add_column(heading, justify="right" if i else "left", no_wrap=True, min_width=width)
            table.add_column("now", ratio=1, no_wrap=True, overflow="ellipsis")
            for name, line, figures in rows:
                table.add_row(Text(self._signs.plain(words.one_line(name, 40))), *figures, self._now(line))
            notices = [Text(self._signs.plain(said), style="dim") for said in self._notices[-NOTICES_SHOWN:]]
            return Group(self._headline(), table, *notices)

    def _headline(self) -> Text:
        elapsed = f"{time.monotonic() - self._started:.0f} s"
        finished = sum(line.state in FINISHED for line in self._lines.values())
        text = f"  {finished} of {words.counted(len(self._lines), 'contestant')} done, {elapsed}"
        if self._expected:
            text += f", {100 * self._done / self._expected:.0f}% of the samples"
        text += f"; {self._replicates}" if self._replicates else ""
        return Text.assemble((self._signs.plain(words.one_line(self._title)), "bold"), (text, "dim"))

    def _figures(self, line: _Line, kinds: Sequence[tuple[str, int]]) -> list[Text]:
        """The proof, then a time for each kind."""
        cells = [Text("")]
        if line.proof:
            said = f"{self._signs.of(line.proof.status)} {proof_text(line.proof).removeprefix('equal ')}"
            cells = [Text(self._signs.plain(said), style=STYLES[line.proof.status])]
        for kind in kinds:
            found = line.times.get(kind)
            shown = words.seconds(found.median_s) if found and found.median_s is not None and line.verified else ""
            cells.append(Text(self._signs.plain(shown)))
        return cells

    def _now(self, line: _Line) -> Text:
        what = STATES.get(line.state, words.one_line(line.state))
        text = f"{what}: {line.detail}" if line.detail else what
        style = {"failed": "red", "done": "green", "waiting": "dim"}.get(line.state, "cyan")
        return Text(self._signs.plain(text), style=style)


def _kind_order(kind: tuple[str, int]) -> tuple[bool, int]:
    return kind[0] != "train", kind[1]


def _in_order(found: Iterable[Measurement]) -> list[Measurement]:
    return sorted(found, key=lambda m: _kind_order((m.task, m.batch_size)))


def _time_text(m: Measurement) -> str:
    """`train step (64) 6.68 ms ±1%`."""
    name = f"{'train step' if m.task == 'train' else 'inference'} ({m.batch_size:,})"
    spread = words.spread(m.median_s, m.interval_s) if m.median_s is not None else ""
    return f"{name} {words.seconds(m.median_s)}{' ' + spread if spread else ''}"
