"""Filters of lists: which conditions are understood, which are dropped, and which rows meet them."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from optsync_bitrix24.mocking.catalogue import MULTIFIELDS, Field
from optsync_bitrix24.mocking.moments import Moments
from optsync_bitrix24.mocking.php import elements, is_array, is_blank, php_float, php_int, php_text
from optsync_bitrix24.mocking.store import Row, Table
from optsync_bitrix24.mocking.values import WHOLE

Predicate = Callable[[Row], bool]
_KEY = re.compile(r"(!=%|!%=|=%|%=|!%|!@|>=|<=|!=|>|<|=|!|@|%)?(.*)", re.DOTALL)
_EXACT = ("", "=", "@")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(slots=True)
class Query:
    """Conditions that must all hold, and the bounds that save looking at every row."""

    predicates: list[Predicate] = field(default_factory=list)
    lowest_id: int = 0
    highest_id: int | None = None
    ids: set[int] | None = None
    """Only these can match, None for any."""
    from_modified: int | None = None

    def narrow(self, ids: set[int]) -> None:
        self.ids = ids if self.ids is None else self.ids & ids

    def bound(self, sign: str, number: int) -> None:
        """A comparison of the id."""
        if sign.startswith(">"):
            self.lowest_id = max(self.lowest_id, number if sign == ">=" else number + 1)
        else:
            high = number if sign == "<=" else number - 1
            self.highest_id = high if self.highest_id is None else min(self.highest_id, high)

    def admits(self, row_id: int) -> bool:
        """Whether the bounds let the id through."""
        is_in_range = self.lowest_id <= row_id and (self.highest_id is None or row_id <= self.highest_id)
        return is_in_range and (self.ids is None or row_id in self.ids)

    def matches(self, row: Row) -> bool:
        return all(holds(row) for holds in self.predicates)


@lru_cache(maxsize=512)
def split_key(key: str) -> tuple[str, str]:
    """Operator and field name."""
    match = _KEY.fullmatch(key)
    return (match[1] or "", match[2]) if match else ("", key)


class Filters:
    """Compiles the filters of one portal."""

    def __init__(self, moments: Moments, email_mode: str) -> None:
        self._moments = moments
        self._email_mode = email_mode

    def classic(self, table: Table, conditions: dict[str, Any]) -> Query:
        """Unknown keys are dropped without a word; of a multifield only the bare key is understood."""
        query = Query()
        for key, wanted in conditions.items():
            sign, name = split_key(key)
            if name in MULTIFIELDS:
                if not sign:
                    self._multifield(query, table, name, wanted)
            elif one := table.fields.get(name):
                self.add(query, one, sign, wanted)
        return query

    def add(self, query: Query, one: Field, sign: str, wanted: Any) -> None:
        """Adds a condition on an ordinary field; one that cannot be read (a bad date) is dropped."""
        given = elements(wanted) if is_array(wanted) else [wanted]
        if given and one.name == "ID" and sign in _COMPARISONS:
            query.bound(sign, php_int(wanted))
            return
        values = [value for value in [self._cast(one, raw) for raw in given] if value is not None]
        if not values:
            return
        if one.name == "ID" and sign in _EXACT:
            query.narrow({value for value in values if isinstance(value, int)})
        else:
            if one.name == "DATE_MODIFY" and sign in (">", ">=") and isinstance(values[0], int):
                query.from_modified = max(values[0], query.from_modified or values[0])
            query.predicates.append(_predicate(one, sign, values))

    def _multifield(self, query: Query, table: Table, kind: str, wanted: Any) -> None:
        first = next(iter(elements(wanted)), "") if is_array(wanted) else wanted
        text = php_text(first)
        if text == "":
            return
        if self._email_mode == "exact":
            query.narrow(set(table.holders(kind, text)))
            return
        start = text.casefold()
        query.predicates.append(lambda row: any(m.value.casefold().startswith(start) for m in row.of_kind(kind)))

    def _cast(self, one: Field, raw: Any) -> Any:
        """A comparable form of a wanted value: "" stands for nothing, None for unreadable."""
        if is_blank(raw):
            return ""
        if one.type == "datetime":
            return self._moments.parse(php_text(raw))
        if one.type == "date":
            return self._moments.parse_day(php_text(raw))
        if one.type in WHOLE or one.type in ("boolean", "enumeration"):
            return php_int(raw)
        if one.type == "double":
            return php_float(raw)
        return php_text(raw).casefold()


def _predicate(one: Field, sign: str, values: list[Any]) -> Predicate:
    name, first, wanted = one.name, values[0], set(values)
    if sign in _EXACT:
        return lambda row: not wanted.isdisjoint(_held(row, name))
    if sign in ("!", "!=", "!@"):
        return lambda row: wanted.isdisjoint(_held(row, name))
    if "%" in sign:
        return _like(one, sign, first)
    compare = _COMPARISONS[sign]
    return lambda row: any(compare(value, first) for value in _held(row, name) if _comparable(value, first))


def _like(one: Field, sign: str, wanted: Any) -> Predicate:
    if one.type.startswith("crm_"):
        return _predicate(one, "!=" if sign.startswith("!") else "=", [wanted])
    text = str(wanted)
    pattern = ".*".join(re.escape(part) for part in text.split("%"))
    pattern = pattern if sign in ("=%", "%=", "!=%", "!%=") else f".*{re.escape(text)}.*"
    compiled = re.compile(pattern, re.DOTALL)
    is_wanted = not sign.startswith("!")
    return lambda row: any(bool(compiled.fullmatch(str(held))) for held in _held(row, one.name)) is is_wanted


def _held(row: Row, name: str) -> tuple[Any, ...]:
    """What a row holds in a field, in comparable form, at least one value: "" for nothing."""
    value = row.id if name == "ID" else row.values.get(name)
    if isinstance(value, list):
        return tuple(_folded(one) for one in value) or ("",)
    return (_folded(value),)


def _folded(value: Any) -> Any:
    if value is None:
        return ""
    return value.casefold() if isinstance(value, str) else value


def _comparable(value: Any, wanted: Any) -> bool:
    return value != "" and isinstance(value, str) == isinstance(wanted, str)
