"""Three-way merge of mapped fields: what each side shows now against what both last agreed on."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from optsync.model.link import Agreed
from optsync.model.quick import quick_dataclass
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

    @staticmethod
    def esp_of(key: str) -> str:
        """The platform's field of the rule with that key: such a name has no ``=`` in it."""
        return key.rpartition("=")[2]

    def reads(self, side: Side, names: Collection[str]) -> bool:
        """Whether what it copies from that side may depend on one of these fields there."""
        if side is Side.ESP:
            return self.to_crm and self.esp in names
        return self.to_esp and (self.crm in names or (bool(names) and self.transform.reads_others))

    def remembered(self, crm: Mapping[str, Value]) -> Value:
        """What ``Agreed.crm`` keeps of the CRM's values: the mapped field, or, where the transform reads other
        fields too, its result; a later difference then means that one of them changed."""
        return self.transform.forward(crm.get(self.crm), crm) if self.transform.reads_others else crm.get(self.crm)


@quick_dataclass(frozen=True, slots=True)
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
    forward, remembered = rule.transform.forward(crm_now, crm), rule.remembered(crm)
    if same(forward, esp_now):
        known = agreed is not None and (agreed.crm, agreed.esp) == (remembered, esp_now)
        return Verdict(agreed=agreed if known else Agreed(remembered, esp_now))
    now = _Now(crm_now, esp_now, forward, remembered)
    if agreed is None:
        return _first(rule, now)
    crm_changed = not same(now.remembered, agreed.crm)
    esp_changed = not same(now.esp, agreed.esp)
    if crm_changed and esp_changed:
        return _conflict(rule, now)
    if crm_changed:
        return _to_esp(rule, now, Rule.ONE_SIDE_CHANGED)
    if esp_changed:
        return _to_crm(rule, now, Rule.ONE_SIDE_CHANGED)
    return Verdict(agreed=agreed)


def are_equal(rule: FieldRule, crm: Mapping[str, Value], esp: Mapping[str, Value]) -> bool:
    """Whether both records show the same in this field."""
    return same(rule.transform.forward(crm.get(rule.crm), crm), esp.get(rule.esp))


def reopened(rule: FieldRule, crm: Mapping[str, Value], esp: Mapping[str, Value], target: Side) -> Agreed:
    """An agreement against which the value of the side that is not ``target`` counts as changed: a difference that
    was accepted is decided once more, in the same direction."""
    now_crm, now_esp = rule.remembered(crm), esp.get(rule.esp)
    if target is Side.ESP:
        return Agreed(_another_than(now_crm), now_esp)
    return Agreed(now_crm, _another_than(now_esp))


def _another_than(value: Value) -> Value:
    return None if canonical(value) is not None else "?"


@quick_dataclass(frozen=True, slots=True)
class _Now:
    """The two values, the CRM's in the ESP's form, and what is remembered of it."""

    crm: Value
    esp: Value
    forward: Value
    remembered: Value


def _first(rule: FieldRule, now: _Now) -> Verdict:
    """The two records were joined just now: the empty side is filled; two different values are a conflict."""
    if canonical(now.esp) is None:
        return _to_esp(rule, now, Rule.FIRST_FILL)
    if canonical(now.crm) is None:
        return _to_crm(rule, now, Rule.FIRST_FILL)
    return _conflict(rule, now)


def _conflict(rule: FieldRule, now: _Now) -> Verdict:
    if rule.to_esp and not rule.to_crm:
        return _to_esp(rule, now, Rule.ONE_SIDE_CHANGED)
    if rule.to_crm and not rule.to_esp:
        return _to_crm(rule, now, Rule.ONE_SIDE_CHANGED)
    if rule.conflict is Conflict.REVIEW:
        return Verdict(is_conflict=True)
    if rule.conflict is Conflict.ESP:
        return _to_crm(rule, now, Rule.CONFLICT_ESP)
    if rule.conflict is Conflict.NON_EMPTY and canonical(now.forward) is None:
        return _to_crm(rule, now, Rule.CONFLICT_NON_EMPTY)
    named = Rule.CONFLICT_NON_EMPTY if rule.conflict is Conflict.NON_EMPTY else Rule.CONFLICT_CRM
    return _to_esp(rule, now, named)


def _to_esp(rule: FieldRule, now: _Now, named: Rule) -> Verdict:
    value = canonical(now.forward)
    if not rule.to_esp or (value is None and not rule.clears):
        return _accepted(now)
    return Verdict(Side.ESP, value, named, Agreed(now.remembered, value))


def _to_crm(rule: FieldRule, now: _Now, named: Rule) -> Verdict:
    if not rule.to_crm or rule.transform.back is None:
        # What cannot be taken back is not written in the ESP's form: the CRM would hold a foreign value.
        return _accepted(now)
    value, is_blank = canonical(rule.transform.back(now.esp)), canonical(now.esp) is None
    if value is None and not (is_blank and rule.clears):
        # A blank is kept out; so is a word that has no counterpart, which says nothing about the CRM's value.
        return _accepted(now)
    return Verdict(Side.CRM, value, named, Agreed(value, now.esp))


def _accepted(now: _Now) -> Verdict:
    """The difference, if any, stays until one side changes again. A one-way field's target may be whatever it is."""
    return Verdict(agreed=Agreed(now.remembered, now.esp))
