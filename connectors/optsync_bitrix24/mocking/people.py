"""The test population as contacts, leads and companies, and the configuration that reaches them."""

from collections.abc import Iterable, Mapping
from typing import Any

from optsync.connect.mock import MockConfig, Person
from optsync_bitrix24.mocking.catalogue import DEFAULTS, PLANS
from optsync_bitrix24.mocking.portal import Portal
from optsync_bitrix24.mocking.store import Row

TOPICS = {"news": "UF_CRM_TOPIC_NEWS", "offers": "UF_CRM_TOPIC_OFFERS", "events": "UF_CRM_TOPIC_EVENTS"}
FIELDS = {"first_name": "NAME", "last_name": "LAST_NAME", "city": "UF_CRM_CITY", "plan": "UF_CRM_PLAN"}
PLAN_IDS = {label: number for number, label in PLANS.items()}
_ADDRESS_TYPES = ("WORK", "HOME", "OTHER")
_STATUS_FIELD = {"contact": ("TYPE_ID", "CLIENT"), "company": ("COMPANY_TYPE", "CUSTOMER")}
HUMAN = 1
"""The employee who works in the portal by hand."""


def populate(portal: Portal, people: Iterable[Person]) -> None:
    """Adds those who are in the CRM."""
    for person in people:
        if person.in_crm:
            add(portal, person)


def add(portal: Portal, person: Person) -> Row:
    """One record, made by hand, at ``created_at`` where that is given."""
    values = portal.stamped({**DEFAULTS[person.crm_entity], **_values(person)}, HUMAN)
    if person.created_at is not None:
        moment = int(person.created_at.timestamp())
        values.update(DATE_CREATE=moment, DATE_MODIFY=moment, LAST_ACTIVITY_TIME=moment)
    multifields = [("EMAIL", address_type(place), one) for place, one in enumerate(person.addresses)]
    if person.phone:
        multifields.append(("PHONE", "WORK", person.phone))
    return portal.table(person.crm_entity).insert(values, multifields)


def address_type(place: int) -> str:
    """The type of a person's n-th address."""
    return _ADDRESS_TYPES[min(place, len(_ADDRESS_TYPES) - 1)]


def config(webhook: str) -> MockConfig:
    """The entries for a mock whose webhook that is."""
    return MockConfig(
        system={"connector": "bitrix24", "webhook_url": webhook},
        side={
            "entity": "contact",
            "where": {"TYPE_ID": "CLIENT"},
            "opt_out": "UF_CRM_OPT_OUT",
            "opt_in": "UF_CRM_OPT_IN",
            "consent": {
                "date": "UF_CRM_CONSENT_DATE",
                "source": "UF_CRM_CONSENT_SOURCE",
                "text": "UF_CRM_CONSENT_TEXT",
            },
            "topics": dict(TOPICS),
            "bounce": "UF_CRM_EMAIL_BOUNCED",
            "reason": "UF_CRM_OPT_OUT_REASON",
        },
        fields=dict(FIELDS),
        plan_values={label: str(number) for label, number in PLAN_IDS.items()},
    )


def view(row: Row) -> dict[str, Any]:
    """The row in neutral words, as the person who keeps the test sees it."""
    values: Mapping[str, Any] = row.values
    addresses = row.of_kind("EMAIL")
    fields = {name: values.get(own) or "" for name, own in FIELDS.items()}
    fields["plan"] = PLANS.get(values.get("UF_CRM_PLAN") or 0, "")
    return {
        "address": addresses[0].value if addresses else "",
        "opt_out": bool(values.get("UF_CRM_OPT_OUT")),
        "opt_in": bool(values.get("UF_CRM_OPT_IN")),
        "topics": {topic: bool(values.get(own)) for topic, own in TOPICS.items()},
        "fields": fields,
    }


def _values(person: Person) -> dict[str, Any]:
    values: dict[str, Any] = {"NAME": person.first_name, "LAST_NAME": person.last_name}
    if person.crm_entity == "company":
        values = {"TITLE": f"{person.first_name} {person.last_name}".strip()}
    elif person.crm_entity == "lead":
        values["TITLE"] = f"{person.first_name} {person.last_name}".strip()
    if person.crm_entity in _STATUS_FIELD:
        name, client = _STATUS_FIELD[person.crm_entity]
        values[name] = client if person.is_client else "SUPPLIER"
    # A box that nobody ever ticked holds no value, which is not the same as "no".
    flags = {"UF_CRM_OPT_OUT": person.opt_out, "UF_CRM_OPT_IN": person.opt_in}
    values.update({name: 1 for name, is_set in flags.items() if is_set})
    values.update({TOPICS[topic]: int(wanted) for topic, wanted in person.crm_topics.items()})
    if person.consent_at is not None:
        values["UF_CRM_CONSENT_DATE"] = int(person.consent_at.timestamp())
    texts = {"UF_CRM_CONSENT_SOURCE": person.consent_source, "UF_CRM_CONSENT_TEXT": person.consent_text}
    texts["UF_CRM_CITY"] = person.city
    values.update({name: text for name, text in texts.items() if text})
    if person.plan:
        values["UF_CRM_PLAN"] = PLAN_IDS[person.plan]
    return values
