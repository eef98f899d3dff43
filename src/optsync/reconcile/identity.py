"""Records that were joined and whose addresses have come apart: who follows whom, and what both keep.

They are matched by their link first. The contact point at which they were joined tells which side changed."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.contact_point import same_mailbox
from optsync.model.link import Link
from optsync.model.record import Side, Status
from optsync.model.statement import OUR_CLOCK, Statement, StatementKind
from optsync.reconcile.carry import Moved, missing, restated, root
from optsync.reconcile.consent import Wish, may_mail, unbeaten
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Intent, Neighbourhood, Point, Question, Seen, is_in_list, spelled

_TAKEN_AWAY = frozenset({Status.ARCHIVED, Status.ABSENT})
_AMBIGUOUS = (
    "{crm} {collection} {contact} and {esp} member {member} were one person and now have different addresses, and both "
    "sides changed or somebody else holds one of them; nothing was overwritten, and an opt-out of either counts for "
    "both: give both the same address in one of the systems"
)


class Way(StrEnum):
    """How a pair whose addresses have come apart goes on."""

    MEMBER_FOLLOWS = "member_follows"
    RECORD_FOLLOWS = "record_follows"
    ANEW = "anew"
    """Each is matched by its own address from now on."""
    AMBIGUOUS = "ambiguous"
    OUT_OF_LIST = "out_of_list"
    """The record does not belong to the list: it limits everything but restrictions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """A linked CRM record and a member with different primary addresses."""

    link: Link
    record: Seen
    member: Seen

    @property
    def points(self) -> tuple[int, int]:
        """The primary points of the record and of the member."""
        return self.record.points[0], self.member.points[0]

    @property
    def is_crm_changed(self) -> bool:
        return self.link.point == self.member.primary

    @property
    def is_esp_changed(self) -> bool:
        return self.link.point == self.record.primary


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What follows for the pairs around some points. ``following``: those that will have one address again;
    ``engaged`` and ``removed`` as in :class:`Neighbourhood`; ``leaving``: pairs out of the list."""

    intents: tuple[Intent, ...] = ()
    questions: tuple[Question, ...] = ()
    dropped: frozenset[tuple[int, int]] = frozenset()
    following: tuple[Apart, ...] = ()
    leaving: tuple[Apart, ...] = ()
    engaged: frozenset[int] = frozenset()
    removed: dict[int, Seen] = field(default_factory=dict)


def apart(around: Neighbourhood) -> list[Apart]:
    """The linked pairs with different primary addresses; whom optsync archived is at rest."""
    return [pair for pair in _parted(around) if not _is_at_rest(pair, around)]


def _parted(around: Neighbourhood) -> list[Apart]:
    """Those at rest, too."""
    seen = {s.key: s for s in (*around.crm, *around.esp)}
    found = []
    for link in around.links.values():
        record, member = seen.get(link.crm), seen.get(link.esp)
        if record is None or member is None or record.is_gone or not record.points or not member.points:
            continue
        if record.primary != member.primary:
            found.append(Apart(link=link, record=record, member=member))
    return sorted(found, key=lambda pair: (pair.link.crm, pair.link.esp))


def _is_at_rest(pair: Apart, around: Neighbourhood) -> bool:
    """Whether optsync has archived the member, for this sync or another one of the audience."""
    is_ours = pair.link.is_off_list or pair.member.key in around.fellows.archived
    return is_ours and pair.member.record.status is Status.ARCHIVED


def together(keys: Collection[int], around: Neighbourhood) -> list[int]:
    """The points, those of pairs that came apart at one of them, and the first address of every CRM record that holds
    one of them: they are decided in one go. What is planned for a record takes the place of what was planned before
    because of its other addresses, and so must say all of it."""
    wanted, pairs = set(keys), _parted(around)
    while True:
        found = {point for pair in pairs if wanted.intersection(pair.points) for point in pair.points}
        found |= {s.primary for s in around.crm if s.primary is not None and wanted.intersection(s.points)}
        if found <= wanted:
            return sorted(wanted)
        wanted |= found


def shared_restrictions(
    keys: Collection[int], around: Neighbourhood, policy: SyncPolicy
) -> Iterator[tuple[int, Statement]]:
    """Outs that a pair which came apart still has in common: from the former address to the new one, and back as long
    as the two may stay apart; what the record itself says goes back in any case, since the member is on the list until
    it is taken off. Each is carried once, so a later grant can lift it; so does one that the record which was given
    another address has come with."""
    for pair in _parted(around):
        if not set(keys).intersection(pair.points):
            continue
        record, member = (around.points[key] for key in pair.points)
        if _is_taken_away(pair.member):
            yield from ((record.key, statement) for statement in _heard_late(pair, record, member, policy))
            continue
        by_record = _granted(record, pair.record) if pair.is_crm_changed else ()
        by_member = _granted(member, pair.member) if pair.is_esp_changed else ()
        for source, target, granted in ((member, record, by_record), (record, member, by_member)):
            moved = Moved(
                at=around.now,
                clock=OUR_CLOCK,
                seen_at=around.now,
                system=pair.record.system,
                record=pair.record.record.id,
            )
            said = missing(
                source.statements, target.statements, moved, tolerance=policy.clock_tolerance, said_now=granted
            )
            is_all = source is member or _may_last(pair, around, policy)
            yield from ((target.key, one) for one in said if is_all or _is_own(one, pair.record))


def _heard_late(pair: Apart, record: Point, member: Point, policy: SyncPolicy) -> Iterator[Statement]:
    """What a member that is off the list by now has said itself: its archiving hides a no until that is asked for, and
    the contact may have another address by then. It counts as of when it was said; whoever has the member's address
    now says nothing here."""
    known = {root(said) for said in record.statements}
    for said in unbeaten(member.statements, tolerance=policy.clock_tolerance):
        if _is_own(said, pair.member) and root(said) not in known:
            moved = Moved(
                at=said.at,
                clock=said.clock,
                seen_at=said.seen_at,
                system=pair.record.system,
                record=pair.record.record.id,
            )
            yield restated(said, moved)


def _granted(point: Point, seen: Seen) -> Sequence[Statement]:
    return [said for said in point.said if said.kind is StatementKind.GRANT and _is_own(said, seen)]


def _is_own(said: Statement, seen: Seen) -> bool:
    return (said.system, said.record) == (seen.system, seen.record.id)


def _may_last(pair: Apart, around: Neighbourhood, policy: SyncPolicy) -> bool:
    """A change in the CRM is followed or the member taken off the list at once, where both is possible, but not to or
    from an address that was forgotten; unless the member is somebody else's by now."""
    if not (pair.is_crm_changed and is_in_list(pair.record, policy) and policy.archives_members):
        return True
    is_forgotten = any(around.points[key].is_forgotten for key in pair.points)
    return is_forgotten and not _is_held_by_others(pair.points[1], around, but=pair.record)


