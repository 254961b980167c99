"""Everything that assay raises on purpose.

    AssayError                    base; `exit_status` is what the command line returns (2)
    ├── ModelError                a model is malformed
    │   ├── ShapeError            shapes that do not fit; names the layer
    │   └── UnsupportedError      operators or attributes that a framework cannot express; lists all of them
    ├── NotFoundError             a model, workload, framework or file that cannot be found; gives the nearest names
    ├── FrameworkMissing          a framework that is not installed; gives the command that installs it
    ├── InstallationError         an environment that was asked for cannot be resolved or installed
    ├── DataError                 a batch size or a data set that does not fit
    ├── OutputError               a folder or file that cannot be written
    ├── StoreError                a result store that cannot be used: locked, gone, full, made by a newer assay
    └── WorkerError               a worker process crashed, hung, was killed or answered nonsense

Each message says what happened, what was expected, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AssayError(Exception):
    """Base of all errors that assay raises on purpose; the message is meant for the user."""

    exit_status = 2


class ModelError(AssayError):
    """A model that does not make sense."""


class ShapeError(ModelError):
    """Shapes that do not fit together; the message names the layer."""


class UnsupportedError(ModelError):
    """A framework cannot express part of a model. `missing` lists every reason found."""

    def __init__(self, message: str, missing: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class NotFoundError(AssayError):
    """A name or a path that leads nowhere."""


class FrameworkMissing(AssayError):
    """A framework that is not installed in this environment."""


class InstallationError(AssayError):
    """An environment that cannot be resolved or installed; the message has the installer's last words."""


class DataError(AssayError):
    """Data or a batch size that does not fit."""


class OutputError(AssayError):
    """A folder or file that cannot be written."""


class StoreError(AssayError):
    """A result store that cannot be used; what was measured is not touched by that."""


class WorkerError(AssayError):
    """A worker process that crashed, hung, was killed, or answered nonsense."""


def unknown(kind: str, name: str, known: Iterable[str]) -> NotFoundError:
    """The error for a name that is not among `known`, with the nearest names first."""
    choices = list(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(choices)}"
    return NotFoundError(f"unknown {kind} {name!r}: {hint}")
