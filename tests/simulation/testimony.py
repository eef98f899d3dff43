"""What was said, and what follows from it: a naive model, kept apart from how anybody came to know."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.simulation.terms import Terms
from tests.simulation.words import APART, FAR_APART, OFF, STATUS, Key, No, Yes


@dataclass(slots=True)
class Testimony:
    """By address and scope. Whoever fills it keeps the order of things: see :class:`No` and :class:`Yes`."""

    nos: dict[tuple[str, str], list[No]] = field(default_factory=dict)
    yeses: dict[tuple[str, str], list[Yes]] = field(default_factory=dict)
    families: dict[str, set[str]] = field(default_factory=dict)
    """Addresses that one person may have had: grants may be carried among them."""
    unticked: set[tuple[str, str]] = field(default_factory=set)
    """(address, topic) of records that came without the topic: where the other side has it, that decides."""
    hints: set[str] = field(default_factory=set)
    """Addresses of records that showed in with a proof, first sights included: enough where nobody said no."""
    first_hints: Counter[str] = field(default_factory=Counter)
    touched: dict[Key, datetime] = field(default_factory=dict)
    """When people last changed a record."""
    saved: dict[Key, datetime] = field(default_factory=dict)
    """When people last saved a contact, were it as it had been: that moves its stamp."""
    rejected: set[str] = field(default_factory=set)
    """Addresses of plans that were rejected."""
    is_any_late: bool = False
    """Whether anything that was done became visible later: it may be dated by then."""
    terms: Terms = field(default_factory=Terms)

    def _grants(self, email: str, scope: str) -> list[Yes]:
        family = sorted(self.families.get(email, {email}) | {email})
        return [yes for each in family for yes in self.yeses.get((each, scope), ())]

    def _beats(self, yes: Yes, no: No) -> bool:
        """Whether a yes lifts a no: strong enough, and later as far as anybody can tell."""
        if no.is_complaint and not yes.is_admin:
            return False
        if yes.is_blurred or no.is_blurred:
            return yes.at - no.at > -OFF
        if yes.clock == "own" and no.heard_at is not None and yes.order > no.heard_at:
            return True  # said here, of what was known here: that needs no other clock
        if yes.clock is not None and yes.clock == no.source[0]:
            return yes.order > no.order
        return yes.at - no.at >= APART

    def _is_beaten(self, no: No) -> bool:
        return no.is_void or any(self._beats(yes, no) for yes in self._grants(no.email, no.scope))

    def _can_be_asked(self, no: No) -> bool:
        """A first reading takes archived members as they are, and who was out before said nothing new. A sign-up with a
        later stamp ends an opt-out that became visible after it: of the two only the stamps are told."""
        is_over = any(y.clock == "esp" and y.at >= no.at for y in self._grants(no.email, no.scope))
        return no.is_of_known and not is_over and not any(row.is_out for row in no.before)

    def must_be_out(self, email: str, scope: str = STATUS, *, shown: bool = False) -> bool:
        """Whether the last word was no, whoever of the family says yes at any later time. ``shown``: what the cycle
        under way was shown counts too."""
        said = self.nos.get((email, scope), ())
        return any((no.is_certain or (shown and no.is_shown)) and not self._is_beaten(no) for no in said)

    def must_show(self, email: str, side: str, scope: str = STATUS) -> bool:
        """Whether a side that knows the address must show that its last word was no. One that was said elsewhere may
        have been kept from travelling; any other that holds beside it was not."""
        said = (no for no in self.nos.get((email, scope), ()) if no.is_certain and not self._is_beaten(no))
        return any(no.source[0] == side or no.source[0] not in self.terms.stays for no in said)

    def held_up(self) -> Iterator[tuple[str, str]]:
        """Addresses and scopes of which some side need not show the no, since it does not travel there."""
        for email, scope in self.nos:
            if self.must_be_out(email, scope) and not all(self.must_show(email, s, scope) for s in ("crm", "esp")):
                yield email, scope

    def stays_away(self, emails: Iterable[str], side: str, scope: str = STATUS) -> bool:
        """Whether all that was ever said against it of these comes from a side whose opt-outs do not travel."""
        family = set(emails).union(*(self.families.get(each, ()) for each in emails))
        sources = {no.source[0] for each in family for no in self.nos.get((each, scope), ())}
        is_told_otherwise = any((each, scope) in self.unticked for each in family)
        return bool(sources) and side not in sources and sources <= self.terms.stays and not is_told_otherwise

    def blocks(self, email: str, scope: str = STATUS) -> No | None:
        """A no that the engine was shown and that no yes lifts."""
        for no in self.nos.get((email, scope), ()):
            is_known = (no.is_certain or no.is_shown) and not no.is_void
            if is_known and not any(self._beats(yes, no) for yes in self._grants(email, scope)):
                return no
        return None

    def signed_up_last(self, email: str) -> bool:
        """Whether a sign-up at the platform is the last that was said, for all that anybody can tell."""
        if self.is_any_late or email in self.families or (email, STATUS) in self.unticked:
            return False
        last = max(self.yeses.get((email, STATUS), ()), key=lambda yes: yes.order, default=None)
        if last is None or last.clock != "esp" or last.source is None or not last.is_of_known:
            return False
        nos = self.nos.get((email, STATUS), ())
        if self.was_rejected(email) and not any(no.order < last.order for no in nos):
            return False  # where it lifted nothing nobody asks whose doing it was
        # Whoever is archived since shows nothing of it.
        return self.touched[last.source] == last.at and all(self._is_over(no, last) for no in nos)

    def was_rejected(self, email: str) -> bool:
        """Whether administrators took back what was said of that person, under whichever of their addresses."""
        return not self.rejected.isdisjoint(self.families.get(email, set()) | {email})

    def _is_over(self, no: No, yes: Yes) -> bool:
        """Whether the yes lifts it, by whatever clock: what was not heard before may be dated later than it was
        said, by any edit of the record."""
        was_heard = no.heard_at is not None and no.heard_at < yes.order and not (no.is_blurred or yes.is_blurred)
        at = max(no.at, self.touched.get(no.source, no.at), self.saved.get(no.source, no.at))
        return was_heard and self._beats(yes, no) and (yes.clock == no.source[0] or yes.at - at >= FAR_APART)

    def has_said_no(self, email: str, scope: str = STATUS) -> bool:
        """Whether anybody ever said no, lifted or not, of that person."""
        family = self.families.get(email, {email}) | {email}
        return any((each, scope) in self.nos for each in family)

    def has_no_topic(self, email: str, topic: str) -> bool:
        """Whether there ever was a reason to switch the topic off."""
        family = self.families.get(email, {email}) | {email}
        return self.has_said_no(email, topic) or any((each, topic) in self.unticked for each in family)

    def has_said_yes(self, email: str) -> bool:
        """Whether anything ever said yes for that person, were it only a box that a list came with."""
        family = self.families.get(email, {email}) | {email}
        return bool(self._grants(email, STATUS) or self.hints & family)

    def count_yeses(self, email: str) -> int:
        return len(self._grants(email, STATUS)) + len(self.families.get(email, ())) + self.first_hints[email]

    # who may be one person

    def _same_person(self, emails: Sequence[str]) -> None:
        if len(emails) < 2:
            return
        family = set(emails).union(*(self.families.get(a, set()) for a in emails))
        for each in family:
            self.families[each] = family
