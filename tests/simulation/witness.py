"""What people said and when, kept apart from everything that the engine knows: a naive model, from the systems' true
contents before and after each act and from the rows that the engine was shown.

A *no* counts against the engine once an answer has shown it in a cycle that ended well, or when a system still shows
it at the end: what nobody ever showed cannot be known. What is let pass besides is named where it is."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.simulation.hands import Contact, Member, Sight
from tests.simulation.line import Row
from tests.simulation.script import TOPICS, Act, address
from tests.simulation.testimony import Testimony
from tests.simulation.ticks import Ticks, consented
from tests.simulation.words import FUTURE, STATUS, Key, No, Yes, covered, is_hidden, shows, still_shows


@dataclass(slots=True)
class Witness(Testimony):
    restricts_topics: bool = True
    """Whether a topic is off where the two sides disagree at first sight."""
    known: dict[Key, Row] = field(default_factory=dict)
    """The last row of each record that a cycle that ended well was shown."""
    latest: dict[Key, Row] = field(default_factory=dict)
    """The last row that any cycle was shown: one that was killed may have kept it."""
    touched: dict[Key, datetime] = field(default_factory=dict)
    moved: dict[Key, tuple[datetime, int]] = field(default_factory=dict)
    """When people last changed a record's addresses."""
    shown_moved: dict[Key, int] = field(default_factory=dict)
    """When any cycle was first shown the addresses that a record shows now."""
    put_away: set[Key] = field(default_factory=set)
    """Members that people have archived."""
    unshown: set[Key] = field(default_factory=set)
    """Records that people changed since they were last shown as they are."""
    flagged: set[Key] = field(default_factory=set)
    """CRM records whose opt-out flag people have set."""
    closed_as: dict[Key, frozenset[str]] = field(default_factory=dict)
    """The addresses that a CRM record was last shown with when its opt-out flag was written."""
    absorbed: dict[Key, list[tuple[Contact, int, datetime]]] = field(default_factory=dict)
    spoken: set[tuple[Key, str, str]] = field(default_factory=set)
    """(record, scope, no or yes) of everything that people made a record show."""
    entered: dict[str, str] = field(default_factory=dict)
    """Addresses of which the engine made members, and with which status: it knows them by their ids, without a row that
    ever showed them."""
    forgotten: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    order: int = 0
    is_blurred: bool = False
    """A clock was set and no answer has told the new time yet."""
    _rows: list[Row] = field(default_factory=list)
    _ticks: Ticks = field(default_factory=Ticks)

    # what people do

    def clock_was_set(self) -> None:
        self.is_blurred = True
        for no in (no for said in self.nos.values() for no in said):
            no.is_blurred |= not no.is_certain  # either time may tell of it

    def begins(self, world: Sight, now: datetime) -> None:
        """What the systems show at first was said before."""
        self._relate(world)
        self._compare(Sight({}, {}), world, now - timedelta(days=2))
        for name, m in world.esp.items():
            if m.origin == "abuse":
                at, key = now - timedelta(days=2), ("esp", name)
                self._no((m.address,), STATUS, at, key, "complaint", is_personal=True, is_complaint=True)

    def saw_act(self, act: Act, before: Sight, after: Sight, now: datetime, claimed: datetime) -> None:
        """``now`` is what their system stamps it with."""
        self.order += 1
        late = timedelta(seconds=act.late)
        self._relate(after)
        self._compare(before, after, now)
        if act.what == "merge":
            self._note_merge(before, after, now)
        elif act.who == "crm" and act.what.startswith("opt_in") and claimed - now < FUTURE + late:
            self._consent(act, after, claimed)
        elif act.what in {"resubscribe", "confirm"}:
            key = next((k for k, m in after.esp.items() if m.address == address(act.slot)), None)
            was = before.esp.get(key) if key else None
            # A first sight lifts nothing, unless somebody signs up again who was forgotten.
            if key and (was is not None or address(act.slot) in self.forgotten):
                self.says_yes(address(act.slot), STATUS, now, clock="esp", source=("esp", key))
        elif act.what.startswith("complain"):
            key = next(k for k, m in after.esp.items() if m.address == address(act.slot))
            self._no((address(act.slot),), STATUS, now, ("esp", key), "complaint", is_personal=True, is_complaint=True)
        elif act.what == "set_topic" and act.who == "person" and act.other % 4 < 2:
            self.says_yes(address(act.slot), TOPICS[act.other % 2], now, clock="esp")
            self._ticks.note(after, address(act.slot), TOPICS[act.other % 2])
        if act.who == "crm":
            for email, topic, at in consented(after, self.latest, now + late):
                self.says_yes(email, topic, at, clock=None)

    def says_no(self, email: str, scope: str, now: datetime, *, is_personal: bool = False) -> None:
        """Somebody tells optsync itself; ``is_personal``: to forget them."""
        if is_personal:
            self.forgotten.add(email)
        self.order += 1
        self._no((email,), scope, now, ("own", email), "own", is_personal=is_personal)
        self.nos[email, scope][-1].is_certain = True

    def says_yes(
        self,
        email: str,
        scope: str,
        at: datetime,
        *,
        clock: str | None,
        is_admin: bool = False,
        source: Key | None = None,
    ) -> None:
        said = Yes(
            email=email,
            scope=scope,
            at=at,
            order=self.order,
            clock=clock,
            is_admin=is_admin,
            is_blurred=self.is_blurred,
        )
        self.yeses.setdefault((email, scope), []).append(said)
        if source:
            self.spoken.add((source, scope, "yes"))

    def retracted(self, emails: Iterable[str]) -> None:
        """An administrator took back what administrators had said about these; which of it, is the engine's part. What
        they drop besides is not done: the sides may differ from then on."""
        for email in emails:
            self.rejected.add(email)
            for scope in (STATUS, *TOPICS):
                for no in self.nos.get((email, scope), ()):
                    no.is_void = no.is_void or not no.is_personal

    def _consent(self, act: Act, after: Sight, claimed: datetime) -> None:
        """A consent date lifts something only on a record that was seen before, were it by a cycle that then failed:
        what such a one was shown may have been kept."""
        for key, contact in after.crm.items():
            is_it = address(act.slot) in contact.addresses and contact.consent == int(claimed.timestamp())
            if is_it and ("crm", key) in self.latest:
                self.says_yes(contact.addresses[0], STATUS, claimed, clock=None, source=("crm", key))

    def _compare(self, before: Sight, after: Sight, now: datetime) -> None:
        for key, contact in after.crm.items():
            if before.crm.get(key) != contact:
                self._contact(("crm", key), before.crm.get(key), contact, now)
        for name, member in after.esp.items():
            if before.esp.get(name) != member:
                self._member(("esp", name), before.esp.get(name), member, now)
                for email, topic in self._ticks.as_young_as(("esp", name), member):
                    self.says_yes(email, topic, now, clock="esp")

    def _contact(self, key: Key, was: Contact | None, now_is: Contact, now: datetime) -> None:
        self.touched[key] = now
        self.unshown.add(key)
        addresses = tuple(dict.fromkeys((*now_is.addresses, *(was.addresses if was else ()))))
        if was and was.addresses != now_is.addresses:
            self.moved[key] = (now, self.order)
        seen = self.known.get(key)
        if now_is.is_out and not (was and was.is_out):
            self.flagged.add(key)
            self._no(now_is.addresses, STATUS, now, key, "out", is_personal=False)
        elif was and was.is_in and not now_is.is_in and not now_is.is_out and seen and seen.is_in:
            self._no(addresses, STATUS, now, key, "unticked", is_personal=False)
        elif was and was.is_in and not now_is.is_in and not now_is.is_out:
            # A cycle that did not end well may have kept the tick, and a consent date that moved tells of it.
            self.spoken.add((key, STATUS, "no"))
            for email in addresses:
                self.nos.setdefault((email, STATUS), [])
        if not now_is.is_out:
            self.flagged.discard(key)
            self._take_back(key, "out")
        is_told = was is not None and was.consent == now_is.consent and key in self.known
        if now_is.consent is not None and not is_told:
            self._hint(now_is.addresses)
        if was is None or was.addresses != now_is.addresses:
            self._came_without(now_is.addresses, now_is.topics)
        for topic in sorted((was.topics if was else frozenset()) - now_is.topics):
            self._no(now_is.addresses, topic, now, key, topic, is_personal=False)

    def _member(self, key: Key, was: Member | None, now_is: Member, now: datetime) -> None:
        self.touched[key] = now
        self.unshown.add(key)
        if was and was.status == "archived" and key not in self.put_away and key in self.known:
            # We did that, and know it without a reading.
            self.known[key] = self.known[key]._replace(is_in=False)
        (self.put_away.add if now_is.status == "archived" else self.put_away.discard)(key)
        if was and was.address != now_is.address:
            self.moved[key] = (now, self.order)
            if was.address in self.entered:
                self._same_person((was.address, now_is.address))
        is_personal = now_is.origin in {"self", "abuse"}  # as to the member, the two are shown alike
        is_new = was is None or was.status != now_is.status or (was.origin in {"self", "abuse"}) != is_personal
        if now_is.status == "unsubscribed" and is_new:
            self._no((now_is.address,), STATUS, now, key, "out", is_personal=is_personal)
        elif now_is.status == "transactional" and was and self._was_in(key, was):
            self._no((now_is.address,), STATUS, now, key, "transactional", is_personal=True)
        elif now_is.status == "transactional" and was and self._may_be_known_as_in(key, now_is):
            # A bounce or an archiving came and went unseen: to a reading that is the same.
            self.spoken.add((key, STATUS, "no"))
            self.nos.setdefault((now_is.address, STATUS), [])
        if now_is.status == "subscribed" and (was is None or was != now_is):
            self._hint((now_is.address,))
        self._member_topics(key, was, now_is, now)

    def _member_topics(self, key: Key, was: Member | None, now_is: Member, now: datetime) -> None:
        if was is None or was.address != now_is.address:
            self._came_without((now_is.address,), now_is.topics)
        for topic in sorted((was.topics if was else frozenset()) - now_is.topics):
            self._no((now_is.address,), topic, now, key, topic, is_personal=True)
        for topic in sorted(was.topics & now_is.topics if was else ()):
            # A tick has no stamp of its own: unseen yet, it is dated by whatever the person does to the member next.
            if (now_is.address, topic) in self.yeses and not any(topic in row.topics for row in self._seen(key)):
                self.says_yes(now_is.address, topic, now, clock="esp")

    def _was_in(self, key: Key, was: Member) -> bool:
        """Also where the address bounced in between, unseen: in before and nothing now is all that a reading shows."""
        return was.status == "subscribed" or (key in self.known and self.known[key].is_in)

    def _may_be_known_as_in(self, key: Key, member: Member) -> bool:
        """By a row, or because the engine made a member of the address, of whom no row was shown yet."""
        seen = self._seen(key)
        return any(row.is_in for row in seen) if seen else self.entered.get(member.address) == "subscribed"

    def _no(
        self,
        emails: Iterable[str],
        scope: str,
        at: datetime,
        source: Key,
        kind: str,
        *,
        is_personal: bool,
        is_complaint: bool = False,
    ) -> None:
        self.spoken.add((source, scope, "no"))
        for email in emails:
            no = No(
                email=email,
                scope=scope,
                at=at,
                order=self.order,
                source=source,
                kind=kind,
                is_personal=is_personal,
                is_complaint=is_complaint,
                is_blurred=self.is_blurred,
                is_of_known=source in self.known,
                before=self._seen(source),
            )
            self.nos.setdefault((email, scope), []).append(no)

    def _seen(self, key: Key) -> tuple[Row, ...]:
        """What the engine may compare the next reading of a record with."""
        return tuple(dict.fromkeys(row for row in (self.latest.get(key), self.known.get(key)) if row))

    def _take_back(self, key: Key, kind: str) -> None:
        """What is taken back before any answer showed it, nobody can know, whatever the engine writes there later."""
        for said in self.nos.values():
            said[:] = [n for n in said if n.is_certain or n.is_listed or (n.source, n.kind) != (key, kind)]

    def _came_without(self, emails: Iterable[str], topics: frozenset[str]) -> None:
        if self.restricts_topics:
            self.unticked.update((email, topic) for email in emails for topic in TOPICS if topic not in topics)

    def _hint(self, emails: Iterable[str]) -> None:
        self.hints.update(emails)
        self.first_hints.update(emails)

    def _note_merge(self, before: Sight, after: Sight, now: datetime) -> None:
        """The survivor inherits what the flag of the record that is gone said."""
        for gone in before.crm.keys() - after.crm.keys():
            loser = before.crm[gone]
            seen = self.known.get(("crm", gone))
            if ("crm", gone) in self.flagged and loser.is_out and seen is not None and seen.is_out:
                for key, contact in after.crm.items():
                    if before.crm[key].addresses != contact.addresses:
                        self.absorbed.setdefault(("crm", key), []).append((loser, self.order, now))

    def _relate(self, world: Sight) -> None:
        for contact in world.crm.values():
            self._same_person(contact.addresses)
        for key, row in (*self.known.items(), *self.latest.items()):
            held = world.crm.get(key[1]) if key[0] == "crm" else None
            member = world.esp.get(key[1]) if key[0] == "esp" else None
            shown = held.addresses if held else (member.address,) if member else ()
            if shown and shown != row.addresses:
                self._same_person((*row.addresses, *shown))

    # what the engine is shown

    def was_shown(self, rows: Sequence[Row], *, is_whole: bool) -> None:
        self._rows.extend(rows)
        self._ticks.were_shown(rows)
        for row in rows:
            key = (row.side, row.key)
            if key not in self.latest or self.latest[key].addresses != row.addresses:
                self.shown_moved[key] = self.order
            self.latest[key] = row
        for no in self._open() if is_whole else ():  # an answer of which a part failed is asked for again
            no.is_listed = no.is_listed or any(shows(row, no) for row in rows)

    def closes(self, key: Key) -> None:
        """The engine sets an opt-out flag."""
        if key in self.latest:
            self.closed_as[key] = frozenset(self.latest[key].addresses)

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
        and whose it is that the record shows next, the value does not tell."""
        for rows in (self.known, self.latest):
            if key in rows:
                rows[key] = covered(rows[key], off, is_out=is_out)

    def complaints_shown(self, emails: Sequence[str]) -> None:
        for no in self._open():
            no.is_reported = no.is_reported or (no.is_complaint and no.email in emails)

    def ends_cycle(self, *, is_well: bool) -> None:
        """What was shown counts, if the cycle came to its end without a failure."""
        if is_well:
            for row in self._rows:
                self._learn(row)
        for no in self._open():
            no.heard(self.order if is_well and no.is_shown else None)
            no.is_listed = no.is_reported = False
        self._rows.clear()

    def pause(self) -> list[Row]:
        """Another cycle begins inside this one."""
        rows, self._rows = self._rows, []
        return rows

    def go_on(self, rows: list[Row]) -> None:
        self._rows = rows

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
        old = self.known.get(key)
        self.known[key] = row
        if old is None:
            return
        appeared = [a for a in row.addresses if a not in old.addresses]
        # A forgotten person's record is not read any more, whatever addresses it is given.
        if appeared and row.is_out and key in self.flagged and not self.forgotten.intersection(old.addresses):
            # As of when the flag was set, and not of when it came to speak for one more.
            _, moved = self.moved.get(key, (None, None))
            self._inherit(appeared, [n for n in self._standing(old.addresses, key) if n.order != moved], None)
        if appeared and key in self.moved:
            vanished = [a for a in old.addresses if a not in row.addresses]
            # What was said of a former address after a cycle that failed had kept the change is said of that alone. So
            # is what it gets from another record by the same act, a swap.
            known_at, (_, moved) = self.shown_moved.get(key, self.order), self.moved[key]
            follows = [n for n in self._standing(vanished, None) if n.order <= known_at and n.order != moved]
            self._inherit(appeared, follows, self.moved[key])
        for loser, order, at in self.absorbed.pop(key, ()):
            # Of a forgotten person's record nothing is kept by which another that takes it in could be told.
            if set(loser.addresses).intersection(appeared) - self.forgotten:
                self._inherit(row.addresses, self._standing(loser.addresses, None, "out"), (at, order))

    def _standing(self, emails: Iterable[str], source: Key | None, kind: str | None = None) -> list[No]:
        """What must hold about these, of all scopes."""
        return [
            no
            for email in emails
            for scope in (STATUS, *TOPICS)
            for no in self.nos.get((email, scope), ())
            if no.is_certain and source in {None, no.source} and kind in {None, no.kind} and not self._may_be_beaten(no)
        ]

    def _inherit(self, emails: Iterable[str], nos: Sequence[No], moved: tuple[datetime, int] | None) -> None:
        # What an address was given by a swap does not go on from it by the same swap.
        passed_on = [no for no in nos if moved is None or no.order != moved[1]]
        for email in emails:
            for no in passed_on:
                at, order = moved or (no.at, no.order)
                said = self.nos.setdefault((email, no.scope), [])
                said.append(replace(no, email=email, at=at, order=order, is_certain=True))
