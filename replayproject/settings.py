"""Settings: one file, read from the environment; a bad value stops the start with its name.

The table in README.md lists every variable; a test compares the two.
"""

from __future__ import annotations

import secrets
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from sessions_app.importers.bounds import Bounds
from sessions_app.importers.options import Downloads
from streaming.redaction import shown
from streaming.server.file_limit import connections_within, raise_file_limit

from .logs import logging_settings
from .page_headers import static_headers
from .private_files import private_file, private_folder
from .proxies import parse_networks

BASE_DIR = Path(__file__).resolve().parent.parent


class _Environment(FileAwareMapping):  # type: ignore[misc]  # it has no types
    """The environment, or a file that it names: SECRET_KEY_FILE=/run/secrets/secret_key."""

    def __getitem__(self, key: str) -> str:
        try:
            value: str = super().__getitem__(key)
        except OSError as error:
            name = f"{key}_FILE"
            raise ImproperlyConfigured(
                f"{name}={self.env[name]}: {error.strerror}: expected a file with the value"
            ) from error
        return value.rstrip("\n")


env = environ.Env()
env.ENVIRON = _Environment()


def _number(name: str, default: int, least: int, most: int) -> int:
    """An integer from the environment. Raises: ImproperlyConfigured naming the variable."""
    text = env.str(name, default="") or str(default)
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name}={text}: expected a whole number {least} to {most}")
    return value


def _flag(name: str, default: bool) -> bool:
    """Yes or no from the environment. Raises: ImproperlyConfigured naming the variable."""
    text = env.str(name, default="1" if default else "0").lower()
    if text not in {"0", "1", "true", "false", "yes", "no", "on", "off"}:
        raise ImproperlyConfigured(f"{name}={text}: expected 1 or 0")
    return text in {"1", "true", "yes", "on"}


def _folders(name: str) -> dict[str, str]:
    """`name=folder,…` from the environment. Raises: ImproperlyConfigured naming the variable."""
    folders: dict[str, str] = {}
    for entry in env.list(name, default=[]):
        key, equals, folder = entry.partition("=")
        if not (key and equals and folder):
            raise ImproperlyConfigured(f"{name}: {entry!r} is not of the form name=folder")
        folders[key] = folder
    return folders


def _origins(name: str) -> list[str]:
    """Origins from the environment. Raises: ImproperlyConfigured naming the variable."""
    origins: list[str] = env.list(name, default=[])
    for origin in origins:
        if "://" not in origin:
            raise ImproperlyConfigured(f"{name}: expected https://host, not {origin!r}")
    return origins


def _oidc_issuer(name: str) -> str:
    """The provider's address, "" for none. Raises: ImproperlyConfigured naming the variable."""
    issuer: str = env.str(name, default="").rstrip("/")
    try:
        parts = urlsplit(issuer)
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        known = parts.scheme == "https" or (parts.scheme == "http" and here)
    except ValueError:
        known = False
    if issuer and not known:
        raise ImproperlyConfigured(
            f"{name}={shown(issuer)}: expected https://…, as the provider's tokens name it"
        )
    return issuer


def _base_url(name: str, default: str) -> str:
    """An address with a slash at its end. Raises: ImproperlyConfigured naming the variable."""
    address = str(env.str(name, default="") or default)
    if not address.startswith(("http://", "https://")):
        raise ImproperlyConfigured(f"{name}={shown(address)}: expected https://host/path")
    return address.rstrip("/") + "/"


def _secret_key(path: Path) -> str:
    """SECRET_KEY from the environment, else one generated once and kept beside the data."""
    given: str = env.str("SECRET_KEY", default="")
    try:
        private_folder(path.parent)
        if given:
            return given
        private_file(path, secrets.token_urlsafe(50))
        return path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(
            f"REPLAY_DATA_DIR={path.parent}: expected a folder to write to ({error.strerror})"
        ) from error


def _redis_url(address: str) -> str:
    """The address, checked. Raises: ImproperlyConfigured without its password."""
    try:
        parts = urlsplit(address)
        # Read, because it is checked only then, and the error would quote what stands there.
        known = parts.scheme in ("redis", "rediss", "unix") and parts.port is not False
    except ValueError:
        known = False
    if not known or not address.startswith(f"{parts.scheme}://"):
        raise ImproperlyConfigured(
            f"REDIS_URL={shown(address)}: expected redis://…, rediss://… or unix:///path/to/socket"
        ) from None
    return address


