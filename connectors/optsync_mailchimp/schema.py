"""The definitions of an audience: merge fields and interests, read once in a while."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optsync.clock import Clock
from optsync.errors import SystemUnavailable
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.mapping import MergeField

# Everything at once: without `count` the API shows ten.
_ALL = {"count": 1000}
# A renamed or new group touches no member, so only asking again shows it.
_FRESH_SECONDS = 6 * 3600.0
# What is not there by its name may have been renamed by mistake, or stood in an answer that was damaged.
_DOUBTED_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """A group. ``is_exclusive``: at most one of its category can be ticked."""

    id: str
    is_exclusive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Interests:
    """By ``Category/Interest``; ``ambiguous`` names exist more than once and stand for nothing."""

    by_name: Mapping[str, Interest]
    ambiguous: frozenset[str] = frozenset()


class Schemas:
    """Definitions by audience id, kept for six hours; for ten minutes where something that is needed is missing."""

    def __init__(self, client: MailchimpClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._merge_fields: dict[str, tuple[float, Mapping[str, MergeField]]] = {}
        self._interests: dict[str, tuple[float, Interests]] = {}

    def merge_fields(
        self, audience: str, needed: Iterable[str] = (), *, is_fresh: bool = False
    ) -> Mapping[str, MergeField]:
        """By tag; those that are ``needed`` may be missing. ``is_fresh`` asks again in any case."""
        known = self._merge_fields.get(audience)
        if known is None or is_fresh or self._is_old(*known, needed):
            rows = self._rows(f"/lists/{audience}/merge-fields", "merge_fields", needs="tag")
            known = (self._clock.monotonic(), {f.tag: f for f in map(_merge_field, rows)})
            self._merge_fields[audience] = known
        return known[1]

    def interests(self, audience: str, needed: Iterable[str] = (), *, is_fresh: bool = False) -> Interests:
        """All groups; those that are ``needed`` may be missing. ``is_fresh`` asks again in any case."""
        known = self._interests.get(audience)
        if known is None or is_fresh or self._is_old(known[0], known[1].by_name, needed):
            known = (self._clock.monotonic(), self._read_interests(audience))
            self._interests[audience] = known
        return known[1]

    def topic_ids(self, audience: str, names: Iterable[str]) -> Mapping[str, str | None]:
        """Interest ids by topic name, None for a name that the audience does not have (or has twice)."""
        wanted = tuple(names)
        if not wanted:
            return {}
        interests = self.interests(audience, wanted).by_name
        return {name: interests[name].id if name in interests else None for name in wanted}

    def _read_interests(self, audience: str) -> Interests:
        by_name: dict[str, Interest] = {}
        twice: set[str] = set()
        base = f"/lists/{audience}/interest-categories"
        for category in self._rows(base, "categories", needs="id"):
            is_exclusive = category.get("type") in ("radio", "dropdown")
            for row in self._rows(f"{base}/{category['id']}/interests", "interests", needs="id"):
                name = f"{category.get('title')}/{row.get('name')}"
                if name in by_name:
                    twice.add(name)
                by_name[name] = Interest(id=row["id"], is_exclusive=is_exclusive)
        return Interests(
            by_name={name: i for name, i in by_name.items() if name not in twice}, ambiguous=frozenset(twice)
        )

    def _rows(self, path: str, key: str, *, needs: str) -> list[dict[str, Any]]:
        """Rows without what they are known by are no definitions: a topic that can't be told is never taken for one
        that is not wanted."""
        reply = self._client.get(path, {**_ALL, "exclude_fields": f"_links,{key}._links"})
        rows = reply.body.get(key)
        if reply.is_ok and isinstance(rows, list) and all(_is_named(row, needs) for row in rows):
            return rows
        raise SystemUnavailable(
            self._client.system,
            f"the audience's definitions ({key}) could not be read (HTTP {reply.status}); "
            "check that the audience id of the configuration exists",
        )

    def _is_old(self, read_at: float, known: Mapping[str, Any], needed: Iterable[str]) -> bool:
        limit = _FRESH_SECONDS if all(name in known for name in needed) else _DOUBTED_SECONDS
        return self._clock.monotonic() - read_at > limit


def _is_named(row: object, key: str) -> bool:
    return isinstance(row, dict) and isinstance(row.get(key), str) and bool(row[key])


def _merge_field(row: Mapping[str, Any]) -> MergeField:
    options = row.get("options")
    choices = options.get("choices") if isinstance(options, dict) else None
    return MergeField(
        tag=row["tag"],
        name=str(row.get("name") or ""),
        type=str(row.get("type") or "text"),
        is_required=row.get("required") is True,
        choices=tuple(str(choice) for choice in choices) if isinstance(choices, list) else (),
    )
