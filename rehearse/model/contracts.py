"""What the answers had in common: samples of them, and the response contract learnt from those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rehearse.model.load import Side


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer seen under load, as much of it as is kept. A contract is learnt from it; it is not stored."""

    side: Side
    endpoint: str  # the name of its series, "GET /orders/[id]"
    target: str  # path and query that were asked for
    status: int
    headers: Mapping[str, str]  # those that matter, by lower-case name
    body: bytes
    is_whole: bool  # False: the body was too long and is cut


@dataclass(frozen=True, slots=True)
class Sampling:
    """The account of one side's samples."""

    side: Side
    taken: int
    lost: int = 0  # sent by a worker, and never arrived
    left_out: int = 0  # names beyond the bound, a pipe that was full
    failed: int = 0  # answers that could not be read


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """What stood at one place of the answers. Every number counts answers: the items of a list count once in each."""

    of: int  # answers in which it could have been there
    present: int
    always: int  # answers in which it was there wherever it could have been
    types: Mapping[str, int] = field(default_factory=dict)
    formats: Mapping[str, int] = field(default_factory=dict)  # of texts and lists
    values: Mapping[str, int] = field(default_factory=dict)  # short texts, while they are few
    examples: Mapping[str, str] = field(default_factory=dict)  # by type or format; redacted, and cut


@dataclass(frozen=True, slots=True)
class Contract:
    """What the answers of one endpoint with one status had in common on one side."""

    side: Side
    endpoint: str
    status: int
    samples: int
    documents: int  # of the samples: whole JSON
    unreadable: int  # said to be JSON, and are not
    cut: int  # too long to be read
    places: Mapping[str, PlaceFacts]  # "$.items[*].price", "header etag"
    varying: tuple[str, ...] = ()  # objects whose keys are data, such as ids
    is_bounded: bool = False  # there were more places than are kept


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """A place where two sides answered equal requests with unequal values, and each side agreed with itself."""

    endpoint: str
    status: int
    place: str
    requests: int  # in which it differed
    of: int  # requests that were compared
    baseline: str  # one example, redacted and cut
    candidate: str
