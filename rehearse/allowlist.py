"""Which hosts may be loaded: none, unless the file under review lists them.

A host is compared after it is brought into one form. What two parsers could read differently (odd IPv4 forms,
user information, backslashes, control characters) is refused, not guessed. Beyond names, every address that a
socket connects to is compared, so that neither a redirect, nor DNS, nor a proxy variable leads elsewhere.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from _socket import (
    getaddrinfo,
)  # gevent replaces socket.getaddrinfo by one that switches: not in an audit hook
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rehearse.errors import TargetRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Resolve = Callable[[str], Sequence[str]]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NETLOC = re.compile(r"(\[[^\[\]]*\]|[^\[\]:@]*)(?::([0-9]{1,5}))?")
_NAME = re.compile(r"(?=.{1,253}\Z)(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_WILDCARD = re.compile(r"\*(\.[^.*]+){2,}")
_DEVIATIONS = frozenset("ßς\u200c\u200d")  # IDNA 2003 and 2008 turn these into different hosts
_MIN_PREFIX = {4: 16, 6: 32}  # of a public network: a wider one would list half of the internet
_ASK_AGAIN_S = 1.0
_OTHER_SIDE = "the other side's target: look for a redirect there, or an absolute URL in the scenario"
_MAX_NAMES = 1000


def normal_host(host: str) -> str:
    """The one form of a host: lower case, punycode, no dot at the end; ValueError when that is unclear."""
    _refuse_odd_characters(host)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("is not an IPv6 address in brackets")
    address = _address(host)
    return str(address) if address else _normal_name(host)


def _refuse_odd_characters(text: str) -> None:
    """Whitespace, control and invisible characters, and backslashes: parsers disagree about each of them."""
    if not text:
        raise ValueError("is empty")
    if not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("has a space, a backslash or a control character in it")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that `text` is, if it is one: without a zone, and as IPv4 when that is mapped into IPv6."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _normal_name(name: str) -> str:
    if _DEVIATIONS & set(name):
        raise ValueError("is read differently by two versions of IDNA; write it as xn--...")
    try:
        plain = name.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        raise ValueError("is not a host name") from None
    if address := _address(plain):  # full-width digits have become plain ones
        return str(address)
    if _NUMBER.fullmatch(plain.rpartition(".")[2]):
        raise ValueError("is an unusual form of an IPv4 address; write four decimal numbers: 127.0.0.1")
    if not _NAME.fullmatch(plain):
        raise ValueError("is not a host name")
    return plain


def host_and_port(url: str) -> tuple[str, int]:
    """The host, in its one form, and the port that `url` leads to; ValueError when readers could disagree."""
    _refuse_odd_characters(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("has no clear host and port") from None
    if parts.scheme not in _PORTS:
        raise ValueError("does not start with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("has user information before the host; put credentials into headers")
    host, port = _split_port(parts.netloc)
    return normal_host(host), port or _PORTS[parts.scheme]


def _split_port(text: str) -> tuple[str, int | None]:
    found = _NETLOC.fullmatch(text)
    if not found:
        raise ValueError("has no clear host and port")
    port = int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError("has a port outside 1..65535")
    return found[1], port


def is_loopback(host: str) -> bool:
    """True for this machine itself: localhost, 127.0.0.0/8 and ::1."""
    try:
        normal = normal_host(host)
    except ValueError:
        return False
    address = _address(normal)
    return address.is_loopback if address else f".{normal}".endswith(".localhost")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `safety.allow` or `safety.production`: a network, or a name that may hold wildcards."""

    name: str
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None
    why_refused: str = "production: safety.production names it"

    @property
    def is_exact_name(self) -> bool:
        """A name that can be asked for its addresses."""
        return self.network is None and "*" not in self.name

    def matches(self, host: str, port: int | None) -> bool:
        """Whether this is about `host`, in its one form, and about this very port."""
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            return fnmatchcase(host, self.name)
        address = _address(host)
        return address is not None and address in self.network


def read_allowed(text: str) -> Entry:
    """An entry of `safety.allow`; ValueError, the end of a sentence about `text`, when it is too wide."""
    entry = read_production(text)
    network = entry.network
    if network is not None and not (network.is_private or network.prefixlen >= _MIN_PREFIX[network.version]):
        raise ValueError("is too wide a public network; list the smaller ones that are staging")
    if "*" in entry.name and not _WILDCARD.fullmatch(entry.name):
        raise ValueError(
            "is too wide; a wildcard stands first, before two labels or more: '*.staging.example'"
        )
    return entry


