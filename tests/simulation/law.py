"""What must hold, and how it is looked at. Every check counts how often it had something to look at."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum

from tests.simulation.hands import Contact, Member, Sight
from tests.simulation.messages import Asked
from tests.simulation.script import TOPICS
from tests.simulation.witness import Witness
from tests.simulation.words import STATUS


class Law(StrEnum):
    """The rules of the design (section 2) as they are checked."""

    KEPT = "1 no opt-out is lost: it is in the ledger"
    REACHES = "1 no opt-out is lost: every system that knows the address shows it"
    STAYS = "1 what the configuration keeps from travelling is written nowhere else"
    ARRIVES = "1 what was kept from travelling arrives within two cycles once it may"
    MAY_SEND = "1 may-send says no as soon as something is written after a no was shown"
    NO_LIFT = "2 no opt-in is written over a no without a later, strong enough yes"
    LOOKED = "2 an opt-in is written over nothing that was not looked at in the same cycle"
    NO_GRANT = "2 nobody counts as in of whom nobody ever said so"
    NO_ENTRY = "2 nobody enters a list who said no, nor under consent without a yes"
    SKIPS = "2 nobody is made a member where nobody is to enter"
    NO_TICK = "2 no topic is switched on over a no to it without a later yes"
    HONOURED = "2 a sign-up that is the last word is honoured"
    COMPLAINT = "2 complaints and erasures are lifted by nothing but a person's or administrator's new evidence"
    SEPARATE = "3 field updates carry no status and status updates no fields"
    ORDER = "4 what the statements mean does not depend on their order"
    TOPIC_STAYS = "5 a topic's no does not close its purpose"
    PURPOSE_STAYS = "5 a purpose's no does not switch topics off"
    SERVICE = "5 no wish blocks transactional mail"
    COUNTED = "6 every record read ends in exactly one counted outcome"
    TOLD = "7 what is missing in a system is told"
    INTENT = "7 before a write there is a committed intent"
    OUTCOME = "7 every intent has an outcome in the journal"
    VOLUME = "8 suspicious volume stops before the first write"
    MEANING = "8 after a change of meaning nothing is written before somebody looks"
    SETTLES = "9 when the weather is fine, all is written within two cycles and nothing afterwards"
    HEALS = "9 after a damaged answer and a full compare all holds as ever"
    AGREES = "9 in the end both sides agree"
    FIELDS = "9 fields converge"
    KEEPS = "9 what people typed is overwritten by nothing but what people typed"
    STOPS = "9 fields rest while somebody is out, or go on, as the configuration says"
    ASKED_ONCE = "9 nobody is asked for a confirmation twice for one reason"
    NO_ECHO = "10 the ledger says of a record only what people made it show"
    ONCE = "10 no statement is in the ledger twice"
    SEALED = "10 the ledger's seals verify"


class Violation(AssertionError):
    """A rule did not hold."""

    def __init__(self, law: Law, message: str) -> None:
        super().__init__(f"[{law}] {message}")
        self.law = law


def _carries_more(asked: Asked) -> bool:
    """Whether more comes with a status than belongs to it. That is, with a contact's flag that says in, the proof of it
    and the topics that are wanted; with any other status, nothing."""
    is_yes = asked.side == "crm" and asked.status == "in"
    consent = asked.has_proof or bool(asked.topics)
    return asked.has_values or (consent and not is_yes) or not all(asked.topics.values())


class Inspector:
    """Looks at every write before the vendor sees it."""

    def __init__(
        self,
        witness: Witness,
        *,
        needs_consent: bool,
        counts: Counter[str],
        is_in_doubt: Callable[[], bool],
        is_seen_anew: Callable[[], bool],
    ) -> None:
        """``is_in_doubt``: whether the answer to a write was lost. After a permissive one, an out seen later is taken
        for a new one, even if nothing but the stamp moved: then nobody need have said it. ``is_seen_anew``: whether
        what we wrote to a side may have been taken for its own word since."""
        self._is_seen_anew = is_seen_anew
        self._witness = witness
        self._is_in_doubt = is_in_doubt
        self._needs_consent = needs_consent
        self._counts = counts
        self._asked: Counter[str] = Counter()
        self.looked_at: set[tuple[str, object]] = set()
        """The records that the cycle under way was shown."""
        self.is_undoing = False
        """A run is taken back: that puts values back whatever has become of people since."""

    def look(self, asked: Asked, world: Sight, *, is_turned_away: bool = False, is_of_many: bool = False) -> None:
        """``is_of_many``: so many go together that listing what has changed is a look at all of them, and shows those
        alone who have.

        Raises:
            Violation: a rule does not hold.
        """
        self._counts[Law.SKIPS] += not self._witness.terms.enters
        if asked.is_creating:
            self._entry(asked, is_turned_away=is_turned_away)
            return
        if asked.status or asked.topics or asked.has_values or asked.has_proof:
            self._counts[Law.SEPARATE] += 1
            if asked.status and _carries_more(asked):
                raise Violation(Law.SEPARATE, f"a status travels with other values: {asked}")
        mails = self._addresses(asked, world)
        if not mails:
            return
        self._rests(asked, mails[0])
        if asked.status in {"subscribed", "in"}:
            self._lift(asked, mails[0], world, is_of_many=is_of_many)
        elif asked.status in {"unsubscribed", "out"}:
            self._close(mails, asked)
        elif asked.status == "pending" and not is_turned_away:
            self._request(mails[0])
        for topic, wanted in asked.topics.items():
            self._topic(mails, topic, asked, wanted=wanted)

    def put_off(self, asked: Asked, world: Sight) -> None:
        """Too many requests at once, or an error of its own: it was not done, and nobody was asked for anything."""
        mails = (asked.address,) if asked.is_creating else self._addresses(asked, world)
        if asked.status == "pending" and mails:
            self._asked[mails[0]] -= 1

    def _addresses(self, asked: Asked, world: Sight) -> Sequence[str]:
        if asked.side == "esp":
            member = world.esp.get(asked.key)
            return () if member is None else (member.address,)
        contact = world.crm.get(asked.key)
        return () if contact is None else contact.addresses

    def _entry(self, asked: Asked, *, is_turned_away: bool) -> None:
        """A record is made: the platform's with a status, a CRM's without or with a flag that says in."""
        if asked.status == "pending" and not is_turned_away:
            self._request(asked.address)
        if asked.side == "esp" and not self._witness.terms.enters:
            raise Violation(Law.SKIPS, f"{asked.address} is made a member although nobody is to enter")
        if asked.side != "esp" or asked.status != "subscribed":
            return
        self._counts[Law.NO_ENTRY] += 1
        for topic in (topic for topic, wanted in asked.topics.items() if wanted):
            self._tick(asked, asked.address, topic)
        no = self._witness.blocks(asked.address)
        if no is not None:
            self._raise_lift(Law.NO_ENTRY, f"{asked.address} is made a member over a no: {no}")
        if self._needs_consent and not self._witness.has_said_yes(asked.address):
            raise Violation(Law.NO_ENTRY, f"{asked.address} is made a member and never said yes")

    def _lift(self, asked: Asked, mail: str, world: Sight, *, is_of_many: bool) -> None:
        shows_in = asked.side == "esp" and world.esp[asked.key].status == "subscribed"
        if shows_in:
            return
        self._counts[Law.LOOKED] += 1
        if (asked.side, asked.key) not in self.looked_at and not is_of_many:
            raise Violation(Law.LOOKED, f"'{asked.status}' is written at {asked.side} {asked.key} unseen")
        no = self._witness.blocks(mail)
        said = self._witness.nos.get((mail, STATUS), ())
        self._counts[Law.NO_LIFT] += bool(said)
        self._counts[Law.COMPLAINT] += any(n.is_complaint or n.source[0] == "own" for n in said)
        if no is not None:
            law = Law.COMPLAINT if no.is_complaint or no.source[0] == "own" else Law.NO_LIFT
            self._raise_lift(law, f"'{asked.status}' is written for {mail} at {asked.side} {asked.key} over {no}")

    def _raise_lift(self, law: Law, message: str) -> None:
        raise Violation(law, message)

    def _close(self, mails: Sequence[str], asked: Asked) -> None:
        self._counts[Law.TOPIC_STAYS] += any(self._witness.has_said_no(m, t) for m in mails for t in TOPICS)
        if not any(self._witness.has_said_no(mail) for mail in mails) and self._is_known(asked):
            raise Violation(Law.TOPIC_STAYS, f"{mails} is closed at {asked.side} and nobody said no to the purpose")
        self._stays(mails, asked, STATUS)

    def _stays(self, mails: Sequence[str], asked: Asked, scope: str) -> None:
        self._counts[Law.STAYS] += bool(self._witness.terms.stays)
        is_known = self._is_known(asked) and not self._is_seen_anew()
        if self._witness.stays_away(mails, asked.side, scope) and is_known:
            raise Violation(Law.STAYS, f"{mails} is taken off {scope} at {asked.side}, where that does not travel to")

    def _rests(self, asked: Asked, mail: str) -> None:
        """A member's values, for a CRM has its reasons and markers among the fields."""
        is_allowed = asked.is_creating or self.is_undoing
        if asked.side == "esp" and asked.has_values and self._witness.terms.stops and not is_allowed:
            self._counts[Law.STOPS] += self._witness.has_said_no(mail)
            if self._witness.must_be_out(mail):
                raise Violation(Law.STOPS, f"fields of {mail} are written, who is out")

    def _is_known(self, asked: Asked) -> bool:
        """What restricts is written without another look: nobody can tell whose record it is since an edit that no
        answer has shown."""
        return not self._is_in_doubt() and (asked.side, asked.key) not in self._witness.unshown

    def _topic(self, mails: Sequence[str], topic: str, asked: Asked, *, wanted: bool) -> None:
        if not wanted:
            self._counts[Law.PURPOSE_STAYS] += 1
            if not any(self._witness.has_no_topic(mail, topic) for mail in mails) and self._is_known(asked):
                raise Violation(Law.PURPOSE_STAYS, f"{topic} is switched off for {mails} and nobody said no to it")
            self._stays(mails, asked, topic)
            return
        self._tick(asked, mails[0], topic)

    def _tick(self, asked: Asked, mail: str, topic: str) -> None:
        self._counts[Law.NO_TICK] += self._witness.has_said_no(mail, topic)
        no = self._witness.blocks(mail, topic)
        if no is not None:
            raise Violation(Law.NO_TICK, f"{topic} is switched on for {mail} at {asked.side} over {no}")

    def _request(self, mail: str) -> None:
        """One for the address, and one for each yes that the platform wants confirmed."""
        self._counts[Law.ASKED_ONCE] += 1
        self._asked[mail] += 1
        reasons = 1 + self._witness.count_yeses(mail)
        if self._asked[mail] > reasons:
            raise Violation(
                Law.ASKED_ONCE, f"{mail} is asked for the {self._asked[mail]}th time, for {reasons} reasons"
            )


