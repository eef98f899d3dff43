"""The ledger as consent records: one for each event, or one for each address and scope, for people who must prove."""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from optsync.model.scope import Kind
from optsync.model.statement import Source, Statement, StatementKind, Strength
from optsync.reconcile.asking import Answer, request
from optsync.state.events import Event, Selection, Somebody
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.permission import Permissions, Verdict, permissions
from optsync.sync.progress import Progress

SCHEMA = "optsync-consent-event-1"
WISHES = frozenset(
    {
        StatementKind.OUT,
        StatementKind.COMPLAINT,
        StatementKind.GRANT,
        StatementKind.REQUEST,
        StatementKind.REQUEST_EXPIRED,
        StatementKind.RETRACT,
    }
)
"""Consent events; bounces and deliveries are none."""
_STATES = {
    StatementKind.OUT: "withdrawn",
    StatementKind.COMPLAINT: "withdrawn",
    StatementKind.GRANT: "given",
    StatementKind.REQUEST: "requested",
    StatementKind.REQUEST_EXPIRED: "expired",
    StatementKind.RETRACT: "invalidated",
}
_EXPRESSED = {
    Strength.NOTHING: "implied",
    Strength.TRUSTED: "expressed",
    Strength.EVIDENCED: "explicitly expressed",
    Strength.ADMINISTRATOR: "explicitly expressed",
}
_METHODS = {
    Source.LINK: "unsubscribe link",
    Source.LIST_UNSUBSCRIBE: "one-click unsubscribe",
    Source.PREFERENCE_CENTER: "preference centre",
    Source.ADMIN: "administrator's note",
    Source.API: "programming interface",
    Source.CRM: "field in the CRM",
    Source.ESP: "status in the e-mail platform",
    Source.FORM: "form",
    Source.SPAM_COMPLAINT: "spam complaint",
    Source.BOUNCE: "bounce",
    Source.IMPORT: "imported list",
    Source.LEGACY: "held before optsync",
}
_ANSWERS = {
    Answer.NEVER: "never",
    Answer.WAITING: "open",
    Answer.CONFIRMED: "answered",
    Answer.OPTED_OUT: "answered",
    Answer.NO_ANSWER: "expired",
    Answer.REFUSED: "refused",
}
_ADMINISTRATIVE = frozenset({Source.ADMIN, Source.IMPORT, Source.LEGACY})

EVENT_COLUMNS = [
    "email",
    "status",
    "at",
    "reason",
    "source",
    "evidence",
    "scope",
    "brand",
    "purpose",
    "topic",
    "lawful_basis",
    "purpose_kind",
    "event_state",
    "event_type",
    "is_void",
    "recorded_at",
    "actor",
    "actor_name",
    "method",
    "strength",
    "text",
    "text_version",
    "text_hash",
    "ip",
    "user_agent",
    "campaign",
    "url",
    "system",
    "record",
    "target_record_id",
    "email_ref",
    "record_id",
    "schema_version",
    "statement",
    "clock",
    "run",
    "proof",
    "block",
    "block_hash",
]
STANDING_COLUMNS = [
    "email",
    "scope",
    "brand",
    "purpose",
    "topic",
    "lawful_basis",
    "standing",
    "may_send",
    "may_send_reason",
    "request",
    "request_at",
    "decided_status",
    "decided_at",
    "decided_recorded_at",
    "decided_source",
    "decided_method",
    "decided_reason",
    "decided_record_id",
    "email_ref",
]
Row = dict[str, Any]


def events(engine: Engine, unit: Unit, selection: Selection, progress: Progress) -> Iterator[Row]:
    """One row with ``EVENT_COLUMNS`` for each event, as recorded. Times are ISO 8601 in UTC."""
    asked = permissions(engine)
    total = unit.events.count(selection)
    for number, event in enumerate(unit.events.read(selection), start=1):
        yield _event(asked, event)
        if number % 500 == 0 or number == total:
            progress.step("export", number, total)


def standings(engine: Engine, unit: Unit, scope: str | None, progress: Progress) -> Iterator[Row]:
    """One row with ``STANDING_COLUMNS`` for each address and commercial purpose or topic (or only ``scope``), those
    about whom nothing was ever said included."""
    asked = permissions(engine)
    wanted = [s for s in asked.scopes if asked.purpose(s).kind is Kind.COMMERCIAL and scope in (None, s)]
    unread = {s: asked.unread(unit, s) for s in wanted}
    total, done = unit.events.count_people(), 0
    for people in unit.events.people():
        about = unit.ledger.about([p.key for p in people])
        for somebody in people:
            said = about[somebody.key]
            for each in wanted:
                verdict = asked.verdict(said, each, now=engine.clock.now(), unread=unread[each])
                yield _standing(asked, somebody, said, each, verdict)
        done += len(people)
        progress.step("export", done, total)