def resolve(keys: Collection[int], around: Neighbourhood, policy: SyncPolicy) -> Resolution:
    """Decides every pair that came apart at one of the points."""
    asked = [pair for pair in apart(around) if set(keys).intersection(pair.points)]
    # Of who was forgotten nothing but restrictions goes anywhere.
    pairs = [pair for pair in asked if not any(around.points[key].is_forgotten for key in pair.points)]
    intents: list[Intent] = []
    dropped: set[tuple[int, int]] = set()
    engaged: set[int] = set()
    ways: dict[Way, list[Apart]] = {way: [] for way in Way}
    live = [pair for pair in pairs if not _is_taken_away(pair.member)]
    for pair in live:
        way = _way(pair, live, around, policy)
        ways[way].append(pair)
        if way is not Way.ANEW:
            engaged.update((pair.record.key, pair.member.key))
        if way is Way.MEMBER_FOLLOWS:
            intents.append(_rename(pair.member, pair.record, around))
        elif way is Way.RECORD_FOLLOWS:
            intents.append(_rename(pair.record, pair.member, around))
        elif way is Way.ANEW and _is_nobodys(pair, around, policy):
            # Kept linked until it is off the list: nobody else is to be found in it meanwhile.
            engaged.add(pair.member.key)
            intents.extend(_let_go(pair, around, policy))
        elif way is Way.ANEW:
            dropped.add((pair.link.crm, pair.link.esp))
    return Resolution(
        intents=tuple(intents),
        questions=tuple(_question(pair) for pair in ways[Way.AMBIGUOUS]),
        dropped=frozenset(dropped),
        following=(*ways[Way.MEMBER_FOLLOWS], *ways[Way.RECORD_FOLLOWS]),
        leaving=tuple(ways[Way.OUT_OF_LIST]),
        engaged=frozenset(engaged),
        removed={pair.record.key: pair.member for pair in pairs if _is_taken_away(pair.member)},
    )


def _is_taken_away(member: Seen) -> bool:
    return member.is_gone or member.record.status in _TAKEN_AWAY


