"""What all calls have in common: trimming by ``fields``, paging, links, times."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import msgspec

from optsync_mailchimp.mocking.problems import invalid_fields, named

Tree: TypeAlias = dict[str, "Tree"]
Json: TypeAlias = dict[str, Any]

_PLUS_LOST = re.compile(r" \d\d:?\d\d$")
_SCHEMA = "https://api.mailchimp.com/schema/3.0"


class Trimmed(dict[str, Any]):
    """An answer that was trimmed while it was made."""


class Selection:
    """Which parts of an answer are wanted, from ``fields`` or ``exclude_fields``."""

    def __init__(self, only: Tree | None = None, without: Tree | None = None) -> None:
        self.only = only or None
        self.without = without or {}
        self._subs: dict[str, Selection] = {}

    @staticmethod
    def parse(query: Mapping[str, str]) -> "Selection":
        """Raises ``Problem`` when both lists are given: they exclude each other."""
        if query.get("fields") and query.get("exclude_fields"):
            raise named("RequestedFieldsInvalid")
        return _selection(query.get("fields", ""), query.get("exclude_fields", ""))

    def wants(self, key: str) -> bool:
        if self.only is not None:
            return key in self.only
        return self.without.get(key) != {}

    def sub(self, key: str) -> "Selection":
        """For what lies under ``key``, which must be wanted."""
        found = self._subs.get(key)
        if found is None:
            only, without = (None, self.without) if self.only is None else (self.only, {})
            found = self._subs[key] = Selection(only.get(key) if only else None, without.get(key))
        return found

    @property
    def is_everything(self) -> bool:
        return self.only is None and not self.without

    def require(self, known: frozenset[str]) -> None:
        """Raises ``Problem`` when ``fields`` names something that the object never has."""
        if self.only is not None and not self.only.keys() <= known:
            raise named("RequestedFieldsInvalid")

    def apply(self, value: Any) -> Any:
        if self.is_everything:
            return value
        if isinstance(value, list):
            return [self.apply(item) for item in value]
        if isinstance(value, dict):
            return {
                key: self.sub(key).apply(item) if isinstance(item, dict | list) else item
                for key, item in value.items()
                if self.wants(key)
            }
        return value


@lru_cache(maxsize=128)
def _selection(only: str, without: str) -> Selection:
    return Selection(_tree(only), _tree(without))


def _tree(text: str) -> Tree:
    root: Tree = {}
    for path in filter(None, (part.strip() for part in text.split(","))):
        node = root
        for name in path.split("."):
            node = node.setdefault(name, {})
    return root


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to the API, below ``/3.0``."""

    method: str
    path: str
    query: Mapping[str, str]
    now: int
    """Unix seconds."""
    raw_body: bytes = b""
    client: str = "127.0.0.1"
    base_url: str = ""
    """Scheme, host and mount prefix, without ``/3.0``."""
    language: str = ""
    """``Accept-Language``: a new contact's language when the body names none."""

    @cached_property
    def selection(self) -> Selection:
        return Selection.parse(self.query)

    @cached_property
    def body(self) -> Json:
        """The JSON object sent. Raises ``Problem`` when it is not one."""
        try:
            value = msgspec.json.decode(self.raw_body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise named("JSONParseError") from None
        if not isinstance(value, dict):
            raise invalid_fields(("", f"Schema describes object, {json_type(value)} found"))
        return value

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in {"true", "1"}

    def paging(self) -> tuple[int, int]:
        """``offset`` and ``count`` (default 10, at most 1000)."""
        return self._number("offset", 0, None), self._number("count", 10, 1000)

    def _number(self, name: str, default: int, largest: int | None) -> int:
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.isascii() or not text.isdigit():
            raise invalid_fields((name, "This value should be of type integer."))
        if largest is not None and int(text) > largest:
            raise invalid_fields((name, f"This value should be {largest} or less."))
        return int(text)

    def time(self, name: str, *, lost: float) -> float | None:
        """Unix seconds of a time filter. ``lost``: what a raw ``+``, which arrives as a space, turns into."""
        text = self.query.get(name, "")
        if not text:
            return None
        moment = parse_time(text)
        if moment is None and _PLUS_LOST.search(text):
            return lost
        if moment is None:
            raise invalid_fields((name, "This value is not a valid datetime."))
        return moment

    def collection(self, key: str, items: list[Json], **more: Any) -> Json:
        """A paged collection of ready objects; the answer is trimmed later."""
        offset, count = self.paging()
        return {
            key: items[offset : offset + count],
            **more,
            "total_items": len(items),
            "_links": links(self, self.path),
        }


def parse_time(text: str) -> float | None:
    """Unix seconds of an ISO 8601 or ``YYYY-MM-DD HH:MM:SS`` time (UTC when it names no zone), else None."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@lru_cache(maxsize=1024)
def show_time(seconds: float | None) -> str:
    """ISO 8601 with ``+00:00`` in whole seconds, empty for None."""
    return "" if seconds is None else datetime.fromtimestamp(int(seconds), UTC).isoformat()


def links(call: Call, path: str, *more: tuple[str, str, str]) -> list[Json]:
    """``_links``: self and parent, and further (rel, href, method)."""
    root = f"{call.base_url}/3.0"
    shown = (("self", path, "GET"), ("parent", path.rsplit("/", 1)[0], "GET"), *more)
    return [
        {"rel": rel, "href": root + href, "method": method, "targetSchema": f"{_SCHEMA}/Definitions/Response.json"}
        for rel, href, method in shown
    ]


def json_type(value: object) -> str:
    """The word that the schema messages use."""
    if value is None:
        return "NULL"
    names = {bool: "boolean", int: "integer", float: "double", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "object")
