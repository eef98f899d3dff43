"""Records by id, from the portal's own tables, with their list scopes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optsync.errors import SystemUnavailable
from optsync.model.page import ReadSpec
from optsync.model.record import Record
from optsync_bitrix24.client import BatchReply, Command
from optsync_bitrix24.listing import BATCH, SILENT, TRIES, Filter, Listing, everybody
from optsync_bitrix24.mapping import select_for
from optsync_bitrix24.php import as_list
from optsync_bitrix24.refusals import VendorError
from optsync_bitrix24.walking import PAGE, id_of


@dataclass(slots=True, kw_only=True)
class LookUp:
    """The commands that show at most 50 records, and what they brought."""

    spec: ReadSpec
    ids: Sequence[str]
    filters: Sequence[tuple[Filter, tuple[str, ...]]]
    prefix: str = ""
    extra: tuple[str, ...] = ()
    """Fields to show besides those of the specification."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)

    def commands(self) -> dict[str, Command]:
        made = {f"{self.prefix}r": self._by_id([*select_for(self.spec), *self.extra], {})}
        for number, (where, _) in enumerate(self.filters):
            made[f"{self.prefix}s{number}"] = self._by_id(["ID"], where)
        return made

    def take(self, reply: BatchReply) -> bool:
        """Whether the portal answered for all of the commands."""
        rows = as_list(reply.results.get(f"{self.prefix}r"))
        members = [as_list(reply.results.get(f"{self.prefix}s{number}")) for number in range(len(self.filters))]
        if rows is None or any(page is None for page in members):
            return False
        # A row that was not asked for shows that a filter was not understood; it is not believed.
        self.rows = {number: row for row in rows if (number := str(id_of(row))) in self.ids}
        for (_, names), page in zip(self.filters, members, strict=True):
            for row in page or ():
                self.lists.setdefault(str(id_of(row)), []).extend(names)
        return True

    def _by_id(self, select: Sequence[str], conditions: Filter) -> Command:
        filters = {**conditions, "@ID": list(self.ids)}
        params = {"order": {"ID": "ASC"}, "filter": filters, "select": list(dict.fromkeys(select)), "start": -1}
        return Command(method=f"crm.{self.spec.collection}.list", params=params)


def record_of(listing: Listing, look_up: LookUp, number: str) -> Record | None:
    """What a look-up showed of one record; None if it is not there or its row cannot be used."""
    row = look_up.rows.get(number)
    if row is None or not listing.is_wanted(row, look_up.spec):
        return None
    lists = frozenset([*everybody(look_up.spec), *look_up.lists.get(number, [])])
    made = listing.record(row, lists, listing.rows(look_up.spec))
    return made if isinstance(made, Record) else None


def read_ids(listing: Listing, spec: ReadSpec, ids: Sequence[str]) -> list[Record]:
    """See :meth:`optsync.connect.contract.Connector.read_ids`. Rows that cannot be used are left out."""
    found: list[Record] = []
    for look_up in look_ups(listing, spec, ids):
        found.extend(one for number in look_up.ids if (one := record_of(listing, look_up, number)) is not None)
    return found


def look_ups(listing: Listing, spec: ReadSpec, ids: Sequence[str], extra: tuple[str, ...] = ()) -> list[LookUp]:
    """Look-ups of any number of ids, carried out: 50 ids a command, 50 commands a batch."""
    listing.known_entity(spec.collection)
    wanted = [number for number in dict.fromkeys(ids) if number.isdigit() and number != "0"]
    if not wanted:
        return []
    filters = listing.filters(spec)
    made = [
        LookUp(spec=spec, ids=wanted[n : n + PAGE], filters=filters, prefix=f"c{n}", extra=extra)
        for n in range(0, len(wanted), PAGE)
    ]
    todo = list(made)
    while todo:
        size = max(1, (listing.client.batch_size(BATCH) - 1) // (1 + len(filters)))
        _carry_out(listing, spec, todo[:size])
        todo = todo[size:]
    return made


def _carry_out(listing: Listing, spec: ReadSpec, asked: Sequence[LookUp]) -> None:
    for _ in range(TRIES):
        commands: dict[str, Command] = {}
        if (fields := listing.catalog.command(spec.collection)) is not None:
            commands["fields"] = fields
        for one in asked:
            commands |= one.commands()
        reply = listing.ask(spec.collection, commands)
        listing.check_spec(spec)
        asked = [one for one in asked if not one.take(reply)]
        if not asked:
            return
        listing.wait_or_raise(spec.collection, _first_error(asked, reply.errors))
    raise SystemUnavailable(listing.system, f"{spec.collection}: the portal kept leaving commands of a batch out")


def _first_error(asked: Sequence[LookUp], errors: Mapping[str, VendorError]) -> VendorError:
    return next((errors[key] for one in asked for key in one.commands() if key in errors), SILENT)
