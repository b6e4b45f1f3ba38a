"""Live sessions: what producers send, kept on disk and shown as it comes. See docs/live.md.

`open` begins one from Python.
"""

from .producer import Producer, ProducerError, Published, open

__all__ = ["Producer", "ProducerError", "Published", "open"]
