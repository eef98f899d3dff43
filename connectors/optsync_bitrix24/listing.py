"""What every kind of reading shares: the portal's fields, the check of what is asked, rows into records."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

import structlog

from optsync.clock import Clock
from optsync.connect.http import Effect
from optsync.errors import CredentialsRefused, RecordInvalid, SystemUnavailable
from optsync.model.page import ReadSpec, RowFault
from optsync.model.record import Record
from optsync_bitrix24.belonging import Test, custom_in, names_in, test_of
from optsync_bitrix24.catalog import Catalog, fields_command
from optsync_bitrix24.client import BatchReply, Client, Command
from optsync_bitrix24.mapping import CUSTOM, ENTITIES, Fields, is_wanted, select_for
from optsync_bitrix24.refusals import Meaning, VendorError, meaning
from optsync_bitrix24.rows import Rows
from optsync_bitrix24.where import as_filter, faults, needs_types

_log = structlog.get_logger(__name__)
BATCH = 50
TRIES = 5
SILENT = VendorError(code="", text="a command was not answered for")

Filter = Mapping[str, Any]


class Scope(NamedTuple):
    """List scopes with the same filter. ``test``: how it is told from a row, None where only the portal can tell."""

    where: Filter
    names: tuple[str, ...]
    test: Test | None


class Listing:
    """The lists of one portal, with what is known of their fields."""

    def __init__(
        self, client: Client, clock: Clock, *, system: str, include_converted: bool, catalog: Catalog | None = None
    ) -> None:
        self.client = client
        self.catalog = catalog or Catalog(clock)
        self.system = system
        self._clock = clock
        self._include_converted = include_converted
        self.zone: tzinfo = UTC
        self._sound: tuple[ReadSpec, Fields] | None = None
        """A specification and the descriptors that were found to fit together last."""
        self.written: Counter[str] = Counter()
        """Records that were changed since the last read, by entity."""
        self._rows: Rows | None = None
        self._scopes: tuple[ReadSpec, Fields, list[Scope]] | None = None

    def fields(self, entity: str) -> Fields:
        """The entity's descriptors, by a call of their own where they are not known or too old."""
        self.known_entity(entity)
        if self.catalog.command(entity) is not None:
            self.ask(entity, {"fields": fields_command(entity)})
        return self.known_fields(entity)

    def ask(self, entity: str, commands: Mapping[str, Command]) -> BatchReply:
        """A reading batch. Without the fields, if they are not known yet, nothing in its answer can be read; they are
        asked for again by themselves, since what the answer has shown may be gone by then."""
        described = reply = self.client.batch(commands, effect=Effect.READ)
        self.learn(entity, reply)
        for _ in range(TRIES - 1):
            if self.catalog.get(entity) is not None:
                break
            self.wait_or_raise(entity, described.errors.get("fields", SILENT))
            described = self.client.batch({"fields": fields_command(entity)}, effect=Effect.READ)
            self.learn(entity, described)
        self.known_fields(entity)
        return reply

    def known_fields(self, entity: str) -> Fields:
        """The descriptors learnt so far. Raises SystemUnavailable: none were."""
        known = self.catalog.get(entity)
        if known is None:
            raise SystemUnavailable(self.system, f"the portal did not describe the fields of {entity}")
        return known

    def learn(self, entity: str, reply: BatchReply) -> None:
        """Takes the descriptors and the portal's zone from an answer."""
        if "fields" in reply.results:
            self.catalog.learn(entity, reply.results["fields"])
        if reply.started_at is not None:
            self.zone = reply.started_at.tzinfo or UTC

    def filters(self, spec: ReadSpec) -> list[tuple[Filter, tuple[str, ...]]]:
        """The different filters, ready to send, and the names of the list scopes that use each."""
        distinct = _distinct(spec)
        # Yes and no are sent differently for different types; everything else can be checked with the answer.
        is_typed = any(needs_types(where) for where, _ in distinct)
        known = self.fields(spec.collection) if is_typed else self.catalog.get(spec.collection)
        # A faulty filter would match everybody: a read is refused for it, and a read-back goes without it.
        is_sound = known is None or self._is_sound(spec, known)
        usable = [(where, names) for where, names in distinct if is_sound or not faults(where, known or {})]
        return [(as_filter(where, known), names) for where, names in usable]

    def check_spec(self, spec: ReadSpec) -> None:
        """The portal ignores a filter key or a field that it does not know, without a word.

        Raises:
            SystemUnavailable: the specification names such a one; nothing of the answer may be believed.
        """
        known = self.known_fields(spec.collection)
        if self._is_sound(spec, known):
            return
        wrong = _wrong(spec, known)
        if wrong and not self.catalog.is_new(spec.collection):
            # They may be of a moment when somebody was at work on the portal.
            self.catalog.drop(spec.collection)
            known = self.fields(spec.collection)
            wrong = _wrong(spec, known)
        if wrong:
            self.catalog.doubt(spec.collection)  # who puts the portal right must not wait until all is asked anew
            advice = "nothing was read; correct the configuration or the portal"
            raise SystemUnavailable(self.system, f"{spec.collection}: {'; '.join(wrong)}; {advice}")
        self._sound = spec, known

    def check_rows(self, spec: ReadSpec, select: Sequence[str], rows: Iterable[Filter]) -> None:
        """Looks again at the portal's fields where a row lacks a custom one that was asked for, since a portal shows
        empty ones, too: one that was deleted would read as a flag that everybody has taken back.

        Raises:
            SystemUnavailable: as :meth:`check_spec`.
        """
        if not all(is_whole(row, select) for row in rows):
            self.catalog.drop(spec.collection)
            self.fields(spec.collection)
            self.check_spec(spec)

    def _is_sound(self, spec: ReadSpec, known: Fields) -> bool:
        """Whether these very two were checked last: each batch of a read asks about the same."""
        return self._sound is not None and self._sound[0] is spec and self._sound[1] is known

    def rows(self, spec: ReadSpec) -> Rows:
        """What makes records of the rows, with all that is known of the fields by now."""
        fields = self.known_fields(spec.collection)
        made = self._rows
        if made is None or made.spec is not spec or made.fields is not fields or made.zone != self.zone:
            made = self._rows = Rows(spec, fields, self.zone)
        return made

    def selected(self, spec: ReadSpec) -> list[str]:
        """What a list call must select, with what tells the list scopes by itself, and with every custom field that
        they ask for: see :meth:`check_rows`."""
        scoping = (name for where, _ in _distinct(spec) for name in [*names_in(where), *custom_in(where)])
        return list(dict.fromkeys([*select_for(spec), *scoping]))

    def scopes(self, spec: ReadSpec) -> list[Scope]:
        """The different list scopes. Before the fields are known, no row tells any of them."""
        fields = self.catalog.get(spec.collection) or {}
        made = self._scopes
        if made is None or made[0] is not spec or made[1] is not fields:
            found = [Scope(where, names, test_of(where, fields)) for where, names in self.filters(spec)]
            made = self._scopes = spec, fields, found
        return made[2]

    def is_row_to_tell(self, spec: ReadSpec) -> bool:
        """Whether rows may tell some list scope by themselves, which the fields decide and are not known yet."""
        is_unknown = self.catalog.get(spec.collection) is None
        return is_unknown and any(len(names_in(where)) == len(where) for where, _ in _distinct(spec))

    def lists_of(self, row: Filter, spec: ReadSpec) -> frozenset[str]:
        """The list scopes that the row itself tells; none where only the portal knows one of them."""
        names = set(everybody(spec))
        for scope in self.scopes(spec):
            is_in = None if scope.test is None else scope.test(row)
            if is_in is None:
                return frozenset()
            if is_in:
                names.update(scope.names)
        return frozenset(names)

    def is_wanted(self, row: Filter, spec: ReadSpec) -> bool:
        """Whether the row is not left out on purpose."""
        return is_wanted(row, spec.collection, include_converted=self._include_converted)

    def record(self, row: Filter, lists: frozenset[str], rows: Rows) -> Record | RowFault:
        """A row as a record, or as a fault if a value does not fit. ``lists``: the list scopes that it was found in."""
        if rows.holds_unknown_option(row):
            self.catalog.doubt(rows.spec.collection)
        try:
            return rows.record(row, lists)
        except RecordInvalid as error:
            value = row.get(error.field or "")
            return RowFault(record=str(row.get("ID")), field=error.field, message=str(error), value=str(value))

    def wait_or_raise(self, entity: str, error: VendorError) -> None:
        """After a command of a reading batch failed: waits where that helps, raises where it does not."""
        what = meaning(error)
        if what is Meaning.DENIED:
            raise CredentialsRefused(self.system, f"the webhook's owner may not read {entity} records; grant the right")
        if what in (Meaning.INVALID, Meaning.GONE):
            raise SystemUnavailable(self.system, f"the portal refuses to list {entity} records ({error.code})")
        wait = 2.0
        if error.is_operating:
            wait = self.client.wait_after_limit(f"crm.{entity}.list")
        _log.info("read_paused", system=self.system, entity=entity, code=error.code, wait_s=round(wait))
        self._clock.sleep(wait)

    def known_entity(self, entity: str) -> None:
        """Raises SystemUnavailable for a collection that is no entity."""
        if entity not in ENTITIES:
            raise SystemUnavailable(self.system, f"there is no entity {entity}; expected one of {', '.join(ENTITIES)}")


