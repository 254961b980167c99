"""How long `import assay` and `assay --help` take: medians of whole processes, an empty Python's time beside them.

    python benchmarks/start_up.py [--runs 20]

Exit status 1 if importing takes more than 0.3 s or the help more than 0.5 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import assay": ([sys.executable, "-c", "import assay"], 0.3),
    "assay --help": ([sys.executable, "-m", "assay.cli", "--help"], 0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, (command, _limit) in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    slow = False
    for name, (_, limit) in COMMANDS.items():
        median = statistics.median(times[name])
        slow |= limit is not None and median > limit
        print(f"{name:<16} {median * 1e3:6.0f} ms{f', at most {limit * 1e3:.0f}' if limit else ''}")
    raise SystemExit(int(slow))


if __name__ == "__main__":
    main()
