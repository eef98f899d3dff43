"""What became of the writes: the journal, the receipts, and what both sides now agree on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from optsync.model.change import ChangeKind, ChangeState, Fact, Outcome, Result, WriteKind
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.link import Agreed
from optsync.model.masking import mask, mask_words
from optsync.model.record import Record, Side, Status, Value
from optsync.reconcile.fields import FieldRule
from optsync.reconcile.representation import overlay, with_address
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import same
from optsync.state.changes import Change
from optsync.state.codec import encode_record
from optsync.state.issues import NewIssue
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.asking import end_refused, end_unsent
from optsync.sync.binding import SourceBinding
from optsync.sync.engine import Engine
from optsync.sync.forgotten import quiet
from optsync.sync.observe import Observer
from optsync.sync.refusals import AGAIN, NOT_AGAIN, NOT_MAILED_ANYWAY, RETRIED_BY_ITSELF, WHAT_HELPS
from optsync.sync.renaming import renamed

SOON = timedelta(hours=1)
"""What a vendor puts off for less is simply part of the next cycle."""


class Settler:
    """Settles one batch of changes, all of one source."""

    def __init__(
        self,
        engine: Engine,
        binding: SourceBinding,
        run: str,
        guarded: Callable[[Unit], None],
        observer: Observer,
    ) -> None:
        self._engine = engine
        self._binding = binding
        self._run = run
        self._guarded = guarded
        self._observer = observer

    def settle(self, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
        """Journals each outcome; then takes what the vendor showed after the writes as a reading of its own, so
        that whatever somebody else changed in between is not mistaken for ours."""
        by_key = {outcome.key: outcome for outcome in outcomes}
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            source = unit.sources.require(self._binding.system, self._binding.collection)
            observed = {o.key: o for o in unit.records.load(c.record_id for c in changes if c.record_id)}
            for change, answer in quiet(unit, changes, by_key):
                outcome = answer or _no_answer(change)
                old = observed.get(change.record_id or 0)
                self._settle_one(unit, source.id, change, outcome, old)
        shown = [
            replace(o.record, id=o.record_id or o.record.id)
            for o in outcomes
            if o.record is not None and o.result in {Result.APPLIED, Result.SAME, Result.REFUSED}
        ]
        readings = [r for r in shown if r.status is not Status.ABSENT]
        if readings:
            self._observer.take(self._binding, source, readings, (), keeps_lists=True)

    def _settle_one(self, unit: Unit, source_id: int, change: Change, outcome: Outcome, old: Observed | None) -> None:
        if outcome.result in {Result.APPLIED, Result.SAME}:
            self._applied(unit, source_id, change, outcome, old)
        elif outcome.result is Result.REFUSED:
            self._refused(unit, change, outcome)
        elif outcome.result is Result.INVALID:
            self._invalid(unit, change, outcome)
        else:
            self._failed(unit, change, outcome)

    # applied

    def _applied(self, unit: Unit, source_id: int, change: Change, outcome: Outcome, old: Observed | None) -> None:
        state = ChangeState.APPLIED if outcome.result is Result.APPLIED else ChangeState.SAME
        key = old.key if old else None
        if old is not None:
            self._receipt(unit, change, outcome, old)
        elif outcome.record_id is not None:
            key = self._created(unit, source_id, change, outcome)
        unit.changes.settle(change.id, state, record_id=key, message=outcome.message or None)
        if kept := _kept_otherwise(change, outcome):
            unit.changes.note_kept(change.id, write={**change.write, "kept": kept})
        if key is not None:
            self._agree(unit, change, outcome, key)
            if change.write["left"] is not None:
                left = change.write["left"]
                unit.links.set_left(change.sync, key, left=left, is_kept=change.rule == Rule.UNDONE and not left)
            if change.write.get("inactive") is not None:
                unit.links.set_inactive(change.sync, key, inactive=change.write["inactive"])

    def _receipt(self, unit: Unit, change: Change, outcome: Outcome, old: Observed) -> None:
        """The record as it shows with our write in it: seen again, it makes no transition."""
        written = _as_shown(expected(old.record, change), outcome)
        is_gone = written.status is Status.ABSENT or (
            outcome.record is not None and outcome.record.status is Status.ABSENT
        )
        if is_gone:
            written = replace(written, status=Status.ABSENT)
        unit.records.replace([(old.key, written)], at=self._engine.clock.now(), is_gone=is_gone)
        if change.kind is ChangeKind.RENAME:
            renamed(unit, self._binding, old, written, _usable(written.addresses), rid=outcome.record_id)

    def _created(self, unit: Unit, source_id: int, change: Change, outcome: Outcome) -> int:
        record = outcome.record or Record(id=str(outcome.record_id), addresses=(change.write["address"],))
        record = replace(record, id=str(outcome.record_id))
        written = _as_shown(expected(replace(record, lists=self._lists()), change), outcome)
        known = unit.records.by_rid(source_id, [written.id]).get(written.id)
        if known is not None:
            unit.records.replace([(known.key, written)], at=self._engine.clock.now())
            return known.key
        data, fingerprint = encode_record(written)
        keys = unit.records.insert(source_id, [(written, data, fingerprint)], at=self._engine.clock.now())
        key = keys[written.id]
        points = unit.points.require(_usable(written.addresses))
        # Who was forgotten while the record was made has no address here any more.
        unit.records.set_points({key: [points[a] for a in _usable(written.addresses)] or [change.point_id]})
        return key

    def _lists(self) -> frozenset[str]:
        """A record made for a list scope has its equalities, so it belongs to it."""
        return frozenset(self._binding.spec.lists) if self._binding.side is Side.CRM else frozenset()

    def _agree(self, unit: Unit, change: Change, outcome: Outcome, key: int) -> None:
        counterpart = change.write["counterpart"]
        if counterpart is None:
            return
        is_esp = self._binding.side is Side.ESP
        crm, esp = (counterpart, key) if is_esp else (key, counterpart)
        rules = {rule.key: rule for rule in self._engine.bound.policies[change.sync].fields}
        agreed: dict[str, Agreed] = {}
        for rule_key, (crm_value, esp_value) in change.write["agreed"].items():
            rule = rules.get(rule_key)
            if rule is None:
                continue
            name = rule.esp if is_esp else rule.crm
            kept = _kept(outcome, name, esp_value if is_esp else crm_value)
            agreed[rule_key] = Agreed(_tuple(crm_value), kept) if is_esp else Agreed(kept, _tuple(esp_value))
            self._warn_if_dropped(unit, change, name, kept)
        if change.kind in {ChangeKind.CREATE, ChangeKind.RENAME} or agreed:
            is_joined = change.kind in {ChangeKind.CREATE, ChangeKind.REQUEST, ChangeKind.RENAME}
            unit.links.agree(change.sync, crm, esp, agreed, point=change.point_id if is_joined else None)

    def _warn_if_dropped(self, unit: Unit, change: Change, name: str, kept: Value) -> None:
        sent, before = _tuple(change.after.get(name)), _tuple(change.before.get(name))
        if same(kept, sent) or not same(kept, before) or change.record is None:
            return
        self._open(
            unit,
            change,
            kind="field_not_kept",
            message=f"{change.system} accepted the value and did not store it; it is not sent again until it changes",
            field=name,
        )

    # not applied

    def _refused(self, unit: Unit, change: Change, outcome: Outcome) -> None:
        fact = outcome.fact.value if outcome.fact else None
        message = _words(outcome, change) if outcome.message else None
        unit.changes.settle(change.id, ChangeState.REFUSED, fact=fact, message=message)
        if change.record_id is not None:
            unit.records.clear_unsure([change.record_id])
            agree_as_before(unit, change, is_esp=self._binding.side is Side.ESP)
        if outcome.fact is Fact.GONE and change.record_id is not None:
            unit.records.set_missing([change.record_id], since=self._engine.clock.now(), is_gone=True)
        now = self._engine.clock.now()
        if outcome.fact in RETRIED_BY_ITSELF:
            end_unsent(unit, [change], at=now, run=self._run)
            return
        end_refused(unit, change, fact=fact or "no reason given", at=now, run=self._run)
        unit.points.mark([change.sync], {change.point_id})
        if self._is_asked_instead(change, outcome.fact):
            return
        goes_on = change.write["is_restrictive"] and outcome.fact not in NOT_MAILED_ANYWAY
        then = AGAIN if goes_on else WHAT_HELPS.get(outcome.fact or "", NOT_AGAIN)
        self._open(
            unit,
            change,
            kind="refused",
            message=f"{change.system} refused ({fact or 'no reason given'}): {_words(outcome, change)}; {then}",
            blocks=None if goes_on else change.fingerprint,
            fact=fact,
        )

    def _is_asked_instead(self, change: Change, fact: Fact | None) -> bool:
        """An opt-in refused because the person had left there by themself: the next cycle asks them to confirm it."""
        is_opt_in = change.kind in {ChangeKind.OPT_IN, ChangeKind.CREATE} and not change.write["is_restrictive"]
        return is_opt_in and fact is Fact.SELF_UNSUBSCRIBED and self._engine.bound.policies[change.sync].can_ask

    def _invalid(self, unit: Unit, change: Change, outcome: Outcome) -> None:
        """The vendor refused one value: it is set aside, and the rest of the record goes on without it."""
        name = str(outcome.field)
        write = self._without(unit, change, name)
        is_create = change.write["kind"] == WriteKind.CREATE
        goes_on = name in change.write["fields"] and (bool(write["fields"]) or is_create)
        is_tried_again = bool(change.write["is_restrictive"])
        if is_tried_again:
            unit.points.mark([change.sync], {change.point_id})
        then = "; the rest went on without it" if goes_on else ""
        self._open(
            unit,
            change,
            kind="quarantined_field",
            message=f"{change.system} refused the value: {_words(outcome, change)}{then}",
            field=outcome.field,
            blocks=None if is_tried_again or goes_on else change.fingerprint,
        )
        if change.record_id is not None:
            unit.records.clear_unsure([change.record_id])
        if goes_on:
            after = {k: v for k, v in change.after.items() if k != name}
            unit.changes.send_again(change.id, write=write, after=after)
        else:
            unit.changes.settle(change.id, ChangeState.REFUSED, message=_words(outcome, change))
            end_refused(unit, change, fact="invalid", at=self._engine.clock.now(), run=self._run)

    def _without(self, unit: Unit, change: Change, name: str) -> dict[str, Any]:
        """The write without the refused value, and what both sides then agree on: the value that was refused and
        the one that is still there. Until one of them changes, it is not sent again."""
        is_esp, agreed = self._binding.side is Side.ESP, dict(change.write["agreed"])
        for rule in self._engine.bound.policies[change.sync].fields:
            if name != (rule.esp if is_esp else rule.crm) or rule.key not in agreed:
                continue
            if change.record_id is None:
                crm_value, esp_value = agreed[rule.key]
                agreed[rule.key] = [crm_value, None] if is_esp else [None, esp_value]
            else:
                del agreed[rule.key]
                self._accept_difference(unit, change, rule)
        return {
            **change.write,
            "fields": {k: v for k, v in change.write["fields"].items() if k != name},
            "agreed": agreed,
        }

    def _accept_difference(self, unit: Unit, change: Change, rule: FieldRule) -> None:
        counterpart, key = change.write["counterpart"], change.record_id
        if counterpart is None or key is None:
            return
        crm_key, esp_key = (counterpart, key) if self._binding.side is Side.ESP else (key, counterpart)
        records = {o.key: o.record for o in unit.records.load([crm_key, esp_key])}
        kept = Agreed(rule.remembered(records[crm_key].fields), records[esp_key].fields.get(rule.esp))
        unit.links.agree(change.sync, crm_key, esp_key, {rule.key: kept})

    def _failed(self, unit: Unit, change: Change, outcome: Outcome) -> None:
        """Not applied, or unknown: derived again in the next cycle, after a look at the record."""
        is_put_off = outcome.result is Result.FAILED and outcome.retry_at is not None
        # What is put off stays planned: the next cycle derives it again.
        state = ChangeState.PLANNED if is_put_off else ChangeState.FAILED
        unit.changes.settle(change.id, state, message=_words(outcome, change))
        if outcome.result is Result.FAILED and change.record_id is not None:
            unit.records.clear_unsure([change.record_id])
            agree_as_before(unit, change, is_esp=self._binding.side is Side.ESP)
        if outcome.result is Result.FAILED:
            end_unsent(unit, [change], at=self._engine.clock.now(), run=self._run)
        unit.points.mark([change.sync], {change.point_id})
        if outcome.retry_at is not None and outcome.retry_at - self._engine.clock.now() > SOON:
            self._open(
                unit,
                change,
                kind="put_off",
                message=f"{change.system} takes it later: {_words(outcome, change)}; tried again by itself",
                blocks=None if change.write["is_restrictive"] else change.fingerprint,
                until=outcome.retry_at,
            )

    def _open(
        self,
        unit: Unit,
        change: Change,
        *,
        kind: str,
        message: str,
        field: str | None = None,
        blocks: str | None = None,
        until: datetime | None = None,
        fact: str | None = None,
    ) -> None:
        new = NewIssue(
            kind=kind,
            message=message,
            sync=change.sync,
            system=change.system,
            collection=change.collection,
            record=change.record,
            point_id=change.point_id,
            field=field,
            rule=change.rule,
            values={**_values(change, field, until), **({"fact": fact} if fact else {})},
            blocks=blocks,
        )
        unit.issues.open(new, run=self._run)


def agree_as_before(unit: Unit, change: Change, *, is_esp: bool) -> None:
    """What was agreed ahead of a write that was not applied is not agreed. ``is_esp``: the side of the record."""
    key, counterpart, former = change.record_id, change.write["counterpart"], change.write.get("former")
    if key is None or counterpart is None or not former:
        return
    crm, esp = (counterpart, key) if is_esp else (key, counterpart)
    unit.links.agree(change.sync, crm, esp, {k: Agreed(_tuple(a), _tuple(b)) for k, (a, b) in former.items()})


def expected(record: Record, change: Change) -> Record:
    """The record with the change in it."""
    status = change.write["status"]
    if change.kind is ChangeKind.ARCHIVE and change.write["kind"] == WriteKind.ARCHIVE:
        status = Status.ARCHIVED
    shown = record if change.kind is not ChangeKind.RENAME else with_address(record, change.write["address"])
    return overlay(
        shown,
        status=None if status is None else Status(status),
        topics=change.write["topics"],
        fields={name: _tuple(value) for name, value in change.write["fields"].items()},
    )


def _as_shown(written: Record, outcome: Outcome) -> Record:
    """With what the vendor adds to a status of its own accord: those stamps and words are ours, not a person's."""
    after = outcome.record
    if after is None or after.status is None or after.status is not written.status:
        return written
    return replace(
        written,
        word=after.word,
        origin=after.origin,
        reason=after.reason,
        opted_in_at=after.opted_in_at,
        status_at=after.status_at,
    )


