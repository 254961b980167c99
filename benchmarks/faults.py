"""kill -9 of workers and of the manager at random moments: what is recorded stays, what is missing is added, nothing remains.

    python benchmarks/faults.py --trials 200 --jobs 4 --json docs/results/faults.json

Each trial is a whole run, proofs included, over the fake framework of the tests (NumPy, so that there is time for hundreds),
in a process of its own. At a random moment of it the manager or one of its workers is killed with SIGKILL; a run whose
manager was killed goes on, and may be killed once more. Then:

    lost        lines of the record that were there before the kill and are not there any more
    duplicated  samples, proofs or outputs that are there twice
    incomplete  contestants without a figure, or with fewer than all rounds, that no failure accounts for
    verdict     the record could not be judged
    processes   processes of the run that are alive five seconds after its end
    locks       files of the run's folder that only a living run would have, or a lock that is still held
    store       the run does not come out of the store as it went in, or is there twice

Exit status 0 if no trial has any of these.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "measure")]

NAMES = ("pytorch:eager", "jax:jit")
LINES = 78  # of the record of an undisturbed run
FAULTS = ("lost", "duplicated", "incomplete", "verdict", "processes", "locks", "store")

RUN = """
import sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from pathlib import Path
from measure_bench import FAST, Bench
from assay.frameworks.base import Contestant
from assay.measure import Entry, Task, measure, read_record
from assay.measure.past import Past
from assay.store.folder import RunFolder

home = Path({home!r})
bench = Bench(home / "bench")
entries = []
for name in {names!r}:
    target, _, mode = name.partition(":")
    folder = bench.folder / "packages" / name.replace(":", "-")
    entries.append(Entry(Contestant(target, mode), folder, bench.data) if folder.exists() else bench.entry(name))
kept = RunFolder.open(home / "run") if (home / "run" / "run.json").exists() else RunFolder.create(home / "run")
effort = replace(FAST, processes=2, most_processes=2, own_twin=True)
plan = bench.plan(*entries, folder=kept.path / "run", effort=effort, tasks=(Task("train", 8), Task("infer", 1)))
record = plan.folder / "record.jsonl"
past = Past(read_record(record)) if record.exists() and record.read_bytes().count(b"\\n") > 1 else None
if past is None:
    record.unlink(missing_ok=True)
