"""A CRM and an audience in pure values: how they represent wishes, records of both, and what surrounds a point."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Link
from optsync.model.record import Record, Side, Status, Value
from optsync.model.scope import Basis, Purpose
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.fields import FieldRule
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.representation import Representation, overlay
from optsync.reconcile.view import Intent, Neighbourhood, Point, Seen

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SCOPE = "acme/news"
OFFERS, EVENTS = f"{SCOPE}/offers", f"{SCOPE}/events"

CRM = Representation(
    side=Side.CRM,
    scope=SCOPE,
    opt_out="OUT",
    opt_in="IN",
    consent_date="CONSENT",
    consent_source="CONSENT_SOURCE",
    consent_text="CONSENT_TEXT",
    bounce="BOUNCED",
    reason="REASON",
    topics=((EVENTS, "T_EVENTS"), (OFFERS, "T_OFFERS")),
)
ESP = Representation(side=Side.ESP, scope=SCOPE, topics=((EVENTS, "Events"), (OFFERS, "Offers")))
FLAGS = frozenset({"OUT", "IN", "CONSENT", "CONSENT_SOURCE", "CONSENT_TEXT", "BOUNCED", "T_EVENTS", "T_OFFERS"})


def policy(*, basis: Basis = Basis.CONSENT, **changes: Any) -> SyncPolicy:
    """A sync of contacts with an audience; ``changes`` replace its parts."""
    usual: dict[str, Any] = {
        "name": "letter",
        "scope": SCOPE,
        "purpose": Purpose(scope=SCOPE, basis=basis, topics=("offers", "events")),
        "crm_system": "crm",
        "crm_collections": ("contact",),
        "esp_system": "mc",
        "audience": "list",
        "crm": CRM,
        "esp": ESP,
        "fields": (FieldRule(crm="NAME", esp="FNAME"),),
    }
    return SyncPolicy(**{**usual, **changes})


def before(minutes: float = 0) -> datetime:
    return NOW - timedelta(minutes=minutes)


def say(kind: StatementKind, minutes: float = 60, *, scope: str = SCOPE, **parts: Any) -> Statement:
    """Something that was said that many minutes ago."""
    usual: dict[str, Any] = {"clock": OUR_CLOCK, "seen_at": NOW, "source": Source.LINK}
    return state(kind=kind, scope=scope, at=before(minutes), **{**usual, **parts})


def out(minutes: float = 60, **parts: Any) -> Statement:
    return say(StatementKind.OUT, minutes, **parts)


def grant(minutes: float = 60, *, strength: Strength = Strength.EVIDENCED, **parts: Any) -> Statement:
    return say(StatementKind.GRANT, minutes, strength=strength, **parts)


def retract(said: Statement, minutes: float = 10) -> Statement:
    """An administrator's voiding of what was said."""
    return say(StatementKind.RETRACT, minutes, scope=said.scope, source=Source.ADMIN, target=said.uid)


def contact(key: int, points: Sequence[int] = (1,), *, is_gone: bool = False, **parts: Any) -> Seen:
    """A CRM record; ``fields`` and ``topics`` are blank unless given."""
    fields = {name: None for name in (*FLAGS, "REASON", "NAME") if not name.startswith("T_")}
    topics = {"T_EVENTS": None, "T_OFFERS": None}
    return _seen(key, Side.CRM, points, is_gone, fields, topics, parts)


def member(
    key: int, points: Sequence[int] = (1,), status: Status = Status.IN, *, is_gone: bool = False, **parts: Any
) -> Seen:
    """An audience member."""
    return _seen(key, Side.ESP, points, is_gone, {"FNAME": None}, {"Events": None, "Offers": None}, parts, status)


def _seen(
    key: int,
    side: Side,
    points: Sequence[int],
    is_gone: bool,
    fields: Mapping[str, Value],
    topics: Mapping[str, bool | None],
    parts: dict[str, Any],
    status: Status | None = None,
) -> Seen:
    record = Record(
        id=f"r{key}",
        addresses=tuple(address(p) for p in points),
        status=status,
        fields={**fields, **parts.pop("fields", {})},
        topics={**topics, **parts.pop("topics", {})},
        **{"created_at": before(10_000), "modified_at": before(9_000), **parts},
    )
    system, collection = ("crm", "contact") if side is Side.CRM else ("mc", "list")
    return Seen(
        key=key, system=system, collection=collection, side=side, record=record, points=tuple(points), is_gone=is_gone
    )


def address(point: int) -> str:
    return f"p{point}@example.com"


def around(
    *seen: Seen,
    said: Mapping[int, Iterable[Statement]] | None = None,
    links: Iterable[Link] = (),
    **parts: Any,
) -> Neighbourhood:
    """A neighbourhood of these records; every topic counts as asked for on both sides unless ``ticked`` is given."""
    statements = said or {}
    keys = {1, *statements, *(p for s in seen for p in s.points)}
    asked = {(Side.CRM, name) for _, name in CRM.topics} | {(Side.ESP, name) for _, name in ESP.topics}
    return Neighbourhood(
        **{
            "now": NOW,
            "points": {k: Point(key=k, address=address(k), statements=tuple(statements.get(k, ()))) for k in keys},
            "crm": tuple(s for s in seen if s.side is Side.CRM),
            "esp": tuple(s for s in seen if s.side is Side.ESP),
            "links": {(link.crm, link.esp): link for link in links},
            "ticked": frozenset(asked),
            **parts,
        }
    )


def carried_out(found: Neighbourhood, intents: Iterable[Intent], settled: Iterable[Link]) -> Neighbourhood:
    """What surrounds the points after every intent was applied as it was meant."""
    links = {**found.links, **{(link.crm, link.esp): link for link in settled}}
    seen = {s.key: s for s in (*found.crm, *found.esp)}
    for intent in intents:
        key = intent.record if intent.record is not None else max(seen, default=0) + 1
        seen[key] = _created(key, intent) if intent.record is None else _written(seen[key], intent)
        if intent.counterpart is not None:
            pair = (intent.counterpart, key) if seen[key].side is Side.ESP else (key, intent.counterpart)
            known = links.get(pair, Link(crm=pair[0], esp=pair[1]))
            links[pair] = replace(known, agreed={**known.agreed, **intent.agreed})
    return replace(
        found,
        crm=tuple(s for s in seen.values() if s.side is Side.CRM),
        esp=tuple(s for s in seen.values() if s.side is Side.ESP),
        links=links,
    )


def _written(seen: Seen, intent: Intent) -> Seen:
    status = Status.ARCHIVED if intent.write is WriteKind.ARCHIVE else intent.status
    record = overlay(seen.record, status=status, topics=intent.topics, fields=intent.fields)
    return replace(seen, record=record, is_gone=seen.is_gone and intent.kind is not ChangeKind.OPT_IN)


def _created(key: int, intent: Intent) -> Seen:
    if intent.system == "crm":
        made = contact(key, (intent.point,), lists=frozenset({"letter"}), created_at=NOW)
    else:
        made = member(key, (intent.point,), created_at=NOW)
    return _written(made, intent)
