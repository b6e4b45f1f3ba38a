"""The demo: a simulated race on an invented circuit, so that there is something to watch at once.

Knows no framework; `simulate` is a pure function of its arguments.
"""

from .simulate import DEFAULT_MINUTES, DEFAULT_SEED, simulate

__all__ = ["DEFAULT_MINUTES", "DEFAULT_SEED", "simulate"]
