"""What a connector's test file says about its vendor."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from optsync.clock import ManualClock
from optsync.connect.conformance.line import HttpLine, Line
from optsync.connect.contract import Connector
from optsync.connect.mock import MockConfig, MockRequest, MockTransport, Person, VendorMock
from optsync.model.change import Fact
from optsync.model.record import Side, Status

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
BASE = "http://127.0.0.1/vendor"


class Vendor(Protocol):
    """A population and hands, as :class:`optsync.connect.mock.VendorMock` has them; a real server needs no more."""

    def populate(self, people: Iterable[Person]) -> None: ...

    def act(self, action: str, **arguments: Any) -> Any: ...

    def is_write(self, request: MockRequest) -> bool: ...


_SMALLEST_CROWD = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """A fresh account for one test, and the facts that the kit cannot find out."""

    connector: type[Connector]
    vendor: Vendor
    side: Side
    config: MockConfig
    line: Line
    """What the connector reaches the vendor over; an :class:`HttpLine` becomes its transport."""
    refused: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the ``systems:`` entry, well-formed, that the vendor refuses as credentials; empty where the
    connector has no secret settings."""
    pages: Mapping[str, int]
    """Dotted names of module constants -> values that make pages small."""
    crowd: int
    """How many people then fill at least three pages; 26 at least, so that nobody is touched twice during a read."""
    many: int = 0
    """How many writes take several calls then; 0: three more than the connector declares for one."""
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    missing: str = "NO_SUCH_THING_9"
    """A field, topic, filter key and collection that is not there."""
    statuses: frozenset[Status] = frozenset()
    """Of an ESP: those that the population can have."""
    refuses: Mapping[Fact, Callable[["Harness", str], object]] = field(default_factory=dict)
    """For each fact that the connector declares: what brings about that this address is refused an opt-in for it."""
    strange_word: tuple[str, str] | None = None
    """A status word that people of ``Status.BOUNCED`` have, as it stands in an answer, and one nobody knows."""
    takes: Callable[[str], bool] = lambda _: True
    """Whether the vendor takes this valid address at all."""
    names_reach: Callable[[str], bool] = lambda _: True
    """Whether the name of the holder of this address can be written."""

    def __post_init__(self) -> None:
        if self.crowd < _SMALLEST_CROWD:
            raise ValueError(f"crowd: found {self.crowd}, expected {_SMALLEST_CROWD} or more")

    @classmethod
    def of_mock(
        cls,
        connector: type[Connector],
        mock: type[VendorMock],
        *,
        switches: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> "Harness":
        """A connector in front of its mock, in process, under a virtual clock. ``facts`` are the other fields."""
        clock = ManualClock(START)
        vendor = mock(clock=clock, rng=random.Random(1), **(switches or {}))
        return cls(
            connector=connector,
            vendor=vendor,
            side=mock.side,
            config=vendor.config(BASE),
            line=HttpLine(MockTransport({BASE: vendor}), vendor.is_write),
            clock=clock,
            **facts,
        )
