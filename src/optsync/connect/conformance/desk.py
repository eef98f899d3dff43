"""One account under test, in neutral words: what is shown, what is true, who does what, what is to be written."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from optsync.clock import Clock
from optsync.connect.conformance.harness import Harness
from optsync.connect.conformance.line import HttpLine, Trouble
from optsync.connect.contract import Absence, CollectionInfo, Connector, Context
from optsync.connect.mock import Person
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Record, Side, Status, Value

PERSONAL = frozenset({Fact.SELF_UNSUBSCRIBED, Fact.UNDELIVERABLE, Fact.FORGOTTEN, Fact.BANNED})
"""Facts about the person, which every record of theirs has."""

TOPIC, OTHER_TOPIC = "news", "offers"
NAME = "first_name"


class Desk:
    """A harness with a connector on it."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.line = harness.line
        self.capabilities = harness.connector.capabilities
        self.is_esp = harness.side is Side.ESP
        self.spec = self._spec()
        self.connector = self.connect()

    def connect(
        self,
        *,
        clock: Clock | None = None,
        is_read_only: bool = False,
        settings: Mapping[str, Any] | None = None,
        before_write: Callable[[], None] = lambda: None,
    ) -> Connector:
        """Another connector on the same account."""
        context = Context(
            system="tested",
            clock=clock or self.harness.clock,
            rng=random.Random(2),
            transport=self.line if isinstance(self.line, HttpLine) else None,
            is_read_only=is_read_only,
            before_write=before_write,
        )
        made = self.harness.connector.settings.model_validate({**self.harness.config.system, **(settings or {})})
        return self.harness.connector(made, context)

    def _spec(self) -> ReadSpec:
        side = self.harness.config.side
        flags = {side[flag] for flag in ("opt_out", "opt_in") if side.get(flag)}
        collection = side["audience"] if self.is_esp else side["entity"]
        return ReadSpec(
            collection=collection if isinstance(collection, str) else collection[0],
            fields=frozenset({*self.harness.config.fields.values(), *flags}),
            flags=frozenset(flags),
            topics=frozenset(self.topics.values()),
        )

    @property
    def topics(self) -> Mapping[str, str]:
        """Neutral name -> the vendor's."""
        found: Mapping[str, str] = self.harness.config.side.get("topics", {})
        return found

    @property
    def name_field(self) -> str:
        """The vendor's name of the text field that every system has."""
        return self.harness.config.fields[NAME]

    def needs(self, is_declared: object, otherwise: str) -> None:
        """Skips the test when the connector declares that there is nothing to test: ``otherwise`` says so."""
        if not is_declared:
            pytest.skip(otherwise)

    def needs_delta(self) -> None:
        self.needs(self.capabilities.has_delta, "it declares no delta")

    def needs_topics(self) -> None:
        self.needs(self.topics, "it describes no topics")

    def needs_deletion(self) -> None:
        self.needs(self.capabilities.absence is Absence.DELETED, "it declares that whoever is gone has left")

    def delete(self, email: str) -> None:
        """Somebody deletes the record for good."""
        self.act("forget" if self.is_esp else "delete", email)

    def describe(self) -> CollectionInfo:
        """What can be mapped in the collection under test."""
        return {info.id: info for info in self.connector.describe()}[self.spec.collection]

    def trouble(self, kind: Trouble, **when: Any) -> None:
        """Spoils requests; skips the test where the line cannot know this trouble. ``when``: see :class:`Line`."""
        self.needs(kind in self.line.troubles, "without a network there is no such trouble")
        self.line.trouble(kind, **when)

    # What people do

    def seed(self, *people: Person) -> None:
        self.harness.vendor.populate(people)

    def act(self, action: str, email: str, **arguments: Any) -> Any:
        return self.harness.vendor.act(action, email=email, **arguments)

    def leave(self, email: str) -> None:
        """The person opts out."""
        self.act("unsubscribe" if self.is_esp else "opt_out", email)

    def flip_in(self, email: str) -> None:
        """Another program opts the person in."""
        self.act("flip_in" if self.is_esp else "opt_in", email)

    def come_back(self, email: str) -> None:
        """The person opts in again, and can prove it."""
        self.act("resubscribe" if self.is_esp else "opt_in", email)

    def appear(self, email: str) -> None:
        """A new record comes about."""
        if self.is_esp:
            self.act("resubscribe", email)
        else:
            self.act("create", email, first_name="New")

    # What is true, as the vendor's hands see it

    def view(self, email: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.act("view", email)
        return found

    def is_out(self, email: str) -> bool:
        view = self.view(email)
        if view is None:
            return self.capabilities.absence is Absence.LEFT
        return view["status"] == Status.OUT if self.is_esp else bool(view["opt_out"])

    def is_in(self, email: str) -> bool:
        view = self.view(email)
        if view is None:
            return False
        return view["status"] == Status.IN if self.is_esp else bool(view["opt_in"]) and not view["opt_out"]

    def status_of(self, email: str) -> Any:
        """Everything about the wish; a write of something else leaves it as it is."""
        view = self.view(email)
        return view and {key: view[key] for key in ("status", "origin", "opt_out", "opt_in") if key in view}

    # What the connector shows

    def read(self, cursor: str | None = None) -> list[Page]:
        return list(self.connector.read(self.spec, cursor))

    def records(self) -> dict[str, Record]:
        """Of a full read, by normalised address."""
        return by_address(self.read())

    def record(self, email: str) -> Record:
        return self.records()[normalise(email)]

    def shows_out(self, record: Record | None) -> bool:
        if record is None:
            return self.capabilities.absence is Absence.LEFT
        if self.is_esp:
            return record.status in (Status.OUT, Status.ABSENT)
        return record.fields[self.harness.config.side["opt_out"]] is True

    # What is written

    def write(self, *writes: Write) -> list[Outcome]:
        outcomes = list(self.connector.write(writes, self.spec))
        told = {o.fact for o in outcomes if o.result is Result.REFUSED and o.fact in PERSONAL}
        assert told <= self.capabilities.refuses, f"{told} is not in Capabilities.refuses"
        return outcomes

    def to(self, kind: WriteKind, record: Record, **parts: Any) -> Write:
        return Write(
            key=f"{kind}-{record.id}",
            kind=kind,
            collection=self.spec.collection,
            record=record.id,
            **{"address": record.addresses[0], **parts},
        )

    def out(self, record: Record) -> Write:
        return self._wish(record, is_out=True)

    def into(self, record: Record) -> Write:
        return self._wish(record, is_out=False)

    def _wish(self, record: Record, *, is_out: bool) -> Write:
        if self.is_esp:
            status = Status.OUT if is_out else Status.IN
            return self.to(WriteKind.STATUS, record, status=status, restrictive=is_out)
        return self.to(WriteKind.STATUS, record, fields=self._flags(is_out=is_out), restrictive=is_out)

    def _flags(self, *, is_out: bool) -> dict[str, Value]:
        side = self.harness.config.side
        return {side["opt_out"]: is_out, side["opt_in"]: not is_out}

    def named(self, record: Record, name: Value) -> Write:
        return self.to(WriteKind.FIELDS, record, fields={self.name_field: name})

    def ticked(self, record: Record, **wanted: bool) -> Write:
        return self.to(WriteKind.TOPICS, record, topics={self.topics[topic]: on for topic, on in wanted.items()})

    def create(self, address: str, *, name: str = "Cleo", status: Status = Status.IN, key: str = "") -> Write:
        wish: dict[str, Any] = {"status": status} if self.is_esp else {}
        flags = {} if self.is_esp else self._flags(is_out=False)
        return Write(
            key=key or f"create-{address}",
            kind=WriteKind.CREATE,
            collection=self.spec.collection,
            address=address,
            fields={self.name_field: name, **flags},
            **wish,
        )


def by_address(pages: Sequence[Page]) -> dict[str, Record]:
    """The last sight of each record, by its normalised primary address (as it stands where it is none)."""
    return {key(record): record for page in pages for record in page.records}


def key(record: Record) -> str:
    try:
        return normalise(record.addresses[0]) if record.addresses else record.id
    except InvalidAddress:
        return record.addresses[0]


def bare(record: Record) -> Record:
    """Without what a read of single records may leave out."""
    return replace(record, lists=frozenset())


def person(name: str, number: int = 0, **values: Any) -> Person:
    """Somebody with the address name@example.com."""
    details = {"first_name": name.title(), "last_name": "Lee", "addresses": (f"{name}@example.com",)}
    return Person(number=number, **{**details, **values})


def people(count: int, **values: Any) -> list[Person]:
    return [person(f"p{number}", number, **values) for number in range(count)]
