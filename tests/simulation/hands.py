"""Carrying out the acts on the mocks, and seeing what both systems hold: what nobody but the witness can see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from optsync.model.record import Status
from tests.simulation.builder import sweep, untold
from tests.simulation.script import BOXES, TOPICS, Act, address, primary_first
from tests.simulation.stage import Stage

_IMPOSSIBLE = (KeyError, IndexError)
"""Nobody can do that now: there is no such record."""
_CITIES = ("Riga", "Oslo", "Kyiv", "Brno")


class Contact(NamedTuple):
    addresses: tuple[str, ...]
    is_out: bool
    is_in: bool
    topics: frozenset[str]
    city: str
    consent: int | None
    is_client: bool


class Member(NamedTuple):
    address: str
    status: str
    origin: str
    topics: frozenset[str]
    city: str
    opted_in_at: int | None
    tags: int


@dataclass(frozen=True, slots=True)
class Sight:
    """Both systems at one moment, by record id."""

    crm: Mapping[int, Contact]
    esp: Mapping[str, Member]


def sight(stage: Stage) -> Sight:
    crm = {row.id: _contact(row) for row in stage.crm.portal.table("contact").rows.values()}
    audience = stage.esp.audience
    there = audience.interests()
    interests = {key: topic for topic, key in stage.groups.items() if topic in TOPICS and key in there}
    esp = {m.contact_id: _member(m, interests) for m in audience.members.values()}
    return Sight(crm, esp)


def _contact(row: Any) -> Contact:
    values = row.values
    return Contact(
        primary_first([(one.value_type, one.id, one.value) for one in row.multifields if one.kind == "EMAIL"]),
        bool(values.get("UF_CRM_OPT_OUT")),
        bool(values.get("UF_CRM_OPT_IN")),
        frozenset([topic for topic, name in BOXES.items() if values.get(name)]),
        values.get("UF_CRM_CITY") or "",
        values.get("UF_CRM_CONSENT_DATE"),
        values.get("TYPE_ID") == "CLIENT",
    )


def _member(member: Any, interests: Mapping[str, str]) -> Member:
    return Member(
        member.email.lower(),
        member.status,
        member.origin,
        frozenset([topic for key, topic in interests.items() if key in member.interests]),
        str(member.merge_fields.get("CITY", "")),
        member.timestamp_opt,
        len(member.tags),
    )


def carry_out(stage: Stage, act: Act) -> bool:
    """False when it was not possible. What is shown late has its stamp from before."""
    clock = stage.crm_clock if act.who == "crm" else stage.esp_clock
    clock.late = lateness(stage, act)
    try:
        done = _ACTS[act.who, act.what](stage, act) if (act.who, act.what) in _ACTS else _plain(stage, act)
    except _IMPOSSIBLE:
        return False
    finally:
        clock.late = 0
        sweep(stage)
    return done is not False


def lateness(stage: Stage, act: Act) -> float:
    """How many seconds before it is shown it is stamped. A record's stamp never goes back: what was done to it since,
    and shown at once, has moved it."""
    if not act.late:
        return 0
    newest, clock = _stamped(stage, act)
    return act.late if newest is None else min(act.late, max(0.0, clock.now().timestamp() - newest))


def _stamped(stage: Stage, act: Act) -> tuple[float | None, Any]:
    """The newest stamp of the records with the address, and whose clock told it."""
    if act.who != "crm":
        member = stage.esp.audience.find(address(act.slot))
        return None if member is None else member.last_changed, stage.esp_clock
    table = stage.crm.portal.table("contact")
    held = (table.rows[key] for key in table.holders("EMAIL", address(act.slot)))
    return max((row.values["DATE_MODIFY"] for row in held), default=None), stage.crm_clock


def claimed(act: Act, stage: Stage) -> Any:
    """The time that a CRM user types as that of a consent: their watch may be wrong by some minutes, or the day."""
    wrong = (-240, 280, 86400, -100, 100, 240, 0)[act.other % 7] if act.what == "opt_in_typed" else 0
    return (stage.clock.now() + timedelta(seconds=wrong)).replace(microsecond=0)


def _side(stage: Stage, act: Act) -> Any:
    return stage.crm if act.who == "crm" else stage.esp


def _plain(stage: Stage, act: Act) -> bool:
    side = _side(stage, act)
    before = side.act("view", email=address(act.slot))
    if (before is None and act.what != "resubscribe") or (act.what == "confirm" and before["status"] != Status.PENDING):
        return False
    return side.act(act.what, email=address(act.slot)) is not False


def _topic(stage: Stage, act: Act) -> None:
    wanted, topic = act.other % 4 < 2, TOPICS[act.other % 2]
    if act.who == "crm" or topic not in untold(stage):
        _side(stage, act).act("set_topic", email=address(act.slot), topic=topic, wanted=wanted)
    elif (key := stage.groups[topic]) in stage.esp.audience.interests():
        # Whatever the group is called, people see its box.
        if (member := stage.esp.audience.find(address(act.slot))) is None:
            raise KeyError(act.slot)
        with stage.esp.audience.edit(member, stage.esp.account.now()):
            member.interests = member.interests | {key} if wanted else member.interests - {key}


def _field(stage: Stage, act: Act) -> None:
    _side(stage, act).act("set_field", email=address(act.slot), field="city", value=_CITIES[act.other % 4])


def _blank(stage: Stage, act: Act) -> None:
    stage.crm.act("set_field", email=address(act.slot), field="city", value="")


def _change_address(stage: Stage, act: Act) -> bool:
    side = _side(stage, act)
    if act.slot == act.other or side.act("view", email=address(act.slot)) is None:
        return False
    return side.act("change_address", email=address(act.slot), to=address(act.other)) is not False


def _swap(stage: Stage, act: Act) -> bool:
    crm, one, two = stage.crm, address(act.slot), address(act.other)
    if one == two or crm.act("view", email=one) is None or crm.act("view", email=two) is None:
        return False
    for old, new in ((one, "x@example.com"), (two, one), ("x@example.com", two)):
        crm.act("change_address", email=old, to=new)
    return True


def _consent(stage: Stage, act: Act) -> None:
    stage.crm.act("opt_in", email=address(act.slot), at=claimed(act, stage).isoformat())


def _edit(values: dict[str, Any]) -> Callable[[Stage, Act], None]:
    def edit(stage: Stage, act: Act) -> None:
        stage.crm.act("edit", id=_holder(stage, act.slot), fields=values)

    return edit


def _holder(stage: Stage, slot: int) -> int:
    held: list[int] = stage.crm.portal.table("contact").holders("EMAIL", address(slot))
    return held[0]


def _merge(stage: Stage, act: Act) -> bool:
    one, two = _holder(stage, act.slot), _holder(stage, act.other)
    if one == two:
        return False
    stage.crm.act("merge", keep=one, lose=two)
    return True


def _restore(stage: Stage, act: Act) -> None:
    stage.crm.act("restore", id=min(stage.crm.portal.table("contact").bin, default=0))


def _create(stage: Stage, act: Act) -> None:
    has_consent = act.what != "create"
    stage.crm.act(
        "create",
        first_name="New",
        last_name="One",
        city=_CITIES[act.other % 4],
        addresses=(address(act.slot),),
        opt_in=has_consent,
        consent_at=claimed(act, stage) if has_consent else None,
    )


def _import_many(stage: Stage, act: Act) -> None:
    """A list is imported: whoever is known is ticked "out" or "in" without a date, the others are made."""
    for slot in range(act.slot, act.slot + 4):
        held = stage.crm.portal.table("contact").holders("EMAIL", address(slot))
        flags = {"UF_CRM_OPT_OUT": 1} if act.other % 2 else {"UF_CRM_OPT_IN": 1, "UF_CRM_OPT_OUT": 0}
        if held:
            stage.crm.act("edit", id=held[0], fields=flags)
        else:
            stage.crm.act("create", first_name="Row", last_name=str(slot), addresses=(address(slot),))


def _cleaned(stage: Stage, act: Act) -> None:
    stage.esp.act("complain", email=address(act.slot), cleans=True)


def _mail(stage: Stage, act: Act) -> None:
    stage.esp.act("send_campaign", subject=f"Mail {act.other}")


def _silence(stage: Stage, act: Act) -> None:
    stage.clock.advance(act.other * 86400)


def _soft_bounce(stage: Stage, act: Act) -> None:
    stage.esp.act("soft_bounce", email=address(act.slot))


def _open(stage: Stage, act: Act) -> None:
    stage.esp.act("open", email=address(act.slot))


_ACTS: dict[tuple[str, str], Callable[[Stage, Act], bool | None]] = {
    ("crm", "opt_in"): _consent,
    ("crm", "opt_in_typed"): _consent,
    ("crm", "tick"): _edit({"UF_CRM_OPT_OUT": 0, "UF_CRM_OPT_IN": 1}),
    ("crm", "untick"): _edit({"UF_CRM_OPT_OUT": 0, "UF_CRM_OPT_IN": 0}),
    ("crm", "mark_bounce"): _edit({"UF_CRM_EMAIL_BOUNCED": 1}),
    ("crm", "unmark_bounce"): _edit({"UF_CRM_EMAIL_BOUNCED": 0}),
    ("crm", "leave_list"): _edit({"TYPE_ID": "SUPPLIER"}),
    ("crm", "join_list"): _edit({"TYPE_ID": "CLIENT"}),
    ("crm", "change_address"): _change_address,
    ("person", "change_address"): _change_address,
    ("crm", "swap"): _swap,
    ("crm", "merge"): _merge,
    ("crm", "add_address"): lambda s, a: s.crm.act("add_address", email=address(a.slot), address=address(a.other)),
    ("crm", "restore"): _restore,
    ("crm", "create"): _create,
    ("crm", "create_in"): _create,
    ("crm", "import_many"): _import_many,
    ("crm", "set_topic"): _topic,
    ("person", "set_topic"): _topic,
    ("crm", "set_field"): _field,
    ("crm", "blank_field"): _blank,
    ("person", "set_field"): _field,
    ("admin", "set_field"): _field,
    ("person", "complain_cleaned"): _cleaned,
    ("mailer", "mail"): _mail,
    ("mailer", "silence"): _silence,
    ("mailer", "open"): _open,
    ("mailer", "soft_bounce"): _soft_bounce,
}
