"""A small OpenID Connect provider: discovery, authorize, token, userinfo and keys, over HTTP.

It lets everybody in as `subject`, without asking, and does what a test tells it to do wrong.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "replay", "geheim"


class Provider:
    """What it says, and of whom.

    Attributes:
        url: its issuer.
        subject, claims: of the user who logs in.
        userinfo_subject: of userinfo, if another than `subject`.
        signs_with_known_key: whether its tokens are signed with the key that it publishes.
        asked: parameters of the last authorization request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.subject = "s-1"
        self.claims: dict[str, Any] = {}
        self.userinfo_subject = ""
        self.signs_with_known_key = True
        self.asked: dict[str, str] = {}
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._codes: dict[str, dict[str, str]] = {}

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def keys(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "k1", "use": "sig", "alg": "RS256"}]}

    def authorize(self, query: dict[str, str]) -> str:
        """The address that the browser is sent back to."""
        assert query["client_id"] == CLIENT
        assert query["response_type"] == "code"
        self.asked = query
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        """The tokens for a code, or None if the client may not have them."""
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or form.get("client_secret") != SECRET
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
        ):
            return None
        now = int(time.time())
        about = {"iss": self.url, "aud": CLIENT, "sub": self.subject, "iat": now, "exp": now + 300}
        key = self._key if self.signs_with_known_key else self._other
        signed = jwt.encode({**about, **self.claims}, key, "RS256", headers={"kid": "k1"})
        return {"access_token": "at", "token_type": "Bearer", "id_token": signed}

    def userinfo(self) -> dict[str, Any]:
        return {"sub": self.userinfo_subject or self.subject, **self.claims}


@contextmanager
def provider() -> Iterator[Provider]:
    """One that listens on a free port of this machine."""
    running = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", running.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif parts.path == "/.well-known/openid-configuration":
                self._answer(running.discovery())
            elif parts.path == "/keys":
                self._answer(running.keys())
            elif self.headers.get("Authorization") == "Bearer at":
                self._answer(running.userinfo())
            else:
                self._answer({"error": "invalid_token"}, 401)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            tokens = running.token(form)
            self._answer(tokens or {"error": "invalid_grant"}, 200 if tokens else 400)

        def _answer(self, body: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: Any) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield running
    server.shutdown()
    server.server_close()
    thread.join()
