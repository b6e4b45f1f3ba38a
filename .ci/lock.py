"""Read pip's installation report, write a lock: `lock.py < report.json > requirements.lock`.

Each line is a version and the hash of the file that pip chose for this platform and this Python.
Where a file comes from is left out: the lock is the same whatever index or mirror it was made with.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any


def locked(report: dict[str, Any]) -> list[str]:
    """The lines of the lock. report: of `pip install --dry-run --report`, its version 1.

    Raises: ValueError naming a package that came without a SHA-256.
    """
    entries = []
    for item in report["install"]:
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if not digest:
            raise ValueError(f"{name}: expected an archive with a sha256, as an index names it")
        entries.append((name, item["metadata"]["version"], digest))
    return [
        f"{name}=={version} --hash=sha256:{digest}" for name, version, digest in sorted(entries)
    ]


def main() -> None:
    report = json.load(sys.stdin)
    system = report["environment"]
    print("# What a deployment installs, with hashes; made by `make lock`.")
    print(
        f"# For {system['sys_platform']} {system['platform_machine']}, "
        f"Python {system['python_version']}."
    )
    print("\n".join(locked(report)))


if __name__ == "__main__":
    main()
