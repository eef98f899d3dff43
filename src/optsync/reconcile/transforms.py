"""Named, declarative conversions between a CRM field and an ESP field."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from optsync.model.record import Value

Fields = Mapping[str, Value]
"""All values of the record that supplies the value, by field name."""


@dataclass(frozen=True, slots=True)
class Transform:
    """``forward`` makes the ESP's value of the CRM's; ``back`` undoes it, None where that is not possible.
    ``reads_others``: the result depends on other fields than the mapped one."""

    forward: Callable[[Value, Fields], Value]
    back: Callable[[Value], Value] | None = None
    reads_others: bool = False


def canonical(value: Value) -> Value:
    """The value as it is compared: trimmed, NFC, blank as None, whole floats as integers, lists sorted."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        text = value.replace("\r\n", "\n")
        return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip() or None
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, int):
        return value
    return tuple(sorted(value)) or None


def same(first: Value, second: Value) -> bool:
    """Whether two values are equal when formatting is disregarded; ``12``, ``12.0`` and ``"12"`` are."""
    if type(first) is type(second) and first == second:
        return True
    one, other = canonical(first), canonical(second)
    if type(one) is type(other):
        return one == other
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    return _number(one) is not None and _number(one) == _number(other)


def _number(value: Value) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    return None


def chain(parts: Sequence[tuple[str, Mapping[str, Any]]]) -> Transform:
    """One transform of several, applied in order; reversible if all of them are. None at all is the identity."""
    steps = [_KINDS[name](parameters) for name, parameters in parts]

    def forward(value: Value, fields: Fields) -> Value:
        for step in steps:
            value = step.forward(value, fields)
        return value

    backs = [step.back for step in reversed(steps) if step.back is not None]
    if len(backs) < len(steps):
        return Transform(forward, reads_others=any(step.reads_others for step in steps))

    def back(value: Value) -> Value:
        for undo in backs:
            value = undo(value)
        return value

    return Transform(forward, back, reads_others=any(step.reads_others for step in steps))


def _map(parameters: Mapping[str, Any]) -> Transform:
    pairs = {str(k): v for k, v in dict(parameters.get("pairs", parameters)).items()}
    reverse = {str(v): k for k, v in pairs.items()}
    forward = partial(_mapped, pairs)
    # Where two values become the same one, nobody can tell which of them to go back to.
    is_reversible = len(reverse) == len(pairs)
    return Transform(lambda value, _: forward(value), partial(_mapped, reverse) if is_reversible else None)


def _mapped(pairs: Mapping[str, Any], value: Value) -> Value:
    """A value without a pair passes unchanged: losing it would be worse than showing it. Of several options each
    is mapped."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return tuple(str(pairs.get(option, option)) for option in value)
    paired: Value = pairs.get(str(canonical(value)), value)
    return paired


def _date(parameters: Mapping[str, Any]) -> Transform:
    crm, esp = parameters.get("crm", "%Y-%m-%d"), parameters.get("esp", "%Y-%m-%d")

    def convert(value: Value, source: str, target: str) -> Value:
        if not isinstance(value, str) or not value.strip():
            return None
        try:
            return datetime.strptime(value.strip(), source).strftime(target)  # noqa: DTZ007 - a calendar date
        except ValueError:
            return _iso_date(value, target)

    is_reversible = _keeps_the_date(crm) and _keeps_the_date(esp)
    back = (lambda value: convert(value, esp, crm)) if is_reversible else None
    return Transform(lambda value, _: convert(value, crm, esp), back)


def _keeps_the_date(form: str) -> bool:
    """Whether day, month and year can all be read from a date that was written in this form."""
    probe = datetime(2019, 11, 24, tzinfo=UTC)
    return datetime.strptime(probe.strftime(form), form).date() == probe.date()  # noqa: DTZ007 - a calendar date


def _iso_date(value: str, target: str) -> Value:
    try:
        return datetime.fromisoformat(value.strip()).strftime(target)
    except ValueError:
        return value


def _boolean(parameters: Mapping[str, Any]) -> Transform:
    yes, no = parameters.get("true", "Yes"), parameters.get("false", "No")

    def back(value: Value) -> Value:
        if same(value, yes):
            return True
        return False if same(value, no) else None

    return Transform(lambda value, _: None if value is None else (yes if value is True else no), back)


def _upper(_: Mapping[str, Any]) -> Transform:
    return Transform(lambda value, _: value.upper() if isinstance(value, str) else value)


def _split_name(parameters: Mapping[str, Any]) -> Transform:
    part = parameters.get("part", "first")

    def forward(value: Value, _: Fields) -> Value:
        words = str(value or "").split()
        chosen = words[:1] if part == "first" else words[1:]
        return " ".join(chosen) or None

    return Transform(forward)


def _join(parameters: Mapping[str, Any]) -> Transform:
    names, glue = list(parameters.get("with", ())), str(parameters.get("by", " "))

    def forward(value: Value, fields: Fields) -> Value:
        parts = [value, *(fields.get(name) for name in names)]
        return glue.join(str(p).strip() for p in parts if p not in (None, "")) or None

    return Transform(forward, reads_others=True)


_PREFIXES = {"DE": "49", "AT": "43", "CH": "41", "FR": "33", "GB": "44", "NL": "31", "US": "1", "CA": "1", "IT": "39"}
_PREFIXES |= {"ES": "34", "PL": "48", "BE": "32", "SE": "46", "DK": "45", "NO": "47", "FI": "358", "CZ": "420"}
_PREFIXES |= {"UA": "380", "RU": "7", "KZ": "7", "BY": "375", "TR": "90", "IN": "91", "BR": "55", "JP": "81"}


def _phone_e164(parameters: Mapping[str, Any]) -> Transform:
    prefix = _PREFIXES.get(str(parameters.get("country")).upper())

    def forward(value: Value, _: Fields) -> Value:
        if not isinstance(value, str) or not value.strip():
            return None
        digits = re.sub(r"\D", "", value)
        if value.strip().startswith("+"):
            return f"+{digits}"
        if digits.startswith("00"):
            return f"+{digits[2:]}"
        return f"+{prefix}{digits.removeprefix('0')}" if prefix and digits else value

    # An international number is a number for the CRM as well: it goes back as it is.
    return Transform(forward, lambda value: value)


def _default(parameters: Mapping[str, Any]) -> Transform:
    fallback = parameters.get("value")
    return Transform(lambda value, _: fallback if canonical(value) is None else value)


_KINDS: dict[str, Callable[[Mapping[str, Any]], Transform]] = {
    "map": _map,
    "date": _date,
    "boolean": _boolean,
    "upper": _upper,
    "split_name": _split_name,
    "join": _join,
    "phone_e164": _phone_e164,
    "default": _default,
}
