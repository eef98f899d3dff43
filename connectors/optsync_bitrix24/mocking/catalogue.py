"""The system fields of contacts, leads and companies (Bitrix24 REST documentation, crm.*.fields)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

MULTIFIELDS = ("PHONE", "EMAIL", "WEB", "IM", "LINK")
ENTITY_TYPES = {"lead": 1, "contact": 3, "company": 4}


@dataclass(slots=True, kw_only=True)
class Field:
    """A field of one entity; ``options`` are the items of an enumeration, id -> label."""

    name: str
    type: str
    is_read_only: bool = False
    is_required: bool = False
    is_multiple: bool = False
    status_type: str = ""
    id: int = 0
    """Of a custom field."""
    options: dict[int, dict[str, Any]] = field(default_factory=dict)
    definition: dict[str, Any] = field(default_factory=dict)
    """Of a custom field: sort, labels, settings and the like."""

    @property
    def is_custom(self) -> bool:
        return self.name.startswith("UF_")


_ADDRESS = "ADDRESS ADDRESS_2 ADDRESS_CITY ADDRESS_POSTAL_CODE ADDRESS_REGION ADDRESS_PROVINCE ADDRESS_COUNTRY \
ADDRESS_COUNTRY_CODE ADDRESS_LOC_ADDR_ID:integer"
_UTM = "UTM_SOURCE UTM_MEDIUM UTM_CAMPAIGN UTM_CONTENT UTM_TERM"
_AUDIT = "CREATED_BY_ID:user:r MODIFY_BY_ID:user:r DATE_CREATE:datetime:r DATE_MODIFY:datetime:r \
LAST_ACTIVITY_TIME:datetime:r LAST_ACTIVITY_BY:user:r HAS_PHONE:char:r HAS_EMAIL:char:r HAS_IMOL:char:r"
_SHARED = f"{_ADDRESS} COMMENTS OPENED:char ASSIGNED_BY_ID:user ORIGINATOR_ID ORIGIN_ID {_UTM} {_AUDIT}"

# name[:type][:flags]; r = read-only, q = required, m = multiple; @LIST names the directory of a crm_status.
_SPECIFIC = {
    "contact": f"HONORIFIC:crm_status@HONORIFIC NAME::q SECOND_NAME::q LAST_NAME::q PHOTO:file BIRTHDATE:date \
TYPE_ID:crm_status@CONTACT_TYPE SOURCE_ID:crm_status@SOURCE SOURCE_DESCRIPTION POST EXPORT:char COMPANY_ID:crm_company \
COMPANY_IDS:crm_company:m LEAD_ID:crm_lead:r ORIGIN_VERSION FACE_ID:integer {_SHARED}",
    "lead": f"TITLE HONORIFIC:crm_status@HONORIFIC NAME SECOND_NAME LAST_NAME BIRTHDATE:date COMPANY_TITLE \
SOURCE_ID:crm_status@SOURCE SOURCE_DESCRIPTION STATUS_ID:crm_status@STATUS STATUS_DESCRIPTION \
STATUS_SEMANTIC_ID:string:r POST OPPORTUNITY:double CURRENCY_ID:crm_currency IS_MANUAL_OPPORTUNITY:char \
COMPANY_ID:crm_company CONTACT_ID:crm_contact CONTACT_IDS:crm_contact:m DATE_CLOSED:datetime:r MOVED_BY_ID:user:r \
MOVED_TIME:datetime:r IS_RETURN_CUSTOMER:char:r {_SHARED}",
    "company": f"TITLE::q COMPANY_TYPE:crm_status@COMPANY_TYPE INDUSTRY:crm_status@INDUSTRY \
EMPLOYEES:crm_status@EMPLOYEES REVENUE:double CURRENCY_ID:crm_currency IS_MY_COMPANY:char LOGO:file REG_ADDRESS \
REG_ADDRESS_2 REG_ADDRESS_CITY REG_ADDRESS_POSTAL_CODE REG_ADDRESS_REGION REG_ADDRESS_PROVINCE REG_ADDRESS_COUNTRY \
BANKING_DETAILS CONTACT_ID:crm_contact:m LEAD_ID:crm_lead:r LAST_COMMUNICATION_TIME:string:r ORIGIN_VERSION {_SHARED}",
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "contact": {"TYPE_ID": "CLIENT", "OPENED": "Y", "EXPORT": "Y", "COMPANY_ID": 0, "ASSIGNED_BY_ID": 1},
    "lead": {
        "STATUS_ID": "NEW",
        "STATUS_SEMANTIC_ID": "P",
        "OPENED": "Y",
        "ASSIGNED_BY_ID": 1,
        "IS_RETURN_CUSTOMER": "N",
    },
    "company": {"COMPANY_TYPE": "CUSTOMER", "OPENED": "Y", "IS_MY_COMPANY": "N", "ASSIGNED_BY_ID": 1},
}

STATUSES = {
    "CONTACT_TYPE": {"CLIENT": "Clients", "SUPPLIER": "Suppliers", "PARTNER": "Partners", "OTHER": "Other"},
    "SOURCE": {"CALL": "Call", "EMAIL": "E-Mail", "WEB": "Website"},
    "STATUS": {"NEW": "Unassigned", "IN_PROCESS": "In progress", "CONVERTED": "Good lead", "JUNK": "Junk lead"},
    "COMPANY_TYPE": {"CUSTOMER": "Client", "SUPPLIER": "Supplier", "PARTNER": "Partner", "OTHER": "Other"},
    "HONORIFIC": {"HNR_EN_1": "Mr.", "HNR_EN_2": "Mrs."},
}

# The custom fields of every entity here: name -> type.
_CUSTOM = {
    "UF_CRM_OPT_OUT": "boolean",
    "UF_CRM_OPT_IN": "boolean",
    "UF_CRM_CONSENT_DATE": "datetime",
    "UF_CRM_CONSENT_SOURCE": "string",
    "UF_CRM_CONSENT_TEXT": "string",
    "UF_CRM_TOPIC_NEWS": "boolean",
    "UF_CRM_TOPIC_OFFERS": "boolean",
    "UF_CRM_TOPIC_EVENTS": "boolean",
    "UF_CRM_EMAIL_BOUNCED": "boolean",
    "UF_CRM_OPT_OUT_REASON": "string",
    "UF_CRM_CITY": "string",
    "UF_CRM_PLAN": "enumeration",
}
PLANS = {45: "Gold", 46: "Silver"}
FIRST_FREE_OPTION = 47


@cache
def system_fields(entity: str) -> Mapping[str, Field]:
    """The descriptors by name; nobody can change those of a system field."""
    fields = [_parsed(word) for word in ("ID:integer:r", *_SPECIFIC[entity].split())]
    fields += [Field(name=name, type="crm_multifield", is_multiple=True) for name in MULTIFIELDS]
    return {one.name: one for one in fields}


def custom_fields(ids: Iterator[int]) -> list[Field]:
    """The predefined custom fields."""
    return [
        Field(
            name=name,
            type=kind,
            id=next(ids),
            options={i: option(i, label) for i, label in PLANS.items()} if kind == "enumeration" else {},
            definition={"LABEL": name.removeprefix("UF_CRM_").replace("_", " ").capitalize()},
        )
        for name, kind in _CUSTOM.items()
    ]


def with_semantics(entity: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values, with what a lead's new status means: in process, success or failure."""
    if entity == "lead" and "STATUS_ID" in values:
        meaning = {"CONVERTED": "S", "JUNK": "F"}.get(values["STATUS_ID"], "P")
        return {**values, "STATUS_SEMANTIC_ID": meaning}
    return values


