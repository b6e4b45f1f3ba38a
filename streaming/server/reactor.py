"""Twisted's reactor on uvloop. Imported before anything else of Twisted, since there is only one.

An event loop in C: a tenth to a fifth less CPU for the same viewers. It is only made here;
`daphne.py` runs it.
"""

from __future__ import annotations

import sys
import time

import uvloop
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.main import installReactor


class MonotonicReactor(AsyncioSelectorReactor):
    """Its timers do not know the time of day.

    Twisted's own measure by the wall clock: set forward an hour, all of them fire at once, and
    every handshake is over its deadline; set back, none fires for an hour.
    """

    seconds = staticmethod(time.monotonic)


if "twisted.internet.reactor" not in sys.modules:
    installReactor(MonotonicReactor(uvloop.new_event_loop()))  # type: ignore[no-untyped-call]
