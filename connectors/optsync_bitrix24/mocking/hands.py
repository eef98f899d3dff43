"""What people do in the portal by hand: they edit, tick boxes, merge, delete and restore."""

from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any

from optsync.connect.mock import Person
from optsync_bitrix24.mocking import people
from optsync_bitrix24.mocking.catalogue import ENTITY_TYPES, MULTIFIELDS, Field
from optsync_bitrix24.mocking.duplicates import absorb
from optsync_bitrix24.mocking.faults import Faults
from optsync_bitrix24.mocking.portal import Portal
from optsync_bitrix24.mocking.store import Multifield, Row, Table
from optsync_bitrix24.mocking.values import DROPPED

Found = tuple[Table, Row]


class Hands:
    """Every edit is stamped with now and with an employee who is not the webhook's owner.

    An ``email`` is matched without case; of several holders the first (contacts before leads before companies, by
    id) is meant unless ``all=True``. An unknown address or id raises ``KeyError``."""

    def __init__(self, portal: Portal, faults: Faults) -> None:
        self._portal = portal
        self._actions: dict[str, Callable[..., Any]] = {
            "view": self._view,
            "count": self._count,
            "dump": self._dump,
            "set_field": self._set_field,
            "set_topic": self._set_topic,
            "opt_out": self._opt_out,
            "opt_in": self._opt_in,
            "create": self._create,
            "delete": self._delete,
            "restore": self._restore,
            "merge": self._merge,
            "edit": self._edit,
            "change_address": self._change_address,
            "add_address": self._add_address,
            "delete_field": self._delete_field,
            "add_field": self._add_field,
            "keep_field": self._keep_field,
            "marketing_unsubscribe": self._marketing_unsubscribe,
            "fault": faults.add,
        }

    def act(self, action: str, arguments: dict[str, Any]) -> Any:
        return self._actions[action](**arguments)

    def _view(self, email: str, **which: Any) -> Any:
        """What the first holder shows; with ``all`` a list, one entry per holder."""
        shown = [people.view(row) for _, row in self._holders(email, all=True)]
        if which.get("all"):
            return shown
        return shown[0] if shown else None

    def _count(self) -> dict[str, int]:
        return {"records": sum(len(self._portal.table(entity).rows) for entity in ENTITY_TYPES)}

    def _dump(self, id: int, entity: str = "contact") -> dict[str, Any]:  # noqa: A002 - the vendor's word
        """A record as it is stored, with its addresses."""
        row = self._portal.table(entity).rows[int(id)]
        return {"ID": row.id, **row.values, **{k: [m.show() for m in row.of_kind(k)] for k in MULTIFIELDS}}

    def _set_field(self, email: str, field: str, value: Any, **which: Any) -> None:
        for table, row in self._known(email, **which):
            if field == "phone":
                kept = [one for one in row.multifields if one.kind != "PHONE"]
                if value:
                    table.append(kept, "PHONE", "WORK", str(value))
                table.set_multifields(row, kept)
            elif field == "plan":
                row.values["UF_CRM_PLAN"] = people.PLAN_IDS[value] if value else ""
            else:
                row.values[people.FIELDS[field]] = value or ""
            self._touch(table, row)

    def _set_topic(self, email: str, topic: str, wanted: bool, **which: Any) -> None:
        self._set(email, {people.TOPICS[topic]: int(wanted)}, which)

    def _opt_out(self, email: str, **which: Any) -> None:
        self._set(email, {"UF_CRM_OPT_OUT": 1, "UF_CRM_OPT_IN": 0}, which)

    def _opt_in(self, email: str, at: str | None = None, **which: Any) -> None:
        values: dict[str, Any] = {"UF_CRM_OPT_OUT": 0, "UF_CRM_OPT_IN": 1}
        if at:
            values["UF_CRM_CONSENT_DATE"] = self._portal.moments.parse(at)
        self._set(email, values, which)

    def _create(self, **given: Any) -> int:
        """A record of a person; ``email`` is short for one address. Gives the id."""
        if "email" in given:
            given["addresses"] = (given.pop("email"),)
        for name in ("consent_at", "created_at"):
            if isinstance(given.get(name), str):
                given[name] = datetime.fromisoformat(given[name])
        topics = given.pop("topics", None)
        if topics is not None:
            given["crm_topics"] = topics
        known = {one.name for one in dataclass_fields(Person)}
        if unknown := given.keys() - known:
            raise KeyError(", ".join(sorted(unknown)))
        given["addresses"] = tuple(given.get("addresses", ()))
        blank = {"number": 0, "first_name": "", "last_name": ""}
        return people.add(self._portal, Person(**{**blank, **given})).id

    def _delete(self, email: str, **which: Any) -> list[int]:
        """To the recycle bin; gives the ids."""
        gone = self._known(email, **which)
        for table, row in gone:
            table.remove(row)
        return [row.id for _, row in gone]

    def _restore(self, id: int, entity: str = "contact") -> int:  # noqa: A002 - the vendor's word
        """Out of the recycle bin; gives the new id."""
        return self._portal.table(entity).restore(int(id), self._portal.moments.now(), people.HUMAN).id

    def _merge(self, keep: int | str, lose: int | str, entity: str = "contact") -> dict[str, int]:
        """Two records, each by id or address; where both have a value the survivor's stays."""
        table = self._portal.table(entity)
        survivor = self._one(table, keep)
        loser = self._one(table, lose, but=survivor)
        absorb(self._portal, table, survivor, loser, user=people.HUMAN)
        return {"kept": survivor.id, "lost": loser.id}

    def _edit(self, id: int, fields: dict[str, Any], entity: str = "contact") -> None:  # noqa: A002 - vendor's word
        """Sets fields by their classic names, multifields as the classic update takes them; what nobody can edit
        raises ``KeyError``."""
        table = self._portal.table(entity)
        row = table.rows[int(id)]
        for name, raw in fields.items():
            if name in MULTIFIELDS:
                table.set_multifields(row, table.merged(row, name, raw))
                continue
            if table.fields[name].is_read_only:
                raise KeyError(name)
            value = self._portal.values.take(table.fields[name], raw)
            if value is not DROPPED:
                row.values[name] = value
        self._touch(table, row)

    def _change_address(self, email: str, to: str, **which: Any) -> None:
        for table, row in self._known(email, **which):
            kept = [self._renamed(one, email, to) for one in row.multifields]
            table.set_multifields(row, kept)
            self._touch(table, row)

    def _add_address(self, email: str, address: str, **which: Any) -> None:
        for table, row in self._known(email, **which):
            kept = list(row.multifields)
            table.append(kept, "EMAIL", people.address_type(len(row.of_kind("EMAIL"))), address)
            table.set_multifields(row, kept)
            self._touch(table, row)

    def _delete_field(self, field: str, entity: str = "contact") -> None:
        """A custom field, with what everybody has in it. No record is stamped."""
        table = self._portal.table(entity)
        del table.fields[field]
        for row in table.rows.values():
            row.values.pop(field, None)

    def _add_field(self, field: str, kind: str = "boolean", entity: str = "contact") -> None:
        """A custom field, empty with everybody."""
        table = self._portal.table(entity)
        table.fields[field] = Field(name=field, type=kind, id=next(self._portal.store.field_ids))

    def _keep_field(self, field: str, entity: str = "contact", *, is_kept: bool = True) -> None:
        """From now on programs cannot change it; the portal says that they have, all the same."""
        kept = self._portal.table(entity).kept
        kept.add(field) if is_kept else kept.discard(field)

    def _marketing_unsubscribe(self, email: str) -> None:
        """The mailing tool keeps its own list, which REST does not show."""
        self._portal.marketing.unsubscribed.add(email.casefold())

    def _renamed(self, one: Multifield, old: str, new: str) -> Multifield:
        if one.kind != "EMAIL" or one.value.casefold() != old.casefold():
            return one
        return Multifield(one.id, one.kind, one.value_type, new)

    def _set(self, email: str, values: dict[str, Any], which: dict[str, Any]) -> None:
        for table, row in self._known(email, **which):
            row.values.update(values)
            self._touch(table, row)

    def _touch(self, table: Table, row: Row) -> None:
        self._portal.touch(table, row, people.HUMAN)

    def _one(self, table: Table, key: int | str, *, but: Row | None = None) -> Row:
        """By id or address; ``but`` is not meant."""
        ids = [int(key)] if isinstance(key, int) or key.isdigit() else table.holders("EMAIL", key)
        rows = [table.rows[i] for i in ids if but is None or i != but.id]
        if not rows:
            raise KeyError(key)
        return rows[0]

    def _known(self, email: str, **which: Any) -> list[Found]:
        found = self._holders(email, **which)
        if not found:
            raise KeyError(email)
        return found

    def _holders(self, email: str, *, all: bool = False) -> list[Found]:  # noqa: A002 - the actions' own word
        found: list[Found] = []
        for entity in ("contact", "lead", "company"):
            table = self._portal.table(entity)
            found += [(table, table.rows[i]) for i in table.holders("EMAIL", email)]
        return found if all else found[:1]