def read_production(text: str) -> Entry:
    """An entry of `safety.production`: as wide as its author likes; `*` may stand anywhere in a name."""
    _refuse_odd_characters(text)
    if "://" in text:
        raise ValueError("is a URL; write only its host, or host:port")
    if "/" in text:
        return Entry("", _network(text))
    host, port = (text, None) if _address(text) else _split_port(text)
    if "*" in host:
        if not host.isascii():
            raise ValueError("has a wildcard and letters beyond ASCII; write it as xn--...")
        normal_host(host.replace("*", "w"))
        return Entry(host.lower().removesuffix("."), port=port)
    name = normal_host(host)
    return Entry("", ip_network(name), port) if _address(name) else Entry(name, port=port)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError("is not a network; write it like 10.20.0.0/16, its last bits zero") from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("is an IPv4 network mapped into IPv6; write it like 10.20.0.0/16")
    return network


class _Lookup(str):
    """A name that the guard itself looks up, so that it does not stop itself."""

    __slots__ = ()


def system_resolve(name: str) -> tuple[str, ...]:
    """The addresses of `name` now; none when it has none."""
    try:
        rows = getaddrinfo(_Lookup(name), None, 0, socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(str(row[4][0]) for row in rows)


@dataclass(slots=True)
class _AddressBook:
    """What names resolved to so far. A name is asked when it is new, and again at most once a second."""

    clock: Callable[[], float]
    seen: dict[str, bool] = field(default_factory=dict)  # allowed names that turned up, in that order
    _addresses: dict[str, frozenset[str]] = field(default_factory=dict)
    _asked_at: dict[str, float] = field(default_factory=dict)

    def remember(self, name: str) -> None:
        """Keep a name that a wildcard may have allowed, as the last one: nothing else says what to ask for."""
        if self.seen.pop(name, None) or len(self.seen) < _MAX_NAMES:
            self.seen[name] = True

    def addresses(self, name: str, resolve: Resolve) -> frozenset[str]:
        """All that the name has resolved to: names behind a load balancer answer differently each time."""
        if name not in self._asked_at:
            self._ask(name, resolve)
        return self._addresses[name]

    def ask_again(self, names: Iterable[str], resolve: Resolve) -> None:
        """Look up again what was last looked up more than a second ago."""
        now = self.clock()
        for name in names:
            if now - self._asked_at.get(name, now) >= _ASK_AGAIN_S:
                self._ask(name, resolve)

    def _ask(self, name: str, resolve: Resolve) -> None:
        found = frozenset(str(address) for text in resolve(name) if (address := _address(text)))
        self._addresses[name] = self._addresses.get(name, frozenset()) | found
        self._asked_at[name] = self.clock()


@dataclass(frozen=True)
class AllowList:
    """What may be loaded (`allow`), and what never may, even if it is allowed (`production`, `other_sides`).

    `other_sides` are the hosts of the other targets: a redirect there would load, and measure, the wrong one.
    """

    allow: tuple[str, ...]
    production: tuple[str, ...] = ()
    other_sides: tuple[str, ...] = ()
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)
    _allowed: tuple[Entry, ...] = field(init=False, repr=False, compare=False)
    _refused: tuple[Entry, ...] = field(init=False, repr=False, compare=False)
    _book: _AddressBook = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", tuple(map(read_allowed, self.allow)))
        others = (replace(read_production(text), why_refused=_OTHER_SIDE) for text in self.other_sides)
        object.__setattr__(self, "_refused", (*map(read_production, self.production), *others))
        object.__setattr__(self, "_book", _AddressBook(self.clock))

    def check_url(self, url: str) -> None:
        """Return only if `url` leads to a host that may be loaded."""
        try:
            host, port = host_and_port(url)
        except ValueError as error:  # the URL is not shown: it may hold a password
            raise TargetRefused(f"refused: a URL that {error}") from None
        self.check_host(host, port)

    def check_host(self, host: str, port: int | None) -> None:
        """Return only if `host` may be loaded; a `port` of None is one that is not known yet."""
        try:
            normal = normal_host(host)
        except ValueError as error:
            raise TargetRefused(f"refused: host {host[:80]!r} {error}") from None
        self._refuse_named(normal, port)
        if not self._allows(normal, port):
            raise TargetRefused(_not_listed(normal, port))
        if not _address(normal):
            self._book.remember(normal)

    def check_address(self, ip: str, port: int, resolve: Resolve = system_resolve) -> None:
        """Return only if an address may be connected to: listed itself, or what a listed name resolves to."""
        found = _address(ip)
        if found is None:
            raise TargetRefused(f"refused: {ip[:80]!r} is not an IP address")
        address = str(found)
        self._refuse_production(address, port, resolve)
        if self._allows(address, port) or self._is_of_allowed_name(address, port, resolve):
            return
        self._book.ask_again([*self._names(self._refused), *self._askable()], resolve)
        self._refuse_production(address, port, resolve)
        if not self._is_of_allowed_name(address, port, resolve):
            raise TargetRefused(f"{_not_listed(address, port)} No listed name resolves to it either.")

    def look_up_production(self, resolve: Resolve = system_resolve) -> None:
        """Ask for these names now, so that no lookup of them holds up the load later."""
        for name in self._names(self._refused):
            self._book.addresses(name, resolve)

    def _is_refused(self, host: str, port: int | None) -> bool:
        return any(entry.matches(host, port) for entry in self._refused)

    def _refuse_named(self, host: str, port: int | None) -> None:
        for entry in self._refused:
            if entry.matches(host, port):
                raise TargetRefused(f"refused: {_shown(host, port)} is {entry.why_refused}.")

    def _allows(self, host: str, port: int | None) -> bool:
        is_listed = any(entry.matches(host, entry.port if port is None else port) for entry in self._allowed)
        return is_listed and not self._is_refused(host, port)

    def _is_of_allowed_name(self, address: str, port: int, resolve: Resolve) -> bool:
        names = (name for name in self._askable() if self._allows(name, port))
        return any(address in self._book.addresses(name, resolve) for name in names)

    def _refuse_production(self, address: str, port: int, resolve: Resolve) -> None:
        self._refuse_named(address, port)
        for entry in self._refused:
            is_asked = entry.is_exact_name and entry.port in (None, port)
            if is_asked and address in self._book.addresses(entry.name, resolve):
                what = entry.why_refused.partition(":")[0]
                raise TargetRefused(f"refused: {_shown(address, port)} is {entry.name}, which is {what}.")

    def _askable(self) -> list[str]:
        """Allowed names to look up: what was asked for last is most likely what is connected to now."""
        return list(dict.fromkeys([*reversed(list(self._book.seen)), *self._names(self._allowed)]))

    @staticmethod
    def _names(entries: Iterable[Entry]) -> list[str]:
        return [entry.name for entry in entries if entry.is_exact_name]