def _database(address: str) -> dict[str, Any]:
    """Django's settings of it. Raises: ImproperlyConfigured without its password."""
    try:
        scheme, separator, _ = address.partition("://")
        if not separator or scheme not in env.DB_SCHEMES:
            raise ValueError
        with warnings.catch_warnings():
            # Of an address that it does not understand it warns, and quotes it.
            warnings.simplefilter("error")
            found: dict[str, Any] = env.db_url_config(address)
    except (ValueError, UserWarning):
        raise ImproperlyConfigured(
            f"DATABASE_URL={shown(address)}: expected for example postgres://user:password@host/db "
            "with / ? # @ in the password written as %2F %3F %23 %40"
        ) from None
    return found


def _mail_settings(address: str) -> dict[str, Any]:
    """Django's settings of mail. Raises: ImproperlyConfigured without the password."""
    scheme, separator, _ = address.partition("://")
    if not separator or scheme not in ("smtp", "smtp+tls", "smtp+ssl"):
        raise ImproperlyConfigured(
            f"EMAIL_URL={shown(address)}: expected smtp+tls://user:password@host:port, "
            "smtp+ssl://… or smtp://…"
        )
    found: dict[str, Any] = env.email_url_config(address)
    return found


DEBUG = _flag("DEBUG", False)
# A checkout keeps its data in itself, an installed package where it is started.
HOME_DIR = BASE_DIR if (BASE_DIR / "manage.py").is_file() else Path.cwd()
DATA_DIR = Path(env.str("REPLAY_DATA_DIR", default="") or HOME_DIR / "var").absolute()
RECORDINGS_DIR = DATA_DIR / "recordings"
EXPORTS_DIR = DATA_DIR / "exports"
SECRET_KEY = _secret_key(DATA_DIR / "secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = _origins("CSRF_TRUSTED_ORIGINS")
# Whose word is taken for a client's address and for https (X-Forwarded-For, X-Forwarded-Proto).
try:
    TRUSTED_PROXIES = parse_networks(env.list("TRUSTED_PROXIES", default=[]))
except ValueError as error:
    raise ImproperlyConfigured(f"TRUSTED_PROXIES={env.str('TRUSTED_PROXIES')}: {error}") from error

# Where things run. `manage.py serve` sets REDIS_URL for its workers when it starts a server itself.
HOST = env.str("HOST", default="") or "127.0.0.1"
PORT = _number("PORT", 8000, 0, 65_535)
WORKERS = _number("WORKERS", 1, 1, 1000)
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    _redis_url(REDIS_URL)
# Whether a worker without Redis is no longer ready for viewers: not where it is the only one.
REDIS_NEEDED = _flag("REDIS_NEEDED", bool(REDIS_URL))
# Reads need no right where a session is public; writing over REST needs staff or this token.
API_TOKENS = env.list("API_TOKENS", default=[])
# Reads /metrics; without one, staff, API_TOKENS and clients on this machine do.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# Names that POST /api/sessions may import from: name=folder,name=folder
IMPORT_SOURCES = _folders("IMPORT_SOURCES")
# What one import may cost; a race of 20 cars takes a tenth of each.
IMPORT_BOUNDS = Bounds(
    unpacked_bytes=_number("IMPORT_UNPACKED_MB", 1_000, 1, 1_000_000) * 1_000_000,
    rows=_number("IMPORT_ROWS", 10_000_000, 1, 1_000_000_000),
    files=_number("IMPORT_FILES", 5_000, 1, 1_000_000),
)
# Where sessions are fetched from, and kept. OpenF1 allows 30 requests a minute without a login.
DOWNLOADS = Downloads(
    folder=Path(env.str("DOWNLOADS_DIR", default="") or DATA_DIR / "downloads").absolute(),
    openf1_url=_base_url("OPENF1_URL", "https://api.openf1.org/v1"),
    openf1_per_minute=_number("OPENF1_PER_MINUTE", 30, 1, 100_000),
)
# What may be uploaded to be imported, and how long an upload waits for that.
UPLOADS_DIR = DATA_DIR / "uploads"
UPLOAD_BYTES = _number("UPLOAD_MB", 1_000, 1, 1_000_000) * 1_000_000
UPLOAD_SECONDS = _number("UPLOAD_HOURS", 24, 1, 8_760) * 3600
IMPORT_MEMORY_BYTES = _number("IMPORT_MEMORY_MB", 4_000, 2_000, 1_000_000) * 1_000_000

# Recordings older than that, and the oldest while all take more room, are removed; 0: none.
RETENTION_DAYS = _number("RETENTION_DAYS", 0, 0, 36_500)
RETENTION_BYTES = _number("RETENTION_GB", 0, 0, 1_000_000) * 1_000_000_000
# Exported files that are kept; those used longest ago go first.
EXPORTS_BYTES = _number("EXPORTS_MB", 4_000, 1, 1_000_000_000) * 1_000_000

# Streaming limits, each the same for every worker.
FRAME_STORE_BYTES = _number("FRAME_STORE_MB", 256, 1, 1_000_000) * 1_000_000
# The limit of a process for open files and sockets, raised as far as it may be.
FILE_LIMIT = raise_file_limit()
MAX_CONNECTIONS_WANTED = _number("MAX_CONNECTIONS", 20_000, 1, 1_000_000)
MAX_CONNECTIONS = connections_within(FILE_LIMIT, MAX_CONNECTIONS_WANTED)
# A school or an office behind one address; a load test from one machine needs more.
MAX_CONNECTIONS_PER_ADDRESS = _number("MAX_CONNECTIONS_PER_ADDRESS", 200, 1, 1_000_000)
# Of one session, of one user of the site, and of one token.
MAX_CONNECTIONS_PER_SESSION = _number("MAX_CONNECTIONS_PER_SESSION", 20_000, 1, 1_000_000)
MAX_CONNECTIONS_PER_USER = _number("MAX_CONNECTIONS_PER_USER", 100, 1, 1_000_000)
MAX_CONNECTIONS_PER_TOKEN = _number("MAX_CONNECTIONS_PER_TOKEN", 100, 1, 1_000_000)
# What one address, login or token may ask for; 0 for no limit.
REQUESTS_PER_SECOND = _number("REQUESTS_PER_SECOND", 100, 0, 1_000_000)
HANDSHAKES_PER_SECOND = _number("HANDSHAKES_PER_SECOND", 20, 0, 1_000_000)
DOWNLOAD_BYTES_PER_MINUTE = _number("DOWNLOAD_MB_PER_MINUTE", 3_000, 0, 1_000_000) * 1_000_000
# What one address, user or token may upload; 0 for no limit.
UPLOAD_BYTES_PER_HOUR = _number("UPLOAD_MB_PER_HOUR", 20_000, 0, 1_000_000) * 1_000_000
# Of one viewer, and of all viewers of one address, user or token.
MESSAGES_PER_SECOND = _number("MESSAGES_PER_SECOND", 200, 1, 1_000_000)
MESSAGES_PER_SECOND_TOGETHER = _number("MESSAGES_PER_SECOND_TOGETHER", 2_000, 1, 10_000_000)
MAX_BODY_BYTES = _number("MAX_BODY_MB", 1, 1, 1_000_000) * 1_000_000
ACK_TIMEOUT = _number("ACK_TIMEOUT", 60, 1, 3600)
# Off where no other worker would ever read what this one makes: `manage.py serve` knows.
FRAME_STORE_SHARED = _flag("FRAME_STORE_SHARED", True)
# After which a live session whose producer does not come back becomes a recording.
LIVE_IDLE_SECONDS = _number("LIVE_IDLE_MINUTES", 60, 1, 1_000_000) * 60
STATISTICS = _flag("STATISTICS", True)
STATISTICS_WARM_UP = _number("STATISTICS_WARM_UP", 10, 0, 10_000)

INSTALLED_APPS = [
    "streaming",  # before Daphne: it installs the reactor
    "daphne",
    "replayproject.admin_config.ReplayAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "template_partials",
    "django_tasks",
    "django_tasks_db",
    "ninja",
    "replayproject",
    "sessions_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "replayproject.database_away.DatabaseAwayMiddleware",
    "sessions_app.api.middleware.api_middleware",
    "replayproject.refusals.count_refusals",
    "csp.middleware.CSPMiddleware",
    "replayproject.page_headers.page_headers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "replayproject.urls"
ASGI_APPLICATION = "replayproject.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

if _database_url := env.str("DATABASE_URL", default=""):
    DATABASES = {"default": _database(_database_url)}
else:
    private_file(DATA_DIR / "db.sqlite3")
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "db.sqlite3",
            "OPTIONS": {
                # WAL lets viewers read while an import writes.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
            },
        }
    }

