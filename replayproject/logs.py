"""One log format for everything: structlog's key=value lines, readable by people and by grep.

Two things hold for every line, also of libraries: no address in it shows its password, and a
warning that repeats is written once a minute, with how often it came in between.
"""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured

from streaming.redaction import redacted

REPEAT_SECONDS = 60.0
"""A repeated warning is written again after so long at the earliest."""

VARIANTS = 20
"""Warnings of one place in the code in that time, where each says something else: who was refused,
which file. What comes beyond is counted with them."""

KEPT = 1_000
"""Texts that are remembered, so that the memory of a flood is bounded as well."""


class RepeatFilter(logging.Filter):
    """Lets a warning (or worse) through once in `REPEAT_SECONDS`, with how many were left out.

    Equal are two that come from the same line of code with the same text. A place that writes ever
    different texts is limited to `VARIANTS` of them. What is below a warning always passes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: OrderedDict[tuple[Any, ...], list[float]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write it. Adds to the text how many like it were not written."""
        if record.levelno < logging.WARNING:
            return True
        now = self._clock()
        place = (record.name, record.levelno, record.pathname, record.lineno)
        text = _text(record)
        left_out = self._left_out((*place, text), now, most=1)
        if left_out is None:
            return False
        others = self._left_out(place, now, most=VARIANTS)
        if others is None:
            return False
        if left_out or others:
            count = max(left_out, others)
            _append(record, f" (and {count} like it since the last one, which were not logged)")
        return True

    def _left_out(self, key: tuple[Any, ...], now: float, most: int) -> int | None:
        """None: leave this one out. Else how many were, since one was last written."""
        entry = self._seen.get(key)
        if entry is None:
            entry = self._seen[key] = [now, 0, 0]
            if len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        since, written, left_out = entry
        if now - since >= REPEAT_SECONDS:
            since, written = now, 0
        if written >= most:
            entry[:] = since, written, left_out + 1
            return None
        entry[:] = since, written + 1, 0
        return int(left_out)


def _text(record: logging.LogRecord) -> str:
    # structlog hands its event dictionary over as the message.
    message = record.msg
    text = str(message.get("event")) if isinstance(message, dict) else record.getMessage()
    # The same complaint about another object is the same complaint: only its traceback differs.
    error = record.exc_info[0] if record.exc_info else None
    return f"{text}\0{error.__name__}" if error is not None else text


def _append(record: logging.LogRecord, words: str) -> None:
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "event": f"{record.msg.get('event')}{words}"}
    else:
        record.msg, record.args = record.getMessage() + words, ()


def _redact(_logger: Any, _method: str, line: str) -> str:
    """The last step of every line, its traceback included."""
    return redacted(line)


_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def without_escapes(_logger: object, _method: str, line: str | Mapping[str, Any]) -> Any:
    """What a name or an address from outside would do to a terminal is shown instead of done."""
    if not isinstance(line, str):
        return line
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], line)


def logging_settings(level: str) -> dict[str, Any]:
    """Django's LOGGING dictionary. Raises: ImproperlyConfigured for an unknown level."""
    if level.upper() not in logging.getLevelNamesMapping():
        raise ImproperlyConfigured(f"LOG_LEVEL={level}: expected DEBUG, INFO, WARNING or ERROR")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"repeats": {"()": RepeatFilter}},
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    # Plain, for the rich one prints local variables, and with them secrets.
                    structlog.dev.ConsoleRenderer(
                        colors=False, exception_formatter=structlog.dev.plain_traceback
                    ),
                    _redact,
                    without_escapes,
                ],
                "foreign_pre_chain": shared,
            }
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["repeats"],
            }
        },
        "root": {"handlers": ["console"], "level": level.upper()},
        "loggers": {
            # One line per request and per socket drowns what matters.
            "django.channels.server": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            "autobahn": {"level": "WARNING"},
            # Django's own would write a second line, past this filter and with other words.
            "django": {"handlers": [], "level": "INFO"},
        },
    }
