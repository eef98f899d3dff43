"""Carrying out the acts on the mocks, and seeing what both systems show."""

from dataclasses import dataclass
from typing import Any

from optsync.model.record import Status
from tests.scenarios.world import World
from tests.simulation.script import Act, address

_IMPOSSIBLE = (KeyError, IndexError)
"""Nobody can do that now: there is no such record."""


@dataclass(frozen=True, slots=True)
class Contact:
    addresses: tuple[str, ...]
    is_out: bool
    is_in: bool


@dataclass(frozen=True, slots=True)
class Member:
    address: str
    status: str
    origin: str


@dataclass(frozen=True, slots=True)
class Sight:
    """Both systems at one moment, by record id."""

    crm: dict[int, Contact]
    esp: dict[str, Member]


def sight(w: World) -> Sight:
    crm, esp = w.crm, w.esp
    contacts = {
        row.id: Contact(
            tuple(dict.fromkeys(one.value.strip().lower() for one in row.of_kind("EMAIL"))),
            bool(row.values.get("UF_CRM_OPT_OUT")),
            bool(row.values.get("UF_CRM_OPT_IN")),
        )
        for row in crm.portal.table("contact").rows.values()  # type: ignore[attr-defined]
    }
    members = {
        m.contact_id: Member(m.email.lower(), m.status, m.origin)
        for m in esp.audience.members.values()  # type: ignore[attr-defined]
    }
    return Sight(contacts, members)


def carry_out(w: World, act: Act) -> bool:
    """False when it was not possible."""
    try:
        return bool(_ACTS.get((act.who, act.what), _plain)(w, act))
    except _IMPOSSIBLE:
        return False


def _plain(w: World, act: Act) -> bool:
    side = w.crm if act.who == "crm" else w.esp
    before = side.act("view", email=address(act.slot))
    if before is None and act.what != "resubscribe":
        return False
    if act.what == "confirm" and before is not None and before["status"] != Status.PENDING:
        return False
    side.act(act.what, email=address(act.slot))
    return True


def _topic(w: World, act: Act) -> bool:
    side = w.crm if act.who == "crm" else w.esp
    topic = "news" if act.other % 2 else "offers"
    side.act("set_topic", email=address(act.slot), topic=topic, wanted=act.other % 4 < 2)
    return True


def _field(w: World, act: Act) -> bool:
    side = w.crm if act.who == "crm" else w.esp
    side.act("set_field", email=address(act.slot), field="city", value=["Riga", "Oslo", "", "Kyiv"][act.other % 4])
    return True


def _change_address(w: World, act: Act) -> bool:
    side = w.crm if act.who == "crm" else w.esp
    return side.act("change_address", email=address(act.slot), to=address(act.other)) is not False


def _swap(w: World, act: Act) -> bool:
    one, two = address(act.slot), address(act.other)
    if one == two or w.crm.act("view", email=one) is None or w.crm.act("view", email=two) is None:
        return False
    for old, new in ((one, "x@example.com"), (two, one), ("x@example.com", two)):
        w.crm.act("change_address", email=old, to=new)
    return True


def _consent(w: World, act: Act) -> bool:
    w.crm.act("opt_in", email=address(act.slot), at=w.clock.now().isoformat())
    return True


def _clear(w: World, act: Act) -> bool:
    w.crm.act("opt_in", email=address(act.slot))
    return True


def _merge(w: World, act: Act) -> bool:
    if act.slot == act.other:
        return False
    w.crm.act("merge", keep=address(act.slot), lose=address(act.other))
    return True


def _add(w: World, act: Act) -> bool:
    w.crm.act("add_address", email=address(act.slot), address=address(act.other))
    return True


def _create(w: World, act: Act) -> bool:
    w.crm.act("create", first_name="New", last_name="One", addresses=(address(act.slot),), created_at=w.clock.now())
    return True


def _list(w: World, act: Act) -> bool:
    view = w.crm.act("view", email=address(act.slot))
    if view is None:
        return False
    rows: Any = w.crm.portal.table("contact").holders("EMAIL", address(act.slot))  # type: ignore[attr-defined]
    value = "SUPPLIER" if act.what == "leave_list" else "CLIENT"
    w.crm.act("edit", id=next(iter(rows)), fields={"TYPE_ID": value})
    return True


_ACTS: dict[tuple[str, str], Any] = {
    ("crm", "opt_in"): _consent,
    ("crm", "clear"): _clear,
    ("crm", "change_address"): _change_address,
    ("esp", "change_address"): _change_address,
    ("crm", "swap"): _swap,
    ("crm", "merge"): _merge,
    ("crm", "add_address"): _add,
    ("crm", "create"): _create,
    ("crm", "leave_list"): _list,
    ("crm", "join_list"): _list,
    ("crm", "set_topic"): _topic,
    ("esp", "set_topic"): _topic,
    ("crm", "set_field"): _field,
    ("esp", "set_field"): _field,
}

__all__ = ["Contact", "Member", "Sight", "carry_out", "sight"]