# Queued in the database, with the jobs in one transaction; `manage.py import_worker` runs them.
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {
                "hosts": [
                    {
                        "address": REDIS_URL,
                        # Its own default tries three times and waits up to 14 s in between. Rooms
                        # try again by themselves, so a failure must be reported at once.
                        "retry": Retry(ConstantBackoff(0.1), 1),
                        "socket_connect_timeout": 1.0,
                        "socket_timeout": 1.0,
                    }
                ]
            },
        }
    }
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"
# A login ends so long after it began, wherever it is used.
SESSION_COOKIE_AGE = _number("LOGIN_HOURS", 336, 1, 8_760) * 3600
PASSWORD_RESET_TIMEOUT = 3600
# How mail is sent; without it passwords cannot be reset over the page.
EMAIL_URL = env.str("EMAIL_URL", default="")
if EMAIL_URL:
    _mail = _mail_settings(EMAIL_URL)
    EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
    EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"], _mail["EMAIL_PORT"] or 25
    EMAIL_HOST_USER = _mail["EMAIL_HOST_USER"] or ""
    EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_PASSWORD"] or ""
    EMAIL_USE_TLS, EMAIL_USE_SSL = (
        _mail.get("EMAIL_USE_TLS", False),
        _mail.get("EMAIL_USE_SSL", False),
    )
    EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="") or "replay@localhost"

