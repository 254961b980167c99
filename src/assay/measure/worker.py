"""The program of a worker process: one framework, one request at a time.

    python -P -m assay.measure.worker --contestant keras/jax:jit --session assay.frameworks.keras.run:Session
        --requests FD --replies FD --parent PID [--cpus 0,1]

Requests come as JSON lines over a pipe of their own, replies go over another; standard output and error belong to the
framework, which prints what it likes, and are the worker's log. A request is `{"id": 1, "request": "open", …fields}`;
it is answered by any number of `{"id": 1, "progress": {…}}` and one `{"id": 1, "reply": {…}}` or
`{"id": 1, "error": {"type": …, "message": …}}`. Between requests the worker sleeps in a read. It ends when asked to
(`close`), when the pipe closes, or when its parent dies.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from assay.measure import host


class Line:
    """The worker's end of the two pipes."""

    def __init__(self, requests: int, replies: int) -> None:
        for descriptor in (requests, replies):
            os.set_inheritable(descriptor, False)  # helpers of the framework must not hold our pipes open
        self._requests = os.fdopen(requests, "rb", buffering=0)
        self._replies = replies
        self._current = 0

    def receive(self) -> dict[str, Any] | None:
        """The next request; None at the end."""
        line = self._requests.readline()
        if not line.endswith(b"\n"):
            return None
        request: dict[str, Any] = json.loads(line)
        self._current = request.pop("id")
        return request

    def send(self, **content: Any) -> None:
        text = json.dumps({"id": self._current, **content}, default=_plain)
        data = text.encode() + b"\n"
        while data:
            data = data[os.write(self._replies, data) :]

    def progress(self, content: Mapping[str, Any]) -> None:
        self.send(progress=dict(content))

    def stop_asked(self) -> bool:
        """True if the manager wrote `{"request": "stop"}` while a request is being worked on."""
        if not select.select([self._requests], [], [], 0)[0]:
            return False
        line = self._requests.readline()
        return not line or json.loads(line).get("request") == "stop"


def _plain(value: Any) -> Any:
    """NumPy's scalars, and anything else that is a number in disguise."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent to the manager")


def serve(line: Line, where: str) -> None:
    """Answers requests until there are no more."""
    from assay.measure.proving import summary
    from assay.measure.service import Service

    service = Service(where, line.progress, line.stop_asked)
    line.send(reply=service.facts())  # request 0, never asked: the worker is there
    while (request := line.receive()) is not None:
        name = request.pop("request")
        if name == "close":
            line.send(reply={})
            return
        if name == "stop":  # came when the training it was meant for had just ended
            continue
        try:
            if name.startswith("_") or not callable(action := getattr(Service, name, None)):
                raise ValueError(f"unknown request {name!r}")
            reply = action(service, **request)
        except Exception as error:
            traceback.print_exc()
            sys.stderr.flush()
            line.send(error={"type": type(error).__name__, "message": summary(error)})
        else:
            line.send(reply=reply)


def main() -> None:
    parser = argparse.ArgumentParser(prog="assay.measure.worker", description="A worker of assay; started by it.")
    parser.add_argument("--contestant", required=True)
    parser.add_argument("--session", required=True, help="module:Class")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--replies", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--cpus", default="")
    options = parser.parse_args()
    host.die_with_parent(options.parent)
    host.be_the_first_to_go()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the manager's business
    faulthandler.enable()
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1)  # the manager asks where a hung worker hangs
    with contextlib.suppress(OSError):
        host.keep_to_cpus([int(cpu) for cpu in options.cpus.split(",") if cpu])
    with contextlib.suppress(BrokenPipeError):  # the manager is gone
        serve(Line(options.requests, options.replies), options.session)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # frameworks' threads and exit handlers may hang; everything is written


if __name__ == "__main__":
    main()
