"""What people said and when, kept apart from everything that the engine knows: a naive model, from the systems' true
contents before and after each act and from the rows that the engine was shown.

A *no* counts against the engine once an answer has shown it in a cycle that ended well, or when a system still shows
it at the end: what nobody ever showed cannot be known. What is let pass besides is named where it is."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.hands import Contact, Member, Sight
from tests.simulation.readings import Readings
from tests.simulation.script import TOPICS, Act, address
from tests.simulation.ticks import consented, has_moved
from tests.simulation.words import FUTURE, STATUS, Key, No, Yes


@dataclass(slots=True)
class Witness(Readings):
    restricts_topics: bool = True
    """Whether a topic is off where the two sides disagree at first sight."""
    put_away: set[Key] = field(default_factory=set)
    """Members that people have archived."""
    unshown: dict[Key, datetime] = field(default_factory=dict)
    """Records that people changed since they were last shown as they are, and when they did so first."""
    spoken: set[tuple[Key, str, str]] = field(default_factory=set)
    """(record, scope, no or yes) of everything that people made a record show."""
    signed_up: dict[Any, tuple[datetime, int]] = field(default_factory=dict)
    """Members that somebody made by signing up, when they did so, and its ``order``."""
    made: set[Key] = field(default_factory=set)
    """Contacts that the engine made, and knows without a row."""
    entered: dict[str, str] = field(default_factory=dict)
    """Addresses of which the engine made members, and with which status: it knows them by their ids, without a row that
    ever showed them."""
    is_blurred: bool = False
    clocks_set: Counter[str] = field(default_factory=Counter)
    """How often, by side."""
    """A clock was set and no answer has told the new time yet."""

    # what people do

    def clock_was_set(self, side: str) -> None:
        self.is_blurred = True
        self.clocks_set[side] += 1
        for no in (no for said in self.nos.values() for no in said if no.source[0] == side):
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
        self.is_any_late = self.is_any_late or act.late > 0
        if act.who == "crm":
            held = (key for key, contact in after.crm.items() if address(act.slot) in contact.addresses)
            self.saved.update((("crm", key), now) for key in held)
        late = timedelta(seconds=act.late)
        self.made.update(("crm", key) for key in before.crm if ("crm", key) not in self.touched)
        self._relate(after)
        self._compare(before, after, now)
        if act.what == "merge":
            self._note_merge(before, after, now)
        elif act.who == "crm" and act.what.startswith("opt_in") and claimed - now < FUTURE + late:
            self._consent(act, after, claimed)
        elif act.what in {"resubscribe", "confirm"}:
            self._signs_up(act, before, after, now)
        elif act.what == "flip_in":
            self._asks_for_signs(act, after)
        elif act.what.startswith("complain"):
            key = next(k for k, m in after.esp.items() if m.address == address(act.slot))
            self._no((address(act.slot),), STATUS, now, ("esp", key), "complaint", is_personal=True, is_complaint=True)
        elif act.what == "set_topic" and act.who == "person" and act.other % 4 < 2:
            self.says_yes(address(act.slot), TOPICS[act.other % 2], now, clock="esp")
            self._ticks.note(after, address(act.slot), TOPICS[act.other % 2])
        if act.who == "crm":
            for email, topic, at in consented(after, self.latest, now + late):
                self.says_yes(email, topic, at, clock=None)

    def emptied(self, lost: str, world: Sight, *, only: Collection[int] | None) -> None:
        """A field or group was made anew. Nobody has said anything, and what nobody had seen in it is gone; who was
        seen with something in it, or had a consent typed since, shows the same as after taking it back. ``only``: of
        these contacts, None: of all records."""
        records: dict[Key, tuple[str, ...]] = {("crm", key): contact.addresses for key, contact in world.crm.items()}
        if lost.startswith("esp"):
            records = {("esp", key): (member.address,) for key, member in world.esp.items()}
        topic = lost.rsplit(maxsplit=1)[-1]
        for key, held in records.items():
            if only is not None and key[1] not in only:
                continue
            seen = self._seen(key)
            addresses = sorted({*held, *(each for row in seen for each in row.addresses)})
            if lost == "out":
                self.flagged.discard(key)
                self._take_back(key, "out")
                if any(row.is_in for row in seen) and not world.crm[key[1]].is_in:
                    self._may_mean_no(key, addresses)
            elif lost == "in" and (not seen or any(row.is_in or has_moved(row, world.crm[key[1]]) for row in seen)):
                self._may_mean_no(key, addresses)
            # What a write of ours has ticked there since no reading has shown.
            elif lost != "in" and (lost.startswith("esp") or not seen or any(topic in row.topics for row in seen)):
                self.spoken.add((key, topic, "no"))
                self.unticked.update((each, topic) for each in addresses)

    def came_back(self, before: Sight, after: Sight) -> None:
        """A field was made again with what had been in it: beside a consent that was typed meanwhile, an opt-out of
        before looks like one of after it."""
        for key, contact in after.crm.items():
            if contact.is_out and not before.crm[key].is_out:
                self._may_mean_no(("crm", key), contact.addresses)

    def says_no(self, email: str, scope: str, now: datetime, *, is_personal: bool = False) -> None:
        """Somebody tells optsync itself; ``is_personal``: to forget them."""
        if is_personal:
            self.forgotten.add(email)
            for no in self._open():
                no.is_proof_ours |= any(email in row.addresses for row in no.before)
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
            source=source,
            is_of_known=source in self.known,
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

    def _signs_up(self, act: Act, before: Sight, after: Sight, now: datetime) -> None:
        key = next((k for k, m in after.esp.items() if m.address == address(act.slot)), None)
        if key is None:
            return
        # A first sight lifts nothing, unless somebody signs up again who was forgotten.
        if key in before.esp or address(act.slot) in self.forgotten:
            self.says_yes(address(act.slot), STATUS, now, clock="esp", source=("esp", key))
        else:
            self.signed_up[key] = (now, self.order)

    def _asks_for_signs(self, act: Act, after: Sight) -> None:
        """A new stamp has the engine ask what the person did, and the answer tells of the sign-up that made the
        member."""
        key = next((k for k, m in after.esp.items() if m.address == address(act.slot)), None)
        if key in self.signed_up:
            order, (at, self.order) = self.order, self.signed_up.pop(key)
            self.says_yes(address(act.slot), STATUS, at, clock="esp", source=("esp", key))
            self.order = order

    def _consent(self, act: Act, after: Sight, claimed: datetime) -> None:
        """A consent date lifts something only on a record that was seen before, were it by a cycle that then failed:
        what such a one was shown may have been kept."""
        for key, contact in after.crm.items():
            is_it = address(act.slot) in contact.addresses and contact.consent == int(claimed.timestamp())
            if is_it and (("crm", key) in self.latest or ("crm", key) in self.made):
                self.says_yes(contact.addresses[0], STATUS, claimed, clock=None, source=("crm", key))

    def _compare(self, before: Sight, after: Sight, now: datetime) -> None:
        for key, contact in after.crm.items():
            if before.crm.get(key) != contact:
                self._contact(("crm", key), before.crm.get(key), contact, now)
        for name in before.esp.keys() - after.esp.keys():
            self.touched["esp", name] = now
        for name, member in after.esp.items():
            if before.esp.get(name) != member:
                self._member(("esp", name), before.esp.get(name), member, now)
                for email, topic in self._ticks.as_young_as(("esp", name), member):
                    self.says_yes(email, topic, now, clock="esp")

    def _contact(self, key: Key, was: Contact | None, now_is: Contact, now: datetime) -> None:
        self.touched[key] = now
        self.unshown.setdefault(key, now)
        if was and was.addresses != now_is.addresses:
            self.moved[key] = (now, self.order)
            if was.is_out and now_is.is_out and not self._seen(key):
                # Nobody has seen that the flag was set for another address.
                self._may_mean_no(key, now_is.addresses)
        self._flags(key, was, now_is, now)
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

    def _flags(self, key: Key, was: Contact | None, now_is: Contact, now: datetime) -> None:
        addresses = tuple(dict.fromkeys((*now_is.addresses, *(was.addresses if was else ()))))
        seen = self.known.get(key)
        has_consented = was is not None and was.consent != now_is.consent
        was_in = any(row.is_in for row in self._seen(key))
        was_out = (was is not None and was.is_out) or any(row.is_out for row in self._seen(key))
        if now_is.is_out and not (was and was.is_out):
            self.flagged.add(key)
            self._no(now_is.addresses, STATUS, now, key, "out", is_personal=False)
        elif was and was.is_in and not now_is.is_in and not now_is.is_out and seen and self._was_always_in(key):
            self._no(addresses, STATUS, now, key, "unticked", is_personal=False)
        elif was and was.is_in and was.is_out and not now_is.is_in and now_is.is_out:
            # Of two that contradict each other the yes is taken away: that is a no again.
            self._may_mean_no(key, addresses)
        elif was and was.is_in and not now_is.is_in and not now_is.is_out:
            # A cycle that did not end well may have kept the tick, and a consent date that moved tells of it.
            self._may_mean_no(key, addresses)
        elif was and was_out and not now_is.is_in and not now_is.is_out and (has_consented or was_in):
            # A yes for which there is no box now looks like one that was taken back; so does one that was shown, where
            # an opt-out came and went.
            self._may_mean_no(key, addresses)

    def _member(self, key: Key, was: Member | None, now_is: Member, now: datetime) -> None:
        self.touched[key] = now
        self.unshown.setdefault(key, now)
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
        if was and was.status == "unsubscribed" and now_is.status == "subscribed":
            self._take_back(key, "out")
        if now_is.status == "unsubscribed" and is_new:
            self._no((now_is.address,), STATUS, now, key, "out", is_personal=is_personal)
        elif now_is.status == "transactional" and was and was.status == "unsubscribed" and key in self.closed_as:
            # We took them off, and know it, unless the answer was lost.
            self._may_mean_no(key, (now_is.address,))
        elif now_is.status == "transactional" and was and self._was_in(key, was):
            self._no((now_is.address,), STATUS, now, key, "transactional", is_personal=True)
        elif now_is.status == "transactional" and was and self._may_be_known_as_in(key, now_is):
            # A bounce or an archiving came and went unseen: to a reading that is the same.
            self._may_mean_no(key, (now_is.address,))
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

    def _was_always_in(self, key: Key) -> bool:
        """By what every cycle was shown last: one that broke off may have heard of a no before this one."""
        return all(row.is_in for row in self._seen(key))

    def _was_in(self, key: Key, was: Member) -> bool:
        """Also where the address bounced in between, unseen: in before and nothing now is all that a reading shows."""
        return was.status == "subscribed" or (key in self.known and self.known[key].is_in)

    def _may_be_known_as_in(self, key: Key, member: Member) -> bool:
        """By a row, or because the engine made a member of the address, of whom no row was shown yet."""
        seen = self._seen(key)
        return any(row.is_in for row in seen) if seen else self.entered.get(member.address) == "subscribed"

    def closes(self, key: Key, world: Sight) -> None:
        """The engine sets an opt-out flag. Where people have just said yes with a proof, unseen, the two stand side by
        side: the same as after a yes that was taken back."""
        if key in self.latest:
            self.closed_as[key] = frozenset(self.latest[key].addresses)
        contact = world.crm.get(key[1]) if key[0] == "crm" and key in self.unshown else None
        if contact is not None and contact.is_in and contact.consent is not None:
            self._may_mean_no(key, contact.addresses)

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
        # What may never have been seen on, a topic or a place on the list, is not known to have been switched off.
        may_be_first = kind in {*TOPICS, "transactional"} and source in self.doubtful
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
                before=() if may_be_first else self._seen(source),
            )
            self.nos.setdefault((email, scope), []).append(no)

    def _may_mean_no(self, key: Key, emails: Iterable[str]) -> None:
        """What the record shows may be taken for a no, and need not be."""
        self.spoken.add((key, STATUS, "no"))
        for email in emails:
            self.unticked.add((email, STATUS))
            self.nos.setdefault((email, STATUS), [])

    def _take_back(self, key: Key, kind: str) -> None:
        """What is taken back before any answer showed it, nobody can know, whatever the engine writes there later. Of
        an answer of which a part failed the rest may have told it."""
        was_told = any(row.is_out for row in self._seen(key))
        for about, said in self.nos.items():
            kept = [n for n in said if n.is_certain or n.is_listed or (n.source, n.kind) != (key, kind)]
            if was_told and len(kept) < len(said):
                self.unticked.add(about)
            said[:] = kept

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
