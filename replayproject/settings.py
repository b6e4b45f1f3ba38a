"""Settings: one file, read from the environment; a bad value stops the start with its name.

The table in README.md lists every variable; a test compares the two.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from .logs import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


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


def _database(name: str) -> dict[str, Any]:
    """A database from the environment. Raises: ImproperlyConfigured naming the variable, but not
    its value, which holds a password."""
    url = env.str(name)
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in env.DB_SCHEMES:
        raise ImproperlyConfigured(f"{name}: expected for example postgres://user:password@host/db")
    database: dict[str, Any] = env.db(name)
    return database


def _secret_key(path: Path) -> str:
    """SECRET_KEY from the environment, else one generated once and kept beside the data."""
    given: str = env.str("SECRET_KEY", default="")
    if given:
        return given
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(50))
        return path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(
            f"REPLAY_DATA_DIR={path.parent}: expected a folder to write to ({error.strerror})"
        ) from error


DEBUG = _flag("DEBUG", False)
# A checkout keeps its data in itself, an installed package where it is started.
HOME_DIR = BASE_DIR if (BASE_DIR / "manage.py").is_file() else Path.cwd()
DATA_DIR = Path(env.str("REPLAY_DATA_DIR", default="") or HOME_DIR / "var").absolute()
RECORDINGS_DIR = DATA_DIR / "recordings"
SECRET_KEY = _secret_key(DATA_DIR / "secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = _origins("CSRF_TRUSTED_ORIGINS")

# Where things run. `manage.py serve` sets REDIS_URL for its workers when it starts a server itself.
HOST = env.str("HOST", default="") or "127.0.0.1"
PORT = _number("PORT", 8000, 0, 65_535)
WORKERS = _number("WORKERS", 1, 1, 1000)
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured(
        f"REDIS_URL={REDIS_URL}: expected redis://…, rediss://… or unix:///path/to/socket"
    )
# Reads need no right where a session is public; writing over REST needs staff or this token.
API_TOKENS = env.list("API_TOKENS", default=[])
# Names that POST /api/sessions may import from: name=folder,name=folder
IMPORT_SOURCES = _folders("IMPORT_SOURCES")

# Streaming limits, each the same for every worker.
FRAME_STORE_BYTES = _number("FRAME_STORE_MB", 256, 1, 1_000_000) * 1_000_000
MAX_CONNECTIONS = _number("MAX_CONNECTIONS", 20_000, 1, 1_000_000)
MAX_CONNECTIONS_PER_ADDRESS = _number("MAX_CONNECTIONS_PER_ADDRESS", 20_000, 1, 1_000_000)
MESSAGES_PER_SECOND = _number("MESSAGES_PER_SECOND", 200, 1, 1_000_000)
ACK_TIMEOUT = _number("ACK_TIMEOUT", 60, 1, 3600)
# Off where no other worker would ever read what this one makes: `manage.py serve` knows.
FRAME_STORE_SHARED = _flag("FRAME_STORE_SHARED", True)
STATISTICS = _flag("STATISTICS", True)
STATISTICS_WARM_UP = _number("STATISTICS_WARM_UP", 10, 0, 10_000)

INSTALLED_APPS = [
    "streaming",  # before Daphne: which reactor there is, is ours to say
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "ninja",
    "replayproject",
    "sessions_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "sessions_app.api.middleware.api_middleware",
    "csp.middleware.CSPMiddleware",
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

if env.str("DATABASE_URL", default=""):
    DATABASES = {"default": _database("DATABASE_URL")}
else:
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

if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
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
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = HOME_DIR / "staticfiles"
# Files are served straight from the apps: nothing to collect before a start.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = DEBUG
SERVESTATIC_MAX_AGE = 0 if DEBUG else 60

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _flag("SECURE_COOKIES", False)

LOGGING = logging_settings(level=env.str("LOG_LEVEL", default="INFO"))
LOGGING_CONFIG = "logging.config.dictConfig"