def _shown(host: str, port: int | None) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def _not_listed(host: str, port: int | None) -> str:
    advice = f'If it is staging, add "{host}" to safety.allow in rehearse.toml.'
    return f"refused: {_shown(host, port)} is not on the allow-list. {advice}"


@dataclass(frozen=True, slots=True)
class _SocketGuard:
    """Compares what Python's sockets are about to do with the list: nothing has left the process yet."""

    allow_list: AllowList
    exempt: frozenset[tuple[str, int]]
    resolve: Resolve

    def check(self, event: str, args: tuple[Any, ...]) -> None:
        """Raise TargetRefused for a name that may not be looked up or an address that may not be reached."""
        if event == "socket.getaddrinfo":
            self._check_lookup(args[0], args[1])
        elif args[0].family in (socket.AF_INET, socket.AF_INET6) and isinstance(args[1], tuple):
            self._check_connect(_text(args[1][0]), args[1][1])

    def _check_lookup(self, host: object, service: object) -> None:
        name = _text(host)
        if not name or isinstance(host, _Lookup) or _address(name):
            return
        if not any(name == free for free, _ in self.exempt):
            port = _text(service)  # 0 is none
            self.allow_list.check_host(name, int(port) if port.isdecimal() else None)

    def _check_connect(self, host: str, port: int) -> None:
        address = _address(host)
        if (str(address or host), port) in self.exempt:
            return
        if address:
            self.allow_list.check_address(str(address), port, self.resolve)
            return
        self.allow_list.check_host(host, port)  # a name: the C library would look it up unseen
        for found in self.resolve(normal_host(host)):
            self.allow_list.check_address(found, port, self.resolve)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes | bytearray) else str(value or "")


_GUARDED = {f"socket.{call}" for call in ("getaddrinfo", "connect", "connect_ex", "sendto", "sendmsg")}


def install_socket_guard(
    allow_list: AllowList,
    on_refusal: Callable[[str], None],
    exempt: Iterable[tuple[str, int]] = (),
    resolve: Resolve = system_resolve,
) -> None:
    """From now on no socket of this process reaches an address that is neither listed nor in `exempt`.

    It cannot be taken off again. The code that asked may swallow the exception, so `on_refusal` gets the
    message first; a refused lookup calls it in a thread of gevent's pool, where it must not touch gevent.
    Not seen: native code that opens sockets by itself (libpq, libcurl, zmq), and child processes.
    """
    free = frozenset((normal_host(host), port) for host, port in exempt)
    guard = _SocketGuard(allow_list, free, resolve)
    allow_list.look_up_production(resolve)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in _GUARDED:
            return
        try:
            guard.check(event, args)
        except TargetRefused as refusal:
            try:
                on_refusal(str(refusal))
            finally:
                raise

    sys.addaudithook(hook)
