"""Files and folders that only the service's own user may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path


def private_folder(path: Path) -> None:
    """Make it, mode 0700, if it is missing. One that is there keeps its mode: it may be shared on
    purpose."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def private_file(path: Path, text: str = "") -> None:
    """Make it, mode 0600, with `text` if it is missing: whole, or as another process made it."""
    if path.exists():
        return
    private_folder(path.parent)
    own = path.with_name(f".{path.name}.{os.getpid()}")
    own.touch(mode=0o600)
    try:
        own.write_text(text)
        # A link, unlike a rename, leaves alone what another process made in the meantime.
        os.link(own, path)
    except FileExistsError:
        return
    finally:
        own.unlink()


def tighten(paths: Iterable[Path]) -> Iterator[Path]:
    """Take from everyone but the owner what they may do with those of `paths` that exist and that
    others than owner and group can read. Yields: those that were changed."""
    for path in paths:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            continue
        if mode & stat.S_IRWXO and path.stat().st_uid == os.getuid():
            path.chmod(0o600)
            yield path
