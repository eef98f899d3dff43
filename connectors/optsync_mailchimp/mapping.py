"""Mailchimp's words and ours: literal tables and pure functions.

Source: Mailchimp Marketing API 3.0 reference, List members and Merge fields, checked in November 2026.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from optsync.connect.digests import Digests
from optsync.connect.settings import EspSide
from optsync.errors import RecordInvalid
from optsync.model.page import ReadSpec
from optsync.model.record import Origin, Record, Status, Value

STATUS_OF_WORD: Mapping[str, Status] = {
    "subscribed": Status.IN,
    "unsubscribed": Status.OUT,
    "pending": Status.PENDING,
    "cleaned": Status.BOUNCED,
    "transactional": Status.UNKNOWN,
    "archived": Status.ARCHIVED,
}
WORD_OF_STATUS: Mapping[Status, str] = {
    Status.IN: "subscribed",
    Status.OUT: "unsubscribed",
    Status.PENDING: "pending",
}
BY_ADMIN = "N/A (Unsubscribed by admin)"
_COMPLAINT_WORDS = ("abuse", "spam")
FORGOTTEN_DOMAIN = "@forgotten.mailchimp.com"
MAX_TEXT_BYTES = 255
_REQUIRED_ADDRESS_PARTS = ("addr1", "city", "state", "zip")

MEMBER_KEYS = (
    "id",
    "contact_id",
    "email_address",
    "status",
    "unsubscribe_reason",
    "timestamp_opt",
    "timestamp_signup",
    "last_changed",
)


class MailchimpSide(EspSide):
    """The ``esp:`` side of a sync; topics are named ``Category/Interest``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeField:
    """A field of an audience. ``choices`` are those of radio and dropdown fields."""

    tag: str
    name: str
    type: str
    is_required: bool = False
    choices: tuple[str, ...] = ()


def member_hash(address: str) -> str:
    """The id of an address in an audience: MD5 of the trimmed, lower-cased address."""
    return hashlib.md5(address.strip().lower().encode(), usedforsecurity=False).hexdigest()


def wanted_keys(spec: ReadSpec) -> tuple[str, ...]:
    """The parts of a member that a record of this specification needs."""
    parts = (("merge_fields",) if spec.fields else ()) + (("interests",) if spec.topics else ())
    return MEMBER_KEYS + parts


def is_forgotten(address: object) -> bool:
    """Whether a member with this address is the leftover of a permanent deletion."""
    return str(address or "").lower().endswith(FORGOTTEN_DOMAIN)


class Members:
    """Makes records of members, for one specification: what is the same for all of a page is looked up once."""

    def __init__(self, spec: ReadSpec, topic_ids: Mapping[str, str | None]) -> None:
        """``topic_ids`` resolves the topics of ``spec``."""
        self._topics = [(name, topic_ids.get(name)) for name in spec.topics]
        self._fields = tuple(spec.fields)
        self._digests = Digests(spec, topic_ids)

    def digest(self, member: msgspec.Raw) -> bytes:
        """Of all that ``record`` makes the same record of."""
        return self._digests.of_json(member)

    def record(self, member: Mapping[str, Any], *, known_id: str | None = None) -> Record:
        """A member as a record. ``known_id`` stands in for a ``contact_id`` that the answer left out.

        Raises:
            RecordInvalid: without contact id or status nothing can be said about the row.
        """
        record_id = _text(member.get("contact_id")) or known_id
        address, word = _text(member.get("email_address")), _text(member.get("status"))
        if not record_id:
            raise RecordInvalid("the member has no usable contact_id", record=record_id, field="contact_id")
        if not word:
            raise RecordInvalid("the member has no usable status", record=record_id, field="status")
        reason = _text(member.get("unsubscribe_reason"))
        merge_fields, interests = _mapping(member.get("merge_fields")), _mapping(member.get("interests"))
        status = STATUS_OF_WORD.get(word)
        return Record(
            id=record_id,
            # Contacts who gave a telephone number only have none.
            addresses=(address,) if address else (),
            status=Status.UNKNOWN if status is None else status,
            origin=Origin.UNKNOWN if status is not Status.OUT else origin_of(word, reason),
            reason=reason,
            opted_in_at=parse_time(member.get("timestamp_opt")),
            topics={name: _ticked(interests, topic_id) for name, topic_id in self._topics},
            # A member shows every field of the audience: one that is left out is gone there, and not emptied.
            fields={tag: read_value(merge_fields[tag]) for tag in self._fields if tag in merge_fields},
            created_at=parse_time(member.get("timestamp_signup")),
            modified_at=parse_time(member.get("last_changed")),
            word=word,
            is_word_known=status is not None,
        )


def origin_of(word: str, reason: str | None) -> Origin:
    """Who unsubscribed: an opt-out is the person's own unless the reason proves otherwise."""
    if word != "unsubscribed":
        return Origin.UNKNOWN
    if reason == BY_ADMIN:
        return Origin.ADMIN
    if reason and any(sign in reason.casefold() for sign in _COMPLAINT_WORDS):
        return Origin.COMPLAINT
    return Origin.PERSON


def parse_time(text: object) -> datetime | None:
    """ISO 8601 as UTC; None for "" and for what is no date. A time without zone is UTC."""
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return None


def read_value(raw: object) -> Value:
    """The canonical value of a merge field; an address becomes one JSON text with sorted keys."""
    if type(raw) is str:
        return raw or None
    if raw is None:
        return None
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    if isinstance(raw, bool | int | float | str):
        return raw
    if isinstance(raw, dict) and not any(raw.values()):
        return None
    return json.dumps(raw, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def write_value(field: MergeField, value: Value) -> Any:
    """What to send for a value.

    ``""`` clears a field of any type. Text is cut to 255 bytes, as Mailchimp itself would do, but between
    characters. Booleans are no merge values and go as ``true`` and ``false``.

    Raises:
        RecordInvalid: Mailchimp would refuse or silently drop it; ``field`` is the merge tag.
    """
    if value is None or value == "":
        return ""
    if field.type == "number":
        return _number(field, value)
    if field.type == "address":
        return _address(field, value)
    text = _as_text(value)
    if field.type == "date":
        return text[:10]
    if field.type == "birthday":
        return f"{text[5:7]}/{text[8:10]}" if len(text) >= 10 and text[4] == "-" else text
    return cut(text) if field.type == "text" else text


def cut(text: str, limit: int = MAX_TEXT_BYTES) -> str:
    """The longest start of the text that fits into ``limit`` bytes of UTF-8."""
    return text.encode()[:limit].decode("utf-8", "ignore")


def _as_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _number(field: MergeField, value: Value) -> int | float:
    try:
        number = float(_as_text(value).strip()) if not isinstance(value, int | float) else value
    except ValueError:
        number = float("nan")
    if isinstance(number, bool) or not math.isfinite(number):
        raise RecordInvalid("the value is no number", field=field.tag)
    return int(number) if float(number).is_integer() else number


def _address(field: MergeField, value: Value) -> dict[str, str]:
    try:
        parts = json.loads(str(value))
    except ValueError:
        parts = None
    if not isinstance(parts, dict) or not all(str(parts.get(key) or "").strip() for key in _REQUIRED_ADDRESS_PARTS):
        raise RecordInvalid("the address lacks one of addr1, city, state and zip", field=field.tag)
    return {str(key): str(part) for key, part in parts.items() if part is not None}


def _ticked(interests: Mapping[str, Any], interest_id: str | None) -> bool | None:
    value = interests.get(interest_id) if interest_id else None
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
