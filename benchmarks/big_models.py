"""Memory and time of proving large models: GPT-2 (124 M parameters) and ResNet-50 at 224 × 224, in four frameworks.

    python benchmarks/big_models.py [--only gpt2] [--json docs/results/big-models.json]

`assay prove` runs as a user runs it, and /proc is read meanwhile: for the command's own process (the manager) and for each
worker, the most memory that it has in RAM at a time, less what a process of its kind has after its imports alone. It is
given as a multiple of the model's weights, in float32, as they are brought and written, and in float64, in which the
proof computes. Seconds are wall time: run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FRAMEWORKS = ("pytorch", "tensorflow", "keras", "jax")
POLL = 0.05  # seconds; between two looks the kernel's own high-water mark is kept
ASSAY = [sys.executable, "-c", "import sys; sys.argv[0] = 'assay'; from assay.cli import main; main()"]
MANAGER = "manager"


def gpt2() -> Any:
    """GPT-2 as published, with random weights."""
    from assay.testing.zoo.transformers import _library as library

    transformers = library()
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(use_cache=False)).eval()


def resnet50() -> Any:
    """torchvision's ResNet-50, with random weights."""
    from assay.testing.zoo.torchvision import library

    return library().resnet50().eval()


@dataclass(frozen=True)
class Case:
    """A model, what it is called with, and what is expected of its proof."""

    make: str
    input: str
    imports: str  # what bringing it imports
    weights: float  # the budget of a process, in multiples of the model's weights
    seconds: float


CASES = {
    "gpt2": Case(
        "gpt2",
        "1x16:int64",
        "from assay.testing.zoo.transformers import _library as library; library().GPT2LMHeadModel",
        3,
        180,
    ),
    "resnet50": Case("resnet50", "1x3x224x224", "from assay.testing.zoo.torchvision import library; library()", 2, 60),
}


@dataclass
class Peak:
    """The most memory of one process, in bytes: the kernel's mark, and the parts of it when most was seen."""

    mark: int = 0
    anonymous: int = 0
    file: int = 0

    def see(self, status: dict[str, int]) -> None:
        self.mark = max(self.mark, status.get("VmHWM", 0))
        anonymous, file = status.get("RssAnon", 0), status.get("RssFile", 0)
        if anonymous + file > self.anonymous + self.file:
            self.anonymous, self.file = anonymous, file

    @property
    def bytes(self) -> int:
        return max(self.mark, self.anonymous + self.file)


@dataclass
class Watched:
    """The processes of one command, by what they are."""

    manager: int
    peaks: dict[str, Peak] = field(default_factory=dict)
    _kinds: dict[int, str] = field(default_factory=dict)

    def look(self) -> None:
        for pid in [self.manager, *_descendants(self.manager)]:
            kind = MANAGER if pid == self.manager else self._kind(pid)
            if kind:
                self.peaks.setdefault(kind, Peak()).see(_status(pid))

    def _kind(self, pid: int) -> str:
        if not self._kinds.get(pid):  # between fork and exec it is still called as its parent is
            words = _read(f"/proc/{pid}/cmdline").split("\0")
            self._kinds[pid] = words[words.index("--contestant") + 1] if "--contestant" in words else ""
        return self._kinds[pid]


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""


def _status(pid: int | str) -> dict[str, int]:
    """The sizes in a process' /proc/PID/status, in bytes."""
    lines = (line.split() for line in _read(f"/proc/{pid}/status").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1:] == ["kB"]}


def _descendants(pid: int) -> Iterator[int]:
    """The processes that any thread of this one has started, and theirs."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended
        return
    for thread in threads:
        for child in map(int, _read(f"/proc/{pid}/task/{thread}/children").split()):
            yield child
            yield from _descendants(child)


def after_imports(statement: str, **environment: str) -> int:
    """The high-water mark of a process that only imports, in bytes."""
    program = f"{statement}\nprint(open('/proc/self/status').read())"
    output = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, check=True, capture_output=True, text=True
    ).stdout
    return next(int(line.split()[1]) * 1024 for line in output.splitlines() if line.startswith("VmHWM"))


def imports_of(kind: str, case: Case) -> int:
    """What a process of this kind has after its imports alone."""
    if kind == MANAGER:
        return after_imports(f"import assay.cli, assay.verbs.prove, torch.export; {case.imports}")
    framework, _, backend = kind.partition(":")[0].partition("/")
    session = f"import assay.measure.service, assay.frameworks.{framework}.run"
    if framework == "pytorch" and not kind.endswith(":eager"):
        session += "; import torch._inductor.compile_fx"
    return after_imports(session, KERAS_BACKEND=backend or "tensorflow", TF_CPP_MIN_LOG_LEVEL="3")


def weights_of(case: Case) -> int:
    """The number of the model's parameters; shared ones count once."""
    program = (
        f"from benchmarks.big_models import {case.make}; print(sum(p.numel() for p in {case.make}().parameters()))"
    )
    root = Path(__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)
    return int(found.stdout.split()[-1])


