"""Field names of crm.item.*: camel case, with the vendor's exceptions (Bitrix24 REST documentation, crm.item)."""

import re

from optsync_bitrix24.mocking.catalogue import MULTIFIELDS, Field

_SPECIAL = {
    "DATE_CREATE": "createdTime",
    "DATE_MODIFY": "updatedTime",
    "CREATED_BY_ID": "createdBy",
    "MODIFY_BY_ID": "updatedBy",
    "MOVED_BY_ID": "movedBy",
    "COMPANY_TYPE": "typeId",
}
_LEAD = {"STATUS_ID": "stageId", "STATUS_SEMANTIC_ID": "stageSemanticId"}


def item_names(entity: str, fields: dict[str, Field], *, keeps_originals: bool) -> dict[str, str]:
    """Item name -> classic name. Of two custom fields with one camel name the second keeps its original."""
    names: dict[str, str] = {}
    for name, one in fields.items():
        if name in MULTIFIELDS:
            continue
        camel = name if one.is_custom and keeps_originals else _item_name(entity, name)
        names[name if camel in names else camel] = name
    return names


def _item_name(entity: str, name: str) -> str:
    if name.startswith("UF_"):
        return _custom_name(name)
    if entity == "lead" and name in _LEAD:
        return _LEAD[name]
    if name in _SPECIAL:
        return _SPECIAL[name]
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def _custom_name(name: str) -> str:
    first, *rest = name.split("_")
    made = first.lower()
    for position, word in enumerate(rest):
        is_last = position == len(rest) - 1
        is_mixed = bool(re.search(r"\d", word)) and not word.isdigit()
        made += f"_{word}" if is_mixed or (is_last and word.isdigit()) else word.capitalize()
    return made
