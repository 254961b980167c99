"""What each framework does where nobody says otherwise: the `defaults.toml` of its folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Default:
    """One thing that a framework decides by itself."""

    of: str  # the kind of call, the optimizer or the loss: "BatchNormalization", "Adam"
    what: str  # "epsilon"
    value: float | str
    attribute: str | None = None  # of the operator, or field of the optimizer, that holds the value
    note: str | None = None

    def text(self) -> str:
        """The value as it is shown."""
        return f"{self.value:g}" if isinstance(self.value, (int, float)) else self.value


@cache
def defaults(framework: str) -> tuple[Default, ...]:
    """The defaults of a framework, by its name."""
    text = files(f"assay.frameworks.{framework}").joinpath("defaults.toml").read_text(encoding="utf-8")
    return tuple(Default(**entry) for entry in tomllib.loads(text)["default"])
