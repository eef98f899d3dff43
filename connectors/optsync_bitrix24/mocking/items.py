"""The universal methods crm.item.{fields,list,get,add,update,delete} for leads, contacts and companies."""

from typing import Any

from optsync_bitrix24.mocking.answers import RestError, Result
from optsync_bitrix24.mocking.catalogue import DEFAULTS, ENTITY_TYPES, Field, describe, with_semantics
from optsync_bitrix24.mocking.filters import Predicate, Query, split_key
from optsync_bitrix24.mocking.listing import Order, fetch
from optsync_bitrix24.mocking.names import item_names
from optsync_bitrix24.mocking.php import as_map, elements, is_array, is_blank, php_int, php_text
from optsync_bitrix24.mocking.portal import Call, Portal
from optsync_bitrix24.mocking.store import Multifield, Row, Table
from optsync_bitrix24.mocking.values import DROPPED

# Flat name -> (kind, value type); without a type it is the first of its kind.
_FLAT = {
    "email": ("EMAIL", ""),
    "emailWork": ("EMAIL", "WORK"),
    "emailHome": ("EMAIL", "HOME"),
    "emailMailing": ("EMAIL", "MAILING"),
    "phone": ("PHONE", ""),
    "phoneWork": ("PHONE", "WORK"),
    "phoneMobile": ("PHONE", "MOBILE"),
    "phoneMailing": ("PHONE", "MAILING"),
}


class _Kind:
    """The entity that a call is about, under the names that it asked for."""

    def __init__(self, portal: Portal, call: Call) -> None:
        number = php_int(call.params.get("entityTypeId"))
        entity = next((name for name, known in ENTITY_TYPES.items() if known == number), None)
        if entity is None:
            raise RestError("NOT_FOUND", "SPA not found")
        self.entity = entity
        self.number = number
        self.table: Table = portal.table(entity)
        keeps = php_text(call.params.get("useOriginalUfNames")) in ("Y", "1", "true")
        self.names = item_names(entity, self.table.fields, keeps_originals=keeps)

    def field(self, name: str) -> Field | None:
        classic = self.names.get(name)
        return None if classic is None else self.table.fields[classic]


