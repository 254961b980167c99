"""A PostgreSQL server for tests: its own user, a folder that goes away, a port that nobody else has."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def programs() -> Path | None:
    """The folder with initdb and postgres, of the newest version that is installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def server() -> Iterator[str]:
    """A server that runs while the block does; gives the URL of its empty database."""
    where = programs()
    if where is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed; CI needs Debian's postgresql")
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = _other_user() if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="assay-postgres-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = str(folder / "data")
        done = _run([where / "initdb", "-D", data, "-U", "assay", "-A", "trust", "--no-sync", "-E", "UTF8"], user)
        assert done.returncode == 0, done.stderr
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = [where / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", f"{folder}/log"]
        done = _run([*control, "-o", options, "start"], user)
        assert done.returncode == 0, (folder / "log").read_text()
        try:
            yield f"postgresql://assay@127.0.0.1:{port}/postgres"
        finally:
            _run([where / "pg_ctl", "-D", data, "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _run(arguments: list[Path | str], user: str | None) -> subprocess.CompletedProcess[str]:
    # Output goes to files: the server would inherit a pipe, and reading it would never end.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(item) for item in arguments],
            stdout=output,
            stderr=output,
            user=user,
            cwd="/",
            timeout=120,
            check=False,
        )
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, "", output.read())
