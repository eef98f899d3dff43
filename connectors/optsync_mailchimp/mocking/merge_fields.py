"""Merge fields: their definitions, and what a written value becomes or why it is refused.

Types and formats: Mailchimp Marketing API documentation, "Merge fields".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optsync_mailchimp.mocking.problems import FieldError, invalid_fields, invalid_merge_fields

LARGEST_TEXT = 255
"""Bytes; longer text is cut without a word."""

MESSAGES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "number": "Please enter a number",
        "date": "Please enter the date",
        "birthday": "Please enter a month (01-12) and a day (01-31)",
        "address": "Please enter a complete address",
        "zip": "Please enter a zip code (5 digits)",
        "phone": "Please enter a phone number",
        "url": "Please enter a valid URL",
        "choice": "Please select a value",
        "required": "Please enter a value",
    },
    "de": {
        "number": "Bitte gib eine Zahl ein",
        "date": "Bitte gib das Datum ein",
        "birthday": "Bitte gib einen Monat (01-12) und einen Tag (01-31) ein",
        "address": "Bitte gib eine vollständige Adresse ein",
        "zip": "Bitte gib eine Postleitzahl ein (5 Ziffern)",
        "phone": "Bitte gib eine Telefonnummer ein",
        "url": "Bitte gib eine gültige URL ein",
        "choice": "Bitte wähle einen Wert aus",
        "required": "Bitte gib einen Wert ein",
    },
}

TYPES = (*("text", "number", "radio", "dropdown", "date", "birthday", "address", "zip", "phone", "url", "imageurl"),)
_DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d-%m-%Y", "%m/%d/%Y")
_ADDRESS_REQUIRED = ("addr1", "city", "state", "zip")
_ADDRESS_KEYS = ("addr1", "addr2", "city", "state", "zip", "country")
_PHONE_US = re.compile(r"\(?\d{3}\)?[-. ]?\d{3}[-. ]?\d{4}")


@dataclass(slots=True, kw_only=True)
class MergeField:
    merge_id: int
    tag: str
    name: str
    type: str
    required: bool = False
    default_value: str = ""
    public: bool = True
    display_order: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    help_text: str = ""


class _Refused(Exception):
    """With the key of the message."""


def validate(
    defined: Mapping[str, MergeField],
    current: Mapping[str, Any],
    sent: object,
    *,
    needs_required: bool,
    language: str,
) -> dict[str, Any]:
    """The contact's values after the write; empty ones are left out. Unknown tags are ignored.

    Raises:
        Problem: a value of a wrong JSON type, a value that its field refuses, or (``needs_required``) a missing one.
    """
    if not isinstance(sent, dict):
        raise invalid_fields(("merge_fields", "Schema describes object, NULL found"))
    values = dict(current)
    unfit = [(f"merge_fields.{tag}", _ANY_OF) for tag, value in sent.items() if not _fits_schema(value)]
    if unfit:
        raise invalid_fields(*unfit)
    messages = MESSAGES[language]
    errors: list[FieldError] = []
    for tag, value in sent.items():
        if tag not in defined:
            continue
        try:
            values[tag] = "" if value == "" else _READ[defined[tag].type](value, defined[tag])
        except _Refused as refused:
            errors.append((tag, messages[str(refused)]))
    wrong = {tag for tag, _ in errors}
    if needs_required:
        missing = (d.tag for d in defined.values() if d.required and d.tag not in wrong and values.get(d.tag, "") == "")
        errors += [(tag, messages["required"]) for tag in missing]
    if errors:
        raise invalid_merge_fields(errors)
    return {tag: value for tag, value in values.items() if value != ""}


_ANY_OF = "Data did not match any of the schemas described in anyOf."


def _fits_schema(value: object) -> bool:
    return isinstance(value, str | int | float | dict) and not isinstance(value, bool)


def _text(value: Any, _: MergeField) -> str:
    if isinstance(value, dict):
        raise _Refused("required")
    return str(value).encode()[:LARGEST_TEXT].decode(errors="ignore")


def _number(value: Any, _: MergeField) -> int | float:
    if isinstance(value, int | float):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _Refused("number") from None
    if number in {float("inf"), float("-inf")} or number != number:  # noqa: PLR0124 (only NaN differs from itself)
        raise _Refused("number")
    return int(number) if number.is_integer() else number


def _choice(value: Any, definition: MergeField) -> str:
    if value not in definition.options.get("choices", []):
        raise _Refused("choice")
    return str(value)


def _date(value: Any, _: MergeField) -> str:
    for pattern in _DATE_FORMATS:
        try:
            return datetime.strptime(str(value), pattern).strftime("%Y-%m-%d")  # noqa: DTZ007 (a date has no zone)
        except ValueError:
            continue
    raise _Refused("date")


def _birthday(value: Any, _: MergeField) -> str:
    if not re.fullmatch(r"\d\d/\d\d", str(value)):
        raise _Refused("birthday")
    try:
        return datetime.strptime(f"2024/{value}", "%Y/%m/%d").strftime("%m/%d")  # noqa: DTZ007 (a leap year: any day)
    except ValueError:
        raise _Refused("birthday") from None


def _address(value: Any, _: MergeField) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
        raise _Refused("address")
    if not all(value.get(key) for key in _ADDRESS_REQUIRED):
        raise _Refused("address")
    return {key: value.get(key, "") for key in _ADDRESS_KEYS}


def _zip(value: Any, _: MergeField) -> str:
    if not re.fullmatch(r"\d{5}", str(value)):
        raise _Refused("zip")
    return str(value)


def _phone(value: Any, definition: MergeField) -> str:
    if isinstance(value, dict) or (
        definition.options.get("phone_format") == "US" and not _PHONE_US.fullmatch(str(value))
    ):
        raise _Refused("phone")
    return str(value)


def _url(value: Any, _: MergeField) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/]+\.[^\s]+", value):
        raise _Refused("url")
    return value


_READ: Mapping[str, Callable[[Any, MergeField], Any]] = {
    "text": _text,
    "number": _number,
    "radio": _choice,
    "dropdown": _choice,
    "date": _date,
    "birthday": _birthday,
    "address": _address,
    "zip": _zip,
    "phone": _phone,
    "url": _url,
    "imageurl": _url,
}


def as_tag(wanted: str, merge_id: int) -> str:
    """Upper case, letters, digits and underscore, cut to ten characters; ``MMERGE<n>`` when nothing is left."""
    return re.sub(r"[^A-Z0-9_]", "", wanted.upper())[:10] or f"MMERGE{merge_id}"
