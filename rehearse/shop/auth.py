"""Passwords and bearer tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from sqlalchemy import select

from rehearse.shop.tables import accounts

if TYPE_CHECKING:
    from sqlalchemy import Connection

# About 5 ms on one core. A real shop takes many times that; here a login shall not drown the other requests.
PBKDF2_ROUNDS = 18_000
TOKEN_LIFETIME_S = 12 * 3_600
# The same in every version, so that a token outlives an upgrade. It guards staging data that anyone can seed.
SIGNING_KEY = b"the sample shop, staging only"


def hash_password(password: str, salt: bytes) -> bytes:
    """Slow on purpose, see PBKDF2_ROUNDS."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, PBKDF2_ROUNDS)


def password_is_right(connection: Connection, account: str, password: str) -> bool:
    """Takes the same time for an unknown account as for a wrong password."""
    columns = select(accounts.c.password_salt, accounts.c.password_hash)
    row = connection.execute(columns.where(accounts.c.name == account)).one_or_none()
    salt, expected = row if row is not None else (b"nobody", b"")
    return hmac.compare_digest(hash_password(password, salt), expected)


def issue_token(account: str, now_s: float) -> str:
    """A signed token for `account` that ends TOKEN_LIFETIME_S from now."""
    claims = json.dumps({"account": account, "expires_s": int(now_s) + TOKEN_LIFETIME_S})
    body = base64.urlsafe_b64encode(claims.encode()).decode()
    return f"{body}.{_signature(body)}"


def account_of(token: str, now_s: float) -> str | None:
    """Who the token was issued to; None when it is forged, damaged or out of date."""
    body, _, signature = token.partition(".")
    if not hmac.compare_digest(_signature(body).encode(), signature.encode()):
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(body))
    except (binascii.Error, ValueError):
        return None
    return str(claims["account"]) if claims["expires_s"] > now_s else None


def _signature(body: str) -> str:
    return hmac.new(SIGNING_KEY, body.encode(), hashlib.sha256).hexdigest()
