"""The file of a source's results: read, added to case by case, summed up by framework."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assay.errors import OutputError
from assay.frameworks import installed_versions
from assay.measure.environment import environment

Facts = dict[str, Any]


@dataclass
class Results:
    """Name → facts of every case known; `path` is None where nothing is kept."""

    path: Path | None
    source: str
    distributions: Sequence[str] = ()
    cases: dict[str, Facts] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None, source: str, distributions: Sequence[str] = ()) -> Results:
        """What the file has; nothing if there is none yet."""
        found = cls(path, source, distributions)
        if path is not None and path.exists():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                found.cases = {item["name"]: item for item in content["cases"]}
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise OutputError(f"{path} is no file of results that can be added to: {error}") from error
            if content.get("source") != source:
                raise OutputError(f"{path} has the results of {content.get('source')!r}, not of {source!r}")
        return found

    @staticmethod
    def parsed(text: str) -> Facts:
        found: Facts = json.loads(text)
        return found

    def has(self, name: str, targets: Sequence[str]) -> bool:
        """Whether a case has been run in all of these targets, whatever came of it."""
        known = self.cases.get(name)
        return known is not None and all(target in known.get("frameworks", {}) for target in targets)

    def add(self, facts: Facts) -> None:
        """One case's facts; what is known of frameworks that were not tried this time stays."""
        before = self.cases.get(facts["name"], {}).get("frameworks", {})
        merged = {**before, **facts.get("frameworks", {})} if "error" not in facts else {}
        date = datetime.now(UTC).isoformat(timespec="seconds")
        self.cases[facts["name"]] = {**facts, "frameworks": merged, "date": date}
        if self.path is not None:
            self._write(self.path)

    def _write(self, path: Path) -> None:
        machine = environment(threads=1)
        content = {
            "suite": "zoo",
            "source": self.source,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {**machine.versions, **installed_versions(list(self.distributions))},
            "machine": {**machine.summary(), "flags": dict(machine.flags)},
            "summary": self.summary(),
            "cases": [self.cases[name] for name in sorted(self.cases)],
        }
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(unfinished, path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error

    def summary(self) -> Facts:
        """How many cases there are, and how many are equal: by framework, and in all of them."""
        targets = sorted({target for case in self.cases.values() for target in case.get("frameworks", {})})
        equal = {target: sum(status_of(case, target) == "equal" for case in self.cases.values()) for target in targets}
        everywhere = sum(all(status_of(case, item) == "equal" for item in targets) for case in self.cases.values())
        return {"cases": len(self.cases), "equal": equal, "equal in all": everywhere if targets else 0}

    def summary_line(self, targets: Sequence[str], names: Sequence[str]) -> str:
        cases = [self.cases[name] for name in names]
        parts = [f"{target} {sum(status_of(case, target) == 'equal' for case in cases)}" for target in targets]
        everywhere = sum(all(status_of(case, target) == "equal" for target in targets) for case in cases)
        return f"{self.source}: {everywhere} of {len(cases)} models equal everywhere ({', '.join(parts)})"


def status_of(case: Mapping[str, Any], target: str) -> str:
    """`equal`, `different`, `not-run`, `not-written`, `not-tried`, or `not-brought` if the case did not come that far."""
    if "error" in case:
        return "not-brought"
    return str(case.get("frameworks", {}).get(target, {}).get("status", "not-tried"))


def described(facts: Mapping[str, Any], targets: Sequence[str]) -> str:
    """One case in one line, and a line for everything that is not equal."""
    name = facts["name"]
    if "error" in facts:
        return f"FAIL  {name}\n        {facts['error']}"
    frameworks = facts["frameworks"]
    wrong = [target for target in targets if status_of(facts, target) != "equal"]
    seconds = facts["seconds"].get("bring", 0.0) + facts["seconds"].get("original", 0.0)
    seconds += sum(item.get("write_seconds", 0) + item.get("prove_seconds", 0) for item in frameworks.values())
    worst = max((_worst(item) for item in frameworks.values()), default=0.0)
    head = (
        f"{'FAIL' if wrong else 'pass'}  {name}  {seconds:.0f} s, {facts['parameters']:,} parameters, worst {worst:.0e}"
    )
    lines = [
        f"        {target}: {status_of(facts, target)}: {frameworks[target].get('reason', '')}" for target in wrong
    ]
    return "\n".join([head, *lines])


def _worst(framework: Mapping[str, Any]) -> float:
    """The largest relative deviation of any check."""
    return max((item["error"] or 0.0 for item in framework.get("checks", {}).values()), default=0.0)
