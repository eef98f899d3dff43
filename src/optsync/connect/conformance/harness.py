"""What a connector's test file says about its vendor."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Protocol

from requests.adapters import BaseAdapter

from optsync.clock import ManualClock
from optsync.connect.conformance.line import Line
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Exempt:
    """What a vendor makes impossible. Each field names a rule of the kit; its value is the reason, shown when the
    rule is skipped. Empty: the rule holds."""

    clearing_a_field: str = ""
    """A FIELDS write of None leaves no value."""
    topics: str = ""
    """There are topics."""
    changing_an_address: str = ""
    """People change their address by themselves."""
    creating_by_hand: str = ""
    """Records appear by other ways than the API."""
    unknown_words: str = ""
    """A status word that nobody mapped can be shown."""
    skewed_clocks: str = ""
    """The connector's clock may differ from the vendor's."""
    paging_while_people_leave: str = ""
    """A read loses nobody while others leave; otherwise it must say that it is incomplete."""
    deleting: str = ""
    """Records can be deleted by hand."""

    def __post_init__(self) -> None:
        for each in fields(self):
            reason = getattr(self, each.name)
            if reason and len(reason) < 20:
                raise ValueError(f"{each.name}: {reason!r} is no reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """A fresh account for one test, and the facts that the kit cannot find out."""

    connector: type[Connector]
    vendor: Vendor
    side: Side
    config: MockConfig
    transport: BaseAdapter
    refused: Mapping[str, Any]
    """Settings of the ``systems:`` entry, well-formed, that the vendor refuses as credentials."""
    pages: Mapping[str, int]
    """Dotted names of module constants -> values that make pages small."""
    crowd: int
    """How many people then fill at least three pages."""
    many: int = 0
    """How many writes take several calls then; 0: three more than the connector declares for one."""
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    missing: str = "NO_SUCH_THING_9"
    """A field, topic, filter key and collection that is not there."""
    statuses: frozenset[Status] = frozenset()
    """Of an ESP: those that the population can have."""
    refuses: Mapping[Fact, Callable[["Harness", str], object]] = field(default_factory=dict)
    """Facts -> what brings about that this address is refused an opt-in for it."""
    strange_word: tuple[str, str] | None = None
    """A status word that people of ``Status.BOUNCED`` have, as it stands in an answer, and one nobody knows."""
    takes: Callable[[str], bool] = lambda _: True
    """Whether the vendor takes this valid address at all."""
    names_reach: Callable[[str], bool] = lambda _: True
    """Whether the name of the holder of this address can be written."""
    exempt: Exempt = Exempt()
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", Line(self.transport, self.vendor.is_write))

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
            transport=MockTransport({BASE: vendor}),
            clock=clock,
            **facts,
        )
