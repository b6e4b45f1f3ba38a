"""A client that asked for subprotocols of which none is ours."""

from __future__ import annotations

from ...playback.protocol import SUBPROTOCOL, CloseCode
from ...store.catalogue import SessionInfo
from ..lifecycle import Connection
from ..pump import bye

NOT_THIS_PROTOCOL = f"ask for subprotocol {SUBPROTOCOL!r}, or for none to get the plain dialect"


class RefusedConnection(Connection):
    """Closes with 4400 as soon as it is admitted."""

    async def opened(self, info: SessionInfo) -> None:
        self.pump.close(CloseCode.NOT_THIS_PROTOCOL, bye(NOT_THIS_PROTOCOL))

    async def message(self, text: str | bytes) -> None:
        """Nothing is understood."""

    def session_changed(self, info: SessionInfo) -> None:
        """Nothing is watched."""
