"""A mailing list as the e-mail platform of a scenario: whoever is not on it has left, and no change has a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from requests.adapters import BaseAdapter

from optsync.connect.contract import Absence, Capabilities, CollectionInfo, Health
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.page import Page, ReadSpec, RowFault
from optsync.model.record import Origin, Record, Side, Status
from optsync.sync.binding import bind
from optsync.sync.engine import Engine
from tests.scenarios.world import World, person

ANN = "ann1@example.com"


class Roster:
    """``people`` are those on the list and those who asked to be, by address. ``meanwhile`` is done right before the
    next look at single people; ``then`` decides over a write instead of the list: it may raise, or give an outcome."""

    name: ClassVar[str] = "roster"
    capabilities: ClassVar[Capabilities] = Capabilities(
        sides=frozenset({Side.ESP}),
        statuses=frozenset({Status.IN, Status.OUT, Status.PENDING}),
        absence=Absence.LEFT,
        has_delta=False,
        delta_misses=("There is no delta.",),
        read_page=1000,
        write_batch=200,
        write_shows_state=False,
        can_ask=True,
        takes_back_leavers=True,
        shows_words=False,
        id_is_address=True,
        speaks_http=False,
    )
    settings: ClassVar[type[SystemSettings]] = SystemSettings
    crm_side: ClassVar[type[CrmSide] | None] = None
    esp_side: ClassVar[type[EspSide] | None] = EspSide
    clock_offset = 0.0
    calls = 0

    def __init__(self) -> None:
        self.people: dict[str, Record] = {}
        self.faults: tuple[RowFault, ...] = ()
        self.writes: list[Write] = []
        self.meanwhile: list[Callable[[], None]] = []
        self.then: Callable[[Write], Outcome | None] = lambda _: None

    # what people do

    def has(self, email: str, status: Status = Status.IN, origin: Origin = Origin.UNKNOWN, **parts: Any) -> None:
        shown = self.people.get(email, Record(id=email, addresses=(email,)))
        self.people[email] = replace(shown, status=status, origin=origin, **parts)

    def pause(self, email: str) -> None:
        self.has(email, Status.OUT, Origin.PERSON)

    def leave(self, email: str) -> None:
        self.people.pop(email, None)

    def status(self, email: str) -> Status | None:
        return self.people[email].status if email in self.people else None

    # the contract

    def check(self, specs: Sequence[ReadSpec]) -> Health:
        return Health(account_id="roster", account_name="roster", clock_offset=0.0)

    def describe(self) -> Sequence[CollectionInfo]:
        return ()

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        yield Page(records=tuple(self._shown(spec)), faults=self.faults, cursor=None, is_last=True, is_full=True)

    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> Sequence[Record]:
        while self.meanwhile:
            self.meanwhile.pop(0)()
        return [record for record in self._shown(spec) if record.id in ids]

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        self.writes += writes
        return [self.then(write) or self.carry_out(write) for write in writes]

    def close(self) -> None:
        """Nothing is open."""

    def carry_out(self, write: Write) -> Outcome:
        email = write.record or write.address or ""
        if write.kind is WriteKind.CREATE and email in self.people:
            return Outcome(key=write.key, result=Result.REFUSED, record_id=email, fact=Fact.EXISTS)
        if write.kind is WriteKind.FIELDS:
            self.has(email, self.people[email].status or Status.IN, fields={**write.fields})
        elif write.status is Status.OUT:
            self.leave(email)
        else:
            self.has(email, write.status or Status.IN, fields={**write.fields} or self._fields(email))
        shown = self.people.get(email, Record(id=email, addresses=(email,), status=Status.ABSENT))
        return Outcome(key=write.key, result=Result.APPLIED, record_id=email, record=shown)

    def _fields(self, email: str) -> Mapping[str, Any]:
        return self.people[email].fields if email in self.people else {}

    def _shown(self, spec: ReadSpec) -> Iterator[Record]:
        for record in self.people.values():
            yield replace(record, fields={name: record.fields.get(name) for name in spec.fields})


class ListWorld(World):
    """Everybody is on the ``roster`` at first."""

    def __init__(self, folder: Path, count: int = 2, *, grants: str = "evidence", **options: Any) -> None:
        self.roster = Roster()
        self._grants = grants
        people = [person(number) for number in range(1, count + 1)]
        super().__init__(folder, people, **options)
        for each in people:
            self.roster.has(each.addresses[0], fields={"FNAME": each.first_name})

    def _document(self, policy: Mapping[str, Any], changes: Mapping[str, Any], state_url: str) -> dict[str, Any]:
        document = super()._document(policy, changes, state_url)
        sync = document["syncs"]["newsletter"]
        sync["esp"] = {"system": "esp", "audience": "news", "grants": {"status": self._grants}}
        sync["crm"].pop("topics", None)
        sync["fields"] = [field for field in sync["fields"] if field["esp"] == "FNAME"]
        return document

    def compose(self, *, is_read_only: bool = False, transport: BaseAdapter | None = None) -> Engine:
        made = super().compose(is_read_only=is_read_only, transport=transport)
        connectors = {**made.connectors, "esp": self.roster}
        bound = bind(self.config, {name: type(connector) for name, connector in connectors.items()})
        return replace(made, connectors=connectors, bound=bound)

    def writes(self) -> int:
        return super().writes() + len(self.roster.writes)
