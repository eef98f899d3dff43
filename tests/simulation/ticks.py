"""A yes to a topic, which no system dates: what a reading makes of it depends on what else was done to the record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.simulation.hands import Contact, Member, Sight
from tests.simulation.messages import Row
from tests.simulation.words import FUTURE, Key


@dataclass(slots=True)
class Ticks:
    """What people have ticked at the platform, and no answer has shown yet."""

    _unshown: dict[Key, set[tuple[str, str]]] = field(default_factory=dict)

    def note(self, world: Sight, email: str, topic: str) -> None:
        for name, member in world.esp.items():
            if member.address == email:
                self._unshown.setdefault(("esp", name), set()).add((email, topic))

    def were_shown(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if waiting := self._unshown.get((row.side, row.key)):
                waiting.difference_update([each for each in waiting if each[1] in row.topics])

    def as_young_as(self, key: Key, now_is: Member) -> Iterator[tuple[str, str]]:
        """Addresses and topics whose tick is as young as this edit of the record: its one stamp is all that tells."""
        for email, topic in sorted(self._unshown.get(key, ())):
            if topic in now_is.topics and email == now_is.address:
                yield email, topic


def consented(world: Sight, latest: Mapping[Key, Row], now: datetime) -> Iterator[tuple[str, str, datetime]]:
    """Addresses, topics and consent dates that were ticked and typed in a CRM record since it was last shown: the date
    is the topic's too, since no reading tells in how many edits that was done."""
    for key, contact in world.crm.items():
        seen = latest.get(("crm", key))
        if seen is None or contact.consent is None or not contact.addresses:
            continue
        at = datetime.fromtimestamp(contact.consent, UTC)
        if has_moved(seen, contact) and at - now < FUTURE:
            yield from ((contact.addresses[0], topic, at) for topic in sorted(contact.topics - seen.topics))


def has_moved(seen: Row, contact: Contact) -> bool:
    """Whether the contact shows a consent date, and not the one that it was shown with."""
    if contact.consent is None:
        return False
    return seen.proof in {"None", ""} or datetime.fromisoformat(seen.proof).timestamp() != contact.consent
