"""From readings to statements: value transitions against what was last observed or written.

A record's stamp alone says nothing: any edit moves it. Evidence of an out is never discounted; only evidence of
an in is. What we wrote ourselves and had confirmed is part of what was observed, so it makes no transition.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from optsync.model.quick import quick_dataclass
from optsync.model.record import Origin, Record, Side, Status
from optsync.model.scope import EVERYTHING
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.again import is_said_again
from optsync.reconcile.complaint import complaint, is_no_other, was_shown_since
from optsync.reconcile.doubt import Doubt
from optsync.reconcile.moments import is_same_moment, parse_moment
from optsync.reconcile.putback import remembered
from optsync.reconcile.reading import Reading
from optsync.reconcile.representation import IS_NOT_THERE, Representation, Shown, shown, topic_shown

_SHOWS_NO_IN = frozenset({Status.PENDING, Status.ABSENT, Status.ARCHIVED})


@quick_dataclass(frozen=True, slots=True)
class Said:
    """A statement for the record's primary address, or for all of its addresses.

    ``needs_confirmation``: it rests on a stamp that an API write can set; unless nothing is lifted, the person's
    activity must confirm it.
    """

    statement: Statement
    for_all: bool = False
    needs_confirmation: bool = False


@quick_dataclass(frozen=True, slots=True)
class Claim:
    """The record came to show "in" for the scope; if the standing stays out, that is a refused opt-in."""

    scope: str
    shows: str


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    said: tuple[Said, ...] = ()
    claims: tuple[Claim, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def detect(
    before: Record | None,
    now: Record,
    representation: Representation,
    reading: Reading,
    *,
    unsure: Record | None = None,
) -> Detected:
    """What the reading ``now`` says, compared with what was observed ``before`` (None at first sight).

    ``unsure`` is how the record shows if a write of ours whose answer was lost was applied. Then restrictive
    findings count against either state, permissive ones only where they are news against both: an out is new, an
    in may be ours. A record on which not even a stamp moved was not written: it is compared with ``before`` alone.
    """
    found = _compare(before, now, representation, reading)
    if before is None or unsure is None or _is_untouched(before, now):
        return found
    other = _compare(unsure, now, representation, reading)
    return _both(found, other)


def with_restrictions(found: Detected, others: Detected) -> Detected:
    """What was ``found`` at a first sight, and what ``others`` restrict besides: the comparison with a reading of the
    same record under another meaning, in which a wish may have been taken back that a first sight cannot miss."""
    known = {(s.statement.scope, s.statement.kind) for s in found.said}
    besides = (s for s in others.said if _is_restrictive(s.statement))
    return replace(
        found, said=(*found.said, *(s for s in besides if (s.statement.scope, s.statement.kind) not in known))
    )


def _is_untouched(before: Record, now: Record) -> bool:
    has_stamp = now.modified_at is not None or now.status_at is not None
    return has_stamp and replace(now, lists=before.lists) == before


def _both(found: Detected, other: Detected) -> Detected:
    certain = {s.statement.uid for s in found.said} & {s.statement.uid for s in other.said}
    said = {s.statement.uid: s for s in (*other.said, *found.said)}
    # A restrictive change that only one of the two states explains may be ours. It counts like any other: whom that
    # closes by mistake can come back, and whoever was not heard is mailed.
    kept = tuple(item for uid, item in said.items() if uid in certain or _is_restrictive(item.statement))
    return Detected(
        said=kept,
        claims=tuple(c for c in found.claims if c in other.claims),
        doubts=tuple(dict.fromkeys((*found.doubts, *other.doubts))),
    )


def _is_restrictive(statement: Statement) -> bool:
    return statement.kind in {StatementKind.OUT, StatementKind.COMPLAINT, StatementKind.HARD_BOUNCE}


def _compare(before: Record | None, now: Record, representation: Representation, reading: Reading) -> Detected:
    teller = _Teller(before, now, representation, reading)
    teller.tell_status()
    teller.tell_topics()
    teller.tell_bounce_marker()
    return Detected(said=tuple(teller.said), claims=tuple(teller.claims), doubts=tuple(teller.doubts))


class _Teller:
    """Collects what one comparison says."""

    def __init__(self, before: Record | None, now: Record, representation: Representation, reading: Reading) -> None:
        self.before = before
        self.now = now
        self.rep = representation
        self.reading = reading
        self.said: list[Said] = []
        self.claims: list[Claim] = []
        self.doubts: list[Doubt] = []
        self.evidence = self._evidence()
        self.complaint = None if self.rep.uses_flags else complaint(before, now, self.rep.scope, reading)

    # status

    def tell_status(self) -> None:
        if self.complaint is not None:
            self.said.append(Said(self.complaint))
        view = shown(self.now, self.rep)
        was = shown(self.before, self.rep).status if self.before else None
        if view.is_contradictory and not self._was_contradictory():
            self.doubts.append(
                Doubt(
                    "contradictory_flags", self.rep.opt_in, "both the opt-out and the opt-in flag are set; out counts"
                )
            )
        if view.status is Status.OUT:
            if was is not Status.OUT or self._has_newer_event(view) or self._was_in_between():
                self._say_out()
        elif view.status is Status.BOUNCED:
            self._say_bounce(was)
        elif view.status is Status.UNKNOWN and self.now.is_word_known and self._took_yes_back(was):
            self._say_out()
        elif was is None:
            self._say_first_sight(view.status)
        else:
            self._say_turn(was, view.status)

    def _was_contradictory(self) -> bool:
        return self.before is not None and shown(self.before, self.rep).is_contradictory

    def _took_yes_back(self, was: Status | None) -> bool:
        """Of what shows neither flag: a yes was shown before, or may have been behind a word that says nothing, or its
        proof moved after a no and it is not shown."""
        was_unseen = was is Status.OUT and self.rep.opt_in is not None and self._was_in_between()
        was_strange = self.before is not None and not self.before.is_word_known
        return was is Status.IN or self._was_contradictory() or was_unseen or was_strange

    def _has_newer_event(self, view: Shown) -> bool:
        """Out already, and said again: the system tells, or the flag that contradicts is gone."""
        if self.before is None or self.rep.uses_flags:
            return self._was_contradictory() and not view.is_contradictory
        return is_said_again(self.before, self.now)

    def _say_bounce(self, was: Status | None) -> None:
        """What a system took out of its mailings because of a complaint did not bounce."""
        if self.now.origin is Origin.COMPLAINT and self._has_complained_since():
            self._say_out()
        elif was is not Status.BOUNCED:
            self._say(StatementKind.HARD_BOUNCE, EVERYTHING, source=Source.BOUNCE)

    def _has_complained_since(self) -> bool:
        if self.now.complained_at is not None:
            return self.complaint is not None and not was_shown_since(self.before, self.now)
        return self.before is None or self.before.origin is not Origin.COMPLAINT

    def _was_in_between(self) -> bool:
        """Out as before, but the proof of an opt-in moved: somebody said yes, and then no again, unseen. A proof that
        counts for nothing tells of the no all the same."""
        has_moved = self.evidence is not None or any(d.kind == "future_evidence" for d in self.doubts)
        return self.before is not None and has_moved

    def _say_out(self) -> None:
        is_flag = self.rep.uses_flags
        if self.complaint is not None:
            at, clock = self._when(StatementKind.OUT, self.rep.scope)
            if is_no_other(self.before, self.now, is_later=clock != OUR_CLOCK and at > self.complaint.at):
                return
        if not is_flag and self.now.origin is Origin.COMPLAINT and self.now.complained_at is None:
            self._say(StatementKind.COMPLAINT, self.rep.scope, source=Source.SPAM_COMPLAINT, is_personal=True)
            return
        self._say(
            StatementKind.OUT,
            self.rep.scope,
            source=Source.CRM if self.rep.side is Side.CRM else Source.ESP,
            # What an e-mail platform shows is the person's own doing unless it says otherwise.
            is_personal=not is_flag and self.now.origin is not Origin.ADMIN,
            for_all=is_flag,
        )

    def _say_first_sight(self, status: Status) -> None:
        """A full reading that lifts nothing: in is a grant only with evidence."""
        if not self._permits(status):
            return
        if self.evidence:
            self._say_grant(self.rep.scope, Strength.NOTHING)
        elif status is Status.IN and self.rep.existing_is_grant and self._is_first_connection():
            self._say(StatementKind.GRANT, self.rep.scope, source=Source.LEGACY)
        if status is Status.IN and not self.reading.is_first_run:
            self.claims.append(Claim(self.rep.scope, status))

    def _is_first_connection(self) -> bool:
        return self.reading.is_first_run and not self.reading.was_read_before

    def _say_turn(self, was: Status, status: Status) -> None:
        if was is Status.BOUNCED and status is Status.IN:  # nothing else shows that mail arrives
            self._say(StatementKind.DELIVERED, EVERYTHING, source=self._source())
        turned = was is not status and (status is Status.IN or was is Status.OUT)
        # Whoever does not agree to what the person asked for flips nothing in the person's name.
        was_asked = was is Status.OUT and self.before is not None and self.before.is_asked
        if self._permits(status) and self.evidence:
            self._say_grant(self.rep.scope, Strength.EVIDENCED)
        elif turned and self.rep.status_grants is Strength.TRUSTED and self._permits(status) and not was_asked:
            self._say_grant(self.rep.scope, Strength.TRUSTED)
        if turned and status not in _SHOWS_NO_IN:
            self.claims.append(Claim(self.rep.scope, status))

    def _permits(self, status: Status) -> bool:
        """Whether the status says in; without an opt-in flag, a cleared opt-out flag is all a CRM can say."""
        return status is Status.IN or (status is Status.UNKNOWN and self.rep.uses_flags and self.rep.opt_in is None)

    # topics and markers

    def tell_topics(self) -> None:
        for scope, name in self.rep.topics:
            is_wanted = topic_shown(self.now, name)
            was_wanted = topic_shown(self.before, name) if self.before else None
            if was_wanted is True and is_wanted is None and self.now.status in IS_NOT_THERE:
                continue  # nothing is shown of somebody who is not there: absence is no wish
            if was_wanted is True and is_wanted is not True:
                self._say(
                    StatementKind.OUT,
                    scope,
                    source=self._source(),
                    is_personal=self.rep.side is Side.ESP,
                    for_all=self.rep.uses_flags,
                )
            elif is_wanted is True and was_wanted is not True:
                self._say_tick(scope, name)

    def _say_tick(self, scope: str, name: str) -> None:
        """A tick; where an opt-in was proven in the same reading, that is one for the topic too, of its own time: the
        proof may be older than what took the topic away. A box that nobody asked for then is new to us."""
        strength = Strength.NOTHING
        if self.before is not None and name in self.before.topics:
            self.claims.append(Claim(scope, "wanted"))
            if not self._clock_is_unknown() and self._was_told(self.before, name):
                strength = self.rep.topic_grants
                if self.evidence and not self.rep.stamp_nominates:
                    self._say_grant(scope, Strength.EVIDENCED)
        self._say(StatementKind.GRANT, scope, source=self._source(), strength=strength)

    def _was_told(self, before: Record, name: str) -> bool:
        """Whether a platform told of the topic before; a box that was unseen may have been ticked ever since."""
        is_told = topic_shown(before, name) is not None or before.status in IS_NOT_THERE
        return is_told or self.rep.side is Side.CRM

    def tell_bounce_marker(self) -> None:
        if self.rep.bounce is None:
            return
        is_marked = self.now.fields.get(self.rep.bounce) is True
        was_marked = self.before is not None and self.before.fields.get(self.rep.bounce) is True
        if is_marked and not was_marked:
            self._say(StatementKind.HARD_BOUNCE, EVERYTHING, source=Source.CRM)
        elif was_marked and not is_marked:
            self._say(StatementKind.DELIVERED, EVERYTHING, source=Source.CRM)

    # evidence and times

    def _evidence(self) -> tuple[datetime, str | None, dict[str, str]] | None:
        """The time, its clock and the proof of an opt-in that is new against what was observed before."""
        if self.rep.consent_date:
            value = self.now.fields.get(self.rep.consent_date)
            old = self.before.fields.get(self.rep.consent_date) if self.before else None
            if isinstance(value, str) and not is_same_moment(value, old):
                return self._typed_evidence(value)
        stamp = self.now.opted_in_at
        if stamp is None or not (self.rep.stamp_is_evidence or self.rep.stamp_nominates):
            return None
        if self.before is not None and self.before.opted_in_at == stamp:
            return None
        return self.reading.corrected(stamp, permits=True), self.reading.system, {"opted_in_at": stamp.isoformat()}

    def _typed_evidence(self, value: str) -> tuple[datetime, str | None, dict[str, str]] | None:
        at = parse_moment(value)
        if at is None or at > self.reading.seen_at + timedelta(minutes=5):
            self.doubts.append(
                Doubt("future_evidence", self.rep.consent_date, "the consent date is no date or lies in the future")
            )
            return None
        named = {
            "consent_date": self.rep.consent_date,
            "consent_source": self.rep.consent_source,
            "consent_text": self.rep.consent_text,
        }
        values = {key: self.now.fields.get(name) for key, name in named.items() if name}
        return at, None, {key: str(v) for key, v in values.items() if v not in (None, "")}

    def _say_grant(self, scope: str, strength: Strength) -> None:
        if self._clock_is_unknown() and strength is not Strength.NOTHING:
            self.doubts.append(Doubt("clock_skew", None, "the system's clock is unknown: its opt-in lifts nothing"))
            strength = Strength.NOTHING
        if self.evidence is None:
            self._say(StatementKind.GRANT, scope, source=self._source(), strength=strength)
            return
        at, clock, proof = self.evidence
        needs_confirmation = clock is not None and self.rep.stamp_nominates and strength is Strength.EVIDENCED
        statement = self._statement(
            StatementKind.GRANT, scope, at=at, clock=clock, source=self._source(), strength=strength, evidence=proof
        )
        self.said.append(Said(statement, needs_confirmation=needs_confirmation))

    def _clock_is_unknown(self) -> bool:
        return self.reading.offset is None

    def _source(self) -> Source:
        return Source.CRM if self.rep.side is Side.CRM else Source.ESP

    def _say(
        self,
        kind: StatementKind,
        scope: str,
        *,
        source: Source,
        strength: Strength = Strength.NOTHING,
        is_personal: bool = False,
        for_all: bool = False,
    ) -> None:
        at, clock = self._when(kind, scope)
        statement = self._statement(
            kind, scope, at=at, clock=clock, source=source, strength=strength, is_personal=is_personal
        )
        if kind is StatementKind.OUT and self.before is not None:
            statement = replace(statement, evidence=remembered(self.before, self.rep, scope, self.reading.collection))
        self.said.append(Said(statement, for_all=for_all))

    def _when(self, kind: StatementKind, scope: str) -> tuple[datetime, str]:
        """The time of what is said, and whose clock told it: the status's own time (a topic has none), else the
        record's stamp, else now. A stamp that did not move on with the value does not tell when it changed: an old
        grant must not beat an out only because the vendor leaves the stamp where it was, or because a write of ours
        moved it. Nor must it because the vendor's clock jumped: what came to restrict since the last reading is dated
        now while that clock is unknown."""
        if self.before is not None and self._clock_is_unknown() and kind is not StatementKind.GRANT:
            return self.reading.seen_at, OUR_CLOCK
        own = None if scope in dict(self.rep.topics) else self.now.status_at
        own_before = self.before.status_at if self.before else None
        modified_before = self.before.modified_at if self.before else None
        permits = kind is StatementKind.GRANT
        since = self.reading.written_since if permits else None
        for stamp, was in ((own, own_before), (self.now.modified_at if since is None else None, modified_before)):
            if stamp is not None and (permits or was is None or stamp > was):
                return self.reading.corrected(stamp, permits=permits), self.reading.system
        return since or self.reading.seen_at, OUR_CLOCK

    def _statement(
        self,
        kind: StatementKind,
        scope: str,
        *,
        at: datetime,
        clock: str | None,
        source: Source,
        strength: Strength,
        is_personal: bool = False,
        evidence: Mapping[str, str] | None = None,
    ) -> Statement:
        return state(
            scope=scope,
            kind=kind,
            at=at,
            clock=clock,
            seen_at=self.reading.seen_at,
            source=source,
            strength=strength,
            is_personal=is_personal,
            # The vendor's reason is one for the status, not for a topic or for coming back.
            reason=self.now.reason
            if kind is not StatementKind.GRANT and scope in {self.rep.scope, EVERYTHING}
            else None,
            system=self.reading.system,
            record=self.now.id,
            evidence=evidence,
        )
