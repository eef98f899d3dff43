"""What people do between two runs, and what must follow from it; nothing here is from the engine.

Every act has ten minutes for itself, so that no tolerance between two clocks can hide which came last.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.crash.stage import Stage, email

_CITIES = ("Riga", "Oslo", "Turin", "Łódź", "Graz", "Kyiv")
_PAUSE = 10.0
_OUT_FIELDS = {"UF_CRM_OPT_OUT": True, "UF_CRM_OPT_IN": False}
_MAIL, TOPIC = "mail", "news"


@dataclass(slots=True)
class Person:
    """``number`` decides on which side they live: whoever edits a field or a topic always does it there, so that the
    last word is known. ``is_out``: their last word, None before the first. ``unclear``: the wishes (``_MAIL``,
    ``TOPIC``) since whose last word they did something else while nobody knew whether a write had arrived."""

    number: int
    address: str
    is_out: bool | None = None
    left_by_self: bool = False
    """At the platform, which then takes nobody's word but their own."""
    city: str = "Riga"
    topic: bool | None = None
    former: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    unclear: set[str] = field(default_factory=set)

    @property
    def lives_in_crm(self) -> bool:
        return self.number % 2 == 0


class Life:
    """``in_doubt``: the addresses whose record may show the engine's last write, or may not; whoever plays sets it."""

    def __init__(self, stage: Stage, rng: Random, count: int) -> None:
        self._stage = stage
        self._rng = rng
        self.people = [Person(n, email(n)) for n in range(1, count + 1)]
        self.in_doubt: frozenset[str] = frozenset()
        self.did: Counter[str] = Counter()

    def go_on(self) -> None:
        """One act of somebody, and the time it takes."""
        person = self._rng.choice(self.people)
        acts = [self._field, self._topic, self._address]
        acts += [self._comes_back] * 4 if person.is_out else [self._unsubscribes, self._crm_opt_out] * 2
        act = self._rng.choice(acts)
        is_in_doubt = person.address in self.in_doubt
        self._stage.wait(_PAUSE)
        try:
            act(person)
        except KeyError:  # the platform does not know the new address yet
            self.did["nothing"] += 1
        else:
            self.did[act.__name__.strip("_")] += 1
            person.said.append(act.__name__.strip("_"))
            self._note_doubt(person, act, is_in_doubt=is_in_doubt)

    def _note_doubt(self, person: Person, act: Callable[[Person], None], *, is_in_doubt: bool) -> None:
        """What is seen of an act in doubt may be the engine's own write or what was before it, unless it is a sign-up,
        which has a time of its own."""
        if is_in_doubt:
            person.unclear |= {_MAIL, TOPIC}
        elif act == self._topic:
            person.unclear.discard(TOPIC)
        if act == self._comes_back:
            person.unclear.discard(_MAIL)

    def _unsubscribes(self, person: Person) -> None:
        self._stage.esp("unsubscribe", email=person.address)
        person.is_out, person.left_by_self = True, True

    def _crm_opt_out(self, person: Person) -> None:
        """Where the box is not ticked still or again: ticking it twice says nothing."""
        if self._stage.crm("view", email=person.address)["opt_out"]:
            raise KeyError(person.address)
        self._stage.crm("opt_out", email=person.address)
        person.is_out = True

    def _comes_back(self, person: Person) -> None:
        """Signs up at the platform, and confirms it; where they are a member, since a first sight lifts nothing."""
        if self._stage.esp("view", email=person.address) is None:
            raise KeyError(person.address)
        self._stage.esp("resubscribe", email=person.address)
        person.is_out, person.left_by_self = False, False

    def _field(self, person: Person) -> None:
        side = self._stage.crm if person.lives_in_crm else self._stage.esp
        city = self._rng.choice([c for c in _CITIES if c != person.city])
        side("set_field", email=person.address, field="city", value=city)
        person.city = city

    def _topic(self, person: Person) -> None:
        """In the CRM a tick is nobody's consent, so that there it is only taken away."""
        side = self._stage.crm if person.lives_in_crm else self._stage.esp
        wanted = False if person.lives_in_crm else self._rng.random() < 0.5
        side("set_topic", email=person.address, topic=TOPIC, wanted=wanted)
        person.topic = wanted

    def _address(self, person: Person) -> None:
        """Of those who never said anything, in the CRM: nobody knows that the new one is wanted, so that it enters no
        list; the old one is mailed no more, and a no follows."""
        if person.is_out is not None or len(person.former) > 1:
            return self._field(person)
        new = f"ann{person.number}.{len(person.former) + 1}@example.org"
        self._stage.crm("change_address", email=person.address, to=new)
        person.former.append(person.address)
        person.address = new
        return None


