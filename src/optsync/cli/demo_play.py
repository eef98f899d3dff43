"""What people do in the demo, and what must come of it on both sides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from optsync.cli.demo_stage import Stage
from optsync.connect.mock import Person
from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Origin, Side, Status
from optsync.state.changes import Change

_DONE = frozenset({ChangeState.APPLIED, ChangeState.SAME})
_FIRST_NUMBER = 900_001


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Somebody does something in one of the systems."""

    side: Side
    action: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """``told`` completes a sentence that begins with the person's name. ``expected``: what each side must show
    after the next sync, by the names of the imitations' ``view``; ``kind``: of the change that must have travelled,
    to the side ``to``."""

    first_name: str
    last_name: str
    told: str
    deeds: Sequence[Deed]
    to: Side
    kind: ChangeKind
    expected: Mapping[Side, Mapping[str, Any]]
    details: Mapping[str, Any] = field(default_factory=dict)
    """Where their history differs from that of somebody who once signed up and is known to both systems."""

    @property
    def email(self) -> str:
        return f"{self.first_name}.{self.last_name}@example.com".lower()

    def person(self, number: int, now: datetime) -> Person:
        """The person before anything happens."""
        signed_up = now - timedelta(days=90)
        history: dict[str, Any] = {
            "opt_in": True,
            "consent_at": signed_up,
            "consent_source": "web form",
            "opted_in_at": signed_up,
            "city": "Riga",
            "plan": "Gold",
            "crm_topics": {"news": True, "offers": True, "events": False},
            "esp_topics": {"news": True, "offers": True, "events": False},
            "created_at": signed_up,
        }
        return Person(
            number=number,
            first_name=self.first_name,
            last_name=self.last_name,
            addresses=(self.email,),
            **{**history, **self.details},
        )


_OUT: Mapping[Side, Mapping[str, Any]] = {
    Side.CRM: {"opt_out": True, "opt_in": False},
    Side.ESP: {"status": Status.OUT.value},
}
_NEVER_ASKED = {"opt_in": False, "consent_at": None, "consent_source": "", "opted_in_at": None}

FLIPPED = Scene(
    first_name="Finn",
    last_name="Berg",
    told="unsubscribes by the link of a mail, while somebody ticks 'opted in' in the CRM without any proof",
    deeds=(Deed(side=Side.ESP, action="unsubscribe"), Deed(side=Side.CRM, action="opt_in")),
    to=Side.CRM,
    kind=ChangeKind.OPT_OUT,
    expected=_OUT,
    details=_NEVER_ASKED,
)

SCENES: tuple[Scene, ...] = (
    Scene(
        first_name="Ada",
        last_name="Stone",
        told="unsubscribes by the link of a mail",
        deeds=(Deed(side=Side.ESP, action="unsubscribe"),),
        to=Side.CRM,
        kind=ChangeKind.OPT_OUT,
        expected=_OUT,
    ),
    Scene(
        first_name="Ben",
        last_name="Moreau",
        told="asks on the phone for no more mails; the agent ticks 'opted out' in the CRM",
        deeds=(Deed(side=Side.CRM, action="opt_out"),),
        to=Side.ESP,
        kind=ChangeKind.OPT_OUT,
        expected=_OUT,
    ),
    Scene(
        first_name="Cleo",
        last_name="Marin",
        told="wants no more offers, and keeps the news",
        deeds=(Deed(side=Side.ESP, action="set_topic", arguments={"topic": "offers", "wanted": False}),),
        to=Side.CRM,
        kind=ChangeKind.TOPIC,
        expected={
            Side.CRM: {"opt_out": False, "topics": {"news": True, "offers": False, "events": False}},
            Side.ESP: {"status": Status.IN.value, "topics": {"news": True, "offers": False, "events": False}},
        },
    ),
    Scene(
        first_name="Dan",
        last_name="Okoro",
        told="moves to Lisbon; the CRM is told",
        deeds=(Deed(side=Side.CRM, action="set_field", arguments={"field": "city", "value": "Lisbon"}),),
        to=Side.ESP,
        kind=ChangeKind.FIELD,
        expected={Side.CRM: {"fields": {"city": "Lisbon"}}, Side.ESP: {"fields": {"city": "Lisbon"}}},
    ),
    Scene(
        first_name="Eve",
        last_name="Lang",
        told="marries and changes her name in her mailing preferences",
        deeds=(Deed(side=Side.ESP, action="set_field", arguments={"field": "last_name", "value": "Lang-Ito"}),),
        to=Side.CRM,
        kind=ChangeKind.FIELD,
        expected={Side.CRM: {"fields": {"last_name": "Lang-Ito"}}, Side.ESP: {"fields": {"last_name": "Lang-Ito"}}},
    ),
    FLIPPED,
    Scene(
        first_name="Gina",
        last_name="Rossi",
        told="left last year and now signs up again by the form",
        deeds=(Deed(side=Side.ESP, action="resubscribe"),),
        to=Side.CRM,
        kind=ChangeKind.OPT_IN,
        expected={Side.CRM: {"opt_out": False, "opt_in": True}, Side.ESP: {"status": Status.IN.value}},
        details={**_NEVER_ASKED, "status": Status.OUT, "origin": Origin.PERSON},
    ),
    Scene(
        first_name="Hugo",
        last_name="Weiss",
        told="closes his mailbox: mails bounce, which is no wish",
        deeds=(Deed(side=Side.ESP, action="bounce"),),
        to=Side.CRM,
        kind=ChangeKind.BOUNCE,
        expected={Side.CRM: {"opt_out": False}, Side.ESP: {"status": Status.BOUNCED.value}},
    ),
)


def cast(now: datetime) -> list[Person]:
    """Everybody who does something, as they are before."""
    return [scene.person(number, now) for number, scene in enumerate(SCENES, _FIRST_NUMBER)]


def play(scene: Scene, on: Stage) -> None:
    """The person does it."""
    for deed in scene.deeds:
        on.act(deed.side, deed.action, email=scene.email, **deed.arguments)


def shortfalls(on: Stage, changes: Sequence[Change]) -> Iterator[str]:
    """A sentence for everything that did not travel, and for everything that travelled without a cause."""
    for scene in SCENES:
        of_person = [c for c in changes if c.email == scene.email and c.system == on.systems[scene.to]]
        if not any(c.kind is scene.kind and c.state in _DONE for c in of_person):
            yield f"{scene.first_name}: no {scene.kind} reached {on.systems[scene.to]}"
        for side, expected in scene.expected.items():
            yield from _differences(scene, on.systems[side], on.shows(side, scene.email), expected)
    known = {scene.email for scene in SCENES}
    if strangers := sum(1 for c in changes if c.email not in known):
        yield f"{strangers} changes of people who did nothing"


def _differences(scene: Scene, system: str, shown: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    for name, wanted in expected.items():
        found = shown.get(name)
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            found = {key: found.get(key) for key in wanted}
        if found != wanted:
            yield f"{scene.first_name}: {system} shows {name} = {found}, and it should be {wanted}"
