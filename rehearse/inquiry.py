"""How one environment is asked, before load: may it be loaded, is it there, is it staging, what does it run.

HTTP services and databases are asked differently, and nobody else needs to know how.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import httpx

from rehearse.allowlist import AllowList, is_loopback, system_resolve
from rehearse.databases import POSTGRESQL, SQLITE, DatabaseUrl, engine_to, read_database_url, way_to
from rehearse.errors import NotReady
from rehearse.forward_proxy import check_way
from rehearse.redaction import cut
from rehearse.tls import wants_certificate

if TYPE_CHECKING:
    from sqlalchemy import Connection

INQUIRY_TIMEOUT_S = 5.0
DATABASE_PROOF = "rehearse.env"


@dataclass(frozen=True, slots=True)
class Look:
    """One answer at the path that says whether it is ready."""

    status: int
    date: str  # its `Date` header; empty when it says none
    location: str
    took_s: float


class Inquiry(Protocol):
    """Asks one environment. Only connections to what the allow-list names are made."""

    @property
    def is_on_loopback(self) -> bool:
        """True for this machine itself, which need not prove anything."""
        ...

    @property
    def proof(self) -> tuple[str, str]:
        """Where it says what it is, as a message names it, and what that is called when it is missing."""
        ...

    def check_allowed(self) -> None:
        """Raise TargetRefused unless it is on the allow-list, by name and after DNS."""
        ...

    def ask(self) -> str | None:
        """What it proves to be, if it says so at all. Raises NotReady while it does not answer."""
        ...

    def look(self) -> Look | None:
        """Its answer when it is asked whether it is ready; None where that has no status. Raises NotReady."""
        ...

    def document(self, path: str) -> bytes:
        """What it answers at a path. Raises NotReady."""
        ...

    def answer(self, path: str) -> tuple[int, bytes] | None:
        """Status and body of one GET; None when there was no answer."""
        ...

    def own_facts(self) -> Mapping[str, str]:
        """What it says of itself without being asked for more. Raises NotReady."""
        ...


@dataclass(frozen=True, slots=True)
class HttpInquiry:
    """Asks an HTTP service; see Inquiry."""

    label: str
    url: str
    ready: str
    headers: Mapping[str, str]
    verify: ssl.SSLContext | bool
    proof_header: str
    allow_list: AllowList
    proxy: str | None = field(default=None, repr=False)

    @property
    def is_on_loopback(self) -> bool:
        """See Inquiry. A proxy's loopback is another one."""
        return self.proxy is None and is_loopback(urlsplit(self.url).hostname or "")

    @property
    def proof(self) -> tuple[str, str]:
        """See Inquiry."""
        return f"{self.proof_header}: ", "no such header"

    def check_allowed(self) -> None:
        """See Inquiry."""
        check_way(self.url, self.proxy, self.allow_list)

    def ask(self) -> str | None:
        """Any HTTP answer will do: whether it is a good one is for the rehearsal to judge."""
        found: str | None = self._get(self.ready).headers.get(self.proof_header)
        return found

    def look(self) -> Look | None:
        """See Inquiry."""
        found = self._get(self.ready)
        headers = found.headers
        return Look(
            found.status_code,
            headers.get("date", ""),
            headers.get("location", ""),
            found.elapsed.total_seconds(),
        )

    def document(self, path: str) -> bytes:
        """See Inquiry."""
        return self._get(path).content

    def answer(self, path: str) -> tuple[int, bytes] | None:
        """See Inquiry."""
        try:
            found = self._get(path)
        except NotReady:
            return None
        return found.status_code, found.content

    def own_facts(self) -> Mapping[str, str]:
        """None: it says its version at a path of its own choice."""
        return {}

    def _get(self, path: str) -> httpx.Response:
        try:
            with self._client() as client:
                return client.get(self.url.rstrip("/") + path)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            if wants_certificate(reason):
                reason = (
                    "it wants to see a client certificate; name one in tls.cert (and tls.key) of its table"
                )
            raise NotReady(f"{self.label} does not answer at {path}: {reason}.") from error

    def _client(self) -> httpx.Client:
        return httpx.Client(
            headers=dict(self.headers),
            timeout=INQUIRY_TIMEOUT_S,
            verify=self.verify,
            trust_env=False,  # no proxy from the environment: it could lead elsewhere
            proxy=self.proxy,
            follow_redirects=False,
            event_hooks={"request": [lambda request: self.allow_list.check_url(str(request.url))]},
        )


@dataclass(frozen=True, slots=True)
class DatabaseInquiry:
    """Asks a database, and only reads; see Inquiry."""

    label: str
    url: DatabaseUrl
    allow_list: AllowList
    resolve: Callable[[str], Sequence[str]] = system_resolve

    @property
    def is_on_loopback(self) -> bool:
        """See Inquiry."""
        return self.url.is_on_loopback

    @property
    def proof(self) -> tuple[str, str]:
        """See Inquiry."""
        return f"{DATABASE_PROOF} = ", "no such setting"

    def check_allowed(self) -> None:
        """See Inquiry."""
        way_to(self.url, self.allow_list, self.resolve)

    def ask(self) -> str | None:
        """It is ready when it answers `select 1`. PostgreSQL keeps what it is in a setting of the database."""
        with self._connected() as connection:
            connection.exec_driver_sql("select 1").all()
            if self.url.dialect != POSTGRESQL:
                return None
            row = connection.exec_driver_sql(f"select current_setting('{DATABASE_PROOF}', true)").one()
            return str(row[0]) if row[0] else None

    def look(self) -> Look | None:
        """See Inquiry."""
        self.ask()
        return None

    def document(self, path: str) -> bytes:
        """A database has no paths; the configuration says so before."""
        raise NotReady(f"{self.label} is a database: there is nothing at {path}.")

    def answer(self, path: str) -> tuple[int, bytes] | None:
        """A database has no paths."""
        del path
        return None

    def own_facts(self) -> Mapping[str, str]:
        """Its version, which is most often what an upgrade of a database changes."""
        with self._connected() as connection:
            return {"server_version": self._version(connection)}

    def _version(self, connection: Connection) -> str:
        ask = {POSTGRESQL: "show server_version", SQLITE: "select sqlite_version()"}.get(self.url.dialect)
        if ask is not None:
            return str(connection.exec_driver_sql(ask).scalar_one())
        return ".".join(map(str, connection.dialect.server_version_info or ("unknown",)))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        from sqlalchemy.exc import SQLAlchemyError

        way = way_to(self.url, self.allow_list, self.resolve)
        is_kept_to_reads = self.url.dialect in (POSTGRESQL, SQLITE)
        try:
            engine = engine_to(way, INQUIRY_TIMEOUT_S, side_effects=not is_kept_to_reads)
            with engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise NotReady(f"{self.label} does not answer: {cut(said, 300)}.") from error
        except NotReady as error:
            raise NotReady(f"{self.label} does not answer: {error}") from error


def database_inquiry(label: str, url: str, allow_list: AllowList) -> DatabaseInquiry:
    """The inquiry of a database's URL, which the configuration has read before."""
    return DatabaseInquiry(label, read_database_url(url), allow_list)
