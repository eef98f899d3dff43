"""What several keys of one sync together can show to be wrong."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from optsync.config import wording
from optsync.config.parts import FieldRule
from optsync.config.places import Path
from optsync.config.problem import Problem
from optsync.config.schema import SyncConfig

_FIELD = re.compile(r"=?[A-Za-z_][A-Za-z0-9_.]*")


def _path(sync: SyncConfig, *rest: str | int) -> Path:
    return ("syncs", sync.name, *rest)


def _one_schedule(sync: SyncConfig) -> Iterator[Problem]:
    if sync.cron is not None and sync.every is not None:
        yield Problem(path=_path(sync, "cron"), found="both every and cron", expected="one of them")


def flags_of(sync: SyncConfig) -> dict[Path, str]:
    """The CRM's fields that show wishes or are written by optsync, by where they are mapped."""
    crm, consent = sync.crm, sync.crm.consent
    found: dict[Path, str | None] = {
        ("opt_out",): crm.opt_out,
        ("opt_in",): crm.opt_in,
        **{("topics", topic): field for topic, field in crm.topics.items()},
        **{("consent", part): getattr(consent, part) for part in ("date", "source", "text")},
        ("bounce",): crm.bounce,
        ("reason",): crm.reason,
    }
    return {path: field for path, field in found.items() if field is not None}


def _flags_differ(sync: SyncConfig) -> Iterator[Problem]:
    seen: dict[str, Path] = {}
    for path, field in flags_of(sync).items():
        other = seen.setdefault(field, path)
        if other is not path:
            found = f'"{field}", which is also {".".join(map(str, other))}'
            yield Problem(path=_path(sync, "crm", *path), found=found, expected="a field of its own")
    interests: dict[str, str] = {}
    for topic, interest in sync.esp.topics.items():
        other_topic = interests.setdefault(interest, topic)
        if other_topic != topic:
            found = f'"{interest}", which is also topic {other_topic}'
            yield Problem(path=_path(sync, "esp", "topics", topic), found=found, expected="one of its own")


def _fields_are_no_flags(sync: SyncConfig) -> Iterator[Problem]:
    """Field updates can't change a wish: no flag is a field, and no proof of consent is written as one."""
    flags = {field: path for path, field in flags_of(sync).items()}
    for index, rule in enumerate(sync.fields):
        path = flags.get(rule.crm)
        if path is not None and (rule.to_crm or path[0] in {"opt_out", "opt_in", "topics"}):
            found = f'"{rule.crm}", which is mapped as crm.{".".join(map(str, path))}'
            expected = "a field that stands for no wish (proofs of consent: direction to_esp)"
            yield Problem(path=_path(sync, "fields", index, "crm"), found=found, expected=expected)
        if rule.esp in sync.esp.topics.values():
            found = f'"{rule.esp}", which is mapped as a topic'
            yield Problem(path=_path(sync, "fields", index, "esp"), found=found, expected="a field that is no topic")


def _fields_once(sync: SyncConfig) -> Iterator[Problem]:
    for one, (second, other) in _pairs(sync.fields):
        what = _written_twice(one, other)
        if what:
            found = f"{what}, after the rule for {one.crm} and {one.esp}"
            yield Problem(path=_path(sync, "fields", second), found=found, expected="one rule for each field written")


def _pairs(rules: Sequence[FieldRule]) -> Iterator[tuple[FieldRule, tuple[int, FieldRule]]]:
    for (_, one), later in combinations(enumerate(rules), 2):
        yield one, later


def _written_twice(one: FieldRule, other: FieldRule) -> str:
    if (one.crm, one.esp) == (other.crm, other.esp):
        return f"{one.crm} with {one.esp}"
    if one.esp == other.esp and one.to_esp and other.to_esp:
        return f"{one.esp} written again"
    if one.crm == other.crm and one.to_crm and other.to_crm:
        return f"{one.crm} written again"
    return ""


def _both_ways_can_be_taken_back(sync: SyncConfig) -> Iterator[Problem]:
    for index, rule in enumerate(sync.fields):
        reasons = [step.why_one_way for step in rule.steps if step.why_one_way]
        if reasons and rule.to_crm:
            expected = "direction: to_esp, or a transform that can be taken back"
            found = f"direction {rule.direction} with {reasons[0]}"
            path = _path(sync, "fields", index, "transform")
            yield Problem(path=path, found=found, expected=expected, because=(_path(sync, "fields", index),))


def filters_by_entity(sync: SyncConfig) -> Iterator[Problem]:
    """What is wrong with the list scope of several entities; until that is mended it has no filters."""
    if len(sync.crm.entity) < 2:
        return
    because = (_path(sync, "crm", "entity"),)
    entities = wording.one_of(sync.crm.entity)
    for key, value in sync.crm.where.items():
        path = _path(sync, "crm", "where", key)
        if key not in sync.crm.entity:
            expected = f"with several entities, a filter under each entity's name: {entities}"
            yield Problem(path=path, found=f'"{key}"', expected=expected, because=because)
        elif not isinstance(value, Mapping):
            yield Problem(path=path, expected=f"the filter of {key}, a mapping", because=because)


def _new_records_can_be_filled(sync: SyncConfig) -> Iterator[Problem]:
    if sync.policy.esp_only != "create_in_crm" or any(filters_by_entity(sync)):
        return
    several = len(sync.crm.entity) > 1
    permissions = {name: place for place, name in flags_of(sync).items() if place[0] in {"opt_in", "topics", "consent"}}
    why, because = "esp_only: create_in_crm gives new records its values", (_path(sync, "policy", "esp_only"),)
    for entity, terms in sync.filters().items():
        for key, value in terms.items():
            path = _path(sync, "crm", "where", *((entity,) if several else ()), key)
            if not (_FIELD.fullmatch(key) and isinstance(value, str | int | float)):
                found, expected = f'"{key}", which is no equality', f"an equality (a field and one value): {why}"
                yield Problem(path=path, found=found, expected=expected, because=because)
            elif (place := permissions.get(key.removeprefix("="))) is not None:
                found = f'"{key}", which is mapped as crm.{".".join(map(str, place))}'
                yield Problem(path=path, found=found, expected=f"a field that is no opt-in: {why}", because=because)


SYNC_CHECKS: tuple[Callable[[SyncConfig], Iterator[Problem]], ...] = (
    _one_schedule,
    _flags_differ,
    _fields_are_no_flags,
    _fields_once,
    _both_ways_can_be_taken_back,
    filters_by_entity,
    _new_records_can_be_filled,
)
