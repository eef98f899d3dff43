"""A hundredth of the people change something, on both sides, at random; each change must arrive, and no other."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optsync.connect.mock import Person, VendorMock
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.record import Side
from tests.scenarios.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Somebody's change on one side. ``aspects``: what is the same on both sides once it has arrived, and how each
    side shows it then."""

    email: str
    side: Side
    action: str
    arguments: Mapping[str, Any]
    shown: Mapping[Side, tuple[str, Any]]


def deeds(world: World, people: Iterable[Person], rng: random.Random) -> list[Deed]:
    """A hundredth of the people on each side, nobody on both; all of them are subscribed on both sides and alone
    with their address."""
    everybody = list(people)
    holders = Counter(key for person in everybody for key in _keys(person))
    able = [p for p in everybody if _is_alone(p, holders) and _is_subscribed(world, p.addresses[0])]
    count = max(1, len(everybody) // 100)
    chosen = rng.sample(able, 2 * count)
    sides = [Side.CRM] * count + [Side.ESP] * count
    return [_deed(world, person.addresses[0], side, rng) for person, side in zip(chosen, sides, strict=True)]


def do(world: World, planned: Sequence[Deed]) -> None:
    """All of them, a second apart."""
    for deed in planned:
        world.wait(seconds=1)
        _mock(world, deed.side).act(deed.action, email=deed.email, **deed.arguments)


def missing(world: World, planned: Sequence[Deed]) -> Iterator[str]:
    """A line for everything that a side does not show."""
    for deed in planned:
        for side, (place, wanted) in deed.shown.items():
            found: Any = _mock(world, side).act("view", email=deed.email)
            for key in place.split("."):
                found = found[key]
            if found != wanted:
                yield f"{deed.email}: {side} shows {place} = {found!r} and not {wanted!r} after {deed.action}"


def _deed(world: World, email: str, side: Side, rng: random.Random) -> Deed:
    kind = rng.choice(("out", "field", "topic"))
    topic = _common_topic(world, email)
    if kind == "out":
        action = "opt_out" if side is Side.CRM else "unsubscribe"
        shown = {Side.CRM: ("opt_out", True), Side.ESP: ("status", "out")}
        return Deed(email=email, side=side, action=action, arguments={}, shown=shown)
    if kind == "topic" and topic is not None:
        arguments = {"topic": topic, "wanted": False}
        both = dict.fromkeys(Side, (f"topics.{topic}", False))
        return Deed(email=email, side=side, action="set_topic", arguments=arguments, shown=both)
    city = f"Town {rng.randrange(10**6)}"
    both_city = dict.fromkeys(Side, ("fields.city", city))
    return Deed(email=email, side=side, action="set_field", arguments={"field": "city", "value": city}, shown=both_city)


def _keys(person: Person) -> set[str]:
    found = set()
    for address in person.addresses:
        try:
            found.add(normalise(address))
        except InvalidAddress:
            continue
    return found


def _is_alone(person: Person, holders: Mapping[str, int]) -> bool:
    address = person.addresses[0]
    is_plain = _keys(person) == {address} and holders[address] == 1
    return is_plain and person.in_crm and person.in_esp and person.is_client and person.crm_entity == "contact"


def _is_subscribed(world: World, email: str) -> bool:
    crm, esp = world.crm_shows(email), world.esp_shows(email)
    return bool(crm["opt_in"] and not crm["opt_out"] and esp["status"] == "in")


def _common_topic(world: World, email: str) -> str | None:
    crm, esp = world.crm_shows(email)["topics"], world.esp_shows(email)["topics"]
    return next((topic for topic in sorted(crm) if crm[topic] and esp.get(topic)), None)


def _mock(world: World, side: Side) -> VendorMock:
    return world.crm if side is Side.CRM else world.esp
