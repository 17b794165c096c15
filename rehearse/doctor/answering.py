"""What one side answers before any load: is it there, is it the one that is meant, certificate, credentials, clock."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from rehearse.allowlist import AllowList, host_and_port
from rehearse.checks.probes.reach import Place
from rehearse.checks.probes.tls import expiry_of
from rehearse.config import Settings, Target
from rehearse.doctor.findings import Examined, Grade
from rehearse.errors import NotReady, TargetRefused
from rehearse.inquiry import INQUIRY_TIMEOUT_S, Look
from rehearse.sides import tls_of
from rehearse.targets import ManagedTarget

SOON_DAYS = 14
MOST_SKEW_S = 5.0  # a Date header has whole seconds, and the way takes time


def side_findings(settings: Settings, target: ManagedTarget, now: datetime) -> Iterator[Examined]:
    """Bring it up as a rehearsal does, if that is ours to do; else only look. Nothing raises."""
    side, configured = str(target.spec.side), settings.target(target.spec.side)
    try:
        dict(target.spec.headers)  # a token in them is asked for when they are read
    except NotReady as error:
        yield Examined(side, Grade.FIX, str(error).rstrip("."), f"correct targets.{configured.name}.auth")
        return
    if urlsplit(configured.url).scheme == "https" and configured.proxy is None:
        yield from _tls_findings(side, settings, configured, target.allow_list, now)
    try:
        if target.can_restart:
            target.bring_up()
        else:
            target.prove()
        look = target.look()
    except TargetRefused as error:
        remedy = "it must prove itself; see docs/configuration.md, proof before touch"
        yield Examined(side, Grade.FIX, str(error).rstrip("."), remedy)
    except NotReady as error:
        yield Examined(side, Grade.FIX, str(error).rstrip("."), _remedy_of_silence(configured, str(error)))
    else:
        yield from look_findings(side, configured, look, now)


def look_findings(side: str, configured: Target, look: Look | None, now: datetime) -> Iterator[Examined]:
    """What its answer at `ready` says. A database has no status and no Date."""
    if look is None:
        yield Examined(side, Grade.OK, "answers `select 1`")
        return
    seen = f"answers {look.status} at {configured.ready} in {look.took_s * 1000:.0f} ms"
    yield _of_status(side, configured, look, seen)
    skew_s = _skew_s(look.date, now)
    if skew_s is not None and abs(skew_s) > MOST_SKEW_S:
        yield Examined(
            side,
            Grade.NOTE,
            f"its clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the one here",
            "set both by NTP, or tokens and logs will disagree",
        )


def _of_status(side: str, configured: Target, look: Look, seen: str) -> Examined:
    name = f"targets.{configured.name}"
    if look.status in (401, 403):
        has_credentials = bool(configured.headers) or configured.auth.command is not None
        why = "the credentials are wrong or expired" if has_credentials else "no credentials are configured"
        return Examined(side, Grade.FIX, f"{seen}: {why}", f"correct {name}.headers or {name}.auth")
    if look.status >= 500:
        return Examined(side, Grade.FIX, f"{seen}: it is up, and not well", "read its log")
    if look.status >= 400:
        return Examined(side, Grade.NOTE, seen, f"name a path that exists in {name}.ready")
    if look.status >= 300:
        where = f" to {look.location}" if look.location else ""
        return Examined(
            side, Grade.NOTE, f"{seen}: a redirect{where}", f"name the last address in {name}.url"
        )
    return Examined(side, Grade.OK, seen)


def _tls_findings(
    side: str, settings: Settings, configured: Target, allow_list: AllowList, now: datetime
) -> Iterator[Examined]:
    """One handshake, verified as the load's own are."""
    if not configured.tls.verify:
        yield Examined(
            side,
            Grade.NOTE,
            "its certificate is not verified (tls.verify = false)",
            f"name its authority in targets.{configured.name}.tls.ca instead",
        )
        return
    host, port = host_and_port(configured.url)
    try:
        with (
            Place(host, port, allow_list).connect(INQUIRY_TIMEOUT_S) as plain,
            tls_of(settings, configured).context().wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        sentence = f"its certificate does not verify ({error.verify_message})"
        yield Examined(side, Grade.FIX, sentence, _remedy_of_certificate(error, configured.name))
    except (OSError, TargetRefused):
        return  # told by what follows: it does not answer at all
    else:
        yield _of_expiry(side, expiry_of(certificate), now)


def _remedy_of_certificate(error: ssl.SSLCertVerificationError, name: str) -> str:
    said = error.verify_message.lower()
    if "expired" in said or "not yet valid" in said:
        return "renew it, or correct the clock here"
    if "mismatch" in said or "not valid for" in said:
        return f"use the name that it is for in targets.{name}.url"
    return f"name the authority's certificate in targets.{name}.tls.ca"


def _of_expiry(side: str, ends: datetime, now: datetime) -> Examined:
    days = (ends - now).days
    sentence = f"its certificate verifies, until {ends:%Y-%m-%d}"
    if days < SOON_DAYS:
        return Examined(side, Grade.NOTE, f"{sentence}: {days} days left", "renew it")
    return Examined(side, Grade.OK, sentence)


def _remedy_of_silence(configured: Target, said: str) -> str:
    name = f"targets.{configured.name}"
    if "client certificate" in said:
        return f"name the certificate that it trusts in {name}.tls.cert, and its key in {name}.tls.key"
    if configured.start is not None or configured.restart is not None:
        return f"see what its command says, or raise {name}.ready_timeout"
    return f"start it, or correct {name}.url; with {name}.start `rehearse` starts it itself"


def _skew_s(date: str, now: datetime) -> float | None:
    """How far its clock is ahead; None when it does not say."""
    try:
        told = parsedate_to_datetime(date)
    except (ValueError, OverflowError):  # a year of twenty digits is none
        return None
    return (told.replace(tzinfo=told.tzinfo or UTC) - now).total_seconds()
