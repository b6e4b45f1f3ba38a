"""How many examples a property is tried with: few in `make check`, many in `make fuzz`."""

from __future__ import annotations

import os

TIMES = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "large" else 1


def many(examples: int) -> int:
    """`examples`, or twenty times as many in the profile `large`."""
    return examples * TIMES