def wrong_writes(life: Life, stage: Stage) -> Iterator[str]:
    """Every write since the last look that lets somebody in whose last word is no, or who never said yes."""
    named = {address: p for p in life.people for address in (p.address, *p.former)}
    for write in [*stage.crm("drain"), *stage.esp("drain")]:
        for address in write["emails"]:
            person = named.get(address.lower())
            if person is None:
                yield f"nobody has the address of {write}"
            elif _lets_in(write) and person.is_out is not False:
                yield f"{address} said {person.said}, and there was {write}"
            elif _ticks(write["fields"]) and not person.topic:
                yield f"{address} wants no {TOPIC}, and there was {write}"


def _lets_in(write: Mapping[str, Any]) -> bool:
    fields = write["fields"]
    if write["method"].startswith("crm."):
        return any(name in fields and _is_on(fields[name]) is not is_out for name, is_out in _OUT_FIELDS.items())
    is_new = fields.get("status_if_new") in ("subscribed", "pending")
    return fields.get("status") in ("subscribed", "pending") or is_new


def _ticks(fields: Mapping[str, Any]) -> bool:
    crm = [v for n, v in fields.items() if n.startswith("UF_CRM_TOPIC")]
    return any(_is_on(value) for value in [*crm, *dict(fields.get("interests") or {}).values()])


def _is_on(value: Any) -> bool:
    return value in (True, 1, "1", "Y", "true")


def disagreements(life: Life, stage: Stage) -> Sequence[str]:
    """What one of the systems shows otherwise than people said."""
    crm = {view["email"]: view for view in stage.crm("sight")}
    esp = {view["email"]: view for view in stage.esp("sight")}
    return [line for person in life.people for line in _about(person, crm, esp)]


def _about(person: Person, crm: Mapping[str, Any], esp: Mapping[str, Any]) -> Iterator[str]:
    contact, member = crm.get(person.address), esp.get(person.address)
    if contact is None or (member is None and not person.is_out and not person.former):
        yield f"{person} is missing at {'the CRM' if contact is None else 'the platform'}"
        return
    for former in person.former:
        if former in crm or esp.get(former, {}).get("status") == "in":
            yield f"{person} is still mailed at {former}"
    if person.is_out:
        if not contact["opt_out"] or (member and member["status"] == "in"):
            yield f"{person} is out, and shown as {contact} and {member}"
    elif member and not (_MAIL in person.unclear and _is_kept_out(person, crm, esp)):
        yield from _about_member(person, contact, member)


def kept_out(life: Life, stage: Stage) -> Sequence[str]:
    """Addresses of those who came back and whom both systems agree to keep out. That is right where their record was
    edited while nobody knew whether an opt-in had arrived there: an out that is seen then counts as a new one."""
    crm = {view["email"]: view for view in stage.crm("sight")}
    esp = {view["email"]: view for view in stage.esp("sight")}
    return [p.address for p in life.people if _is_kept_out(p, crm, esp)]


def _is_kept_out(person: Person, crm: Mapping[str, Any], esp: Mapping[str, Any]) -> bool:
    contact, member = crm.get(person.address), esp.get(person.address)
    is_out = contact and contact["opt_out"] and member and member["status"] == "out"
    return person.is_out is False and bool(is_out)


def _about_member(person: Person, contact: Mapping[str, Any], member: Mapping[str, Any]) -> Iterator[str]:
    if contact["opt_out"] or member["status"] != "in":
        yield f"{person} is in, and shown as {contact} and {member}"
    if contact["fields"]["city"] != person.city or member["fields"]["city"] != person.city:
        yield f"{person} lives in {contact['fields']['city']} and {member['fields']['city']}"
    shown = {contact["topics"][TOPIC], member["topics"][TOPIC]}
    if shown != {bool(person.topic)} and not (shown == {False} and TOPIC in person.unclear):
        yield f"{person} is shown with {contact['topics']} and {member['topics']}"
