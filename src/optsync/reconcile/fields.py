"""Three-way merge of mapped fields: what each side shows now against what both last agreed on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from optsync.model.link import Agreed
from optsync.model.record import Side, Value
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import Transform, canonical, same


class Conflict(StrEnum):
    """Who wins when both sides changed and differ."""

    CRM = "crm"
    ESP = "esp"
    NON_EMPTY = "non_empty"
    REVIEW = "review"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """One mapped field. ``clears``: a blank overwrites; otherwise a blank never does."""

    crm: str
    esp: str
    to_esp: bool = True
    to_crm: bool = True
    conflict: Conflict = Conflict.CRM
    clears: bool = False
    transform: Transform = field(default_factory=lambda: Transform(lambda value, _: value, lambda value: value))

    @property
    def key(self) -> str:
        return f"{self.crm}={self.esp}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``target`` is the side to write ``value`` to, None to leave both; ``agreed`` is what to remember then.

    ``is_conflict``: a person must decide; nothing is written and nothing is agreed."""

    target: Side | None = None
    value: Value = None
    rule: Rule | None = None
    agreed: Agreed | None = None
    is_conflict: bool = False


def merge(rule: FieldRule, crm: Mapping[str, Value], esp: Mapping[str, Value], agreed: Agreed | None) -> Verdict:
    """Decides one field. ``crm`` and ``esp`` are all values of the two records."""
    crm_now, esp_now = crm.get(rule.crm), esp.get(rule.esp)
    forward = rule.transform.forward(crm_now, crm)
    if same(forward, esp_now):
        return Verdict(agreed=Agreed(crm_now, esp_now))
    if agreed is None:
        return _first(rule, crm_now, esp_now, forward)
    crm_changed = not same(crm_now, agreed.crm) or _inputs_moved(rule, forward, agreed)
    esp_changed = not same(esp_now, agreed.esp)
    if crm_changed and esp_changed:
        return _conflict(rule, crm_now, esp_now, forward)
    if crm_changed:
        return _to_esp(rule, crm_now, esp_now, forward, Rule.ONE_SIDE_CHANGED)
    if esp_changed:
        return _to_crm(rule, crm_now, esp_now, Rule.ONE_SIDE_CHANGED)
    return Verdict(agreed=agreed)


def _inputs_moved(rule: FieldRule, forward: Value, agreed: Agreed) -> bool:
    """A one-way transform that reads other fields can change its result while its own field stays."""
    if rule.transform.back is not None or same(forward, agreed.esp):
        return False
    return not _is_cut(forward, agreed.esp)


def _is_cut(whole: Value, stored: Value) -> bool:
    """Whether a vendor stored the beginning of a long text only."""
    return isinstance(whole, str) and isinstance(stored, str) and len(stored) > 50 and whole.startswith(stored)


def _first(rule: FieldRule, crm_now: Value, esp_now: Value, forward: Value) -> Verdict:
    """The two records were joined just now: the empty side is filled; two different values are a conflict."""
    if canonical(esp_now) is None:
        return _to_esp(rule, crm_now, esp_now, forward, Rule.FIRST_FILL)
    if canonical(crm_now) is None:
        return _to_crm(rule, crm_now, esp_now, Rule.FIRST_FILL)
    return _conflict(rule, crm_now, esp_now, forward)


def _conflict(rule: FieldRule, crm_now: Value, esp_now: Value, forward: Value) -> Verdict:
    if rule.to_esp and not rule.to_crm:
        return _to_esp(rule, crm_now, esp_now, forward, Rule.ONE_SIDE_CHANGED)
    if rule.to_crm and not rule.to_esp:
        return _to_crm(rule, crm_now, esp_now, Rule.ONE_SIDE_CHANGED)
    if rule.conflict is Conflict.REVIEW:
        return Verdict(is_conflict=True)
    if rule.conflict is Conflict.ESP:
        return _to_crm(rule, crm_now, esp_now, Rule.CONFLICT_ESP)
    if rule.conflict is Conflict.NON_EMPTY and canonical(forward) is None:
        return _to_crm(rule, crm_now, esp_now, Rule.CONFLICT_NON_EMPTY)
    named = Rule.CONFLICT_NON_EMPTY if rule.conflict is Conflict.NON_EMPTY else Rule.CONFLICT_CRM
    return _to_esp(rule, crm_now, esp_now, forward, named)


def _to_esp(rule: FieldRule, crm_now: Value, esp_now: Value, forward: Value, named: Rule) -> Verdict:
    if not rule.to_esp or (canonical(forward) is None and not rule.clears):
        return _accepted(crm_now, esp_now)
    return Verdict(Side.ESP, canonical(forward), named, Agreed(crm_now, canonical(forward)))


def _to_crm(rule: FieldRule, crm_now: Value, esp_now: Value, named: Rule) -> Verdict:
    if not rule.to_crm or (canonical(esp_now) is None and not rule.clears):
        return _accepted(crm_now, esp_now)
    value = rule.transform.back(esp_now) if rule.transform.back else esp_now
    return Verdict(Side.CRM, canonical(value), named, Agreed(canonical(value), esp_now))


def _accepted(crm_now: Value, esp_now: Value) -> Verdict:
    """The difference stays until one side changes again. A one-way field's target may be whatever it is."""
    return Verdict(agreed=Agreed(crm_now, esp_now))