def _kept_otherwise(change: Change, outcome: Outcome) -> dict[str, Value]:
    """The values that the vendor shows in another form than they were sent in."""
    shown = outcome.record.fields if outcome.record is not None else {}
    return {
        n: shown[n] for n, sent in change.write["fields"].items() if n in shown and not same(shown[n], _tuple(sent))
    }


def _kept(outcome: Outcome, name: str, sent: Any) -> Value:
    """The value that the vendor shows after the write, the sent one where it does not say."""
    if outcome.record is not None and name in outcome.record.fields:
        return outcome.record.fields[name]
    return _tuple(sent)


def _tuple(value: Any) -> Value:
    return tuple(value) if isinstance(value, list) else value


def _usable(addresses: Sequence[str]) -> list[str]:
    usable = []
    for raw in addresses:
        try:
            usable.append(normalise(raw))
        except InvalidAddress:
            continue
    return list(dict.fromkeys(usable))


def _no_answer(change: Change) -> Outcome:
    return Outcome(key=str(change.id), result=Result.UNKNOWN, message="the connector gave no outcome")


def _words(outcome: Outcome, change: Change) -> str:
    """The vendor's words, without the values that they quote."""
    if not outcome.message:
        return outcome.result.value
    sent = [_tuple(value) for value in (*change.write["fields"].values(), change.write["address"])]
    return mask_words(outcome.message, sent)


def _values(change: Change, field: str | None, until: datetime | None) -> dict[str, Any]:
    values: dict[str, Any] = {"change": change.kind}
    if field in change.write["fields"]:
        values["value"] = mask(_tuple(change.write["fields"][field]))
    if until is not None:
        values["until"] = until.isoformat()
    return values