def _event(asked: Permissions, event: Event) -> Row:
    said, proof = event.said, event.said.evidence
    text = proof.get("consent_text") or proof.get("text")
    return {
        "email": event.email,
        "status": said.kind.value,
        "at": said.at.isoformat(),
        "reason": said.reason,
        "source": said.source.value,
        "evidence": json.dumps(dict(sorted(proof.items())), ensure_ascii=False) if proof else None,
        **_about(asked, said.scope),
        "event_state": _STATES.get(said.kind),
        "event_type": _EXPRESSED[said.strength] if said.kind is StatementKind.GRANT else None,
        "is_void": event.is_void,
        "recorded_at": said.seen_at.isoformat(),
        "actor": _actor(said),
        "actor_name": proof.get("actor"),
        "method": _METHODS[said.source],
        "strength": said.strength.name.lower() if said.kind is StatementKind.GRANT else None,
        "text": text,
        "text_version": proof.get("text_version"),
        "text_hash": hashlib.sha256(text.encode()).hexdigest() if text else None,
        "ip": proof.get("ip"),
        "user_agent": proof.get("user_agent"),
        "campaign": proof.get("campaign"),
        "url": proof.get("url"),
        "system": said.system,
        "record": said.record,
        "target_record_id": record_id(event.point, said.target) if said.target else None,
        "email_ref": _reference(event.email, event.keyed_hash),
        "record_id": record_id(event.point, said.uid),
        "schema_version": SCHEMA,
        "statement": event.id,
        "clock": said.clock,
        "run": event.run,
        "proof": event.proof.hex() if event.proof else None,
        "block": event.block,
        "block_hash": event.block_hash.hex() if event.block_hash else None,
    }


def _standing(asked: Permissions, somebody: Somebody, said: Sequence[Statement], scope: str, verdict: Verdict) -> Row:
    decided = verdict.standing.decided_by
    requested, requested_at = _request(said, scope)
    return {
        "email": somebody.email,
        **_about(asked, scope),
        "standing": verdict.standing.wish.value,
        "may_send": verdict.permission.may_send,
        "may_send_reason": verdict.permission.reason,
        "request": requested,
        "request_at": requested_at.isoformat() if requested_at else None,
        "decided_status": decided.kind.value if decided else None,
        "decided_at": decided.at.isoformat() if decided else None,
        "decided_recorded_at": decided.seen_at.isoformat() if decided else None,
        "decided_source": decided.source.value if decided else None,
        "decided_method": _METHODS[decided.source] if decided else None,
        "decided_reason": decided.reason if decided else None,
        "decided_record_id": record_id(somebody.key, decided.uid) if decided else None,
        "email_ref": _reference(somebody.email, somebody.keyed_hash),
    }


def _request(said: Sequence[Statement], scope: str) -> tuple[str, datetime | None]:
    """What became of the newest request for a confirmation, as ``explain`` has it, and when it was made."""
    newest = request(said, scope)
    return _ANSWERS[newest.answer], newest.asked.at if newest.asked else None


def record_id(point: int, uid: str | None) -> str:
    """The same for the same statement in every export, whatever became of the person."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"optsync/{point}/{uid}"))


def _about(asked: Permissions, scope: str) -> Mapping[str, Any]:
    brand, _, below = ("", "", "") if scope == "*" else scope.partition("/")
    name, _, topic = below.partition("/")
    try:
        purpose = asked.purpose(scope) if name else None
    except KeyError:
        # Not configured any more; what was said about it stays.
        purpose = None
    return {
        "scope": scope,
        "brand": brand or None,
        "purpose": name or None,
        "topic": topic or None,
        "lawful_basis": purpose.basis.value if purpose else None,
        "purpose_kind": purpose.kind.value if purpose else None,
    }


def _actor(said: Statement) -> str:
    if said.is_personal:
        return "recipient"
    return "administrator" if said.source in _ADMINISTRATIVE or "actor" in said.evidence else "system"


def _reference(email: str | None, keyed_hash: bytes | None) -> str | None:
    """Of a forgotten person: a keyed hash, by which only the owner of the key can tell whether it is somebody."""
    return keyed_hash.hex() if email is None and keyed_hash else None
