"""Mapped fields: both sides agree in the end, on what somebody typed last."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from tests.simulation.hands import Contact, Sight
from tests.simulation.law import Law, Violation
from tests.simulation.stage import SYNC, Stage
from tests.simulation.witness import Witness
from tests.simulation.words import Key

_Pair = tuple[int, str]


class Values:
    """Of one world. ``ask``: a question to the state database."""

    def __init__(
        self, stage: Stage, witness: Witness, counts: Counter[str], ask: Callable[..., list[tuple[Any, ...]]]
    ) -> None:
        self._stage = stage
        self._witness = witness
        self._counts = counts
        self._ask = ask
        self._typed: dict[Key, str] = {}
        """What people typed last into a record since the sides last agreed."""
        self._agreed: set[_Pair] = set()
        """Contacts and members that had the same when a cycle ended well."""

    def saw_act(self, before: Sight, after: Sight) -> None:
        """People did something."""
        for key, contact in after.crm.items():
            if key in before.crm and before.crm[key].city != contact.city:
                self._typed["crm", key] = contact.city
        for name, member in after.esp.items():
            if name in before.esp and before.esp[name].city != member.city:
                self._typed["esp", name] = member.city

    def agree(self, world: Sight) -> None:
        """A cycle ended well. Where both sides agree now, it is on what somebody typed since they last did.

        Raises:
            Violation: an edit was overwritten by what had been there before.
        """
        for pair in _pairs(world):
            value = world.crm[pair[0]].city
            # Who does not belong to the list is joined with nobody, and of who was forgotten nothing is remembered.
            is_joined = self._is_listed(world.crm[pair[0]]) and not self._is_forgotten(world.crm[pair[0]])
            if not value or value != world.esp[pair[1]].city or not is_joined:
                continue
            typed = [t for k in _sides(pair) if (t := self._typed.pop(k, None)) is not None]
            # A blank overwrites nothing.
            is_told = bool(typed) and "" not in typed and pair in self._agreed
            self._agreed.add(pair)
            self._counts[Law.KEEPS] += is_told
            if is_told and value not in typed and not self._is_excused(pair, world):
                raise Violation(Law.KEEPS, f"{pair} agree on {value}, and people typed {typed} since they last did")

    def judge(self, world: Sight) -> None:
        """All is quiet.

        Raises:
            Violation: a field differs.
        """
        for pair in _pairs(world):
            contact, member = world.crm[pair[0]], world.esp[pair[1]]
            is_out = contact.is_out or member.status == "unsubscribed"
            # Who was forgotten receives nothing but outs.
            rests = self._witness.terms.stops or self._is_forgotten(contact)
            is_stopped = (is_out and rests) or member.status not in {"subscribed", "unsubscribed"}
            if (
                is_stopped
                or self._has_moved(pair)
                or not self._is_listed(contact)
                or not contact.city
                or not member.city
            ):
                continue
            law = Law.STOPS if is_out else Law.FIELDS
            self._counts[law] += 1
            if contact.city != member.city and not self._is_excused(pair, world):
                raise Violation(law, f"contact {pair[0]} has {contact.city}, member {pair[1]} has {member.city}")

    def _is_forgotten(self, contact: Contact) -> bool:
        return not self._witness.forgotten.isdisjoint(contact.addresses)

    def _is_listed(self, contact: Contact) -> bool:
        return contact.is_client == (self._stage.config.syncs[SYNC].crm.where == {"TYPE_ID": "CLIENT"})

    def _has_moved(self, pair: _Pair) -> bool:
        return any(key in self._witness.moved for key in _sides(pair))

    def _is_excused(self, pair: _Pair, world: Sight) -> bool:
        """A value that keeps bouncing is frozen, an accepted or rejected difference stays, and a person is told."""
        email = world.crm[pair[0]].addresses[0]
        if email in self._witness.rejected:
            return True
        kinds = "('oscillation', 'field_conflict', 'field_not_kept', 'quarantined_field', 'ambiguous')"
        query = (
            f"SELECT 1 FROM issue i JOIN contact_point p ON i.point_id = p.id WHERE p.email = ? AND i.kind IN {kinds}"  # noqa: S608
        )
        undone = self._ask("SELECT 1 FROM run WHERE undoes IS NOT NULL LIMIT 1")
        return bool(undone or self._ask(query, email))


def _sides(pair: _Pair) -> tuple[Key, Key]:
    return ("crm", pair[0]), ("esp", pair[1])


def _pairs(world: Sight) -> Iterable[_Pair]:
    """Contacts and members with one address that nobody else holds."""
    held = Counter(mail for contact in world.crm.values() for mail in contact.addresses)
    members = {member.address: name for name, member in world.esp.items()}
    for key, contact in world.crm.items():
        if contact.addresses and held[contact.addresses[0]] == 1 and contact.addresses[0] in members:
            yield key, members[contact.addresses[0]]