def proven(case: Case, frameworks: str, folder: Path) -> tuple[dict[str, Any], Watched, float, list[str]]:
    """The proofs as JSON, what was seen of the processes, the wall seconds, and the command."""
    result = folder / "proofs.json"
    arguments = ["prove", f"{Path(__file__)}:{case.make}", "--input", case.input, "--loss", "cross-entropy"]
    arguments += ["-f", frameworks, "-m", "default", "--json", str(result)]
    started = time.monotonic()
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([*ASSAY, *arguments], stdout=log, stderr=subprocess.STDOUT)
        watched = Watched(process.pid)
        while process.poll() is None:
            watched.look()
            time.sleep(POLL)
    seconds = time.monotonic() - started
    if not result.exists():
        raise SystemExit(f"assay prove has failed ({process.returncode}):\n{(folder / 'log').read_text()}")
    return json.loads(result.read_text()), watched, seconds, ["assay", *arguments[:-2]]


def tried(name: str, frameworks: str) -> dict[str, Any]:
    """One case: the facts that are written down."""
    case = CASES[name]
    parameters = weights_of(case)
    with tempfile.TemporaryDirectory(prefix="assay-big-") as folder:
        found, watched, seconds, command = proven(case, frameworks, Path(folder))
    processes = []
    for kind, peak in watched.peaks.items():
        imported = imports_of(kind, case)
        more = max(0, peak.bytes - imported)
        processes.append(
            {
                "process": kind,
                "peak_bytes": peak.bytes,
                "anonymous_bytes": peak.anonymous,
                "file_bytes": peak.file,
                "imports_bytes": imported,
                "float32_weights": round(more / (4 * parameters), 2),
                "float64_weights": round(more / (8 * parameters), 2),
            }
        )
    return {
        "model": name,
        "command": " ".join(command).replace(f"{Path(__file__).parents[1]}/", ""),
        "parameters": parameters,
        "seconds": round(seconds, 1),
        "budget": {"float32_weights": case.weights, "seconds": case.seconds},
        "proofs": [
            {key: proof[key] for key in ("contestant", "status", "reason", "reduced")} for proof in found["proofs"]
        ],
        "processes": processes,
    }


def told(facts: dict[str, Any]) -> Iterator[str]:
    budget = facts["budget"]
    yield f"{facts['model']}: {facts['parameters'] / 1e6:.1f} M parameters; {facts['command']}"
    for proof in facts["proofs"]:
        yield f"  {proof['contestant']:20} {proof['status']}{': ' + proof['reason'] if proof['reason'] else ''}"
    for item in facts["processes"]:
        over = item["float32_weights"] - budget["float32_weights"]
        missed = f"   {over:.2f} over the budget of {budget['float32_weights']}" if over > 0 else ""
        yield (
            f"  {item['process']:20} {item['peak_bytes'] / 1e9:5.2f} GB, of which imports {item['imports_bytes'] / 1e9:.2f}: "
            f"{item['float32_weights']:5.2f} × the weights in float32, {item['float64_weights']:5.2f} × in float64{missed}"
        )
    over = facts["seconds"] - budget["seconds"]
    yield f"  {facts['seconds']} s" + (f", {over:.0f} s over the budget of {budget['seconds']}" if over > 0 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=sorted(CASES), action="append", help="one of the models")
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS), help="names separated by commas")
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    options = parser.parse_args()
    results = []
    for name in options.only or sorted(CASES):
        results.append(tried(name, options.frameworks))
        print("\n".join(told(results[-1])), flush=True)
        if options.json:
            options.json.write_text(json.dumps({"processors": os.cpu_count(), "models": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
