"""Records by id, from the portal's own tables, with those list scopes that a row tells by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optsync.errors import SystemUnavailable
from optsync.model.page import ReadSpec
from optsync.model.record import Record
from optsync_bitrix24.client import BatchReply, Command
from optsync_bitrix24.listing import BATCH, SILENT, TRIES, Listing
from optsync_bitrix24.php import as_list
from optsync_bitrix24.refusals import VendorError
from optsync_bitrix24.walking import PAGE, id_of


@dataclass(slots=True, kw_only=True)
class LookUp:
    """The command that shows at most 50 records, and what it brought."""

    spec: ReadSpec
    ids: Sequence[str]
    select: Sequence[str]
    prefix: str = ""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def commands(self) -> dict[str, Command]:
        select = list(dict.fromkeys(self.select))
        params = {"order": {"ID": "ASC"}, "filter": {"@ID": list(self.ids)}, "select": select, "start": -1}
        return {f"{self.prefix}r": Command(method=f"crm.{self.spec.collection}.list", params=params)}

    def take(self, reply: BatchReply) -> bool:
        """Whether the portal answered for the command."""
        rows = as_list(reply.results.get(f"{self.prefix}r"))
        if rows is None:
            return False
        # A row that was not asked for shows that a filter was not understood; it is not believed.
        self.rows = {number: row for row in rows if (number := str(id_of(row))) in self.ids}
        return True


def record_of(listing: Listing, look_up: LookUp, number: str) -> Record | None:
    """What a look-up showed of one record; None if it is not there or its row cannot be used."""
    row = look_up.rows.get(number)
    if row is None or not listing.is_wanted(row, look_up.spec):
        return None
    spec = look_up.spec
    made = listing.record(row, listing.lists_of(row, spec), listing.rows(spec))
    return made if isinstance(made, Record) else None


def read_ids(listing: Listing, spec: ReadSpec, ids: Sequence[str]) -> list[Record]:
    """See :meth:`optsync.connect.contract.Connector.read_ids`. Rows that cannot be used are left out."""
    found: list[Record] = []
    for look_up in look_ups(listing, spec, ids, listing.selected(spec)):
        found.extend(one for number in look_up.ids if (one := record_of(listing, look_up, number)) is not None)
    return found


def look_ups(listing: Listing, spec: ReadSpec, ids: Sequence[str], select: Sequence[str]) -> list[LookUp]:
    """Look-ups of any number of ids, carried out: 50 ids a command, 50 commands a batch."""
    listing.known_entity(spec.collection)
    wanted = [number for number in dict.fromkeys(ids) if number.isdigit() and number != "0"]
    if not wanted:
        return []
    made = [
        LookUp(spec=spec, ids=wanted[n : n + PAGE], select=select, prefix=f"c{n}") for n in range(0, len(wanted), PAGE)
    ]
    todo = list(made)
    while todo:
        described = 0 if listing.catalog.command(spec.collection) is None else 1
        size = max(1, listing.client.batch_size(BATCH) - described)
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
        left = [one for one in asked if not one.take(reply)]
        listing.check_rows(spec, asked[0].select, (row for one in asked for row in one.rows.values()))
        asked = left
        if not asked:
            return
        listing.wait_or_raise(spec.collection, _first_error(asked, reply.errors))
    raise SystemUnavailable(listing.system, f"{spec.collection}: the portal kept leaving commands of a batch out")


def _first_error(asked: Sequence[LookUp], errors: Mapping[str, VendorError]) -> VendorError:
    return next((errors[key] for one in asked for key in one.commands() if key in errors), SILENT)