# Logging in at an OpenID Connect provider; see docs/security.md.
OIDC_ISSUER = _oidc_issuer("OIDC_ISSUER")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
OIDC_NAME = env.str("OIDC_NAME", default="") or "single sign-on"
# Which claim says who is staff and who an operator, and by which of its values.
OIDC_RIGHTS_CLAIM = env.str("OIDC_RIGHTS_CLAIM", default="") or "groups"
OIDC_STAFF = env.str("OIDC_STAFF", default="")
OIDC_OPERATORS = env.str("OIDC_OPERATORS", default="")
if OIDC_CLIENT_ID and not OIDC_ISSUER:
    raise ImproperlyConfigured("OIDC_CLIENT_ID: expected OIDC_ISSUER with it")
if OIDC_ISSUER:
    if not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET):
        raise ImproperlyConfigured(
            "OIDC_ISSUER: expected OIDC_CLIENT_ID and OIDC_CLIENT_SECRET with it"
        )
    if find_spec("allauth") is None or find_spec("jwt") is None:
        raise ImproperlyConfigured(
            "OIDC_ISSUER: expected the extra `oidc`: pip install 'django-allauth[socialaccount]'"
        )
    INSTALLED_APPS += [
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ]
    MIDDLEWARE.append("allauth.account.middleware.AccountMiddleware")
    SOCIALACCOUNT_ADAPTER = "replayproject.oidc.Adapter"
    SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": OIDC_NAME,
                    "client_id": OIDC_CLIENT_ID,
                    "secret": OIDC_CLIENT_SECRET,
                    "settings": {"server_url": OIDC_ISSUER, "oauth_pkce_enabled": True},
                }
            ]
        }
    }
    # A form that leads to the provider would need its address in the policy's form-action.
    SOCIALACCOUNT_LOGIN_ON_GET = True
    # Addresses are for the admin to read; nobody is found or checked by one.
    ACCOUNT_UNIQUE_EMAIL = False
    ACCOUNT_EMAIL_VERIFICATION = SOCIALACCOUNT_EMAIL_VERIFICATION = "none"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = HOME_DIR / "staticfiles"
# Files are served straight from the apps: nothing to collect before a start.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = DEBUG
SERVESTATIC_MAX_AGE = 0 if DEBUG else 60
SERVESTATIC_ADD_HEADERS_FUNCTION = static_headers
SERVESTATIC_ALLOW_ALL_ORIGINS = False

# Whose pages may frame the library and the player.
EMBED_ORIGINS = _origins("EMBED_ORIGINS")

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        # No script may come from a string. The one exception starts the player's worker.
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["replay-worker"],
    }
}
# The page needs the screen and, for its links, the clipboard; nothing else of the machine.
PERMISSIONS_POLICY: dict[str, list[str]] = {
    "fullscreen": ["self"],
    "clipboard-write": ["self"],
    "accelerometer": [],
    "camera": [],
    "display-capture": [],
    "geolocation": [],
    "gyroscope": [],
    "magnetometer": [],
    "microphone": [],
    "midi": [],
    "payment": [],
    "usb": [],
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = _flag("SECURE_SSL_REDIRECT", False)
# The clients of these are on our side of the proxy.
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = _number("SECURE_HSTS_SECONDS", 0, 0, 100_000_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = _flag("SECURE_HSTS_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = _flag("SECURE_HSTS_PRELOAD", False)
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _flag("SECURE_COOKIES", False)
# No script of ours reads either.
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
if SESSION_COOKIE_SECURE:
    # By this name a browser takes a cookie only over TLS, for all paths, and of no other host.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
if EMBED_ORIGINS and not SESSION_COOKIE_SECURE:
    raise ImproperlyConfigured("EMBED_ORIGINS: expected SECURE_COOKIES=1 with it, behind TLS")
# A framed page is another site's: there the browser sends only cookies that say None.
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "None" if EMBED_ORIGINS else "Lax"

# What an error page shows of the settings.
DEFAULT_EXCEPTION_REPORTER_FILTER = "replayproject.error_pages.RedactingFilter"
LOGGING = logging_settings(level=env.str("LOG_LEVEL", default="INFO"))
LOGGING_CONFIG = "logging.config.dictConfig"
