"""What people said and when, kept apart from everything that the engine knows; and what must follow from it."""

from dataclasses import dataclass, field
from datetime import datetime

from tests.simulation.hands import Sight
from tests.simulation.script import Act, address


@dataclass(slots=True)
class Out:
    """``is_certain`` once a reading must have shown it. ``where``: "crm" with the contact's id, or "esp" with the
    member's."""

    email: str
    at: datetime
    where: tuple[str, object]
    is_complaint: bool = False
    is_certain: bool = False


@dataclass(slots=True)
class Witness:
    outs: dict[str, list[Out]] = field(default_factory=dict)
    ins: dict[str, list[datetime]] = field(default_factory=dict)
    families: dict[str, set[str]] = field(default_factory=dict)
    """Addresses that one person may have had: grants may be carried among them."""
    last: Sight | None = None
    ended: Sight | None = None
    """How the last cycle left both systems: what looks the same to the next one was not seen in between."""
    changed: dict[tuple[str, object], datetime] = field(default_factory=dict)
    """When the addresses of a record were last changed."""

    def saw_act(self, act: Act, before: Sight, after: Sight, now: datetime) -> None:
        """Notes what the act said."""
        self._relate(before)
        self._relate(after)
        for member_id, member in after.esp.items():
            if member_id in before.esp and before.esp[member_id].address != member.address:
                self.changed["esp", member_id] = now
        for key, contact in after.crm.items():
            old = before.crm.get(key)
            if old and old.addresses != contact.addresses:
                self.changed["crm", key] = now
            left = self.ended.crm.get(key) if self.ended else None
            if contact.is_out and not (old and old.is_out) and not (left and left.is_out):
                self._out(contact.addresses, now, ("crm", key))
        for member_id, member in after.esp.items():
            was = before.esp.get(member_id)
            left_member = self.ended.esp.get(member_id) if self.ended else None
            if left_member and (left_member.status, left_member.origin) == (member.status, member.origin):
                continue
            if member.status == "unsubscribed" and (
                was is None or was.status != "unsubscribed" or was.origin != member.origin
            ):
                self._out(
                    (member.address,),
                    now,
                    ("esp", member_id),
                    is_complaint=member.origin == "abuse" and (was is None or was.status != "unsubscribed"),
                )
        if act.what in {"resubscribe", "confirm"} or (act.who, act.what) == ("crm", "opt_in"):
            self.ins.setdefault(address(act.slot), []).append(now)

    def saw_cycle(self, shown: Sight, *, was_read: bool) -> None:
        """A cycle began with this sight; ``was_read`` if it went through to its end without a failure."""
        for outs in self.outs.values():
            # What is no longer shown when a system is read can't be known to anybody else.
            outs[:] = [o for o in outs if o.is_certain or _is_shown(o, shown)]
        if not was_read:
            return
        for outs in self.outs.values():
            for out in outs:
                out.is_certain = True
        self._carry(shown)
        self.last = shown

    def _carry(self, shown: Sight) -> None:
        """Addresses that appear where others vanish inherit what those said no to."""
        if self.last is None:
            return
        pairs: list[tuple[tuple[str, object], tuple[str, ...], tuple[str, ...]]] = [
            (("crm", k), self.last.crm[k].addresses, c.addresses) for k, c in shown.crm.items() if k in self.last.crm
        ]
        pairs += [
            (("esp", k), (self.last.esp[k].address,), (m.address,)) for k, m in shown.esp.items() if k in self.last.esp
        ]
        carried: list[tuple[str, list[Out]]] = []
        for key, old, new in pairs:
            for vanished in sorted(set(old) - set(new)):
                at = self.changed.get(key)
                if at is None:
                    continue  # the engine changed it, following the other side
                before = [o for o in self.outs.get(vanished, ()) if o.is_certain and o.at < at]
                if before and self.must_be_out(vanished):
                    carried += [(a, before) for a in sorted(set(new) - set(old))]
        for appeared, outs in carried:
            self.outs.setdefault(appeared, []).extend(outs)

    def _out(
        self, addresses: tuple[str, ...], at: datetime, where: tuple[str, object], *, is_complaint: bool = False
    ) -> None:
        for each in addresses:
            self.outs.setdefault(each, []).append(Out(each, at, where, is_complaint))

    def _relate(self, shown: Sight) -> None:
        for contact in shown.crm.values():
            self._same_person(contact.addresses, ("crm", contact))
        if self.last:
            for key, contact in shown.crm.items():
                if key in self.last.crm:
                    self._same_person((*contact.addresses, *self.last.crm[key].addresses), None)
            for member_id, member in shown.esp.items():
                if member_id in self.last.esp:
                    self._same_person((member.address, self.last.esp[member_id].address), None)

    def _same_person(self, addresses: tuple[str, ...], _: object) -> None:
        family = set(addresses).union(*(self.families.get(a, set()) for a in addresses))
        for each in family:
            self.families[each] = family

    def grants(self, email: str) -> list[datetime]:
        return [at for a in self.families.get(email, {email}) | {email} for at in self.ins.get(a, ())]

    def must_be_out(self, email: str) -> bool:
        """Whether the last word was no, whoever of the family says yes at any later time."""
        outs = [o for o in self.outs.get(email, ()) if o.is_certain]
        if any(o.is_complaint for o in outs):
            return True
        return any(all(o.at > at for at in self.grants(email)) for o in outs)

    def may_be_lifted(self, email: str) -> bool:
        """Whether somebody ever said yes after every no that must be known."""
        outs = [o for o in self.outs.get(email, ()) if o.is_certain]
        if any(o.is_complaint for o in outs):
            return False
        return any(all(at > o.at for o in outs) for at in self.grants(email))


def _is_shown(out: Out, shown: Sight) -> bool:
    side, key = out.where
    if side == "crm":
        contact = shown.crm.get(key)  # type: ignore[call-overload]
        return contact is not None and contact.is_out and out.email in contact.addresses
    member = shown.esp.get(key)  # type: ignore[call-overload]
    return member is not None and member.status == "unsubscribed" and member.address == out.email