def option(number: int, label: str, *, sort: str = "500", xml_id: str = "", default: str = "N") -> dict[str, Any]:
    """An item of an enumeration, as userfield.list shows it."""
    return {"ID": str(number), "SORT": sort, "VALUE": label, "DEF": default, "XML_ID": xml_id or f"option{number}"}


def describe(one: Field) -> dict[str, Any]:
    """The descriptor that crm.*.fields answers."""
    shown: dict[str, Any] = {
        "type": one.type,
        "isRequired": one.is_required,
        "isReadOnly": one.is_read_only,
        "isImmutable": False,
        "isMultiple": one.is_multiple,
        "isDynamic": one.is_custom,
    }
    if one.status_type:
        shown["statusType"] = one.status_type
    if one.type == "enumeration":
        shown["items"] = [{"ID": item["ID"], "VALUE": item["VALUE"]} for item in one.options.values()]
    shown["title"] = one.name if one.is_custom else one.name.replace("_", " ").capitalize()
    if one.is_custom:
        label = one.definition.get("LABEL") or one.name
        for key, own in (("listLabel", "LIST_COLUMN"), ("formLabel", "EDIT_FORM"), ("filterLabel", "LIST_FILTER")):
            shown[key] = _label(one.definition.get(f"{own}_LABEL")) or label
    return shown


@cache
def system_descriptions(entity: str) -> Mapping[str, Mapping[str, Any]]:
    """:func:`describe` of every system field, by name."""
    return {name: describe(one) for name, one in system_fields(entity).items()}


def _label(given: Any) -> str:
    return str(given.get("en") or next(iter(given.values()), "")) if isinstance(given, dict) else str(given or "")


def _parsed(word: str) -> Field:
    name, kind, flags = (*word.split(":"), "", "")[:3]
    kind, _, status_type = kind.partition("@")
    return Field(
        name=name,
        type=kind or "string",
        is_read_only="r" in flags,
        is_required="q" in flags,
        is_multiple="m" in flags,
        status_type=status_type,
    )
