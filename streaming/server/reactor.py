"""Twisted's reactor on uvloop. Imported before anything else of Twisted, since there is only one.

An event loop in C: a tenth to a fifth less CPU for the same viewers. It is only made here;
`server.py` runs it.
"""

from __future__ import annotations

import sys

import uvloop
from twisted.internet import asyncioreactor

if "twisted.internet.reactor" not in sys.modules:
    asyncioreactor.install(uvloop.new_event_loop())  # type: ignore[no-untyped-call]
