"""Taking back what a run wrote: fields, tags and archives that nobody has touched since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Agreed, Link
from optsync.model.record import Record, Side, Status, Value
from optsync.reconcile.asking import must_confirm
from optsync.reconcile.consent import Deliverability, Wish
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import same
from optsync.reconcile.view import Intent, Neighbourhood, Point, Seen


class Why(StrEnum):
    """Why something stays as the run left it."""

    TOUCHED = "touched_since"
    GONE = "gone"
    NOT_CONNECTED = "not_connected"
    NOT_IN = "not_in"
    NEEDS_CONFIRMATION = "needs_confirmation"
    UNDELIVERABLE = "undeliverable"
    NOT_UNDOABLE = "cannot_be_undone"
    FORGOTTEN = "forgotten"


REASONS: Mapping[Why, str] = {
    Why.TOUCHED: "somebody or something changed it since the run",
    Why.GONE: "the record is not there any more",
    Why.NOT_CONNECTED: "its system or list is not part of the configuration any more",
    Why.NOT_IN: "the person is not opted in, and nobody is put back on a list without that",
    Why.NEEDS_CONFIRMATION: "the person left there by themself: only they come back, by signing up there",
    Why.UNDELIVERABLE: "no mail arrives at the address: optsync deliverable EMAIL --actor A --evidence TEXT",
    Why.NOT_UNDOABLE: "it cannot be taken back",
    Why.FORGOTTEN: "the person was forgotten since, and nothing is known of what was there before",
}
INSTEAD: Mapping[ChangeKind, str] = {
    ChangeKind.OPT_OUT: "only evidence lifts an opt-out: optsync opt-in EMAIL --scope S --actor A --evidence TEXT",
    ChangeKind.TOPIC: "a topic is a wish: optsync opt-in or opt-out EMAIL --scope BRAND/PURPOSE/TOPIC --actor A",
    ChangeKind.OPT_IN: "an opt-in is a wish: optsync opt-out EMAIL --scope S --actor A ends it",
    ChangeKind.REQUEST: "a confirmation that was asked for cannot be called back; unanswered it expires",
    ChangeKind.CREATE: "nothing is deleted: archive or delete the record in its own system",
    ChangeKind.RENAME: "change the address back in the system where it was changed: it travels like any other",
    ChangeKind.BOUNCE: "a repaired mailbox: optsync deliverable EMAIL --actor A --evidence TEXT",
    ChangeKind.GRANT: "a proof of consent is no opinion: correct it in the record, or optsync opt-out EMAIL",
}
"""What a person does instead, for each kind that is not taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a run did to one record. ``written``: by field, what was before and what the record showed right after.
    ``agreed`` and ``counterpart``: of the link that the fields were agreed on, by field rule. ``left``:
    what was remembered of its place on the list."""

    kind: ChangeKind
    write: WriteKind
    is_undo: bool = False
    written: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)
    agreed: frozenset[str] = frozenset()
    counterpart: int | None = None
    tags: Mapping[str, bool] = field(default_factory=dict)
    left: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """Something that stays; ``names`` are the fields, none where it is about all of it."""

    why: Why
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """``settled``: the link with what is agreed from now on, which must be stored before the change is sent.
    ``intent`` None and nothing in ``stays``: all is as it was before the run already."""

    intent: Intent | None = None
    settled: Link | None = None
    stays: tuple[Stays, ...] = ()


def is_undoable(kind: ChangeKind, write: WriteKind, *, is_undo: bool) -> bool:
    """Fields, tags and archives are. A member that an undo put back on the list is archived again."""
    return kind in {ChangeKind.FIELD, ChangeKind.ARCHIVE} or (is_undo and write is WriteKind.STATUS)


def take_back(
    done: Done,
    seen: Seen | None,
    links: Sequence[Link],
    point: Point,
    policy: SyncPolicy,
    *,
    now: datetime,
    told: datetime | None = None,
) -> TakenBack:
    """Decides on one change of a run. ``seen``: the record as it was just read, None where it is not there;
    ``links``: those of the member, or the one of ``done.counterpart``; ``told``: when the platform last refused an
    opt-in of this person, since they had left there by themself."""
    if seen is None or seen.is_gone:
        return TakenBack(stays=(Stays(why=Why.GONE, names=tuple(sorted(done.written))),))
    if done.kind is ChangeKind.FIELD:
        return _fields(done, seen, links, point, policy)
    if done.write is WriteKind.TAG:
        return _tags(done, seen, links, point)
    stays, intent = _archive(done, seen, links, point)
    why = why_not_return(point, seen.record, told, policy, now) if intent and intent.status is Status.IN else None
    if why is not None:
        return TakenBack(stays=(Stays(why=why),))
    return TakenBack(intent=intent, stays=stays)


def why_not_return(
    point: Point, shows: Record | None, told: datetime | None, policy: SyncPolicy, now: datetime
) -> Why | None:
    """Why a member may not be put back on the list, None where they may: whoever is in, is reached by mail, and did not
    leave there by themself since. ``shows`` and ``told`` as for :func:`optsync.reconcile.asking.must_confirm`."""
    if point.standing(policy.scope, policy).wish is not Wish.IN:
        return Why.NOT_IN
    if point.mailbox(now, policy) is Deliverability.HARD:
        return Why.UNDELIVERABLE
    return Why.NEEDS_CONFIRMATION if must_confirm(point, shows, told, policy) else None


def no_longer_kept(settled: Sequence[Link], member: Seen, around: Neighbourhood) -> tuple[Link, ...]:
    """The person belongs to the list: that leaving it was once undone does not count for the next time."""
    kept = {(link.crm, link.esp): link for link in around.by_member.get(member.key, ()) if link.is_kept}
    if not kept and not any(link.is_kept for link in settled):
        return tuple(settled)
    links = {**kept, **{(link.crm, link.esp): link for link in settled}}
    return tuple(replace(link, is_kept=False) for link in links.values())


# fields


def _fields(done: Done, seen: Seen, links: Sequence[Link], point: Point, policy: SyncPolicy) -> TakenBack:
    now = seen.record.fields
    restored = {n: old for n, (old, new) in done.written.items() if same(now.get(n), new) and not same(old, new)}
    is_before = {n for n, (old, _) in done.written.items() if same(now.get(n), old)}
    touched = tuple(sorted(done.written.keys() - restored.keys() - is_before))
    stays = (Stays(why=Why.TOUCHED, names=touched),) if touched else ()
    if not restored:
        return TakenBack(stays=stays)
    link = next((k for k in links if done.counterpart in {k.crm, k.esp}), None)
    agreed = {} if link is None else _agreed(done, seen.side, link, restored, policy)
    intent = Intent(
        kind=ChangeKind.FIELD,
        write=WriteKind.FIELDS,
        system=seen.system,
        collection=seen.collection,
        record=seen.key,
        point=point.key,
        rule=Rule.UNDONE,
        before={name: now.get(name) for name in restored},
        after=restored,
        fields=restored,
        address=seen.record.addresses[0] if seen.record.addresses else None,
        agreed=agreed,
        counterpart=done.counterpart if agreed else None,
    )
    settled = _agreeing(link, agreed) if link is not None and agreed else None
    return TakenBack(intent=intent, settled=settled, stays=stays)


def _agreed(
    done: Done, side: Side, link: Link, restored: Mapping[str, Value], policy: SyncPolicy
) -> Mapping[str, Agreed]:
    """The two sides differ on purpose now. What the other side last agreed to stays: an edit there that came
    meanwhile still travels."""
    found: dict[str, Agreed] = {}
    for rule in policy.fields:
        name = rule.esp if side is Side.ESP else rule.crm
        known = link.agreed.get(rule.key)
        if name in restored and rule.key in done.agreed and known is not None:
            value = restored[name]
            found[rule.key] = Agreed(known.crm, value) if side is Side.ESP else Agreed(value, known.esp)
    return found


def _agreeing(link: Link, agreed: Mapping[str, Agreed]) -> Link:
    """A value that is taken back by a person is no bounce."""
    moves = {key: move for key, move in link.moves.items() if key not in agreed}
    return replace(link, agreed={**link.agreed, **agreed}, moves=moves)


# the place on the list


def _holds(done: Done, links: Sequence[Link]) -> bool:
    """Whether the links still remember what the change did to the member's place."""
    if done.left is None:
        return True
    if done.left:
        return any(link.left for link in links)
    return any(link.is_kept for link in links) if done.is_undo else not any(link.left for link in links)


