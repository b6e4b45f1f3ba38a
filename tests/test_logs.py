"""Every line of the log: no password in it, and a repeated warning once a minute."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from replayproject.logs import KEPT, REPEAT_SECONDS, VARIANTS, RepeatFilter, logging_settings


class Log:
    """A logger set up as the service's, on a clock of its own."""

    def __init__(self) -> None:
        settings = logging_settings("INFO")
        line = {**settings["formatters"]["line"]}
        formatter = line.pop("()")(**line)
        self.now = 0.0
        self.stream = io.StringIO()
        self.repeats = RepeatFilter(clock=lambda: self.now)
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter)
        handler.addFilter(self.repeats)
        self.logger = logging.getLogger("tests.logs")
        self.logger.handlers, self.logger.propagate = [handler], False
        self.logger.setLevel(logging.INFO)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def warn(self, message: str, *args: Any) -> None:
        self.logger.warning(message, *args)


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    made.logger.handlers = []


def test_the_service_logs_through_the_filter() -> None:
    handler = logging_settings("INFO")["handlers"]["console"]
    assert handler["filters"] == ["repeats"]


def test_a_repeated_warning_is_written_once_a_minute_with_a_count(log: Log) -> None:
    for _ in range(600):
        log.warn("statistics are not published: %s", "gone")
        log.now += REPEAT_SECONDS / 300
    lines = log.text.splitlines()
    assert len(lines) == 2
    assert "like it" not in lines[0]
    assert "(and 299 like it since the last one, which were not logged)" in lines[1]


def test_a_warning_that_says_something_else_is_written(log: Log) -> None:
    log.warn("statistics are not published: %s", "gone")
    log.warn("statistics are not published: %s", "full")
    assert len(log.text.splitlines()) == 2


def test_a_flood_of_different_texts_from_one_place_is_bounded(log: Log) -> None:
    for number in range(10 * KEPT):
        log.warn("connection %d was refused", number)
    assert len(log.text.splitlines()) == VARIANTS
    assert len(log.repeats._seen) <= KEPT
    log.now += REPEAT_SECONDS
    log.warn("connection %d was refused", -1)
    assert f"and {10 * KEPT - VARIANTS} like it" in log.text


def test_tracebacks_repeat_no_more_than_warnings(log: Log) -> None:
    for number in range(10):
        try:
            raise ValueError(number)
        except ValueError:
            log.logger.exception("a room's command failed")
    assert log.text.count("Traceback") == 1


def test_what_is_no_warning_always_passes(log: Log) -> None:
    for _ in range(5):
        log.logger.info("drained: %d viewers told to come back", 3)
    assert len(log.text.splitlines()) == 5


def test_structlog_is_filtered_as_well(log: Log) -> None:
    for _ in range(3):
        structlog.stdlib.get_logger("tests.logs").warning("slow", viewer="ann")
    assert len(log.text.splitlines()) == 1


def test_no_line_shows_a_password_even_in_a_traceback(log: Log) -> None:
    address = "redis://:geheim@cache:6379/0"
    log.logger.info("using %s", address)
    structlog.stdlib.get_logger("tests.logs").info("using", url=address)
    try:
        raise ConnectionError(f"Error connecting to {address}")
    except ConnectionError:
        log.logger.exception("Redis is away")
    assert "geheim" not in log.text
    assert log.text.count("redis://:***@cache:6379/0") == 3


def test_terminal_escapes_are_shown_not_done(log: Log) -> None:
    log.warn("name %s", "\x1b[2J\x07\u202eé\r")
    line = log.text.removesuffix("\n")
    assert r"name \x1b[2J\x07\u202eé\r" in line
    assert line.isprintable()
