"""Records of the portal: rows with ids that never return, multifields with ids of their own, a recycle bin."""

import re
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from optsync_bitrix24.mocking.answers import RestError
from optsync_bitrix24.mocking.catalogue import ENTITY_TYPES, FIRST_FREE_OPTION, Field, custom_fields, system_fields
from optsync_bitrix24.mocking.php import as_map, elements, is_array, is_blank, php_int, php_text

_LOCAL = r"[\w=+~'!$&*^`|#%/?{}-]+"
_EMAIL = re.compile(rf"{_LOCAL}(\.{_LOCAL})*@([\w-]+\.)+[\w-]{{2,63}}")


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a list shows: ordinary fields, and kinds of multifields."""

    fields: list[Field]
    kinds: tuple[str, ...]


@dataclass(slots=True)
class Multifield:
    """One address, number or link of a row."""

    id: int
    kind: str
    value_type: str
    value: str

    def show(self) -> dict[str, str]:
        return {"ID": str(self.id), "VALUE_TYPE": self.value_type, "VALUE": self.value, "TYPE_ID": self.kind}


@dataclass(slots=True)
class Row:
    """``values`` has no entry for what was never set."""

    id: int
    values: dict[str, Any] = field(default_factory=dict)
    multifields: list[Multifield] = field(default_factory=list)
    shown: dict[Selection, tuple[dict[str, Any], list[Multifield], Any]] = field(default_factory=dict)
    """Values and multifields as they were when they were shown last, and how that looked."""

    def of_kind(self, kind: str) -> list[Multifield]:
        return [one for one in self.multifields if one.kind == kind]


class Fields(dict[str, Field]):
    """The fields of an entity by name; ``selections`` is what a list worked out about them, until they change."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        super().__init__(fields)
        self.selections: dict[frozenset[str], Selection] = {}

    def __setitem__(self, name: str, one: Field) -> None:
        super().__setitem__(name, one)
        self.selections.clear()

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.selections.clear()


