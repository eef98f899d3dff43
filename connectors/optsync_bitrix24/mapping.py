"""Bitrix24's words and values and ours: fields, rows and addresses.

Sources: Bitrix24 REST documentation, CRM data types, fields of contacts, leads and companies, custom fields
(checked August 2026).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache, partial
from typing import Any

from optsync.connect.contract import FieldInfo
from optsync.model.page import ReadSpec
from optsync.model.record import Value
from optsync_bitrix24.php import as_list, as_map

ENTITIES = ("contact", "lead", "company")
"""First owner of fields first."""
DUPLICATE_TYPES = {"contact": "CONTACT", "lead": "LEAD", "company": "COMPANY"}
_TYPE_PLACES = {"MAILING": 0, "WORK": 1, "HOME": 2, "OTHER": 3}
ADDRESS_TYPES = tuple(_TYPE_PLACES)
"""Order of the kinds of an e-mail address. MAILING first: it is the one that somebody chose for mailings, and the
one Bitrix24's own Marketing writes to."""
CUSTOM = "UF_"
"""How the names of custom fields begin."""
MULTIFIELDS = ("PHONE", "EMAIL", "WEB", "IM", "LINK")
_NATURES = {
    "boolean": "boolean",
    "char": "boolean",
    "integer": "number",
    "double": "number",
    "date": "date",
    "datetime": "datetime",
    "enumeration": "choice",
}
_IDS = frozenset({"crm_company", "crm_contact", "crm_lead", "user", "employee"})
_LINKS = _IDS | {"crm"}
_UNMAPPABLE = frozenset({"file", "location", "resourcebooking"})
_NEVER_SHOWN = frozenset({"COMPANY_IDS", "CONTACT_IDS"})
"""Lists and ``get`` leave them out: what is written there replaces links that nobody has seen."""
_TRUE = ("1", "y", "true")
_FALSE = ("0", "n", "false")
_PLAIN_TRUTHS = {"1": True, "Y": True, "0": False, "N": False}
_FIRST_OF_FOUR_DIGITS = 1000
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(microsecond=0, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
"""What PHP reads as that number. Of anything else it takes the beginning, or zero."""
_FLAGS = ("isRequired", "isReadOnly", "isMultiple", "isDynamic")


class ValueRefused(ValueError):
    """A value that the field cannot take; the message says why without repeating it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A field as ``crm.<entity>.fields`` describes it; ``options`` maps option id to label."""

    name: str
    type: str
    label: str
    is_required: bool = False
    is_read_only: bool = False
    is_multiple: bool = False
    is_custom: bool = False
    options: Mapping[str, str] | None = None

    @property
    def nature(self) -> str:
        """In the words of :class:`FieldInfo`."""
        kind = _NATURES.get(self.type, "text")
        return "choices" if self.is_multiple and self.name not in MULTIFIELDS else kind

    @property
    def holds_number(self) -> bool:
        """A number or the id of something."""
        return not self.is_multiple and (self.nature == "number" or self.type in _IDS)

    @property
    def is_mappable(self) -> bool:
        """Addresses are no fields, and what is not shown as a value cannot be compared."""
        return self.type not in _UNMAPPABLE and self.name != "EMAIL" and self.name not in _NEVER_SHOWN


Fields = Mapping[str, Descriptor]


def descriptors(raw: Any) -> dict[str, Descriptor]:
    """The answer of ``crm.<entity>.fields``, by field name."""
    found = {}
    for name, entry in (as_map(raw) or {}).items():
        if isinstance(entry, dict):
            found[name] = _descriptor(name, entry)
    return found


def _descriptor(name: str, entry: Mapping[str, Any]) -> Descriptor:
    items = [item for item in as_list(entry.get("items")) or [] if isinstance(item, dict)]
    label = entry.get("listLabel") or entry.get("formLabel") or entry.get("title") or name
    return _described(
        name,
        str(entry.get("type", "string")),
        str(label),
        tuple([entry.get(flag) is True for flag in _FLAGS]),
        tuple([(str(item.get("ID")), str(item.get("VALUE"))) for item in items]),
    )


@lru_cache(maxsize=1024)
def _described(
    name: str, kind: str, label: str, flags: tuple[bool, ...], options: tuple[tuple[str, str], ...]
) -> Descriptor:
    """Portals describe themselves anew every hour, and nearly always as they did before."""
    is_required, is_read_only, is_multiple, is_custom = flags
    return Descriptor(
        name=name,
        type=kind,
        label=label,
        is_required=is_required,
        is_read_only=is_read_only,
        is_multiple=is_multiple,
        is_custom=is_custom,
        options=dict(options) or None,
    )


def field_infos(fields: Fields) -> tuple[FieldInfo, ...]:
    """What can be mapped."""
    return tuple(
        FieldInfo(
            name=one.name,
            label=one.label,
            type=one.nature,
            is_writable=not one.is_read_only,
            is_required=one.is_required,
            options=tuple((one.options or {}).items()),
        )
        for one in fields.values()
        if one.is_mappable
    )


def truth(raw: Any) -> bool | None:
    """Three states: Bitrix24 shows a boolean as 1/0, Y/N, true/false or, never set, as nothing at all.

    Raises:
        ValueRefused: none of these words.
    """
    if type(raw) is str and (known := _PLAIN_TRUTHS.get(raw)) is not None:
        return known
    if raw is None or raw in ("", []):
        return None
    word = str(raw).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueRefused("expected yes or no")


def moment(raw: Any, zone: tzinfo = UTC) -> datetime | None:
    """A date-time in UTC; one without an offset is in the portal's ``zone``.

    Raises:
        ValueRefused: not ISO 8601.
    """
    if (type(raw) is not str or not raw) and raw in (None, "", False, []):
        return None
    try:
        when = datetime.fromisoformat(str(raw))
    except ValueError:
        raise ValueRefused("expected a date and time in ISO 8601") from None
    try:
        return (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        # "For ever" is what people write as the last day there is, and in UTC it may be over by then.
        return _END if when.year > 1 else _BEGINNING


def stamp(when: datetime) -> str:
    """The canonical form of a date-time."""
    if when.tzinfo is not UTC:
        when = when.astimezone(UTC)
    # A third of what strftime takes, which writes the years before 1000 in its own way.
    return f"{when.isoformat()[:19]}Z" if when.year >= _FIRST_OF_FOUR_DIGITS else when.strftime("%Y-%m-%dT%H:%M:%SZ")


def value_of(raw: Any, field: Descriptor, zone: tzinfo = UTC) -> Value:
    """A field's raw value in canonical form.

    Raises:
        ValueRefused: it does not fit the field's type.
    """
    return None if raw is None or raw == "" else reader_of(field, zone)(raw)


def reader_of(field: Descriptor, zone: tzinfo) -> Callable[[Any], Value]:
    """What turns the field's raw values into their canonical form, or raises ``ValueRefused``; neither None nor an
    empty text is given to it. It is chosen once for all rows of a read: there are millions of values."""
    if field.name in MULTIFIELDS:
        return _first_of_multifield
    if field.is_multiple:
        return _several
    if field.nature == "boolean":
        return truth
    read = _single(field, zone)
    return _text if read is None else partial(_filled, read)


def _single(field: Descriptor, zone: tzinfo) -> Callable[[str], Value] | None:
    """For fields that are neither lists nor yes or no; None where the text is the value."""
    if field.type == "date":
        return _date
    if field.type == "datetime":
        return partial(_stamped, zone)
    if field.nature == "number":
        return partial(_number, field=field)
    if field.type in _LINKS or field.type == "enumeration":
        return _unless_zero
    return None


def _filled(read: Callable[[str], Value], raw: Any) -> Value:
    text = raw if type(raw) is str else _text(raw)
    return None if text is None else read(text)


def _text(raw: Any) -> str | None:
    if type(raw) is str:
        return raw
    return None if raw is False or raw == [] else str(raw)


def _first_of_multifield(raw: Any) -> Value:
    rows = multifield_rows(raw)
    return rows[0].value if rows else None


def _several(raw: Any) -> Value:
    parts = as_list(raw)
    if parts is None:
        parts = [] if raw in (None, "", False, 0) else [raw]
    return tuple(sorted({str(part) for part in parts if part not in (None, "", False)})) or None


def _date(text: str) -> str:
    # A date comes as midnight with an offset that means nothing.
    if not _DATE.match(text):
        raise ValueRefused("expected a date as YYYY-MM-DD")
    return text[:10]


def _stamped(zone: tzinfo, text: str) -> str | None:
    when = moment(text, zone)
    return stamp(when) if when else None


def _unless_zero(text: str) -> str | None:
    return None if text == "0" else text


def _number(text: str, field: Descriptor) -> int | float:
    number = float(text) if NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(number):
        raise ValueRefused("expected a number")
    return int(text) if field.type == "integer" and text.lstrip("+-").isdigit() else number


def encoded(value: Value, field: Descriptor | None) -> Any:
    """A canonical value as a write takes it: texts and lists of texts, '' or [] to clear.

    Raises:
        ValueRefused: the field is missing or read-only (Bitrix24 would ignore it without a word), or cannot take it.
    """
    if field is None:
        raise ValueRefused("the portal has no such field")
    if field.is_read_only or not field.is_mappable:
        raise ValueRefused("the field cannot be written")
    if field.is_multiple and field.name not in MULTIFIELDS:
        return _encoded_list(value, field)
    if value is None:
        return ""
    if isinstance(value, tuple):
        raise ValueRefused("the field takes one value, not a list")
    if field.nature == "boolean":
        return _encoded_truth(value, field)
    return _encoded_single(value, field)


def _encoded_list(value: Value, field: Descriptor) -> list[str]:
    parts = value if isinstance(value, tuple) else () if value in (None, "") else (str(value),)
    for part in parts:
        _known_option(part, field)
    return list(parts)


def _encoded_truth(value: Value, field: Descriptor) -> str:
    if not isinstance(value, bool):
        raise ValueRefused("expected yes or no")
    return ("Y" if value else "N") if field.type == "char" else ("1" if value else "0")


def _encoded_single(value: str | bool | float, field: Descriptor) -> str:
    text = str(value)
    if isinstance(value, bool):
        raise ValueRefused(f"a yes or no does not fit a field of type {field.type}")
    if text == "":
        return ""
    if field.type == "enumeration":
        _known_option(text, field)
    elif field.type == "date":
        # The portal drops what it cannot parse without a word.
        if not _DATE.match(text) or moment(text) is None:
            raise ValueRefused("expected a date as YYYY-MM-DD")
        return text[:10]
    elif field.type == "datetime":
        when = moment(text)
        return when.strftime("%Y-%m-%dT%H:%M:%S+00:00") if when else ""
    elif field.holds_number:
        number = _number(text, field)
        if field.type != "double" and not float(number).is_integer():
            raise ValueRefused("expected a whole number")
    return text


def _known_option(option: str, field: Descriptor) -> None:
    if field.type == "enumeration" and field.options is not None and option not in field.options:
        raise ValueRefused("the field has no such option; options are given by their id")


@dataclass(frozen=True, slots=True, kw_only=True)
class MultifieldRow:
    """One value of EMAIL, PHONE …, with the id by which it is changed."""

    id: int
    value: str
    kind: str


def multifield_rows(raw: Any) -> list[MultifieldRow]:
    """The oldest first. A record without values lacks the key altogether."""
    rows = []
    for item in as_list(raw) or []:
        entry = item if isinstance(item, dict) else as_map(item) or {}
        value = str(entry.get("VALUE") or "")
        number = str(entry.get("ID") or "0")
        if value.strip() and number.isdigit():
            rows.append(MultifieldRow(id=int(number), value=value, kind=str(entry.get("VALUE_TYPE") or "").upper()))
    return sorted(rows, key=lambda row: row.id) if len(rows) > 1 else rows


def address_rows(raw: Any) -> list[MultifieldRow]:
    """The e-mail rows of a record, the primary first: by kind, then the oldest."""
    rows = multifield_rows(raw)
    if len(rows) > 1:
        rows.sort(key=lambda row: (_TYPE_PLACES.get(row.kind, len(_TYPE_PLACES)), row.id))
    return rows


def addresses_of(raw: Any) -> tuple[str, ...]:
    """The addresses of a record, each once, in the order of :func:`address_rows`."""
    if not raw:
        return ()
    if type(raw) is list and len(raw) == 1 and type(raw[0]) is dict:
        # Nearly everybody has one, as two texts; then there is nothing to put in order.
        value, number = raw[0].get("VALUE"), raw[0].get("ID")
        if type(value) is str and type(number) is str and number.isdigit() and value.strip():
            return (value,)
    return tuple(dict.fromkeys(one.value for one in address_rows(raw)))


def select_for(spec: ReadSpec) -> list[str]:
    """What a list call must select: multifields and custom fields come only when named."""
    return list(_selected(spec.collection, spec.fields, spec.topics))


@lru_cache(maxsize=64)
def _selected(entity: str, fields: frozenset[str], topics: frozenset[str]) -> tuple[str, ...]:
    base = ["ID", "DATE_CREATE", "DATE_MODIFY", "EMAIL"]
    extra = {"company": ["IS_MY_COMPANY"], "lead": ["STATUS_ID", "STATUS_SEMANTIC_ID"]}.get(entity, [])
    return tuple(dict.fromkeys([*base, *extra, *sorted(fields | topics)]))


def is_wanted(row: Mapping[str, Any], entity: str, *, include_converted: bool) -> bool:
    """Not the portal owner's own companies and, if so configured, not the leads that became a contact."""
    if entity == "company":
        return str(row.get("IS_MY_COMPANY") or "N").upper() not in ("Y", "1", "TRUE")
    if entity == "lead" and not include_converted:
        return not (row.get("STATUS_SEMANTIC_ID") == "S" or row.get("STATUS_ID") == "CONVERTED")
    return True
