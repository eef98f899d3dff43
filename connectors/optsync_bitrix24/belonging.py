"""Whether a record belongs to a list scope, as far as its own row tells that for certain."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optsync_bitrix24.mapping import CUSTOM, Descriptor, Fields
from optsync_bitrix24.where import parted

Test = Callable[[Mapping[str, Any]], bool | None]
"""Of a row: whether the portal's filter would find it, None where only the portal knows."""

_TEXTS = frozenset({"crm_status", "char"})
_NUMBERS = frozenset({"integer", "user", "enumeration"})
_EQUALS = frozenset({"", "=", "@"})
_WORD = re.compile(r"[A-Za-z0-9_.:-]+", re.ASCII)
"""Whatever its collation, no database takes two different words of these for equal but for their letter case."""


def test_of(where: Mapping[str, Any], fields: Fields) -> Test | None:
    """For a sound filter, as it is sent, of equalities between plain fields; None for any other.

    Source: Bitrix24 REST documentation, crm.contact.list (a key without an operator, or with ``=`` or ``@``, compares
    for equality, of a list with any of it; rows show flags, ids and codes as texts) and the types of fields; checked
    August 2026.
    """
    tests = [_test(str(key), value, fields) for key, value in where.items()]
    made = [test for test in tests if test is not None]
    if not made or len(made) < len(tests):
        return None
    return made[0] if len(made) == 1 else _All(made)


def names_in(where: Mapping[str, Any]) -> list[str]:
    """The fields that a test of such a filter looks at."""
    return [name for operator, name in map(parted, map(str, where)) if operator in _EQUALS]


def custom_in(where: Mapping[str, Any]) -> list[str]:
    """The custom fields that a filter asks for."""
    return [name for _, name in map(parted, map(str, where)) if name.startswith(CUSTOM)]


@dataclass(frozen=True, slots=True)
class _All:
    tests: Sequence[Test]

    def __call__(self, row: Mapping[str, Any]) -> bool | None:
        found = [test(row) for test in self.tests]
        return False if False in found else None if None in found else True


@dataclass(frozen=True, slots=True)
class _Word:
    """``folded``: the same words in small letters."""

    name: str
    wanted: frozenset[str]
    folded: frozenset[str]

    def __call__(self, row: Mapping[str, Any]) -> bool | None:
        shown = row.get(self.name, False)
        if shown is None or shown == "":
            return False
        if not isinstance(shown, str):
            return None
        if shown in self.wanted:
            return True
        return None if shown.lower() in self.folded or not _WORD.fullmatch(shown) else False


@dataclass(frozen=True, slots=True)
class _Number:
    name: str
    wanted: frozenset[int]

    def __call__(self, row: Mapping[str, Any]) -> bool | None:
        if self.name not in row:
            return None
        shown = row[self.name]
        if shown is None or shown in (False, "", "0"):
            return False
        number = _number(shown)
        return None if number is None else number in self.wanted


def _test(key: str, value: Any, fields: Fields) -> Test | None:
    operator, name = parted(key)
    field = fields.get(name)
    if operator not in _EQUALS or field is None or field.is_multiple:
        return None
    wanted = list(value) if isinstance(value, list | tuple) else [value]
    return _test_of_field(field, wanted)


def _test_of_field(field: Descriptor, wanted: list[Any]) -> Test | None:
    if field.type in _TEXTS and all(isinstance(one, str) and _WORD.fullmatch(one) for one in wanted):
        return _Word(field.name, frozenset(wanted), frozenset(word.lower() for word in wanted))
    numbers = frozenset(number for one in wanted if (number := _number(one)))
    if field.type in _NUMBERS and wanted and all(map(_number, wanted)):
        return _Number(field.name, numbers)
    return None


def _number(value: Any) -> int | None:
    """A number above zero, as itself or as its digits. An empty field may be stored as zero, so that is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and text[0] != "0" else None
