"""Is the process alive, and may it be sent viewers?"""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from streaming.worker import worker_of


async def livez(_request: HttpRequest) -> JsonResponse:
    """200 as long as the event loop answers."""
    return JsonResponse({"status": "alive"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if the database answers and the process is not ending, else 503 with the reason."""
    if worker_of(request).draining:
        return JsonResponse({"status": "draining"}, status=503)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return JsonResponse({"status": "database", "message": str(error)}, status=503)
    return JsonResponse({"status": "ready"})
