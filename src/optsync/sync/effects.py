"""What follows from the answers to one call: gathered change by change, stored with one statement of each kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from optsync.model.change import WriteKind
from optsync.model.record import Record, Value
from optsync.reconcile.policy import SyncPolicy
from optsync.state.changes import Change, Settled
from optsync.state.issues import NewIssue
from optsync.state.unit import Unit
from optsync.state.unsure import Unsure
from optsync.sync.agreements import Agreements
from optsync.sync.asking import end_requests
from optsync.sync.binding import SourceBinding


@dataclass(slots=True, kw_only=True)
class Effects:
    """``sync``: whose changes they are. ``waiting``: changes that are sent another time, with the reason; ``kept``:
    what the system made of the values of a change; ``shown`` and ``gone``: what records show with our
    write in them, by key; ``certain``: records about which nothing is unsure any more; ``in_doubt``: what an earlier
    write of a record leaves unsure; ``missing``: those that the system does not have; ``again``: points to look at
    again, by sync; ``hidden``: records that may hide an opt-out now, and since when; ``unsent`` and ``refused``:
    changes that never left, and those that were refused, with the reason; ``given_back``: members that returned, by
    the other syncs and whether a tag was taken from them."""

    sync: str
    agreements: Agreements
    settled: list[Settled] = field(default_factory=list)
    waiting: dict[int, str] = field(default_factory=dict)
    kept: list[tuple[Change, Mapping[str, Value]]] = field(default_factory=list)
    shown: list[tuple[int, Record]] = field(default_factory=list)
    gone: list[tuple[int, Record]] = field(default_factory=list)
    certain: list[int] = field(default_factory=list)
    in_doubt: dict[int, Unsure] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    again: dict[str, set[int]] = field(default_factory=dict)
    hidden: dict[int, datetime | None] = field(default_factory=dict)
    unsent: list[Change] = field(default_factory=list)
    refused: list[tuple[Change, str]] = field(default_factory=list)
    issues: list[NewIssue] = field(default_factory=list)
    given_back: dict[tuple[str, bool], set[int]] = field(default_factory=dict)

    def look_again(self, *points: int, sync: str | None = None) -> None:
        """Puts the points onto the backlog of that sync, or else of the one whose changes these are."""
        self.again.setdefault(sync or self.sync, set()).update(points)

    def pass_on(self, change: Change, binding: SourceBinding, policies: Mapping[str, SyncPolicy]) -> None:
        """What was written is nobody's news when it is read again, but it is to every rule that copies it from there,
        except to the one that wrote it; and a new record is to every other sync."""
        names, is_new = change.write["fields"].keys(), change.write["kind"] == WriteKind.CREATE
        for sync in binding.syncs:
            is_own = sync == change.sync
            rules = [rule for rule in policies[sync].fields if not is_own or rule.key not in change.write["agreed"]]
            if any(rule.reads(binding.side, names) for rule in rules) or (is_new and not is_own):
                self.look_again(change.point_id, sync=sync)

    def give_back(self, member: int, binding: SourceBinding, *, is_tag: bool) -> None:
        """What another sync of the audience took when the member left its list is taken no more."""
        for sync in binding.syncs:
            if sync != self.sync:
                self.given_back.setdefault((sync, is_tag), set()).add(member)

    def store(self, unit: Unit, source_id: int, *, at: datetime, run: str) -> None:
        """Stores all of it; the records are of that source."""
        unit.changes.settle(self.settled)
        unit.changes.put_back(self.waiting)
        unit.changes.note_kept(self.kept)
        unit.changes.note_unsent(change.id for change in self.unsent)
        unit.records.replace(self.shown, at=at)
        unit.records.replace(self.gone, at=at, is_gone=True)
        unit.records.clear_unsure(self.certain)
        unit.records.set_unsure(self.in_doubt)
        unit.records.set_missing(self.missing, since=at, is_gone=True)
        unit.unasked.note(source_id, self.hidden, at=at)
        self.agreements.save()
        for (sync, is_tag), members in self.given_back.items():
            left = [link for link in unit.links.of(sync, members).values() if link.left and link.left_by_tag is is_tag]
            unit.links.save(sync, [replace(link, left=False, left_by_tag=False) for link in left])
        end_requests(unit, self.unsent, self.refused, at=at, run=run)
        unit.issues.open_all(self.issues, run=run)
        for sync, points in self.again.items():
            unit.points.mark([sync], points)
