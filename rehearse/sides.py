"""Which sides a run loads, and how they are reached: targets, headers, tokens, certificates, foreign hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from rehearse.allowlist import AllowList, host_and_port, system_resolve
from rehearse.config import Settings, Target, secrets_of
from rehearse.databases import is_database, read_database_url
from rehearse.metrics.promql import Prometheus
from rehearse.model import Mode, Side
from rehearse.redaction import Clean, redact
from rehearse.targets import ManagedTarget, TargetSpec
from rehearse.tls import TlsOrder
from rehearse.tokens import FreshHeaders, TokenCommand, TokenSource, source_of, told


def sides_of_baseline(settings: Settings) -> tuple[Side, ...]:
    """Both sides in paired mode: with the known-good version on both, that is the A/A calibration."""
    return (Side.BASELINE, Side.CANDIDATE) if settings.resolved_mode is Mode.PAIRED else (Side.BASELINE,)


def sides_of_comparison(settings: Settings) -> tuple[Side, ...]:
    """Both sides in paired mode, the candidate alone in recorded mode."""
    return (Side.BASELINE, Side.CANDIDATE) if settings.resolved_mode is Mode.PAIRED else (Side.CANDIDATE,)


def restarted_sides(settings: Settings) -> frozenset[Side]:
    """The loaded sides of which `rehearse` itself can start a fresh process."""
    targets = {side: settings.target(side) for side in sides_of_comparison(settings)}
    return frozenset(side for side, target in targets.items() if target.can_restart)


def allowed_targets(settings: Settings, sides: tuple[Side, ...]) -> list[ManagedTarget]:
    """The targets of `sides`, each shown to be on the allow-list. Raises TargetRefused."""
    allow_list = AllowList(settings.safety.allow, settings.safety.production)
    targets = [ManagedTarget(_target_spec(settings, side), allow_list) for side in sides]
    for target in targets:
        target.check_allowed()
    return targets


def _target_spec(settings: Settings, side: Side) -> TargetSpec:
    target = settings.target(side)
    return TargetSpec(
        side=side,
        name=target.name,
        url=target.url,
        headers=headers_of(settings, target),
        ready=target.ready,
        facts=target.facts,
        state=target.state,
        prepare=target.prepare,
        reset=target.reset,
        restart=target.restart,
        start=target.start,
        ready_timeout_s=target.ready_timeout_s,
        verify=tls_of(settings, target).context() if urlsplit(target.url).scheme == "https" else True,
        proof_header=settings.safety.proof_header,
        proof_value=settings.safety.proof_value,
        working_dir=settings.root,
        log_dir=work_dir(settings) / "logs",
        clean=cleaner(settings),
        proxy=target.proxy_url,
    )


def headers_of(settings: Settings, target: Target) -> Mapping[str, str]:
    """The headers of every request to it, secrets included; a token in them is asked for when they are read."""
    fixed = {name: value.get_secret_value() for name, value in target.headers.items()}
    source = _token_source(settings, target)
    return fixed if source is None else FreshHeaders(fixed, source)


def token_sources(settings: Settings) -> Mapping[Side, TokenSource]:
    """Where the token of each side comes from that has one."""
    roles = {target.role for target in settings.targets}
    sides = [side for side in Side if roles & {str(side), "in-place"}]
    found = {side: _token_source(settings, settings.target(side)) for side in sides}
    return {side: source for side, source in found.items() if source is not None}


def _token_source(settings: Settings, target: Target) -> TokenSource | None:
    auth = target.auth
    if auth.command is None:
        return None
    return source_of(
        TokenCommand(
            auth.command, settings.root, auth.header, auth.scheme, auth.refresh_before_s, auth.valid_for_s
        )
    )


def secrets_now(settings: Settings) -> tuple[str, ...]:
    """Every secret of the settings, and every token that a command told so far."""
    return (*told(), *secrets_of(settings))


def cleaner(settings: Settings) -> Clean:
    """Takes all of them out of a text, also the tokens that are told later."""
    known = secrets_of(settings)
    return lambda text: redact(text, (*told(), *known))


def tls_of(settings: Settings, target: Target) -> TlsOrder:
    """Its certificates, with absolute paths."""
    tls = target.tls

    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(settings.root / path)

    return TlsOrder(tls.verify, absolute(tls.ca), absolute(tls.cert), absolute(tls.key))


def other_sides(settings: Settings, target: Target) -> tuple[str, ...]:
    """ "host:port" of the other targets and of Prometheus: asking them in its place would ask the wrong one."""
    others = [other.url for other in settings.targets if other is not target]
    return hosts_elsewhere(target.url, [*others, *filter(None, [settings.prometheus.url])])


def hosts_elsewhere(url: str, others: Iterable[str]) -> tuple[str, ...]:
    """ "host:port" of the other targets, but for those that connections cannot tell from this one (same proxy)."""
    mine = _place(url)
    if mine is None:
        return ()
    host, port = mine
    own = {host, *system_resolve(host)}
    found = []
    for other_host, other_port in filter(None, map(_place, others)):
        if other_port != port or own.isdisjoint({other_host, *system_resolve(other_host)}):
            found.append(
                f"[{other_host}]:{other_port}" if ":" in other_host else f"{other_host}:{other_port}"
            )
    return tuple(found)


def _place(url: str) -> tuple[str, int] | None:
    """Host and port of a target; None for a file."""
    if not is_database(url):
        return host_and_port(url)
    database = read_database_url(url)
    return None if database.host is None or database.port is None else (database.host, database.port)


def prometheus_of(settings: Settings) -> Prometheus | None:
    """Whom to ask for server-side series; None when nobody wants any."""
    asked = settings.prometheus
    if asked.url is None or not settings.series:
        return None
    headers = {name: value.get_secret_value() for name, value in asked.headers.items()}
    allow_list = AllowList(settings.safety.allow, settings.safety.production)
    return Prometheus(asked.url, headers, allow_list, asked.timeout_s)


def work_dir(settings: Settings) -> Path:
    """The folder of what `rehearse` keeps beside the configuration."""
    return settings.root / ".rehearse"
