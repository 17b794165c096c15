"""The environments, and which hosts may be loaded at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from rehearse.config.fields import (
    AllowedHosts,
    Argv,
    AuthHeader,
    Duration,
    ExistingFile,
    Facts,
    Header,
    HeaderName,
    Name,
    ProductionHosts,
    ProxyUrl,
    Switch,
    Text,
    Url,
    UrlPath,
    Word,
    between,
)
from rehearse.config.quantities import write_duration
from rehearse.config.section import Section
from rehearse.model import Mode

ROLES = ("baseline", "candidate", "in-place")


class Tls(Section):
    """How a target's certificate is verified, and what the client shows of itself."""

    verify: Switch = Field(default=True, description="Verify the target's certificate.")
    ca: ExistingFile | None = Field(
        default=None, description="Certificates to trust instead of the system's."
    )
    cert: ExistingFile | None = Field(default=None, description="The client's certificate, for mutual TLS.")
    key: ExistingFile | None = Field(
        default=None, description="The client's private key, when `cert` lacks it."
    )


class Auth(Section):
    """A credential that a command tells, and tells again before it expires."""

    command: Argv | None = Field(
        default=None,
        description="Left out: no token. Prints the token on stdout: as it is, or as JSON with `token` and `expires_in`"
        " (seconds). Runs in the folder of the configuration, without a shell; what it prints is shown nowhere.",
        repr=False,
    )
    header: AuthHeader = Field(default="Authorization", description="The header that holds the token.")
    scheme: Text = Field(default="Bearer", description="Stands before the token; empty for nothing.")
    refresh_before_s: Annotated[Duration, between(1, 3600, "a token has to live longer", write_duration)] = (
        Field(default=60.0, description="How long before it expires another one is asked for.")
    )
    valid_for_s: (
        Annotated[Duration, between(5, 366 * 86400, "it is a time to live", write_duration)] | None
    ) = Field(
        default=None,
        description="How long a token is good when the command does not say; left out: for the whole run.",
    )


class Target(Section):
    """One environment that a run is aimed at."""

    name: Word = Field(alias="<name>")
    url: Url = Field(
        description="Where it is: scheme, host, port, and perhaps a first part of the path; or a database,"
        " `postgresql+psycopg://user:${DB_PASSWORD}@host/database`. A password is never shown.",
        repr=False,
    )
    role: Literal["baseline", "candidate", "in-place"] = Field(
        description="Which side it is; needed unless the target's name is one of these words. `in-place` is the"
        " single environment that is upgraded where it stands."
    )
    headers: Mapping[HeaderName, Header] = Field(
        default={}, description="Headers of every request to it, such as credentials. Never shown anywhere."
    )
    proxy: ProxyUrl | None = Field(
        default=None,
        description="Forward proxy through which load, checks and probes reach it; it too must be in `safety.allow`."
        " Variables such as `HTTP_PROXY` count for nothing. Scenarios need HttpUser. A password is never shown.",
    )
    ready: UrlPath = Field(
        default="/",
        description="Path that must answer before load begins. A database must answer `select 1` instead.",
    )
    facts: Facts | None = Field(
        default=None,
        description="Where it says its version and the like: a path that answers JSON, or a command. A database"
        " says its `server_version` by itself.",
        repr=False,
    )
    state: Facts | None = Field(
        default=None,
        description="Where it says what data it has: a path that answers JSON, or a command. `data_set` names the set,"
        ' `rows` counts: `{"data_set": "2026-11-01", "rows": {"orders": 48000}}`. Asked before and after the load.',
        repr=False,
    )
    prepare: Argv | None = Field(default=None, description="Command to run once before a run.", repr=False)
    reset: Argv | None = Field(
        default=None, description="Command that puts its data back, before each round.", repr=False
    )
    restart: Argv | None = Field(
        default=None, description="Command that gives it a fresh process, each round.", repr=False
    )
    start: Argv | None = Field(
        default=None,
        description="Command that `rehearse` starts for a run and stops after it. It runs, as all commands do, in"
        " the folder of the configuration, without a shell.",
        repr=False,
    )
    ready_timeout_s: Annotated[
        Duration, between(0.1, 3600, "nothing takes longer to start", write_duration)
    ] = Field(default=30.0, description="How long it may take until `ready` answers.")
    auth: Auth = Field(default=Auth(), description="A token that expires, and the command that tells it.")
    tls: Tls = Field(default=Tls(), description="Its certificates.")

    @property
    def proxy_url(self) -> str | None:
        """The proxy with its password, for those that go through it."""
        return None if self.proxy is None else self.proxy.get_secret_value()

    @property
    def can_restart(self) -> bool:
        """Whether `rehearse` itself can give it a fresh process."""
        return self.start is not None or self.restart is not None


class Safety(Section):
    """What may be loaded. Set only in the file, which is under review: no variable and no option changes it."""

    allow: AllowedHosts = Field(
        default=(),
        description="Hosts that may be loaded; all others are refused. `host`, `host:port`, `*.staging.example`,"
        " an address, or a network such as `10.20.0.0/16`.",
    )
    production: ProductionHosts = Field(
        default=(),
        description="Hosts that are refused even if they are allowed; `*` may stand anywhere in a name.",
    )
    proof_header: Name = Field(
        default="X-Rehearse-Env",
        description="Response header by which a target off loopback proves what it is. A database has the setting"
        " `rehearse.env` instead.",
    )
    proof_value: Name = Field(default="staging", description="What that header, or setting, must say.")
    side_effects: Switch = Field(
        default=False,
        description="Allow scenarios to send more than GET, HEAD and OPTIONS, and to write to a database.",
    )


def _by_name(given: object) -> object:
    """`[targets.NAME]` tables as a list, each with its name and the role that the name says."""
    if not isinstance(given, Mapping):
        raise ValueError("is not a table; write [targets.baseline] and [targets.candidate]")
    role = {name: {"role": name} if name in ROLES else {} for name in given}
    return tuple(
        {**role[name], **table, "<name>": name} if isinstance(table, Mapping) else table
        for name, table in given.items()
    )


class ByName:
    """Marks a list whose items are tables with names: `[targets.NAME]`."""


Targets = Annotated[tuple[Target, ...], ByName, BeforeValidator(_by_name)]


def complaint_about_targets(targets: tuple[Target, ...], mode: Mode | None) -> str | None:
    """Why these targets cannot be compared, with advice; None when they can."""
    roles = sorted(target.role for target in targets)
    if roles == ["baseline", "candidate"]:
        return None
    if roles == ["in-place"]:
        return "mode: 'paired' needs two targets; leave it out." if mode is Mode.PAIRED else None
    in_place = "If one environment is upgraded where it stands, give it role = 'in-place'."
    if roles == ["baseline"]:
        return f"targets: there is no candidate; add [targets.candidate] with its url. {in_place}"
    if roles == ["candidate"]:
        return f"targets: there is no baseline; add [targets.baseline] with its url. {in_place}"
    found = ", ".join(f"{target.name} ({target.role})" for target in targets) or "none"
    return f"targets: one baseline and one candidate are needed, or a single one in place; found: {found}."