class Items:
    """Strict about filters, silent about unknown fields of a write."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def fields(self, call: Call) -> Result:
        kind = _Kind(self._portal, call)
        shown = {}
        for name, classic in kind.names.items():
            shown[name] = {**describe(kind.table.fields[classic]), "upperName": classic}
        return Result(value={"fields": shown})

    def find(self, call: Call) -> Result:
        kind = _Kind(self._portal, call)
        query = Query()
        self._conditions(kind, query, as_map(call.params.get("filter")))
        order = self._order(kind, as_map(call.params.get("order")))
        page = fetch(kind.table, query, order, call.params.get("start"), sees=self._portal.viewer(kind.entity))
        select = call.params.get("select")
        words = {php_text(word) for word in elements(select)} if is_array(select) and select else {"*"}
        items = [self._show(kind, row, words) for row in page.rows]
        uncounted = 0 if self._portal.switches.uncounted_total == "always" else None
        total = uncounted if page.total is None else page.total
        return Result(value={"items": items}, total=total, next=page.next)

    def get(self, call: Call) -> Result:
        kind = _Kind(self._portal, call)
        return self._item(kind, self._row(kind, call))

    def add(self, call: Call) -> Result:
        kind = _Kind(self._portal, call)
        sent = self._sent(call)
        values = {**DEFAULTS[kind.entity], **self._taken(kind, sent)}
        kept = self._multifields(kind, Row(0), sent.get("fm"))
        row = kind.table.insert(self._portal.stamped(values, call.user))
        if kind.entity != "contact" and not row.values.get("TITLE"):
            row.values["TITLE"] = f"{kind.entity.capitalize()} #{row.id}"
        kind.table.set_multifields(row, kept)
        return self._item(kind, row)

    def update(self, call: Call) -> Result:
        """Nothing is saved, and no stamp moves, when nothing differs."""
        kind = _Kind(self._portal, call)
        row = self._row(kind, call)
        sent = self._sent(call)
        taken = {name: value for name, value in self._taken(kind, sent).items() if row.values.get(name) != value}
        kept = self._multifields(kind, row, sent.get("fm"))
        if taken or kept != row.multifields:
            row.values.update(taken)
            kind.table.set_multifields(row, kept)
            self._portal.touch(kind.table, row, call.user)
        return self._item(kind, row)

    def delete(self, call: Call) -> Result:
        kind = _Kind(self._portal, call)
        kind.table.remove(self._row(kind, call))
        return Result(value=[])

    def _sees(self, kind: _Kind, row_id: int) -> bool:
        return self._portal.sees(kind.entity, row_id)

    def _row(self, kind: _Kind, call: Call) -> Row:
        row = kind.table.rows.get(php_int(call.params.get("id")))
        if row is None:
            raise RestError("NOT_FOUND", "Element not found")
        if not self._sees(kind, row.id):
            raise RestError("ACCESS_DENIED", "Access denied")
        return row

    def _sent(self, call: Call) -> dict[str, Any]:
        if not is_array(call.params.get("fields")):
            raise RestError("100", "Could not find value for parameter {fields}")
        return as_map(call.params["fields"])

    def _conditions(self, kind: _Kind, query: Query, conditions: dict[str, Any]) -> None:
        for key, wanted in conditions.items():
            if key.isdigit():
                self._group(kind, query, as_map(wanted))
            elif key.lower() != "logic":
                operator, name = split_key(key)
                one = kind.field(name)
                if one is None:
                    text = f"Invalid filter: field '{name}' is not allowed in filter"
                    raise RestError("INVALID_ARG_VALUE", text)
                flags = elements(wanted) if one.type == "boolean" else ()
                if any(php_text(flag) not in ("0", "1") for flag in flags):
                    raise RestError("INVALID_ARG_VALUE", f"Invalid filter: field '{name}' has invalid value")
                self._portal.filters.add(query, one, operator, wanted)

    def _group(self, kind: _Kind, query: Query, group: dict[str, Any]) -> None:
        """A nested group. Its bounds on ids hold inside the group only, so they become conditions."""
        branches: list[Predicate] = []
        for key, wanted in group.items():
            if key.lower() != "logic":
                inner = Query()
                self._conditions(kind, inner, {key: wanted})
                branches.append(_whole(inner))
        is_or = php_text(group.get("logic")).upper() == "OR"
        joined = any if is_or else all
        query.predicates.append(lambda row: joined(holds(row) for holds in branches))

    def _order(self, kind: _Kind, given: dict[str, Any]) -> Order:
        order: Order = []
        for name, way in given.items():
            one = kind.field(name)
            if one is None:
                raise RestError("INVALID_ARG_VALUE", f"Invalid order: field '{name}' is not allowed in order")
            if php_text(way).upper() not in ("ASC", "DESC"):
                text = f"allowed sort directions are `ASC, DESC`. But got '{php_text(way)}' for field '{name}'"
                raise RestError("INVALID_ARG_VALUE", f"Invalid order: {text}")
            order.append((one.name, php_text(way).upper() == "DESC"))
        return order

    def _taken(self, kind: _Kind, sent: dict[str, Any]) -> dict[str, Any]:
        taken: dict[str, Any] = {}
        for name, raw in sent.items():
            one = kind.field(name)
            if one is None or one.is_read_only:
                continue
            if one.is_multiple and one.is_custom and not is_blank(raw) and not is_array(raw):
                text = f"Expected iterable value for multiple field, but got `{type(raw).__name__}` instead"
                raise RestError("100", text)
            value = self._portal.values.take_typed(one, raw)
            if value is not DROPPED:
                taken[one.name] = value
        return with_semantics(kind.entity, taken)

    def _multifields(self, kind: _Kind, row: Row, raw: Any) -> list[Multifield]:
        """``fm``: a numeric key names a row's own id, other keys and a list add; an element without typeId or of
        another shape is ignored."""
        kept = list(row.multifields)
        is_list = isinstance(raw, list)
        for key, element in as_map(raw).items():
            sent = as_map(element)
            type_id, value = php_text(sent.get("typeId")), php_text(sent.get("value")).strip()
            if not type_id:
                continue
            place = None if is_list else next((i for i, one in enumerate(kept) if str(one.id) == key), None)
            if place is not None and not value:
                del kept[place]
            elif place is not None:
                value_type = php_text(sent.get("valueType")) or kept[place].value_type
                kept[place] = kind.table.replaced(kept[place], value_type, value)
            elif value:
                kind.table.append(kept, type_id, php_text(sent.get("valueType")) or "WORK", value)
        return kept

    def _item(self, kind: _Kind, row: Row) -> Result:
        return Result(value={"item": {**self._show(kind, row, {"*"}), "entityTypeId": kind.number}})

    def _show(self, kind: _Kind, row: Row, words: set[str]) -> dict[str, Any]:
        """``fm`` comes with everything only and cannot be named."""
        everything = "*" in words
        item: dict[str, Any] = {"id": row.id}
        for name, classic in kind.names.items():
            one = kind.table.fields[classic]
            if name != "id" and (everything or name in words or (one.is_custom and "UF_*" in words)):
                item[name] = self._portal.values.show_typed(one, row.values.get(classic))
        for name, (multi, value_type) in _FLAT.items():
            if everything or name in words:
                item[name] = _first(row, multi, value_type)
        if everything:
            item["fm"] = [
                {"id": one.id, "typeId": one.kind, "valueType": one.value_type, "value": one.value}
                for one in row.multifields
            ]
        return item


def _first(row: Row, kind: str, value_type: str) -> str:
    return next((one.value for one in row.of_kind(kind) if value_type in ("", one.value_type)), "")


def _whole(query: Query) -> Predicate:
    """A query with its bounds as one condition."""
    return lambda row: query.admits(row.id) and query.matches(row)
