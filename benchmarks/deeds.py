"""Many people change something at the vendors, and each change must arrive; made for populations that fit no list."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from optsync.connect.mock import Person, VendorMock
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.record import Side, Status

Kind = Literal["out", "field", "topic"]
Mocks = dict[Side, VendorMock]
_TOGETHER = ("info", "office", "family.", "familie-")
"""How the population's shared addresses begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """``place`` of a mock's view shows ``crm`` and ``esp`` once it has arrived."""

    email: str
    side: Side
    action: str
    arguments: dict[str, Any]
    places: dict[Side, tuple[str, Any]]


class Deeds:
    """``crowd`` makes the population anew each time it is called; ``wait`` lets that many seconds go by."""

    def __init__(
        self, mocks: Mocks, crowd: Callable[[], Iterable[Person]], wait: Callable[[float], None] = lambda _: None
    ) -> None:
        self._mocks = mocks
        self._crowd = crowd
        self._wait = wait
        self.done: list[Deed] = []

    def do(self, count: int, kinds: Sequence[Kind], sides: Sequence[str], seed: int, spacing: float = 0.0) -> int:
        """Chooses ``count`` people who are in on both sides, fewer if there are not so many; one deed each, ``spacing``
        seconds apart. Returns how many."""
        rng = random.Random(f"deeds/{seed}")
        chosen = _sample(self._able(), count, rng)
        self.done = [self._deed(email, Side(rng.choice(sides)), rng.choice(kinds), rng) for email in chosen]
        for deed in self.done:
            self._wait(spacing)
            self._mocks[deed.side].act(deed.action, email=deed.email, **deed.arguments)
        return len(self.done)

    def missing(self, most: int = 20) -> list[str]:
        """A line for each deed that a side does not show."""
        return [line for line, _ in zip(self._missing(), range(most), strict=False)]

    def _missing(self) -> Iterator[str]:
        for deed in self.done:
            for side, (place, wanted) in deed.places.items():
                found: Any = self._view(side, deed.email)
                for key in place.split("."):
                    found = found[key]
                if found != wanted:
                    yield f"{deed.email}: {side} shows {place} = {found!r} and not {wanted!r} after {deed.action}"

    def _able(self) -> Iterator[str]:
        for person in self._crowd():
            if _is_plain(person) and self._is_in(person.addresses[0]):
                yield person.addresses[0]

    def _is_in(self, email: str) -> bool:
        crm, esp = self._view(Side.CRM, email), self._view(Side.ESP, email)
        return bool(crm and esp and crm["opt_in"] and not crm["opt_out"] and esp["status"] == "in")

    def _deed(self, email: str, side: Side, kind: Kind, rng: random.Random) -> Deed:
        if kind == "out":
            action = "opt_out" if side is Side.CRM else "unsubscribe"
            shown: dict[Side, tuple[str, Any]] = {Side.CRM: ("opt_out", True), Side.ESP: ("status", "out")}
            return Deed(email=email, side=side, action=action, arguments={}, places=shown)
        topic = self._common_topic(email) if kind == "topic" else None
        if topic is not None:
            given = {"topic": topic, "wanted": False}
            both: dict[Side, tuple[str, Any]] = dict.fromkeys(Side, (f"topics.{topic}", False))
            return Deed(email=email, side=side, action="set_topic", arguments=given, places=both)
        city = f"Town {rng.randrange(10**9)}"
        both = dict.fromkeys(Side, ("fields.city", city))
        return Deed(email=email, side=side, action="set_field", arguments={"field": "city", "value": city}, places=both)

    def _common_topic(self, email: str) -> str | None:
        crm, esp = self._view(Side.CRM, email)["topics"], self._view(Side.ESP, email)["topics"]
        return next((topic for topic in sorted(crm) if crm[topic] and esp.get(topic)), None)

    def _view(self, side: Side, email: str) -> Any:
        return self._mocks[side].act("view", email=email)


def plain_people(seed: int, count: int, now: datetime) -> Iterator[Person]:
    """Contacts who agreed and are subscribed, the same on both sides."""
    rng = random.Random(f"plain/{seed}")
    for number in range(1, count + 1):
        agreed = now - timedelta(days=rng.randrange(1, 900))
        yield Person(
            number=number,
            first_name=f"Ann{number}",
            last_name=f"Lee{number}",
            addresses=(f"ann{number}@example.com",),
            city="Riga",
            opt_in=True,
            consent_at=agreed,
            consent_source="web form",
            opted_in_at=agreed,
            created_at=agreed - timedelta(days=1),
        )


def _is_plain(person: Person) -> bool:
    """Known to both sides, a contact of the list, alone with an address that is typed as it is compared."""
    address = person.addresses[0]
    is_there = person.in_crm and person.in_esp and person.is_client and person.crm_entity == "contact"
    if not is_there or len(person.addresses) > 1 or person.status is not Status.IN or address.startswith(_TOGETHER):
        return False
    try:
        return normalise(address) == address
    except InvalidAddress:
        return False


def _sample(stream: Iterable[str], count: int, rng: random.Random) -> list[str]:
    """``count`` of them, each as likely as any other, none kept but these."""
    kept: list[str] = []
    for seen, one in enumerate(stream):
        if seen < count:
            kept.append(one)
        elif (place := rng.randrange(seen + 1)) < count:
            kept[place] = one
    return kept
