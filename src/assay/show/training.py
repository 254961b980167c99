"""The progress of a training on a terminal; a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 5.0


class TrainingView:
    """Called with `step`, `of`, `loss` and `seconds`; use it as a context manager."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._title = title
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self._console, transient=True) if self._console.is_terminal else None
        self._task: Any = None
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, news: Mapping[str, Any]) -> None:
        step, total, loss = int(news["step"]), int(news["of"]), float(news["loss"])
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(self._title, total=total, loss=loss)
            self._bar.update(self._task, completed=step, loss=loss)
        elif time.monotonic() - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            self._console.print(f"{self._title}: step {step} of {total}, loss {loss:.4f}", highlight=False)