class Judge:
    """Looks at both systems when all is quiet."""

    def __init__(self, witness: Witness, counts: Counter[str], is_in_doubt: Callable[[], bool]) -> None:
        """``is_in_doubt``: see :class:`Inspector`."""
        self._witness = witness
        self._counts = counts
        self._is_in_doubt = is_in_doubt
        self.held_up: frozenset[tuple[str, str]] = frozenset()
        """Addresses and scopes of which a no was kept from travelling until now."""

    def judge(self, world: Sight, *, mapped: Collection[str]) -> None:
        """``mapped``: the topics that have a box in the CRM now; one that no configuration names is not written.

        Raises:
            Violation: a no is not shown, or the sides disagree.
        """
        for email in sorted({email for email, _ in self._witness.nos}):
            if self._witness.must_be_out(email):
                self._counts[Law.REACHES] += 1
                self._is_out_everywhere(email, world)
            for topic in TOPICS:
                if self._witness.must_be_out(email, topic):
                    self._counts[Law.REACHES] += 1
                    self._is_off_everywhere(email, topic, world, is_mapped=topic in mapped)
        if "crm" not in self._witness.terms.stays:
            self._agree(world)

    def _agree(self, world: Sight) -> None:
        members = {m.address: m for m in world.esp.values()}
        for key, contact in world.crm.items():
            member = members.get(contact.addresses[0]) if contact.addresses else None
            if member and contact.is_out and not self._may_show_out(key, contact, member):
                self._counts[Law.AGREES] += 1
                if member.status == "subscribed" and not self._witness.was_rejected(member.address):
                    raise Violation(Law.AGREES, f"contact {key} is out and {member.address} is subscribed")

    def _may_show_out(self, key: int, contact: Contact, member: Member) -> bool:
        """Whether a contact may show out though nobody said no of its primary address, which is that member's: for
        another address that has, while it holds it. We set that flag for the other alone. When that leaves the contact
        the flag stays, unless somebody ever said yes of the one that is left: taking a restriction away takes a yes."""
        witness = self._witness
        is_doubtful = ("crm", key) in witness.closed_as and ("crm", key) not in witness.flagged and self._is_in_doubt()
        if is_doubtful or any(witness.has_said_no(a) for a in contact.addresses[1:]):
            return True
        left = witness.closed_as.get(("crm", key), frozenset()).difference(contact.addresses)
        is_ours = ("crm", key) not in witness.flagged and any((a, STATUS) in witness.nos for a in left)
        # Of a member that we made, the platform has the time of our own write.
        is_proven = member.opted_in_at is not None and member.address not in witness.entered
        has_proof = contact.consent is not None or is_proven
        return is_ours and not has_proof and (member.address, STATUS) not in witness.yeses

    def _reaches(self, email: str, scope: str) -> Law:
        return Law.ARRIVES if (email, scope) in self.held_up else Law.REACHES

    def _is_out_everywhere(self, email: str, world: Sight) -> None:
        law = self._reaches(email, STATUS)
        for name, member in world.esp.items() if self._witness.must_show(email, "esp") else ():
            if member.address == email and member.status == "subscribed":
                raise Violation(law, f"{email} said no and is subscribed ({name})")
        for key, contact in world.crm.items() if self._witness.must_show(email, "crm") else ():
            if contact.addresses[:1] == (email,) and not contact.is_out:
                raise Violation(law, f"{email} said no and contact {key} does not show it")

    def _is_off_everywhere(self, email: str, topic: str, world: Sight, *, is_mapped: bool) -> None:
        law = self._reaches(email, topic)
        for member in world.esp.values() if self._witness.must_show(email, "esp", topic) else ():
            if member.address == email and topic in member.topics and member.status != "archived":
                raise Violation(law, f"{email} said no to {topic} and has it at the platform")
        is_shown = is_mapped and self._witness.must_show(email, "crm", topic)
        for key, contact in world.crm.items() if is_shown else ():
            if contact.addresses[:1] == (email,) and topic in contact.topics:
                raise Violation(law, f"{email} said no to {topic} and contact {key} has it")


def unexercised(counts: Mapping[str, int]) -> list[str]:
    return [law.value for law in Law if not counts.get(law)]
