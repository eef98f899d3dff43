"""List scopes: filters of ``crm.<entity>.list``, checked before they are used.

The portal silently drops a key it does not know and answers with the whole table, so nothing unchecked is sent
(Bitrix24 REST documentation, filter of crm.contact.list; checked August 2026).
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from optsync_bitrix24.mapping import MULTIFIELDS, NUMBER, Descriptor, Fields
from optsync_bitrix24.php import holds_reference

_KEY = re.compile(r"(?P<operator>!=%|!%=|!%|!=|!@|>=|<=|=%|%=|[!=><@%]?)(?P<name>[A-Za-z][A-Za-z0-9_]*)")
_WHEN = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?| \d\d:\d\d:\d\d)?", re.ASCII)
"""Of all that Python takes for ISO 8601, what the portal is known to read."""
_LIKE = frozenset({"%", "=%", "%=", "!%", "!=%", "!%="})
_LISTS = frozenset({"@", "!@"})
_RESERVED = frozenset({"ID", "DATE_MODIFY"})
"""The walk and the delta set conditions of their own on these."""
_EXACT_ONLY = frozenset({"crm_status", "crm_contact", "crm_company"})


def parted(key: str) -> tuple[str, str]:
    """The operator and the field of a key; no operator and no field where it is no key."""
    match = _KEY.fullmatch(key)
    return (match["operator"], match["name"]) if match else ("", "")


def faults(where: Mapping[str, Any], fields: Fields) -> list[tuple[str, str]]:
    """What is wrong with a filter: (key, sentence) for each key that cannot be trusted."""
    found = []
    for key, value in where.items():
        if message := _fault(str(key), value, fields):
            found.append((str(key), message))
    return found


def _fault(key: str, value: Any, fields: Fields) -> str | None:
    match = _KEY.fullmatch(key)
    if not match:
        return "is no filter key: expected an operator (= != > >= < <= @ !@ % =% %=) before a field's name"
    operator, name = match["operator"], match["name"]
    if name not in fields:
        return "names a field that the portal does not have; it would be ignored and everybody would match"
    if name in _RESERVED:
        return "is reserved: optsync reads by this field"
    if value is None or isinstance(value, Mapping) or holds_reference(value):
        return "has a value that cannot be sent: expected a text, a number, yes or no, or a list of these"
    if name in MULTIFIELDS:
        return _multifield_fault(operator, value)
    return _operator_fault(operator, value, fields[name]) or _value_fault(operator, value, fields[name])


def _multifield_fault(operator: str, value: Any) -> str | None:
    if operator:
        return "must stand without an operator: addresses and numbers are found by the bare name only"
    if not isinstance(value, str) or not value.strip():
        return "needs one text that is not empty: an empty one would match everybody, of a list only the first counts"
    return None


def _operator_fault(operator: str, value: Any, field: Descriptor) -> str | None:
    is_list = isinstance(value, list | tuple)
    if is_list and not value:
        return "has an empty list, which would match everybody"
    if operator in _LISTS and not is_list:
        return f"needs a list after {operator}"
    if is_list and operator not in {*_LISTS, "", "="}:
        return f"takes one value after {operator}, not a list"
    if operator in _LIKE and field.type in _EXACT_ONLY:
        return f"cannot be searched by {operator}: the portal would compare for equality"
    return None


def _value_fault(operator: str, value: Any, field: Descriptor) -> str | None:
    for one in value if isinstance(value, list | tuple) else (value,):
        if one is None or isinstance(one, list | tuple | Mapping):
            return "has a list with something in it that is no plain value"
        if _plain(one) and (message := _type_fault(operator, one, field)):
            return message
    return None


def _type_fault(operator: str, value: Any, field: Descriptor) -> str | None:
    text = _plain(value)
    if field.type == "boolean" and text not in ("0", "1"):
        return "is yes or no: expected true, false, 1 or 0"
    if field.type == "char" and not isinstance(value, bool) and text not in ("Y", "N"):
        return "is yes or no: expected true, false, Y or N"
    if field.holds_number and not NUMBER.fullmatch(text):
        return "is a number or an id; the portal would take any other text for zero"
    if field.type in ("date", "datetime") and not _is_date(text):
        return "needs a date or date-time in ISO 8601; the portal would drop any other"
    if field.type == "enumeration" and operator not in _LIKE and text not in (field.options or {text: ""}):
        return "names an option that the field does not have; options are given by their id"
    return None


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return ("1" if value else "0") if isinstance(value, bool) else str(value)


def _is_date(text: str) -> bool:
    if not _WHEN.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def as_filter(where: Mapping[str, Any], fields: Fields | None) -> dict[str, Any]:
    """The filter as it is sent: yes and no as the field's type wants them (custom ones are filtered by 1 and 0)."""
    sent: dict[str, Any] = {}
    for key, value in where.items():
        field = (fields or {}).get(parted(str(key))[1])
        if field is None or field.type != "char":
            sent[str(key)] = value
        elif isinstance(value, list | tuple):
            sent[str(key)] = [_letter(one) for one in value]
        else:
            sent[str(key)] = _letter(value)
    return sent


def needs_types(where: Mapping[str, Any]) -> bool:
    """Whether it holds a yes or no, which is sent in different ways to fields of different types."""
    return any(
        isinstance(one, bool)
        for value in where.values()
        for one in (value if isinstance(value, list | tuple) else (value,))
    )


def _letter(value: Any) -> Any:
    return ("Y" if value else "N") if isinstance(value, bool) else value