class Table:
    """All rows of one entity, by id, by modification time and by what can be looked up."""

    def __init__(self, entity: str, numbers: Iterator[int], fields: Iterable[Field]) -> None:
        self.entity = entity
        self.fields = Fields({**system_fields(entity), **{one.name: one for one in fields}})
        self.rows: dict[int, Row] = {}
        self.bin: dict[int, Row] = {}
        self.kept: set[str] = set()
        """Fields that updates leave as they are without a word."""
        self.ids: list[int] = []
        self.modified: list[tuple[int, int]] = []
        self._lookup: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._next_id = count(1)
        self._numbers = numbers

    def insert(self, values: dict[str, Any], multifields: Iterable[tuple[str, str, str]] = ()) -> Row:
        """A new row; ``multifields`` are (kind, value type, value)."""
        row = Row(next(self._next_id), values)
        row.multifields = [Multifield(next(self._numbers), *one) for one in multifields]
        values.setdefault("HAS_IMOL", "N")
        self.rows[row.id] = row
        self.ids.append(row.id)
        insort(self.modified, (values["DATE_MODIFY"], row.id))
        self._index(row)
        return row

    def touch(self, row: Row, moment: int, user: int) -> None:
        """The row was modified."""
        place = bisect_left(self.modified, (row.values["DATE_MODIFY"], row.id))
        del self.modified[place]
        insort(self.modified, (moment, row.id))
        row.values["DATE_MODIFY"] = moment
        row.values["MODIFY_BY_ID"] = user

    def remove(self, row: Row, *, to_bin: bool = True) -> None:
        del self.rows[row.id]
        del self.ids[bisect_left(self.ids, row.id)]
        del self.modified[bisect_left(self.modified, (row.values["DATE_MODIFY"], row.id))]
        self._unindex(row)
        if to_bin:
            self.bin[row.id] = row

    def restore(self, old_id: int, moment: int, user: int) -> Row:
        """Takes a row out of the recycle bin; it comes back under a new id, its multifields too."""
        old = self.bin.pop(old_id)
        values = {**old.values, "DATE_MODIFY": moment, "MODIFY_BY_ID": user}
        return self.insert(values, [(one.kind, one.value_type, one.value) for one in old.multifields])

    def set_multifields(self, row: Row, kept: list[Multifield]) -> None:
        self._unindex(row)
        row.multifields = kept
        self._index(row)

    def holders(self, kind: str, value: str) -> list[int]:
        """Ids of the rows with that address or number, ascending."""
        return sorted(self._lookup.get((kind, value.casefold()), ()))

    def span(self, low: int, high: int | None) -> range:
        """The places in ``ids`` of those with low <= id <= high."""
        end = len(self.ids) if high is None else bisect_right(self.ids, high)
        return range(bisect_left(self.ids, low), end)

    def modified_between(self, low: int | None, high: int | None) -> list[tuple[int, int]]:
        """(moment, id) with low <= moment <= high, ascending."""
        start = 0 if low is None else bisect_left(self.modified, (low, 0))
        end = len(self.modified) if high is None else bisect_left(self.modified, (high + 1, 0))
        return self.modified[start:end]

    def merged(self, row: Row, kind: str, raw: Any) -> list[Multifield]:
        """The row's multifields after a classic write of one kind; what is not mentioned stays.

        Raises ``ERROR_CORE`` for an invalid e-mail address."""
        kept = list(row.multifields)
        for element in elements(raw) if is_array(raw) else ():
            sent = as_map(element)
            value, value_type = php_text(sent.get("VALUE")).strip(), php_text(sent.get("VALUE_TYPE"))
            place = next((i for i, one in enumerate(kept) if one.id == php_int(sent.get("ID"))), None)
            if place is None or kept[place].kind != kind:
                if value and not php_int(sent.get("ID")):
                    self.append(kept, kind, value_type or "WORK", value)
            elif sent.get("DELETE") == "Y" or is_blank(value):
                del kept[place]
            else:
                kept[place] = self.replaced(kept[place], value_type or kept[place].value_type, value)
        return kept

    def replaced(self, old: Multifield, value_type: str, value: str) -> Multifield:
        """The multifield with another value, under its id."""
        _demand_valid(old.kind, value)
        return Multifield(old.id, old.kind, value_type, value)

    def append(self, kept: list[Multifield], kind: str, value_type: str, value: str) -> None:
        """Adds a value unless the same one of the same type is there."""
        _demand_valid(kind, value)
        if not any((one.kind, one.value_type, one.value) == (kind, value_type, value) for one in kept):
            kept.append(Multifield(next(self._numbers), kind, value_type, value))

    def _index(self, row: Row) -> None:
        for one in row.multifields:
            self._lookup[one.kind, one.value.casefold()].add(row.id)
        for kind, flag in (("EMAIL", "HAS_EMAIL"), ("PHONE", "HAS_PHONE")):
            row.values[flag] = "Y" if any(one.kind == kind for one in row.multifields) else "N"

    def _unindex(self, row: Row) -> None:
        for one in row.multifields:
            self._lookup[one.kind, one.value.casefold()].discard(row.id)


class Store:
    """The tables by entity; ids of multifields and custom fields come from one counter each."""

    def __init__(self) -> None:
        numbers = count(101)
        self.field_ids = count(401)
        self.option_ids = count(FIRST_FREE_OPTION)
        self.tables = {entity: Table(entity, numbers, custom_fields(self.field_ids)) for entity in ENTITY_TYPES}


def _demand_valid(kind: str, value: str) -> None:
    local, _, domain = value.partition("@")
    if kind == "EMAIL" and (not _EMAIL.fullmatch(value) or len(local) > 64 or len(domain) > 255):
        raise RestError("ERROR_CORE", 'The field "Work e-mail" contains an invalid address.')
