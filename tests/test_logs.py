"""Log lines are text: what a name from outside would do to a terminal is shown instead of done."""

from __future__ import annotations

import logging
import logging.config

import pytest

from replayproject.logs import logging_settings


def test_terminal_escapes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    settings = logging_settings("INFO")
    formatter = logging.config.DictConfigurator(settings).configure_formatter(
        settings["formatters"]["line"]
    )
    text = "name %s"
    record = logging.LogRecord("app", logging.WARNING, "", 0, text, ("\x1b[2J\x07\u202eé\r",), None)
    line = formatter.format(record)
    assert r"name \x1b[2J\x07\u202eé\r" in line
    assert line.isprintable()
