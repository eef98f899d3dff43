"""Custom fields: crm.{contact,lead,company}.userfield.{add,list,get,update,delete}."""

import re
from typing import Any

from optsync_bitrix24.mocking.answers import RestError, Result
from optsync_bitrix24.mocking.catalogue import Field, option
from optsync_bitrix24.mocking.php import as_map, elements, is_array, param, php_int, php_text, words
from optsync_bitrix24.mocking.portal import Call, Portal

_TYPES = words(
    "string integer double boolean date datetime enumeration money url address file employee crm_status crm "
    "iblock_section iblock_element"
)
_LABELS = ("EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL", "ERROR_MESSAGE", "HELP_MESSAGE")
_FLAGS = ("MANDATORY", "SHOW_IN_LIST", "EDIT_IN_LIST", "IS_SEARCHABLE")
_CHANGEABLE = (*_FLAGS, *_LABELS, "LABEL", "SHOW_FILTER", "SORT", "XML_ID", "SETTINGS")


class UserFields:
    """Those of one entity; every method demands the right to configure the CRM."""

    def __init__(self, portal: Portal, entity: str) -> None:
        self._portal = portal
        self._entity = entity
        self._fields = portal.table(entity).fields

    def add(self, call: Call) -> Result:
        self._demand_admin()
        sent = self._sent(call)
        name, kind = php_text(sent.get("FIELD_NAME")), php_text(sent.get("USER_TYPE_ID"))
        missing = [word for word, value in (("FIELD_NAME", name), ("USER_TYPE_ID", kind)) if not value]
        if missing:
            raise RestError("", "\n".join(f"The '{word}' field is not found." for word in missing))
        name = _full_name(name)
        if kind not in _TYPES:
            raise RestError("", f"The '{kind}' user type is not found.")
        if name in self._fields:
            raise RestError("ERROR_CORE", f"The field {name} already exists.")
        made = Field(name=name, type=kind, id=next(self._portal.store.field_ids))
        made.is_multiple = sent.get("MULTIPLE") == "Y" and kind != "boolean"
        self._change(made, sent)
        self._fields[name] = made
        return Result(value=made.id)

    def find(self, call: Call) -> Result:
        self._demand_admin()
        wanted = as_map(param(call.params, "filter"))
        language = php_text(wanted.get("LANG"))
        rows = [self._show(one) for one in self._custom()]
        for name, value in wanted.items():
            rows = [row for row in rows if name not in row or row[name] == php_text(value)]
        if language:
            for row in rows:
                label = self._fields[row["FIELD_NAME"]].definition.get("LABEL", "")
                row.update(dict.fromkeys(_LABELS[:3], label))
        rows.sort(key=lambda row: (int(row["SORT"]), int(row["ID"])))
        return Result(value=rows, total=len(rows))

    def get(self, call: Call) -> Result:
        self._demand_admin()
        one = self._one(call)
        label = one.definition.get("LABEL") or one.name
        return Result(value={**self._show(one), **{name: {"en": label} for name in _LABELS[:3]}})

    def update(self, call: Call) -> Result:
        self._demand_admin()
        self._change(self._one(call), self._sent(call))
        return Result(value=True)

    def delete(self, call: Call) -> Result:
        self._demand_admin()
        one = self._one(call)
        del self._fields[one.name]
        for row in self._portal.table(self._entity).rows.values():
            row.values.pop(one.name, None)
        return Result(value=True)

    def _demand_admin(self) -> None:
        if not self._portal.switches.is_admin:
            raise RestError("", "Access denied.")

    def _sent(self, call: Call) -> dict[str, Any]:
        fields = param(call.params, "fields")
        if not is_array(fields):
            raise RestError("", "Parameter 'fields' must be array.")
        return as_map(fields)

    def _custom(self) -> list[Field]:
        return [one for one in self._fields.values() if one.is_custom]

    def _one(self, call: Call) -> Field:
        number = php_int(param(call.params, "id"))
        for one in self._custom():
            if one.id == number:
                return one
        raise RestError("ERROR_NOT_FOUND", f"The entity with ID '{number}' is not found.")

    def _change(self, one: Field, sent: dict[str, Any]) -> None:
        one.definition.update({name: sent[name] for name in _CHANGEABLE if name in sent})
        one.is_required = one.definition.get("MANDATORY") == "Y"
        if one.type == "enumeration":
            for item in elements(sent.get("LIST")) if is_array(sent.get("LIST")) else ():
                self._change_option(one, as_map(item))

    def _change_option(self, one: Field, item: dict[str, Any]) -> None:
        number = php_int(item.get("ID"))
        if number in one.options and item.get("DEL") == "Y":
            del one.options[number]
        elif number in one.options:
            one.options[number].update({key: php_text(value) for key, value in item.items() if key != "ID"})
        elif not number and php_text(item.get("VALUE")):
            made = next(self._portal.store.option_ids)
            default = "Y" if item.get("DEF") == "Y" else "N"
            sort, xml_id = php_text(item.get("SORT")) or "500", php_text(item.get("XML_ID"))
            one.options[made] = option(made, php_text(item["VALUE"]), sort=sort, xml_id=xml_id, default=default)

    def _show(self, one: Field) -> dict[str, Any]:
        given = one.definition
        row: dict[str, Any] = {
            "ID": str(one.id),
            "ENTITY_ID": f"CRM_{self._entity.upper()}",
            "FIELD_NAME": one.name,
            "USER_TYPE_ID": one.type,
            "XML_ID": given.get("XML_ID"),
            "SORT": str(php_int(given.get("SORT")) or 100),
            "MULTIPLE": "Y" if one.is_multiple else "N",
            "MANDATORY": "Y" if one.is_required else "N",
            "SHOW_FILTER": "E" if given.get("SHOW_FILTER") == "Y" else "N",
            **{flag: php_text(given.get(flag)) or "Y" for flag in _FLAGS[1:3]},
            "IS_SEARCHABLE": php_text(given.get("IS_SEARCHABLE")) or "N",
            "SETTINGS": dict(as_map(given.get("SETTINGS"))),
        }
        if one.type == "enumeration":
            row["LIST"] = [dict(item) for item in one.options.values()]
        return row


def _full_name(given: str) -> str:
    name = given.upper()
    for prefix in ("UF_CRM_", "UF_"):
        name = name.removeprefix(prefix)
    name = f"UF_CRM_{name}"
    if not re.fullmatch(r"[A-Z0-9_]+", name):
        raise RestError("ERROR_CORE", "The field code contains invalid characters.")
    if len(name) > 50:
        raise RestError("ERROR_CORE", "The field code is too long.")
    return name
