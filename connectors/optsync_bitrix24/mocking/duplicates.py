"""Who else has this address, and merging of records into one."""

from typing import Any

from optsync_bitrix24.mocking.answers import RestError, Result
from optsync_bitrix24.mocking.catalogue import ENTITY_TYPES
from optsync_bitrix24.mocking.php import as_map, elements, is_array, is_blank, param, php_int, php_text, words
from optsync_bitrix24.mocking.portal import Call, Portal
from optsync_bitrix24.mocking.store import Row, Table

_MOST_VALUES = 20
_MOST_HITS = 20
_STAMPS = words(
    "ID DATE_CREATE DATE_MODIFY CREATED_BY_ID MODIFY_BY_ID LAST_ACTIVITY_TIME LAST_ACTIVITY_BY HAS_EMAIL HAS_PHONE "
    "HAS_IMOL ASSIGNED_BY_ID OPENED EXPORT"
)


class Duplicates:
    """crm.duplicate.findbycomm and crm.entity.mergeBatch."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def find(self, call: Call) -> Result:
        """Stops looking at further types once one has 20 hits."""
        kind, values = php_text(param(call.params, "type")).upper(), param(call.params, "values")
        if kind not in ("EMAIL", "PHONE"):
            raise RestError("Communication type is not defined", "Communication type is not defined")
        wanted = [php_text(one) for one in elements(values) if not is_blank(one)] if is_array(values) else []
        if not wanted:
            raise RestError("Communication values is not defined", "Communication values is not defined")
        only = php_text(call.params.get("entity_type")).lower()
        hits: dict[str, list[int]] = {}
        for entity in (only,) if only in ENTITY_TYPES else ("lead", "contact", "company"):
            table = self._portal.table(entity)
            found = {i for value in wanted[:_MOST_VALUES] for i in table.holders(kind, value)}
            seen = [i for i in sorted(found) if self._portal.sees(entity, i)][:_MOST_HITS]
            if seen:
                hits[entity.upper()] = seen
            if len(seen) >= _MOST_HITS:
                break
        return Result(value=hits)

    def merge(self, call: Call) -> Result:
        """The first id survives; two different filled values are a conflict and nothing happens."""
        sent = as_map(call.params.get("params"))
        kind = php_int(sent.get("entityTypeId"))
        entity = next((name for name, number in ENTITY_TYPES.items() if number == kind), None)
        raw = sent.get("entityIds")
        ids = [php_int(one) for one in elements(raw)] if is_array(raw) else []
        if entity is None or len(ids) < 2:
            raise RestError(0, "The parameter 'entityIds' does not contain at least two elements.")
        table = self._portal.table(entity)
        if any(i not in table.rows for i in ids):
            raise RestError(0, "Not found")
        keep, *losers = [table.rows[i] for i in dict.fromkeys(ids)]
        if any(conflicts(table, keep, loser) for loser in losers):
            return Result(value={"STATUS": "CONFLICT", "ENTITY_IDS": []})
        for loser in losers:
            absorb(self._portal, table, keep, loser, user=call.user)
        return Result(value={"STATUS": "SUCCESS", "ENTITY_IDS": [row.id for row in losers]})


def conflicts(table: Table, keep: Row, loser: Row) -> bool:
    """Whether both hold different values in some field that holds only one."""
    return any(
        not is_blank(theirs) and not is_blank(ours) and theirs != ours
        for name, ours, theirs in _scalars(table, keep, loser)
    )


def absorb(portal: Portal, table: Table, keep: Row, loser: Row, *, user: int) -> None:
    """Unites addresses, fills what is empty in the survivor, deletes the loser. Where both have a value the
    survivor's stays, as in a merge by hand."""
    for name, ours, theirs in _scalars(table, keep, loser):
        if is_blank(ours) and not is_blank(theirs):
            keep.values[name] = theirs
    table.remove(loser, to_bin=False)
    kept = list(keep.multifields)
    held = {(one.kind, one.value.casefold()) for one in kept}
    kept += [one for one in loser.multifields if (one.kind, one.value.casefold()) not in held]
    table.set_multifields(keep, kept)
    portal.touch(table, keep, user)


def _scalars(table: Table, keep: Row, loser: Row) -> list[tuple[str, Any, Any]]:
    names = [name for name, one in table.fields.items() if name not in _STAMPS and not one.is_multiple]
    return [(name, keep.values.get(name), loser.values.get(name)) for name in names]
