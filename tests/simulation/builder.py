"""Administrators who change what a record consists of: they delete a field of the CRM, rename or delete a group of the
platform, and make it again. No record is stamped by that, and nobody has said anything."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.simulation.script import BOXES, Act
from tests.simulation.stage import Stage

FLAG_OUT, FLAG_IN = "UF_CRM_OPT_OUT", "UF_CRM_OPT_IN"
GROUPS = {"Offers": "offers", "News": "news"}
"""Of the platform, and the topics that they stand for."""
THINGS = (FLAG_OUT, FLAG_IN, BOXES["news"], "UF_CRM_CONSENT_DATE", "UF_CRM_CITY", *GROUPS)
_ONLY_BACK = frozenset({"UF_CRM_CONSENT_DATE"})
"""What comes back with what was in it: without, nobody could tell a consent of before from another one."""

_ASKED_AGAIN = timedelta(minutes=1)


def build(stage: Stage, act: Act) -> bool:
    """``take``: a field is deleted, a group renamed or, by an odd ``slot``, deleted. ``give``: it is there again as it
    was, a field with the values of a copy. ``renew``: another one of that name is made, in which nobody has any."""
    thing = THINGS[act.other % len(THINGS)]
    if act.what == "take":
        return thing not in stage.away and _take(stage, thing, is_deleted=act.slot % 2 == 1)
    if thing not in stage.away:
        return False
    kept = stage.away.pop(thing)
    if thing in GROUPS:
        _group_again(stage, thing, kept, is_new=act.what == "renew")
    else:
        stage.field_back_at = stage.clock.now()
        _field_again(stage, thing, kept, is_empty=act.what == "renew" and thing not in _ONLY_BACK)
    return True


def brought_back(stage: Stage) -> list[Act]:
    """What makes everything be there again."""
    return [Act("builder", "give", other=THINGS.index(thing)) for thing in stage.away]


def emptied(stage: Stage, act: Act) -> str | None:
    """The flag or topic that this act, which is about to be done, makes anew: what was in it is gone."""
    thing = THINGS[act.other % len(THINGS)]
    if thing not in stage.away or act.what == "take":
        return None
    if emptied_only(stage, act) == frozenset():
        return None
    return {FLAG_OUT: "out", FLAG_IN: "in", BOXES["news"]: "crm news"}.get(thing, f"esp {GROUPS.get(thing)}")


def emptied_only(stage: Stage, act: Act) -> frozenset[int] | None:
    """The contacts of which that is so, None if of all records: where a field comes back as it was, those that were
    made meanwhile have nothing in it, whatever was written there."""
    thing = THINGS[act.other % len(THINGS)]
    if act.what == "renew" or _is_lost(stage, thing):
        return None
    if thing in GROUPS or thing not in stage.away:
        return frozenset()
    _, _, were_there = stage.away[thing]
    return frozenset(stage.crm.portal.table("contact").rows.keys() - were_there)


def _is_lost(stage: Stage, thing: str) -> bool:
    """Whether it cannot come back as it was: so is a group that was deleted."""
    return thing in GROUPS and thing in stage.away and bool(stage.away[thing][1])


def name_of(act: Act) -> str:
    """What optsync's messages call it."""
    thing = THINGS[act.other % len(THINGS)]
    return f"Topics/{thing}" if thing in GROUPS else thing


def _take(stage: Stage, thing: str, *, is_deleted: bool) -> bool:
    if thing in GROUPS:
        category = _category(stage)
        key = stage.groups[GROUPS[thing]]
        group = category.interests.pop(key)
        if not is_deleted:
            category.interests[key] = replace(group, name=f"Former {thing}")
        stage.away[thing] = (group, is_deleted)
        return True
    table = stage.crm.portal.table("contact")
    field = table.fields[thing]
    rows = [*table.rows.values(), *table.bin.values()]
    kept = {row.id: row.values[thing] for row in rows if row.values.get(thing) is not None}
    stage.crm.act("delete_field", field=thing)
    stage.away[thing] = (field, kept, {row.id for row in rows})
    sweep(stage)
    return True


def _field_again(stage: Stage, thing: str, kept: Any, *, is_empty: bool) -> None:
    table = stage.crm.portal.table("contact")
    field, values, _ = kept
    table.fields[thing] = field
    rows = {**table.rows, **table.bin}
    for key, value in () if is_empty else values.items():
        if key in rows:
            rows[key].values[thing] = value


def _group_again(stage: Stage, thing: str, kept: Any, *, is_new: bool) -> None:
    """A group that was deleted comes back as another one: there is no other way."""
    group, is_deleted = kept
    category = _category(stage)
    category.interests.pop(group.id, None)
    if is_new or is_deleted:
        group = replace(group, id=f"{group.id[:6]}{len(stage.known_groups):04d}")
        stage.groups[GROUPS[thing]] = group.id
        stage.known_groups[group.id] = GROUPS[thing]
    category.interests[group.id] = group


def _category(stage: Stage) -> Any:
    (category,) = stage.esp.audience.categories.values()
    return category


def is_of_crm(act: Act) -> bool:
    return THINGS[act.other % len(THINGS)] not in GROUPS


def sweep(stage: Stage) -> None:
    """Nobody can put anything into a field that is not there."""
    if lacks_field(stage):
        table = stage.crm.portal.table("contact")
        for row in (*table.rows.values(), *table.bin.values()):
            for thing in stage.away:
                row.values.pop(thing, None)


def untold(stage: Stage) -> frozenset[str]:
    """The topics whose groups the platform has under another name, or not at all."""
    return frozenset(GROUPS[thing] for thing in stage.away if thing in GROUPS)


def lacks_field(stage: Stage) -> bool:
    """Whether a field of the CRM is away."""
    return any(thing not in GROUPS for thing in stage.away)


def may_seem_to_lack(stage: Stage) -> bool:
    """Whether one is, or was until so lately that the portal need not have been asked for its fields again."""
    at = stage.field_back_at
    return lacks_field(stage) or (at is not None and stage.clock.now() - at < _ASKED_AGAIN)
