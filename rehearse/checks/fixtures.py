"""The fixtures of checks. They are registered with the first check that is collected, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

import rehearse.instants
from rehearse.checks.clients import client_for, engine_for, is_http
from rehearse.checks.context import CheckContext, CheckedSide, RecordedResponse
from rehearse.checks.orders import CheckOrder, OptionValue
from rehearse.checks.session import REACH, REFUSALS
from rehearse.errors import RehearseError
from rehearse.instants import Instant
from rehearse.model import Side

if TYPE_CHECKING:
    from sqlalchemy import Engine

NO_BASELINE = "nothing known-good runs now (recorded mode): there is no baseline to ask"


@dataclass(slots=True)
class Access:
    """What this session may reach. `prove` is asked once for each side, before the first request to it."""

    order: CheckOrder
    refusals: list[str]
    prove: Callable[[CheckedSide], CheckedSide]
    _proven: dict[Side, CheckedSide] = field(default_factory=dict)

    @property
    def context(self) -> CheckContext:
        """Both sides, and who is asked."""
        return self.order.context

    def side(self, name: Side) -> CheckedSide:
        """The baseline, or whoever is under test. Skips the check when it is not there."""
        found = self.context.asked if name is Side.CANDIDATE else self.context.baseline
        if found is None:
            pytest.skip(NO_BASELINE)
        if found.side not in self._proven:
            try:
                self._proven[found.side] = self.prove(found)
            except RehearseError as error:
                pytest.fail(str(error), pytrace=False)
        return self._proven[found.side]

    def client(self, name: Side) -> httpx.Client:
        """A client of that side. Skips the check when that is a database."""
        side = self.side(name)
        if not is_http(side):
            pytest.skip(f"the {side.side} is a database: ask it with the fixture `database`")
        return client_for(self.context, side, self.refusals.append)

    def engine(self, name: Side) -> Engine:
        """An engine of that side. Skips the check when that is no database."""
        side = self.side(name)
        if is_http(side):
            pytest.skip(f"the {side.side} is no database: ask it with the fixture `candidate`")
        return engine_for(self.context, side)


@dataclass(frozen=True, slots=True)
class Both:
    """A client of each side."""

    baseline: httpx.Client
    candidate: httpx.Client


class Engines(Mapping[str, "Engine"]):
    """Engines by side: `database["candidate"]`. Asking for a side that is not there skips the check."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._made: dict[Side, Engine] = {}

    def __getitem__(self, side: str) -> Engine:
        name = Side(side)
        if name not in self._made:
            self._made[name] = self._access.engine(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(Side) if self._access.context.baseline is not None else (Side.CANDIDATE,))

    def __len__(self) -> int:
        return len(tuple(iter(self)))


@pytest.fixture(scope="session")
def rehearse_access(request: pytest.FixtureRequest) -> Access:
    """What all the others are made of."""
    refusals = request.config.stash.setdefault(REFUSALS, [])
    try:
        order, prove = request.config.stash[REACH]()
    except RehearseError as error:
        pytest.fail(str(error), pytrace=False)
    return Access(order, refusals, prove)


@pytest.fixture
def candidate(rehearse_access: Access) -> Iterator[httpx.Client]:
    """An HTTP client of the side under test."""
    with rehearse_access.client(Side.CANDIDATE) as client:
        yield client


@pytest.fixture
def baseline(rehearse_access: Access) -> Iterator[httpx.Client]:
    """An HTTP client of the known-good side; without one the check is not run."""
    with rehearse_access.client(Side.BASELINE) as client:
        yield client


@pytest.fixture
def both(baseline: httpx.Client, candidate: httpx.Client) -> Both:
    """Both of them: `both.baseline`, `both.candidate`."""
    return Both(baseline, candidate)


@pytest.fixture
def database(rehearse_access: Access) -> Engines:
    """SQLAlchemy engines by side, where the target is a database."""
    engines = Engines(rehearse_access)
    _ = engines[Side.CANDIDATE]  # skips at once where there is none
    return engines


@pytest.fixture
def facts(rehearse_access: Access) -> Mapping[str, Mapping[str, str]]:
    """What each side says of itself: `facts["candidate"]["version"]`."""
    context = rehearse_access.context
    sides = Side if context.baseline is not None else (Side.CANDIDATE,)
    return {side.value: rehearse_access.side(side).facts for side in sides}


@pytest.fixture(scope="session")
def boundary_instants() -> tuple[Instant, ...]:
    """Moments at which programs that calculate with dates go wrong, each with the reason."""
    return rehearse.instants.boundary_instants()


@pytest.fixture
def recorded(rehearse_access: Access) -> list[RecordedResponse]:
    """Answers of the side under test, as they were seen under load; empty when none were sampled."""
    order = rehearse_access.order
    return [response for response in order.recorded if response.side is order.context.under_test]


@pytest.fixture
def side_effects(rehearse_access: Access) -> bool:
    """Whether more than GET, HEAD and OPTIONS may be sent: safety.side_effects."""
    return rehearse_access.context.side_effects


@pytest.fixture
def options(rehearse_access: Access, request: pytest.FixtureRequest) -> Mapping[str, OptionValue]:
    """The table `[checks.options.NAME]`, NAME being that of the check's file without `.py`."""
    return rehearse_access.order.options.get(request.path.stem, {})