measure(plan, lambda contestant, result: None, past=past)
kept.describe(model={{"name": "fake"}}, command="benchmarks/faults.py")
kept.close()
"""


def start(home: Path) -> subprocess.Popen[bytes]:
    """A manager in a process of its own."""
    source = str(Path(sys.modules["assay"].__file__ or "").parent.parent)
    text = RUN.format(tests=str(ROOT / "tests" / "measure"), home=str(home), names=NAMES)
    environment = os.environ | {"PYTHONPATH": source, "TEST_RUN": str(home)}
    errors = (home / "errors.txt").open("ab")
    return subprocess.Popen([sys.executable, "-c", text], stdout=errors, stderr=errors, env=environment)


def workers_of(home: Path, manager: int) -> list[int]:
    """The living workers of a run."""
    from measure_bench import processes_with

    found = []
    for pid in processes_with(f"TEST_RUN={home}"):
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if pid != manager and b"assay.measure.worker" in arguments:
            found.append(pid)
    return found


def kill_once(home: Path, target: str, part: float, draw: random.Random) -> str:
    """Runs, or goes on, and kills when this part of what is missing is recorded, or a moment later: what was killed.

    The moment is taken from the record, not from a clock, so that it falls into the run however busy the machine is.
    """
    there = len(lines_of(home))
    wanted = there + part * max(1, LINES - there)
    manager = start(home)
    while manager.poll() is None and len(lines_of(home)) < wanted:
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 1.0 if part < 0.1 else 0.1))
    if manager.poll() is not None:
        return "nothing"
    victim = manager.pid
    if target == "worker":
        alive = workers_of(home, manager.pid)
        if not alive:
            target = "manager"  # there is none at this moment
        else:
            victim = draw.choice(alive)
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        target = "nothing"
    manager.wait(300)
    return target


def lines_of(home: Path) -> list[bytes]:
    path = home / "run" / "run" / "record.jsonl"
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def whole(lines: list[bytes]) -> list[bytes]:
    """Without a last line that was cut off, or a beginning that says nothing yet."""
    found = [line for line in lines if line.endswith(b"\n")]
    return found if len(found) > 1 else []


def trial(number: int, draw: random.Random) -> dict[str, Any]:
    """One run with one or two kills, and what is wrong afterwards; tried again if it was over before it was killed."""
    while True:
        found = attempt(number, draw)
        if set(found["killed"]) != {"nothing"} or found["wrong"]:
            return found


def attempt(number: int, draw: random.Random) -> dict[str, Any]:
    from measure_bench import none_left

    with tempfile.TemporaryDirectory(prefix="assay-faults-") as folder:
        home = Path(folder)
        target = draw.choice(("manager", "worker"))
        wrong: Counter[str] = Counter()
        killed = []
        for _ in range(2 if draw.random() < 0.3 else 1):
            before = whole(lines_of(home))
            killed.append(kill_once(home, target, draw.random(), draw))
            wrong["processes"] += not none_left(f"TEST_RUN={home}")
            wrong["lost"] += lines_of(home)[: len(before)] != before
        before = whole(lines_of(home))
        status = 0
        if not ended(before):
            manager = start(home)
            status = manager.wait(300)
            wrong["processes"] += not none_left(f"TEST_RUN={home}")
            wrong["lost"] += lines_of(home)[: len(before)] != before
        wrong += check(home)
        errors = (home / "errors.txt").read_text() if status else ""
        wrong["incomplete"] += bool(status)
        found = {name: count for name, count in wrong.items() if count}
        return {"trial": number, "killed": killed, "lines_kept": len(before), "wrong": found, "errors": errors[-2000:]}


def ended(lines: list[bytes]) -> bool:
    return bool(lines) and json.loads(lines[-1])["kind"] == "end"


def check(home: Path) -> Counter[str]:
    """What is wrong with a run that has come to its end."""
    from assay.judge import judge
    from assay.measure import read_record
    from assay.store.folder import is_running

    wrong: Counter[str] = Counter()
    record = read_record(home / "run" / "run" / "record.jsonl")
    arms = Counter((s.block, s.contestant, s.twin) for s in record.samples if s.void is None)
    others = Counter(("proof", item.contestant) for item in record.proofs)
    others += Counter(("outputs", item.contestant) for item in record.outputs)
    wrong["duplicated"] += sum(count - 1 for count in (arms + others).values())
    out = {failure.contestant for failure in record.failures}
    for contestant in set(NAMES) - out:
        for kind, size in record.header.tasks:
            for process in (0, 1):
                rounds = {
                    s.round
                    for s in record.samples
                    if (s.contestant, s.task, s.batch_size, s.process, s.twin)
                    == (contestant, kind, size, process, False)
                }
                wrong["incomplete"] += rounds != {0, 1, 2} and not record.losses
    wrong["incomplete"] += any(m.status != "ok" and m.reason is None for m in record.measurements) or record.interrupted
    wrong["verdict"] += judge(record).status not in ("given", "withheld")
    wrong["locks"] += is_running(home / "run")
    wrong["locks"] += any(path.name.endswith((".lock", ".tmp")) for path in (home / "run").rglob("*"))
    wrong["store"] += not stored(home)
    return +wrong


def stored(home: Path) -> bool:
    """True if the run goes into a store once, and comes out as it was."""
    from assay.store import open_store
    from assay.store.contents import read_contents

    contents = read_contents(home / "run")
    with open_store(str(home / "runs.sqlite")) as store:
        outcomes = [store.add(contents)[1], store.add(contents)[1]]
        return outcomes == ["added", "unchanged"] and store.get(contents.id) == contents and len(store.runs()) == 1


def undisturbed() -> float:
    """Seconds of a run that nobody disturbs."""
    with tempfile.TemporaryDirectory(prefix="assay-faults-") as folder:
        home = Path(folder)
        began = time.monotonic()
        status = start(home).wait(300)
        length = time.monotonic() - began
        if status or check(home):
            sys.exit(f"an undisturbed run went wrong: {dict(check(home))} {(home / 'errors.txt').read_text()}")
        return length


def main() -> None:
    import assay  # noqa: F401  (found by `start`)

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began, length = time.monotonic(), undisturbed()
    trials = []
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [
            pool.submit(trial, number, random.Random(f"{options.seed} {number}")) for number in range(options.trials)
        ]
        for done in as_completed(running):
            item = done.result()
            trials.append(item)
            print(f"{item['trial']:4d}  {' '.join(item['killed']):<16} {item['wrong'] or 'nothing wrong'}", flush=True)
            if options.json is not None:
                save(options.json, trials, length, time.monotonic() - began, options.seed)
    bad = sum(bool(item["wrong"]) for item in trials)
    print(f"{len(trials)} trials, {bad} with something wrong")
    sys.exit(bool(bad))


def save(path: Path, trials: list[dict[str, Any]], length: float, seconds: float, seed: int) -> None:
    from assay import __version__
    from assay.measure.environment import environment

    wrong: Counter[str] = Counter()
    for item in trials:
        wrong += Counter(item["wrong"])
    facts = {
        "command": f"python benchmarks/faults.py --trials {len(trials)} --seed {seed} --json {path}",
        "assay": __version__,
        "environment": environment(1).summary(),
        "seconds_of_an_undisturbed_run": round(length, 2),
        "seconds": round(seconds, 1),
        "trials": len(trials),
        "kills": Counter(target for item in trials for target in item["killed"]),
        "wrong": {name: wrong[name] for name in FAULTS},
        "trials_with_something_wrong": [item for item in trials if item["wrong"]],
    }
    path.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
