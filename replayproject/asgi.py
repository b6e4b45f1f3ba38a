"""The ASGI application: HTTP to Django, WebSockets to the streaming room."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import SessionMiddlewareStack
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")
django_application = get_asgi_application()

# These need Django's app registry.
from sessions_app.api import uploads  # noqa: E402
from sessions_app.api.streamed_body import StreamedBodies  # noqa: E402
from streaming.routing import websocket_urlpatterns  # noqa: E402
from streaming.worker import WithWorker, Worker  # noqa: E402

from .proxies import TrustedProxies  # noqa: E402
from .request_limit import Rates, RequestLimit  # noqa: E402

application = WithWorker(
    TrustedProxies(
        RequestLimit(
            ProtocolTypeRouter(
                {
                    "http": StreamedBodies(django_application, [uploads.REQUEST]),
                    "websocket": SessionMiddlewareStack(URLRouter(websocket_urlpatterns)),
                }
            ),
            Rates(
                settings.REQUESTS_PER_SECOND,
                settings.HANDSHAKES_PER_SECOND,
                settings.DOWNLOAD_BYTES_PER_MINUTE,
            ),
            login_cookie=settings.SESSION_COOKIE_NAME,
        ),
        settings.TRUSTED_PROXIES,
    ),
    Worker.from_settings(settings),
)
