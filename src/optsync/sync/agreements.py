"""What two sides agree on, while many writes are settled: read with one question, changed here, stored at once."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from optsync.model.link import Agreed, Link
from optsync.state.changes import Change
from optsync.state.unit import Unit


class Agreements:
    """Of one sync and some of its members. Nothing is stored before :meth:`save`."""

    def __init__(self, unit: Unit, sync: str, members: Collection[int]) -> None:
        self._unit = unit
        self._sync = sync
        self._links = unit.links.of(sync, members) if members else {}
        self._changed: dict[tuple[int, int], None] = {}

    def agree(self, crm: int, esp: int, agreed: Mapping[str, Agreed], *, point: int | None = None) -> None:
        """Merges into what the two records agreed on; ``point`` (when given) is where they are joined now."""
        known = self._links.get((crm, esp), Link(crm=crm, esp=esp))
        joined = known.point if point is None else point
        self._change(replace(known, agreed={**known.agreed, **agreed}, point=joined))

    def as_before(self, change: Change, *, is_esp: bool) -> None:
        """What was agreed ahead of a write that was not applied is not agreed. ``is_esp``: the side of the record."""
        key, counterpart, former = change.record_id, change.write["counterpart"], change.write.get("former")
        if key is None or counterpart is None or not former:
            return
        crm, esp = (counterpart, key) if is_esp else (key, counterpart)
        self.agree(crm, esp, {name: Agreed(_value(a), _value(b)) for name, (a, b) in former.items()})

    def set_left(self, esp: int, *, left: bool, is_kept: bool, is_tag: bool) -> None:
        """Notes that the member was taken off the list, or put back, because the person left or came back; or
        because that was undone (``is_kept``). ``is_tag``: by a tag. Of who is put back from the archive a tag of
        before stays remembered, since it is there still."""
        for link in self._of(esp):
            if link.left_by_tag and not (left or is_tag):
                continue
            self._change(replace(link, left=left, is_kept=is_kept, left_by_tag=left and is_tag))

    def set_inactive(self, esp: int, *, inactive: bool, is_tag: bool) -> None:
        """Notes that the member was tagged (``is_tag``) or archived for want of a sign of life, or given back."""
        for link in self._of(esp):
            self._change(replace(link, inactive=inactive, inactive_by_tag=inactive and is_tag))

    def save(self) -> None:
        """Stores what was changed."""
        if self._changed:
            self._unit.links.save(self._sync, [self._links[key] for key in self._changed])

    def _of(self, esp: int) -> Iterator[Link]:
        return iter([link for link in self._links.values() if link.esp == esp])

    def _change(self, link: Link) -> None:
        self._links[link.crm, link.esp] = link
        self._changed[link.crm, link.esp] = None


def _value(stored: Any) -> Any:
    return tuple(stored) if isinstance(stored, list) else stored
