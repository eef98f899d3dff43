"""The classic methods crm.{contact,lead,company}.{fields,list,get,add,update,delete}."""

from typing import Any

from optsync_bitrix24.mocking.answers import RestError, Result
from optsync_bitrix24.mocking.catalogue import DEFAULTS, MULTIFIELDS, describe, system_descriptions, with_semantics
from optsync_bitrix24.mocking.listing import Order, fetch
from optsync_bitrix24.mocking.php import (
    Shown,
    ShownMap,
    as_map,
    elements,
    is_array,
    is_blank,
    param,
    php_int,
    php_json,
    php_text,
)
from optsync_bitrix24.mocking.portal import Call, Portal
from optsync_bitrix24.mocking.store import Fields, Multifield, Row, Selection, Table
from optsync_bitrix24.mocking.values import DROPPED

# Written by these methods and never shown by them.
_HIDDEN = frozenset({"COMPANY_IDS", "CONTACT_IDS"})

_NEVER_SHOWN: tuple[dict[str, Any], list[Multifield], Any] = {}, [], {}


class Classic:
    """The methods of one entity."""

    def __init__(self, portal: Portal, entity: str) -> None:
        self._portal = portal
        self._entity = entity
        self._table: Table = portal.table(entity)

    def fields(self, call: Call) -> Result:
        del call
        known = system_descriptions(self._entity)
        shown = {name: known.get(name) or php_json(describe(one)) for name, one in self._table.fields.items()}
        return Result(value=ShownMap(shown))

    def find(self, call: Call) -> Result:
        conditions, order, start = (param(call.params, name) for name in ("filter", "order", "start"))
        for name, given in (("order", order), ("filter", conditions)):
            if given is not None and not is_array(given):
                raise RestError("", f"Parameter '{name}' must be array.")
        query = self._portal.filters.classic(self._table, as_map(conditions))
        way, sees = self._order(as_map(order)), self._portal.viewer(self._entity)
        page = fetch(self._table, query, way, start, sees=sees)
        if not page.rows and page.total and self._portal.switches.past_the_end == "first":
            page = fetch(self._table, query, way, 0, sees=sees)
        selection = self._selected(param(call.params, "select"))
        uncounted = 0 if self._portal.switches.uncounted_total in ("classic", "always") else None
        rows = Shown([self._show(row, selection) for row in page.rows])
        return Result(value=rows, total=uncounted if page.total is None else page.total, next=page.next)

    def get(self, call: Call) -> Result:
        row = self._row(call, "Not found")
        if not self._sees(row.id):
            raise RestError("", "Access denied.")
        return Result(value=self._show(row, self._selected(["*", "UF_*", *MULTIFIELDS])))

    def add(self, call: Call) -> Result:
        sent = self._sent(call)
        self._demand_name(sent)
        values: dict[str, Any] = {**DEFAULTS[self._entity], **self._taken(sent)}
        kept = self._multifields(Row(0), sent)
        row = self._table.insert(self._portal.stamped(values, call.user))
        if self._entity == "lead" and not row.values.get("TITLE"):
            row.values["TITLE"] = f"Lead #{row.id}"
        self._table.set_multifields(row, kept)
        return Result(value=row.id)

    def update(self, call: Call) -> Result:
        """Moves the stamps even where nothing differs."""
        row = self._row(call, f"{self._entity.capitalize()} is not found")
        if not self._sees(row.id):
            raise RestError("", "Access denied.")
        sent = self._sent(call)
        taken = {name: value for name, value in self._taken(sent).items() if name not in self._table.kept}
        kept = self._multifields(row, sent)
        row.values.update(taken)
        self._table.set_multifields(row, kept)
        self._portal.touch(self._table, row, call.user)
        return Result(value=True)

    def delete(self, call: Call) -> Result:
        code, text = ("", "Not found") if self._entity == "lead" else ("ERROR_CORE", "Element not found")
        row = self._row(call, text, code=code)
        if not self._sees(row.id):
            raise RestError("", "Access denied.")
        self._table.remove(row)
        return Result(value=True)

    def _sees(self, row_id: int) -> bool:
        return self._portal.sees(self._entity, row_id)

    def _row(self, call: Call, missing: str, *, code: str = "") -> Row:
        number = php_int(param(call.params, "id"))
        if number <= 0:
            raise RestError("", "ID is not defined or invalid.")
        if number not in self._table.rows:
            raise RestError(code, missing)
        return self._table.rows[number]

    def _sent(self, call: Call) -> dict[str, Any]:
        fields, options = param(call.params, "fields"), param(call.params, "params")
        if not is_array(fields):
            raise RestError("", "Parameter 'fields' must be array.")
        if options is not None and not is_array(options):
            raise RestError("", "Parameter 'params' must be array.")
        return as_map(fields)

    def _demand_name(self, sent: dict[str, Any]) -> None:
        if self._entity == "contact" and is_blank(sent.get("NAME")) and is_blank(sent.get("LAST_NAME")):
            raise RestError("", "Field 'First name' or 'Last name' is required.")
        if self._entity == "company" and is_blank(sent.get("TITLE")):
            raise RestError("", "Field 'Company Name' is required.")

    def _taken(self, sent: dict[str, Any]) -> dict[str, Any]:
        """What of the sent fields is stored; unknown and read-only names are ignored without a word."""
        taken: dict[str, Any] = {}
        for name, raw in sent.items():
            one = self._table.fields.get(name)
            if one is None or one.is_read_only or one.type == "crm_multifield":
                continue
            value = self._portal.values.take(one, raw)
            if value is not DROPPED:
                taken[name] = value
        return with_semantics(self._entity, taken)

    def _multifields(self, row: Row, sent: dict[str, Any]) -> list[Multifield]:
        kept = Row(row.id, {}, list(row.multifields))
        for kind in MULTIFIELDS:
            if kind in sent:
                kept.multifields = self._table.merged(kept, kind, sent[kind])
        return kept.multifields

    def _order(self, given: dict[str, Any]) -> Order:
        fields = self._table.fields
        known = [(name, way) for name, way in given.items() if name in fields and name not in MULTIFIELDS]
        return [(name, php_text(way).upper() == "DESC") for name, way in known]

    def _selected(self, select: Any) -> Selection:
        named = elements(select) if is_array(select) else ()
        words = frozenset([one if isinstance(one, str) else php_text(one) for one in named])
        known = self._table.fields.selections
        if words not in known:
            known[words] = _selection(self._table.fields, set(words))
        return known[words]

    def _show(self, row: Row, selection: Selection) -> Any:
        values, multifields, answer = row.shown.get(selection, _NEVER_SHOWN)
        if values != row.values or multifields != row.multifields:
            answer = self._made(row, selection)
            row.shown[selection] = dict(row.values), list(row.multifields), answer
        return answer

    def _made(self, row: Row, selection: Selection) -> Any:
        answer: dict[str, Any] = {}
        show, values = self._portal.values.show, row.values
        for one in selection.fields:
            answer[one.name] = show(one, row.id if one.name == "ID" else values.get(one.name))
        for kind in selection.kinds:
            found = [one.show() for one in row.multifields if one.kind == kind]
            if found:
                answer[kind] = found
        return php_json(answer)


def _selection(fields: Fields, words: set[str]) -> Selection:
    kinds = tuple(kind for kind in MULTIFIELDS if kind in words)
    if not words & (fields.keys() | {"*", "UF_*"}):
        words = {"*", "UF_*"}
    if kinds:
        words.add("ID")
    shown = [
        one
        for name, one in fields.items()
        if (name in words or ("UF_*" if one.is_custom else "*") in words)
        and one.type != "crm_multifield"
        and name not in _HIDDEN
    ]
    return Selection(shown, kinds)
