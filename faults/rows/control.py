"""Nothing breaks: what the machine itself adds to what viewers see."""

from __future__ import annotations

import asyncio

from ..report import CONTROL, Promise, Seen
from ..stage import Stage


async def nothing(stage: Stage) -> Seen:
    async with (
        stage.service(workers=2) as service,
        stage.watched(service, segments=40, rows=4) as people,
    ):
        await asyncio.sleep(stage.seconds(20, 6))
        return await stage.after(people, service.ready, told="nothing")


ROWS = {CONTROL: (nothing, Promise(still_segments=0.5, still_rows=1.0))}
"""Where more stands still than that, the machine is too busy to judge a service."""
