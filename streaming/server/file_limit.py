"""The limit for open files and sockets of a process, and the viewers that fit into it."""

from __future__ import annotations

import resource

MOST_FILES = 1 << 20
"""A million; where the hard limit is higher or none, more is never needed, and some programs walk
through all numbers up to the limit."""

SPARE_FILES = 100
"""Descriptors kept from viewers, twice: for everything else that a worker has open (recordings, the
database, Redis, the page's files), and for requests over HTTP. Half of it for very small limits."""


def raise_file_limit() -> int:
    """Raise the soft limit to the hard one, for us and our children. Returns: the limit now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            # Some systems have a lower limit of their own than they admit (macOS).
            return soft
        return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


def spare_files(limit: int) -> int:
    """How many descriptors are kept free under a limit."""
    return min(SPARE_FILES, limit // 4)


def connections_within(limit: int, wanted: int) -> int:
    """How many of `wanted` viewers a process with that limit takes."""
    return max(1, min(wanted, limit - 2 * spare_files(limit)))
