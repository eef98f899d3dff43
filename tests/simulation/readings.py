"""What the engine was shown of what people said: by which answers, and in cycles that came to which end."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tests.simulation.hands import Contact, Sight
from tests.simulation.messages import Row
from tests.simulation.script import TOPICS
from tests.simulation.testimony import Testimony
from tests.simulation.ticks import Ticks
from tests.simulation.words import STATUS, Key, No, covered, is_hidden, remembered, shows, still_shows


@dataclass(frozen=True, slots=True)
class Paused:
    """What a cycle has been shown before another one began inside it. ``shown``: each no, and by which answers."""

    rows: list[Row]
    is_spoiled: bool
    shown: list[tuple[No, bool, bool]]


@dataclass(slots=True)
class Readings(Testimony):
    known: dict[Key, Row] = field(default_factory=dict)
    """The last row of each record that a cycle that ended well was shown."""
    latest: dict[Key, Row] = field(default_factory=dict)
    """The last row that any cycle was shown: one that was killed may have kept it."""
    moved: dict[Key, tuple[datetime, int]] = field(default_factory=dict)
    """When people last changed a record's addresses."""
    shown_moved: dict[Key, int] = field(default_factory=dict)
    """When any cycle was first shown the addresses that a record shows now."""
    shown_as: dict[Key, set[tuple[str, ...]]] = field(default_factory=dict)
    """With which addresses each record was shown since a cycle has last ended well."""
    doubtful: set[Key] = field(default_factory=set)
    """Records that were shown by cycles alone that did not end well: such a one may have dropped what it was shown."""
    flagged: set[Key] = field(default_factory=set)
    """CRM records whose opt-out flag people have set."""
    closed_as: dict[Key, frozenset[str]] = field(default_factory=dict)
    """The addresses that a CRM record was last shown with when its opt-out flag was written."""
    absorbed: dict[Key, list[tuple[Contact, int, datetime]]] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    order: int = 0
    is_spoiled: bool = False
    """An answer of the cycle under way was damaged: what it was shown besides may count for nothing."""
    spoiled_at: int | None = None
    """When one was first: an address of it may have been none, and what a record has got since come from nowhere."""
    _rows: list[Row] = field(default_factory=list)
    _ticks: Ticks = field(default_factory=Ticks)

    def was_shown(self, rows: Sequence[Row], *, is_whole: bool, is_alone: bool) -> None:
        """``is_alone``: a member was looked at, which need not be told from complaints that are listed later: one of
        somebody who is out already moves no stamp, and a full compare hears it."""
        self._rows.extend(rows)
        for row in rows:
            key = (row.side, row.key)
            kept = remembered(row, self.latest.get(key))
            self._ticks.were_shown([kept])
            if key not in self.latest or self.latest[key].addresses != row.addresses:
                self.shown_moved[key] = self.order
            self.latest[key] = kept
            self.shown_as.setdefault(key, set()).add(row.addresses)
        # An answer of which a part failed is asked for again.
        for no in self._open() if is_whole and not self.is_spoiled else ():
            is_unheard = is_alone and no.is_complaint and not no.is_reported
            no.is_listed = no.is_listed or (not is_unheard and any(shows(row, no) for row in rows))

    def spoils(self) -> None:
        """An answer was damaged on its way: which of it the engine took, and for what, nobody can tell."""
        self.is_spoiled = True
        self.spoiled_at = self.order if self.spoiled_at is None else self.spoiled_at
        for no in self._open():
            no.is_listed = no.is_reported = False

    def overwrites(self, key: Key, *, is_out: bool, off: Iterable[str], is_proving: bool) -> None:
        """The engine writes what somebody has just set by hand, unseen: whose it is, the value does not tell."""
        for no in self._open():
            if no.source == key and not no.is_listed:
                # The platform's own users take somebody off the list with the very words of our write; a person's
                # unsubscribe it tells apart.
                is_covered = is_out and not (key[0] == "esp" and no.is_personal)
                no.before = tuple(covered(seen, off, is_out=is_covered) for seen in no.before)
                no.is_proof_ours = no.is_proof_ours or is_proving

    def may_have_written(self, key: Key, *, is_out: bool, off: Iterable[str]) -> None:
        """A cycle was cut short before the answer to a restriction, perhaps before it was sent: the engine can't know,
        and whose it is that the record shows next, the value does not tell. Shown as out since, it was
        out."""
        for rows in (self.known, self.latest):
            if key in rows:
                rows[key] = covered(rows[key], off, is_out=is_out and not rows[key].is_out)

    def complaints_shown(self, emails: Sequence[str]) -> None:
        for no in self._open() if not self.is_spoiled else ():
            no.is_reported = no.is_reported or (no.is_complaint and no.email in emails)

    def ends_cycle(self, *, is_well: bool) -> None:
        """What was shown counts, if the cycle came to its end without a failure."""
        is_well = is_well and not self.is_spoiled
        self.is_spoiled = False
        if is_well:
            for row in self._rows:
                self._learn(row)
        shown = {(row.side, row.key) for row in self._rows}
        self.doubtful |= set() if is_well else shown - self.known.keys()
        for no in self._open():
            no.heard(self.order if is_well and no.is_shown else None)
            no.is_listed = no.is_reported = False
        self._rows.clear()

    def pause(self) -> Paused:
        """Another cycle begins inside this one, and has been shown nothing yet."""
        shown = [(no, no.is_listed, no.is_reported) for no in self._open() if no.is_shown]
        paused = Paused(self._rows, self.is_spoiled, shown)
        self._rows, self.is_spoiled = [], False
        for no, _, _ in shown:
            no.is_listed = no.is_reported = False
        return paused

    def go_on(self, paused: Paused) -> None:
        self._rows, self.is_spoiled = paused.rows, paused.is_spoiled
        for no, is_listed, is_reported in paused.shown:
            no.is_listed, no.is_reported = is_listed, is_reported

    def ends(self, world: Sight, *, is_compared: bool) -> None:
        """What is still shown at the end has been shown. ``is_compared``: by a full compare, too; without one nobody
        need have heard of a complaint, which moves no stamp of a member who is out already."""
        for no in self._open():
            is_told = is_compared or not no.is_complaint
            is_shown = still_shows(world, no) and no.is_news(self.known.get(no.source))
            no.is_certain = is_told and (is_shown or (is_hidden(world, no) and self._can_be_asked(no)))

    def _open(self) -> Iterator[No]:
        return (no for said in self.nos.values() for no in said if not no.is_certain)

    def _learn(self, row: Row) -> None:
        key = (row.side, row.key)
        old, shown_as = self.known.get(key), self.shown_as.pop(key, set())
        self.known[key] = row = remembered(row, old)
        self.doubtful.discard(key)
        if old is None:
            return
        appeared = [a for a in row.addresses if a not in old.addresses]
        # A forgotten person's record is not read any more, whatever addresses it is given.
        if appeared and row.is_out and key in self.flagged and not self.forgotten.intersection(old.addresses):
            # As of when the flag was set, and not of when it came to speak for one more.
            _, moved = self.moved.get(key, (None, None))
            speaks = [n for n in self._standing(old.addresses, key) if n.order != moved]
            self._inherit(appeared, [replace(n, acquired=n.order if moved is None else moved) for n in speaks], None)
        is_from_nowhere = self.spoiled_at is not None and self.moved.get(key, (None, -1))[1] > self.spoiled_at
        if appeared and key in self.moved and not is_from_nowhere:
            known_at, (_, moved) = self.shown_moved.get(key, self.order), self.moved[key]
            for gone in (a for a in old.addresses if a not in row.addresses):
                # What was said of a former address after a cycle that failed had kept the change is said of that alone.
                # So is what it gets from another record by the same act, a swap.
                standing = [n for n in self._standing([gone], None) if n.heard_at is None or n.heard_at < known_at]
                follows = [n for n in standing if max(n.order, n.acquired) <= known_at and n.order != moved]
                # What such a cycle was shown beside the former address did not take its place, nor what came later.
                heirs = [a for a in appeared if all((gone in shown) != (a in shown) for shown in shown_as)]
                self._inherit(heirs, follows, self.moved[key])
        for loser, order, at in self.absorbed.pop(key, ()):
            # Of a forgotten person's record nothing is kept by which another that takes it in could be told.
            if set(loser.addresses).intersection(appeared) - self.forgotten:
                # The flag that is gone said so, whoever had said it before.
                said = [replace(no, source=key) for no in self._standing(loser.addresses, None, "out")]
                self._inherit(row.addresses, said, (at, order))

    def _standing(self, emails: Iterable[str], source: Key | None, kind: str | None = None) -> list[No]:
        """What must hold about these, of all scopes."""
        return [
            no
            for email in emails
            for scope in (STATUS, *TOPICS)
            for no in self.nos.get((email, scope), ())
            if no.is_certain and source in {None, no.source} and kind in {None, no.kind} and not self._is_beaten(no)
        ]

    def _inherit(self, emails: Iterable[str], nos: Sequence[No], moved: tuple[datetime, int] | None) -> None:
        # What an address was given by a swap does not go on from it by the same swap.
        passed_on = [no for no in nos if moved is None or no.order != moved[1]]
        for email in emails:
            for no in passed_on:
                at, order = moved or (no.at, no.order)
                said = self.nos.setdefault((email, no.scope), [])
                said.append(replace(no, email=email, at=at, order=order, is_certain=True))

    def _seen(self, key: Key) -> tuple[Row, ...]:
        """What the engine may compare the next reading of a record with."""
        return tuple(dict.fromkeys(row for row in (self.latest.get(key), self.known.get(key)) if row))
