"""A run as rows of the tables, and back: nothing is lost on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.measure.record import Record
from assay.store.contents import Contents, canonical, digest
from assay.store.tables import SAMPLE_COLUMNS

_CONDITION = ("threads", "precision")  # fields of a measurement that tell several of one task apart


@dataclass(frozen=True)
class Rows:
    """What is inserted for one run, by table."""

    run: dict[str, Any]
    environments: Sequence[dict[str, Any]]
    versions: Sequence[dict[str, Any]]
    contestants: Sequence[dict[str, Any]]
    measurements: Sequence[dict[str, Any]]
    lines: Sequence[dict[str, Any]]
    samples: Sequence[dict[str, Any]]
    sources: Sequence[dict[str, Any]]
    written: Sequence[dict[str, Any]]


def rows_of(run: Contents) -> Rows:
    """The rows for a run. Raises `DataError` if its record or its facts are not assay's."""
    record = run.record
    machine = _machine(run)
    sources = {digest(text): text for _, _, text in _files(run)}
    lines, samples = _lines(run)
    return Rows(
        run=_run(run, record, digest(canonical(machine)) if machine else None),
        environments=[_environment(machine)] if machine else [],
        versions=[
            {"environment": digest(canonical(machine)), "distribution": _clean(name), "version": _clean(version)}
            for name, version in machine.get("versions", {}).items()
        ],
        contestants=list(_contestants(run, record)),
        measurements=list(_measurements(run, record)),
        lines=lines,
        samples=samples,
        sources=[{"digest": key, "content": text} for key, text in sources.items()],
        written=[
            {"run": run.id, "target": target, "name": name, "digest": digest(text)}
            for target, name, text in _files(run)
        ],
    )


def contents_of(
    row: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    samples: Sequence[Mapping[str, Any]],
    written: Sequence[Mapping[str, Any]],
) -> Contents:
    """The run that rows were made from."""
    numbered = {line["number"]: {"kind": line["kind"], **json.loads(line["content"])} for line in lines}
    for sample in samples:
        fields = {name: sample[name] for name in SAMPLE_COLUMNS}
        numbered[sample["number"]] = {"kind": "sample", **fields, **json.loads(sample["more"])}
    texts: dict[str, dict[str, str]] = {}
    for file in written:
        texts.setdefault(file["target"], {})[file["name"]] = file["content"]
    facts = json.loads(row["facts"]) if row["facts"] is not None else None
    description = json.loads(row["description"])
    for code in (facts or description).get("code", ()):
        for file in code["files"]:
            file["text"] = texts[code["target"]][file["name"]]
    return Contents(row["id"], description, tuple(numbered[number] for number in sorted(numbered)), facts)


def _run(run: Contents, record: Record | None, environment: str | None) -> dict[str, Any]:
    facts, header, described = run.facts or {}, run.header, run.description
    workload, model = facts.get("workload", {}), described.get("model", {})
    effort = header.get("effort") or facts.get("effort", {})
    stripped = canonical(_without_texts(run.facts)) if run.facts is not None else None
    return {
        "id": run.id,
        "started": run.started,
        "status": run.status,
        "assay": _clean(facts.get("assay") or header.get("assay") or ""),
        "model": _clean(model.get("name") or workload.get("name") or "unknown"),
        "reference": _clean(model["reference"]) if model.get("reference") else None,
        "model_digest": model.get("digest"),
        "command": _clean(facts.get("command") or described.get("command") or ""),
        "effort": _clean(effort.get("name", "")),
        "threads": header.get("threads", facts.get("environment", {}).get("threads")),
        "seed": header.get("seed", workload.get("seed")),
        "seconds": record.end.seconds if record is not None and record.end is not None else facts.get("elapsed_s"),
        "recommended": _recommended(facts),
        "environment": environment,
        "description": canonical(_without_texts(described)),
        "facts": stripped,
        "facts_digest": digest(canonical(run.facts)) if run.facts is not None else None,
    }


def _recommended(facts: Mapping[str, Any]) -> str | None:
    for item in facts.get("verdict", {}).get("recommendations", ()):
        if item["purpose"] == "overall":
            return str(item["contestant"]) if item["contestant"] else None
    return None


def _without_texts(content: Mapping[str, Any] | None) -> dict[str, Any]:
    """Facts or a description without the texts of written files, which are kept once for all runs."""
    found = dict(content or {})
    if "code" in found:
        found["code"] = [{**code, "files": [{**file, "text": ""} for file in code["files"]]} for code in found["code"]]
    return found


def _files(run: Contents) -> Iterator[tuple[str, str, str]]:
    for code in (run.facts or run.description).get("code", ()):
        for file in code["files"]:
            yield code["target"], file["name"], file["text"]


def _machine(run: Contents) -> dict[str, Any]:
    """The environment, less what is of the moment: two runs on one machine with the same software share it."""
    found = next((line for line in run.lines if line["kind"] == "environment"), None)
    found = dict(found or (run.facts or {}).get("environment", {}))
    for momentary in ("kind", "load", "available_bytes", "steal_ticks", "notes", "used", "threads"):
        found.pop(momentary, None)
    return found


def _environment(machine: Mapping[str, Any]) -> dict[str, Any]:
    content = canonical(machine)
    said = {name: _clean(str(machine.get(name, ""))) for name in ("cpu", "operating_system", "python")}
    return {"digest": digest(content), "content": content, **said}


def _contestants(run: Contents, record: Record | None) -> Iterator[dict[str, Any]]:
    proofs: dict[str, tuple[str, str | None]] = {}
    if run.facts is not None:
        proofs = {item["contestant"]: (item["status"], item["reason"]) for item in run.facts["proofs"]}
        names = list(run.facts["contestants"])
    else:
        proofs = {item.contestant: (item.status, item.reason) for item in record.proofs} if record else {}
        names = list(record.header.contestants) if record else []
    for position, name in enumerate(names):
        status, reason = proofs.get(name, ("not-run", None))
        framework = re.split("[/+@:]", name)[0]
        said = _clean(reason) if reason else None
        yield {
            "run": run.id,
            "name": name,
            "position": position,
            "framework": framework,
            "proof": status,
            "reason": said,
        }


def _measurements(run: Contents, record: Record | None) -> Iterator[dict[str, Any]]:
    found: list[Mapping[str, Any]] = []
    if run.facts is not None:
        found = list(run.facts["measurements"])
    elif record is not None:
        found = [vars(item) for item in record.measurements]
    for number, item in enumerate(found):
        low, high = item["interval_s"] or (None, None)
        yield {
            "run": run.id,
            "number": number,
            "contestant": item["contestant"],
            "task": item["task"],
            "batch_size": item["batch_size"],
            "condition": canonical({name: item[name] for name in _CONDITION if name in item}),
            "status": item["status"],
            "median_s": _number(item["median_s"]),
            "low_s": _number(low),
            "high_s": _number(high),
        }


def _lines(run: Contents) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The record's lines: samples by their fields, all others as they are."""
    lines, samples = [], []
    for number, line in enumerate(run.lines):
        rest = {name: value for name, value in line.items() if name != "kind"}
        if line["kind"] == "sample":
            fields = {name: rest.pop(name) for name in SAMPLE_COLUMNS}
            samples.append({"run": run.id, "number": number, **fields, "more": canonical(rest)})
        else:
            lines.append({"run": run.id, "number": number, "kind": line["kind"], "content": canonical(rest)})
    return lines, samples


def _number(value: float | str | None) -> float | None:
    """A number of the facts, which spell those that are not finite."""
    return None if value is None else float(value)


def _clean(text: str) -> str:
    """Text that every database takes: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
