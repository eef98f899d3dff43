"""What can be said about an account before anything is synchronised."""

from collections.abc import Sequence
from typing import Any

from optsync.connect.contract import CollectionInfo, FieldInfo, Health, Problem, Severity
from optsync.errors import SystemUnavailable
from optsync.model.page import ReadSpec
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.mapping import MAX_TEXT_BYTES, MergeField
from optsync_mailchimp.schema import Schemas

_WEAK_ROLES = ("viewer", "author")
_TYPES = {"number": "number", "date": "date", "radio": "choice", "dropdown": "choice"}


class Checker:
    """``check`` and ``describe`` of one account."""

    def __init__(self, client: MailchimpClient, schemas: Schemas) -> None:
        self._client = client
        self._schemas = schemas

    def check(self, specs: Sequence[ReadSpec]) -> Health:
        """See :meth:`optsync.connect.contract.Connector.check`."""
        reply = self._client.get("/", {"fields": "account_id,account_name,role"})
        account_id = str(reply.body.get("account_id") or "")
        if not reply.is_ok or not account_id:
            raise SystemUnavailable(self._client.system, f"the account did not say who it is (HTTP {reply.status})")
        problems = [*_role_problems(str(reply.body.get("role") or ""))]
        for spec in specs:
            problems += self._problems(spec)
        return Health(
            account_id=account_id,
            account_name=str(reply.body.get("account_name") or ""),
            clock_offset=self._client.clock_offset,
            problems=tuple(problems),
        )

    def describe(self) -> list[CollectionInfo]:
        """Every audience of the account with its merge fields and groups."""
        reply = self._client.get("/lists", {"fields": "lists.id,lists.name,total_items", "count": 1000})
        rows = reply.body.get("lists")
        if not reply.is_ok or not isinstance(rows, list) or not all(map(_has_id, rows)):
            raise SystemUnavailable(self._client.system, f"the audiences could not be listed (HTTP {reply.status})")
        return [self._describe(row) for row in rows]

    def _describe(self, row: dict[str, Any]) -> CollectionInfo:
        audience = str(row["id"])
        fields = self._schemas.merge_fields(audience, is_fresh=True).values()
        topics = self._schemas.interests(audience, is_fresh=True).by_name
        return CollectionInfo(
            id=audience,
            name=str(row.get("name") or ""),
            fields=tuple(_field_info(field) for field in fields),
            topics=tuple(sorted(topics)),
        )

    def _problems(self, spec: ReadSpec) -> list[Problem]:
        reply = self._client.get(f"/lists/{spec.collection}", {"fields": "id"})
        if not reply.is_ok:
            message = f"audience {spec.collection} is not in this account; `optsync fields` lists those that are"
            return [Problem(severity=Severity.ERROR, message=message, field="audience")]
        return [*self._field_problems(spec), *self._topic_problems(spec)]

    def _field_problems(self, spec: ReadSpec) -> list[Problem]:
        if not spec.fields:
            return []
        known = self._schemas.merge_fields(spec.collection, is_fresh=True)
        return [
            Problem(severity=Severity.ERROR, message=_missing_tag(tag, spec.collection), field=tag)
            for tag in sorted(spec.fields - known.keys())
        ]

    def _topic_problems(self, spec: ReadSpec) -> list[Problem]:
        if not spec.topics:
            return []
        known = self._schemas.interests(spec.collection, is_fresh=True)
        problems = []
        for name in sorted(spec.topics):
            if name in known.ambiguous:
                text = f"the group {name} exists more than once in audience {spec.collection}; rename one of them"
                problems.append(Problem(severity=Severity.ERROR, message=text, field=name))
            elif name not in known.by_name:
                text = f"audience {spec.collection} has no group {name} (written as Category/Group, case matters)"
                problems.append(Problem(severity=Severity.ERROR, message=text, field=name))
            elif known.by_name[name].is_exclusive:
                text = f"the category of {name} lets a person choose one group only; use one with checkboxes"
                problems.append(Problem(severity=Severity.WARNING, message=text, field=name))
        return problems


def _role_problems(role: str) -> list[Problem]:
    if role not in _WEAK_ROLES:
        return []
    text = f"the key belongs to a user with the role {role}, who may not change contacts; use a manager's key or higher"
    return [Problem(severity=Severity.ERROR, message=text)]


def _missing_tag(tag: str, audience: str) -> str:
    if tag == "EMAIL":
        return "EMAIL is the address itself and no merge field; take it out of the mapped fields"
    hint = " (tags have at most ten characters)" if len(tag) > 10 else ""
    return f"audience {audience} has no merge field with the tag {tag}{hint}"


def _field_info(field: MergeField) -> FieldInfo:
    return FieldInfo(
        name=field.tag,
        label=field.name,
        type=_TYPES.get(field.type, "text"),
        is_required=field.is_required,
        options=tuple((choice, choice) for choice in field.choices),
        max_bytes=MAX_TEXT_BYTES if field.type == "text" else None,
    )


def _has_id(row: object) -> bool:
    return isinstance(row, dict) and bool(row.get("id"))
