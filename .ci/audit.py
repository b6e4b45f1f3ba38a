"""Say what pip-audit found: `audit.py pip-audit -f json …`.

Status 1 for known weaknesses and for an audit that failed. Where the database cannot be reached, or
knows none of the packages, that is printed as a skipped audit with its reason, and the status is 0:
"nothing found" would be untrue.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

UNREACHABLE = re.compile(
    r"ConnectionError|ServiceError|Max retries|Failed to (resolve|establish)|timed out|HTTPError"
)


def verdict(report: dict[str, Any]) -> tuple[str, int]:
    """What to print and the exit status. report: pip-audit's, as JSON."""
    packages = report["dependencies"]
    skipped = [package for package in packages if "skip_reason" in package]
    if packages and len(skipped) == len(packages):
        return f"audit skipped: not one package was found. {skipped[0]['skip_reason']}", 0
    lines = [f"not audited: {package['skip_reason']}" for package in skipped]
    weak = 0
    for package in packages:
        for weakness in package.get("vulns", ()):
            weak += 1
            fixed = ", ".join(weakness["fix_versions"]) or "no version"
            lines.append(
                f"{package['name']} {package['version']}: {weakness['id']}, fixed in {fixed}"
            )
    lines.append(f"{len(packages) - len(skipped)} packages audited, {weak} known weaknesses")
    return "\n".join(lines), min(weak, 1)


def main() -> int:
    done = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=False)
    try:
        text, status = verdict(json.loads(done.stdout))
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        if UNREACHABLE.search(done.stderr):
            text, status = f"audit skipped: the database cannot be reached. {last}", 0
        else:
            text, status = f"audit failed: {last}", 1
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
