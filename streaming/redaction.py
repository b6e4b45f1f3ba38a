"""Addresses without the passwords in them: what may be logged, printed and answered.

Whatever shows an address goes through `shown`; the log and the error pages put every line through
`redacted` as well, because libraries quote addresses in their errors.
"""

from __future__ import annotations

import re

HIDDEN = "***"

# What comes before the last @ of the authority, which ends at / ? # or a blank. urllib and
# redis-py take the last @ too, so a password with an @ in it is hidden whole.
_USER_INFO = re.compile(r"(?<=://)([^\s/?#:@'\"]*)(:?)[^\s/?#'\"]*@")
_IN_QUERY = re.compile(r"(?i)([?&](?:password|passwd|pass|token|secret|link)=)[^&#\s'\"]*")


def redacted(text: str) -> str:
    """`text` with the password of every address in it hidden, in the authority or the query."""
    text = _USER_INFO.sub(lambda found: f"{found[1]}{found[2] and ':' + HIDDEN}@", text)
    return _IN_QUERY.sub(rf"\g<1>{HIDDEN}", text)


def shown(address: str) -> str:
    """An address as it may be shown.

    Only the scheme if its password cannot be told from the rest: an @ without a scheme, behind the
    / ? # that ends the authority, or beside a blank.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "", address
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    odd = not separator or bool(re.search(r"[\s'\"]", authority))
    if "@" in rest[len(authority) :] or ("@" in rest and odd):
        return f"{scheme}{separator}{HIDDEN}"
    return redacted(address)