def _distinct(spec: ReadSpec) -> list[tuple[Filter, tuple[str, ...]]]:
    """An empty filter needs no query: everybody matches."""
    found: list[tuple[Filter, list[str]]] = []
    for name, where in spec.lists.items():
        if not where:
            continue
        same = next((names for other, names in found if dict(other) == dict(where)), None)
        if same is None:
            found.append((where, [name]))
        else:
            same.append(name)
    return [(where, tuple(names)) for where, names in found]


def _wrong(spec: ReadSpec, known: Fields) -> list[str]:
    """What the specification names and the portal does not know."""
    # A plain standard field may be one that only contacts or leads have.
    needed = spec.flags | spec.topics | {name for name in spec.fields if name.startswith(CUSTOM)}
    wrong = [f"{key} {why}" for where, _ in _distinct(spec) for key, why in faults(where, known)]
    wrong += [f"the field {name} is not there" for name in sorted(needed - known.keys())]
    # What nobody can read as yes or no would be nobody's no.
    unclear = [name for name in sorted((spec.flags | spec.topics) & known.keys()) if known[name].nature != "boolean"]
    return wrong + [f"the field {name} is no yes/no field" for name in unclear]


def is_whole(row: Filter, select: Sequence[str]) -> bool:
    """Whether the row shows all custom fields that were asked for."""
    return all(name in row for name in select if name.startswith(CUSTOM))


def everybody(spec: ReadSpec) -> list[str]:
    """The names of the list scopes without a filter."""
    return [name for name, where in spec.lists.items() if not where]
