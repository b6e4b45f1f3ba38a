"""A PostgreSQL of our own in a temporary folder, to be stopped while it is in use."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .stage import Skip

USER = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """url: for DATABASE_URL."""

    url: str
    binaries: Path
    folder: Path
    port: int

    def start(self) -> None:
        """Returns when it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """At once, without waiting for anybody."""
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    def run(self, program: str, *arguments: str) -> None:
        """One of its programs on its own data. Raises: CalledProcessError."""
        command = [str(self.binaries / program), "-D", str(self.folder / "data"), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)


@contextmanager
def postgres(parent: Path) -> Iterator[Postgres]:
    """Made, started, and removed at the end. Raises: Skip where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        raise Skip("no PostgreSQL server is installed")
    folder = parent / "postgres"
    folder.mkdir()
    if os.getuid() == 0:
        try:
            user = pwd.getpwnam(USER)
        except KeyError:
            raise Skip(f"there is no user {USER} to run PostgreSQL as") from None
        os.chown(folder, user.pw_uid, user.pw_gid)
        parent.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Postgres(
        f"postgres://{USER}@127.0.0.1:{port}/postgres", found[-1].parent, folder, port
    )
    server.run("initdb", "-A", "trust", "-U", USER, "--no-sync")
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