def _way(pair: Apart, live: Sequence[Apart], around: Neighbourhood, policy: SyncPolicy) -> Way:
    if pair.is_crm_changed:
        if _is_held_by_others(pair.points[1], around, but=pair.record):
            return Way.ANEW
        if not is_in_list(pair.record, policy):
            return Way.OUT_OF_LIST
        follows = _is_alone(pair, live) and _may_member_follow(pair, around, policy)
        return Way.MEMBER_FOLLOWS if follows else Way.ANEW
    if pair.is_esp_changed and not is_in_list(pair.record, policy):
        return Way.OUT_OF_LIST
    follows = pair.is_esp_changed and _is_alone(pair, live) and _may_record_follow(pair, around, policy)
    return Way.RECORD_FOLLOWS if follows else Way.AMBIGUOUS


def _is_alone(pair: Apart, live: Sequence[Apart]) -> bool:
    """Whether neither of the two has come apart from somebody else as well."""
    return [pair] == [p for p in live if p.record.key == pair.record.key or p.member.key == pair.member.key]


def _may_member_follow(pair: Apart, around: Neighbourhood, policy: SyncPolicy) -> bool:
    """The member is active, the new address is no member, not even a former one, and may be mailed."""
    point = around.points[pair.points[0]]
    wish = point.standing(policy.scope, policy).wish
    permission = may_mail(wish, point.mailbox(around.now, policy), policy.purpose)
    return (
        policy.renames_members
        and pair.member.record.status is Status.IN
        and not any(point.key in seen.points for seen in around.esp)
        and wish is not Wish.OUT
        and permission.may_send
        and _rename(pair.member, pair.record, around).fingerprint not in around.blocked
    )


def _may_record_follow(pair: Apart, around: Neighbourhood, policy: SyncPolicy) -> bool:
    """Nobody else in the CRM holds either address, and the former one is no other member's. It stands where the new one
    is put: before it, there may be one that cannot be used."""
    former, present = pair.points
    return (
        policy.renames_records
        and same_mailbox(pair.record.record.addresses[0], around.points[former].address)
        and not _is_held_by_others(former, around, but=pair.record)
        and not _is_held_by_others(present, around, but=pair.record)
        and not any(former in seen.points for seen in around.esp)
        and _rename(pair.record, pair.member, around).fingerprint not in around.blocked
    )


def _is_held_by_others(point: int, around: Neighbourhood, *, but: Seen) -> bool:
    """Also by records that only another sync of the audience reads."""
    is_held_here = any(point in s.points and not s.is_gone and s.key != but.key for s in around.crm)
    return is_held_here or point in around.fellows.held


def _is_nobodys(pair: Apart, around: Neighbourhood, policy: SyncPolicy) -> bool:
    """Whether an active member was left behind at an address that no record holds and nobody took out."""
    former = pair.points[1]
    is_out = around.points[former].standing(policy.scope, policy).wish is Wish.OUT
    is_held = former in pair.record.points or _is_held_by_others(former, around, but=pair.record)
    return pair.member.record.status is Status.IN and not is_out and not is_held


def _let_go(pair: Apart, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    """Takes the member off the list, unless that was undone."""
    if not policy.archives_members or pair.link.is_kept:
        return
    intent = Intent(
        kind=ChangeKind.ARCHIVE,
        write=WriteKind.ARCHIVE,
        system=pair.member.system,
        collection=pair.member.collection,
        record=pair.member.key,
        point=pair.points[1],
        rule=Rule.ADDRESS_LEFT,
        before={"status": pair.member.record.status},
        after={"status": Status.ARCHIVED},
        address=pair.member.record.addresses[0],
        left=True,
    )
    if intent.fingerprint not in around.blocked:
        yield intent


def _rename(target: Seen, other: Seen, around: Neighbourhood) -> Intent:
    """``target`` is given the primary address of ``other``."""
    point = around.points[other.points[0]]
    address = spelled(point, other)
    return Intent(
        kind=ChangeKind.RENAME,
        write=WriteKind.RENAME,
        system=target.system,
        collection=target.collection,
        record=target.key,
        point=point.key,
        rule=Rule.ADDRESS_CHANGED,
        before={"address": spelled(around.points[target.points[0]], target)},
        after={"address": address},
        address=address,
        counterpart=other.key,
    )


def _question(pair: Apart) -> Question:
    sides = {Side.CRM: pair.record, Side.ESP: pair.member}
    return Question(
        kind="ambiguous",
        record=pair.record.key,
        point=pair.points[0],
        field="address",
        message=_AMBIGUOUS.format(
            crm=pair.record.system,
            collection=pair.record.collection,
            contact=pair.record.record.id,
            esp=pair.member.system,
            member=pair.member.record.id,
        ),
        values={side.value: seen.record.addresses[0] for side, seen in sides.items()},
    )