def _left_after(done: Done) -> bool | None:
    if done.left is None or (not done.left and not done.is_undo):
        return None
    return not done.left


def _is_taken_back(done: Done, links: Sequence[Link]) -> bool:
    if done.left:
        return any(link.is_kept for link in links)
    return done.left is False and done.is_undo and any(link.left for link in links)


def _tags(done: Done, seen: Seen, links: Sequence[Link], point: Point) -> TakenBack:
    """No reading shows tags; what the links remember tells whether the tag is still the run's."""
    if _is_taken_back(done, links):
        return TakenBack()
    if not _holds(done, links):
        return TakenBack(stays=(Stays(why=Why.TOUCHED),))
    tags = {name: not was_added for name, was_added in done.tags.items()}
    after: dict[str, Value] = {"tag": ", ".join(sorted(n for n, is_on in tags.items() if is_on)) or None}
    before: dict[str, Value] = {"tag": ", ".join(sorted(n for n, is_on in tags.items() if not is_on)) or None}
    intent = _placed(seen, point, done, kind=ChangeKind.ARCHIVE, write=WriteKind.TAG, before=before, after=after)
    return TakenBack(intent=replace(intent, tags=tags))


def _archive(done: Done, seen: Seen, links: Sequence[Link], point: Point) -> tuple[tuple[Stays, ...], Intent | None]:
    was_archived = done.write is WriteKind.ARCHIVE
    wrote, wanted = (Status.ARCHIVED, Status.IN) if was_archived else (Status.IN, Status.ARCHIVED)
    status = seen.record.status
    if status is wanted:
        return (), None
    # At another address the member is somebody else to those who say yes and no.
    if status is not wrote or seen.primary != point.key or not _holds(done, links):
        return (Stays(why=Why.TOUCHED),), None
    intent = _placed(
        seen,
        point,
        done,
        kind=ChangeKind.OPT_IN if was_archived else ChangeKind.ARCHIVE,
        write=WriteKind.STATUS if was_archived else WriteKind.ARCHIVE,
        before={"status": status},
        after={"status": wanted},
    )
    return (), replace(intent, status=wanted) if was_archived else intent


def _placed(
    seen: Seen,
    point: Point,
    done: Done,
    *,
    kind: ChangeKind,
    write: WriteKind,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
) -> Intent:
    return Intent(
        kind=kind,
        write=write,
        system=seen.system,
        collection=seen.collection,
        record=seen.key,
        point=point.key,
        rule=Rule.UNDONE,
        before=before,
        after=after,
        address=seen.record.addresses[0] if seen.record.addresses else None,
        left=_left_after(done),
    )
