"""Text from outside, made safe to log, to print and to show: names, titles and error messages."""

from __future__ import annotations

import re
import reprlib

MESSAGE_LENGTH = 500
"""Characters of an error or progress message: what a session keeps, a few lines."""

_UNSAFE = re.compile(
    # C0 and C1 controls (terminal escapes), what reverses or hides text, line and paragraph
    # separators, and halves of characters, which cannot be encoded.
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff]"
)


def cleaned(text: str, most: int = MESSAGE_LENGTH) -> str:
    """The text in one line of at most `most` characters, without control characters.

    White space becomes single spaces; whatever would move a cursor, colour a terminal or turn the
    direction of writing is left out; a cut is marked by "…".
    """
    # A little more than is kept, so that huge texts cost nothing.
    line = " ".join(text[: 4 * most + 4].split())
    if not line.isprintable():
        line = " ".join(_UNSAFE.sub("", line).split())
    if len(line) > most or len(text) > 4 * most + 4:
        line = line[: most - 1].rstrip() + "…"
    return line


def is_clean(text: str) -> bool:
    """Whether `cleaned` would keep every character (white space apart)."""
    return text.isprintable() or _UNSAFE.search(text) is None


class _Shown(reprlib.Repr):
    """`repr` whose cost and length do not grow with the value: lists within lists may share their
    parts, and then double with every level."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 4
        self.maxstring = self.maxother = 80
        self.maxlong = 40

    def repr_int(self, x: int, level: int) -> str:
        # Decimal digits of a huge number take a time that grows with their square, or are refused.
        if x.bit_length() > 256:
            return f"a number of {x.bit_length()} bits"
        return super().repr_int(x, level)


_shown = _Shown()


def shown(value: object) -> str:
    """A value that was found, for an error message: its `repr`, at most 200 characters."""
    return cleaned(_shown.repr(value), 200)
