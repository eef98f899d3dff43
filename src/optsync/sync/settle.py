"""What became of the writes: the journal, the receipts, and what both sides now agree on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from optsync.model.change import ChangeKind, ChangeState, Fact, Outcome, Result, WriteKind
from optsync.model.link import Agreed
from optsync.model.masking import mask, mask_words
from optsync.model.record import Record, Side, Status, Value
from optsync.reconcile.departure import hidden_since, may_hide
from optsync.reconcile.fields import FieldRule
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import same
from optsync.state.changes import Change, Settled
from optsync.state.issues import NewIssue
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.agreements import Agreements
from optsync.sync.binding import SourceBinding
from optsync.sync.creating import store_created
from optsync.sync.effects import Effects
from optsync.sync.engine import Engine
from optsync.sync.forgotten import quiet
from optsync.sync.receipts import (
    doubt,
    is_anothers,
    is_kept,
    kept,
    kept_otherwise,
    newest,
    no_answer,
    plain,
    receipt,
    taken,
    usable,
)
from optsync.sync.refusals import AGAIN, NOT_AGAIN, NOT_MAILED_ANYWAY, RETRIED_BY_ITSELF, WHAT_HELPS
from optsync.sync.rejoining import note_left
from optsync.sync.renaming import renamed
from optsync.sync.waiting import may_wait

SOON = timedelta(hours=1)
"""What a vendor puts off for less is simply part of the next cycle."""


class Settler:
    """Settles one batch of changes, all of one source."""

    def __init__(self, engine: Engine, binding: SourceBinding, run: str, guarded: Callable[[Unit], None]) -> None:
        self._engine = engine
        self._binding = binding
        self._run = run
        self._guarded = guarded
        self.is_anything_sent_again = False
        """Whether something was put back into the outbox."""
        self.not_before: datetime | None = None
        """Until when the system takes nothing ordinary, if it has said so."""
        self.done = 0
        """How many changes have arrived."""

    def settle(self, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> Sequence[Record]:
        """Journals each outcome. Returns what the vendor showed after the writes, done or not: that is a reading, so
        that whatever somebody else changed in between is not mistaken for ours."""
        by_key = {outcome.key: outcome for outcome in outcomes}
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            source = unit.sources.require(self._binding.system, self._binding.collection)
            for kind in dict.fromkeys(change.kind for change in changes):
                # Of those that went together each is settled on what the one before has left of the record.
                self._settle(unit, source.id, [change for change in changes if change.kind is kind], by_key)
        shown = [
            o.record if o.record_id in {None, o.record.id} else replace(o.record, id=o.record_id)
            for o in outcomes
            if o.record is not None
        ]
        return newest(record for record in shown if record.status is not Status.ABSENT)

    def _settle(self, unit: Unit, source_id: int, changes: Sequence[Change], by_key: Mapping[str, Outcome]) -> None:
        """Of changes of one kind."""
        observed = {o.key: o for o in unit.records.load(c.record_id for c in changes if c.record_id)}
        pairs = [(change, answer or no_answer(change)) for change, answer in quiet(unit, changes, by_key)]
        made = [(c, o) for c, o in pairs if _is_done(o) and o.record_id is not None and c.record_id not in observed]
        now = self._engine.clock.now()
        created = store_created(unit, self._binding, source_id, made, at=now)
        effects = Effects(sync=changes[0].sync, agreements=self._agreements(unit, pairs, created))
        for change, outcome in pairs:
            if _is_done(outcome):
                self.done += 1
                self._applied(unit, effects, change, outcome, observed.get(change.record_id or 0), created)
            else:
                self._not_applied(unit, effects, change, outcome, observed.get(change.record_id or 0))
            self._keep_doubt(effects, change, outcome, observed.get(change.record_id or 0))
        effects.store(unit, source_id, at=now, run=self._run)

    def _agreements(
        self, unit: Unit, pairs: Sequence[tuple[Change, Outcome]], created: Mapping[int, int]
    ) -> Agreements:
        """Those of the members that are written, or whose contacts are."""
        if self._is_esp:
            keys = [created.get(change.id, change.record_id) for change, _ in pairs]
        else:
            keys = [change.write["counterpart"] for change, _ in pairs]
        return Agreements(unit, pairs[0][0].sync, {key for key in keys if key is not None})

    def _keep_doubt(self, effects: Effects, change: Change, outcome: Outcome, old: Observed | None) -> None:
        """An answer tells what became of its own write, and nothing of an earlier one whose answer was lost. Values are
        in doubt only from here on: unknown, they would be in conflict with what somebody makes of them next."""
        if old is not None and outcome.result is Result.UNKNOWN and change.kind is ChangeKind.FIELD:
            effects.in_doubt[old.key] = doubt(change, self._engine.clock.now()).after(old.unsure)
        if old is None or old.unsure is None or outcome.result is Result.UNKNOWN:
            return
        left = old.unsure.without(doubt(change, old.unsure.sent_at))
        if left is not None:
            effects.in_doubt[old.key] = left

    @property
    def _is_esp(self) -> bool:
        return self._binding.side is Side.ESP

    # applied

    def _applied(
        self,
        unit: Unit,
        effects: Effects,
        change: Change,
        outcome: Outcome,
        old: Observed | None,
        created: Mapping[int, int],
    ) -> None:
        state = ChangeState.APPLIED if outcome.result is Result.APPLIED else ChangeState.SAME
        key = old.key if old else created.get(change.id)
        is_ours = not is_anothers(outcome)
        if old is not None and is_ours:
            self._receipt(unit, effects, change, outcome, old)
        made = None if old else key
        effects.settled.append(Settled(id=change.id, state=state, record_id=made, message=outcome.message or None))
        effects.pass_on(change, self._binding, self._engine.bound.policies)
        if kept := kept_otherwise(change, outcome):
            effects.kept.append((change, kept))
        if change.before.get("status") == Status.ARCHIVED:
            for sync in self._binding.syncs:
                # Fields stood still for it, and whoever else had archived it is to know; nothing else would look again.
                effects.look_again(change.point_id, sync=sync)
        if key is not None:
            self._agree(effects, change, outcome, key)
            is_tag = change.write["kind"] == WriteKind.TAG
            if change.write["left"] is not None and (is_ours or change.kind is not ChangeKind.ARCHIVE):
                left = change.write["left"]
                is_kept = change.rule == Rule.UNDONE and not left
                effects.agreements.set_left(key, left=left, is_kept=is_kept, is_tag=is_tag)
                if not left and not is_kept:
                    effects.give_back(key, self._binding, is_tag=is_tag)
            if change.write.get("inactive") is not None:
                effects.agreements.set_inactive(key, inactive=change.write["inactive"], is_tag=is_tag)

    def _receipt(self, unit: Unit, effects: Effects, change: Change, outcome: Outcome, old: Observed) -> None:
        """The record as it shows with our write in it: seen again, it makes no transition."""
        written = receipt(old.record, change, outcome)
        is_gone = written.status is Status.ABSENT or (
            outcome.record is not None and outcome.record.status is Status.ABSENT
        )
        if is_gone:
            written = replace(written, status=Status.ABSENT)
            if outcome.result is Result.SAME:
                note_left(unit, self._binding, old, at=self._engine.clock.now(), run=self._run)
        if self._binding.tells_departures and may_hide(old.record, written):
            effects.hidden[old.key] = hidden_since(old.record)
        if change.kind is ChangeKind.RENAME:
            # Other records may have to give way to it, so that it is stored at once.
            unit.records.replace([(old.key, written)], at=self._engine.clock.now(), is_gone=is_gone)
            addresses = usable(written.addresses)
            renamed(unit, self._binding, old, written, addresses, rid=outcome.record_id, run=self._run)
        else:
            (effects.gone if is_gone else effects.shown).append((old.key, written))

    def _agree(self, effects: Effects, change: Change, outcome: Outcome, key: int) -> None:
        counterpart = change.write["counterpart"]
        if counterpart is None:
            return
        is_esp = self._is_esp
        crm, esp = (counterpart, key) if is_esp else (key, counterpart)
        rules = {rule.key: rule for rule in self._engine.bound.policies[change.sync].fields}
        agreed: dict[str, Agreed] = {}
        for rule_key, (crm_value, esp_value) in change.write["agreed"].items():
            rule = rules.get(rule_key)
            if rule is None:
                continue
            name = rule.esp if is_esp else rule.crm
            shown = kept(outcome, name, esp_value if is_esp else crm_value)
            agreed[rule_key] = Agreed(plain(crm_value), shown) if is_esp else Agreed(shown, plain(esp_value))
            self._warn_if_dropped(effects, change, name, shown)
        if change.kind in {ChangeKind.CREATE, ChangeKind.RENAME} or agreed:
            is_joined = change.kind in {ChangeKind.CREATE, ChangeKind.REQUEST, ChangeKind.RENAME}
            effects.agreements.agree(crm, esp, agreed, point=change.point_id if is_joined else None)

    def _warn_if_dropped(self, effects: Effects, change: Change, name: str, shown: Value) -> None:
        sent, before = plain(change.after.get(name)), plain(change.before.get(name))
        if is_kept(shown, sent) or not same(shown, before) or change.record is None:
            return
        self._open(
            effects,
            change,
            kind="field_not_kept",
            message=f"{change.system} accepted the value and did not store it; it is not sent again until it changes",
            field=name,
        )

    # not applied

    def _not_applied(
        self, unit: Unit, effects: Effects, change: Change, outcome: Outcome, old: Observed | None
    ) -> None:
        if outcome.result is Result.REFUSED:
            self._refused(effects, change, outcome, old)
        elif outcome.result is Result.INVALID:
            self._invalid(unit, effects, change, outcome)
            if old is not None and outcome.is_partly_done and outcome.record is not None:
                effects.shown.append((old.key, taken(old.record, change, outcome.record)))
        else:
            self._failed(effects, change, outcome)

    def _refused(self, effects: Effects, change: Change, outcome: Outcome, old: Observed | None) -> None:
        fact = outcome.fact.value if outcome.fact else None
        message = _words(outcome, change) if outcome.message else None
        effects.settled.append(Settled(id=change.id, state=ChangeState.REFUSED, fact=fact, message=message))
        if old is not None:
            effects.certain.append(old.key)
            effects.agreements.as_before(change, is_esp=self._is_esp)
            if outcome.fact is Fact.GONE:
                effects.missing.append(old.key)
                effects.look_again(*old.points)  # another record may speak for them now
        if outcome.fact in RETRIED_BY_ITSELF:
            effects.unsent.append(change)
            return
        effects.refused.append((change, fact or "no reason given"))
        effects.look_again(change.point_id)
        if self._is_asked_instead(change, outcome.fact):
            return
        goes_on = change.write["is_restrictive"] and outcome.fact not in NOT_MAILED_ANYWAY
        then = AGAIN if goes_on else WHAT_HELPS.get(outcome.fact or "", NOT_AGAIN)
        self._open(
            effects,
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

    def _invalid(self, unit: Unit, effects: Effects, change: Change, outcome: Outcome) -> None:
        """The vendor refused one value: it is set aside, and the rest of the record goes on without it."""
        name = str(outcome.field)
        write = self._without(unit, effects, change, name)
        is_create = change.write["kind"] == WriteKind.CREATE
        goes_on = name in change.write["fields"] and (bool(write["fields"]) or is_create)
        is_tried_again = bool(change.write["is_restrictive"])
        if is_tried_again:
            effects.look_again(change.point_id)
        then = "; the rest went on without it" if goes_on else ""
        self._open(
            effects,
            change,
            kind="quarantined_field",
            message=f"{change.system} refused the value: {_words(outcome, change)}{then}",
            field=outcome.field,
            blocks=None if is_tried_again or goes_on else change.fingerprint,
        )
        if change.record_id is not None:
            effects.certain.append(change.record_id)
        if goes_on:
            after = {k: v for k, v in change.after.items() if k != name}
            unit.changes.send_again(change, write=write, after=after)
            self.is_anything_sent_again = True
        else:
            words = _words(outcome, change)
            effects.settled.append(Settled(id=change.id, state=ChangeState.REFUSED, message=words))
            effects.refused.append((change, "invalid"))

    def _without(self, unit: Unit, effects: Effects, change: Change, name: str) -> dict[str, Any]:
        """The write without the refused value, and what both sides then agree on: the value that was refused and
        the one that is still there. Until one of them changes, it is not sent again."""
        is_esp, agreed = self._is_esp, dict(change.write["agreed"])
        for rule in self._engine.bound.policies[change.sync].fields:
            if name != (rule.esp if is_esp else rule.crm) or rule.key not in agreed:
                continue
            if change.record_id is None:
                crm_value, esp_value = agreed[rule.key]
                agreed[rule.key] = [crm_value, None] if is_esp else [None, esp_value]
            else:
                del agreed[rule.key]
                self._accept_difference(unit, effects, change, rule)
        return {
            **change.write,
            "fields": {k: v for k, v in change.write["fields"].items() if k != name},
            "agreed": agreed,
        }

    def _accept_difference(self, unit: Unit, effects: Effects, change: Change, rule: FieldRule) -> None:
        counterpart, key = change.write["counterpart"], change.record_id
        if counterpart is None or key is None:
            return
        crm_key, esp_key = (counterpart, key) if self._is_esp else (key, counterpart)
        records = {o.key: o.record for o in unit.records.load([crm_key, esp_key])}
        remembered = Agreed(rule.remembered(records[crm_key].fields), records[esp_key].fields.get(rule.esp))
        effects.agreements.agree(crm_key, esp_key, {rule.key: remembered})

    def _failed(self, effects: Effects, change: Change, outcome: Outcome) -> None:
        """Not applied, or unknown: derived again in the next cycle, after a look at the record."""
        is_put_off = outcome.result is Result.FAILED and outcome.retry_at is not None
        if is_put_off and self._waits(effects, change, outcome):
            return
        # What is put off stays planned: the next cycle derives it again.
        state = ChangeState.PLANNED if is_put_off else ChangeState.FAILED
        effects.settled.append(Settled(id=change.id, state=state, message=_words(outcome, change)))
        if outcome.result is Result.FAILED:
            effects.unsent.append(change)
            if change.record_id is not None:
                effects.certain.append(change.record_id)
                effects.agreements.as_before(change, is_esp=self._is_esp)
        effects.look_again(change.point_id)
        if outcome.retry_at is not None and outcome.retry_at - self._engine.clock.now() > SOON:
            self._open(
                effects,
                change,
                kind="put_off",
                message=f"{change.system} takes it later: {_words(outcome, change)}; tried again by itself",
                blocks=None if change.write["is_restrictive"] else change.fingerprint,
                until=outcome.retry_at,
            )

    def _waits(self, effects: Effects, change: Change, outcome: Outcome) -> bool:
        """Whether the change stays as it was decided, since the system is out of time and takes nothing ordinary
        before a moment that is near. A moment far away is about this record alone."""
        until, now = outcome.retry_at, self._engine.clock.now()
        if until is None or until - now > SOON or change.write["is_restrictive"]:
            return False
        self.not_before = max(until, self.not_before or until)
        if not may_wait(change) or change.kind is ChangeKind.REQUEST:
            return False
        effects.waiting[change.id] = _words(outcome, change)
        if change.record_id is not None:
            effects.certain.append(change.record_id)
        return True

    def _open(
        self,
        effects: Effects,
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
        effects.issues.append(new)


def _is_done(outcome: Outcome) -> bool:
    return outcome.result in {Result.APPLIED, Result.SAME}


def _words(outcome: Outcome, change: Change) -> str:
    """The vendor's words, without the values that they quote."""
    if not outcome.message:
        return outcome.result.value
    sent = [plain(value) for value in (*change.write["fields"].values(), change.write["address"])]
    return mask_words(outcome.message, sent)


def _values(change: Change, field: str | None, until: datetime | None) -> dict[str, Any]:
    values: dict[str, Any] = {"change": change.kind}
    if field in change.write["fields"]:
        values["value"] = mask(plain(change.write["fields"][field]))
    if until is not None:
        values["until"] = until.isoformat()
    return values
