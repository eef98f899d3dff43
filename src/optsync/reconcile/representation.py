"""How one collection of one system represents a scope: flags, a status, topics, proof."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from optsync.model.contact_point import same_mailbox
from optsync.model.quick import quick_dataclass
from optsync.model.record import Record, Side, Status, Value
from optsync.model.statement import Strength

IS_NOT_THERE = frozenset({Status.ABSENT, Status.ARCHIVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """One side of one sync, as far as consent goes.

    With neither ``opt_out`` nor ``opt_in`` the record's own ``status`` stands for the scope; otherwise these
    boolean fields do. ``topics`` are (topic scope, vendor name) pairs.
    """

    side: Side
    scope: str
    opt_out: str | None = None
    opt_in: str | None = None
    consent_date: str | None = None
    consent_source: str | None = None
    consent_text: str | None = None
    bounce: str | None = None
    reason: str | None = None
    topics: tuple[tuple[str, str], ...] = ()
    status_grants: Strength = Strength.NOTHING
    """TRUSTED where a status that turns permissive is the person's own doing."""
    topic_grants: Strength = Strength.NOTHING
    existing_is_grant: bool = False
    """Whether a member subscribed at the first connection is taken as having opted in. A flag in a CRM never is: it
    would subscribe people elsewhere whom nobody there has."""
    stamp_is_evidence: bool = False
    stamp_nominates: bool = False
    """The opt-in stamp can be set by an API write: it counts, and lifts nothing without confirmation."""

    @property
    def uses_flags(self) -> bool:
        return bool(self.opt_out or self.opt_in)


@quick_dataclass(frozen=True, slots=True)
class Shown:
    """``is_contradictory``: both flags are set."""

    status: Status
    is_contradictory: bool = False


def shown(record: Record, representation: Representation) -> Shown:
    """The truth table of what a record shows. An opt-out flag wins over an opt-in flag."""
    if not representation.uses_flags:
        return Shown(record.status or Status.UNKNOWN)
    is_out = _flag(record, representation.opt_out)
    is_in = _flag(record, representation.opt_in)
    if is_out:
        return Shown(Status.OUT, is_contradictory=is_in)
    return Shown(Status.IN if is_in else Status.UNKNOWN)


def flags_for(status: Status, record: Record | None, representation: Representation) -> dict[str, Value]:
    """The flag values that must be written so that the record shows ``status`` (IN or OUT); only those that
    differ from what ``record`` has."""
    wanted = {representation.opt_out: status is Status.OUT, representation.opt_in: status is Status.IN}
    return {
        name: value
        for name, value in wanted.items()
        if name is not None and value is not (record is not None and _flag(record, name))
    }


def topic_shown(record: Record, name: str) -> bool | None:
    """True for wanted, False for not wanted, None for no value."""
    value = record.topics.get(name)
    return value if isinstance(value, bool) else None


def with_untold(record: Record, before: Record, *, asked: Collection[str] = ()) -> Record:
    """The reading of an e-mail platform's record with what it did not tell, as it was: a group or a field was renamed
    or deleted there, and nobody has said or emptied anything. ``asked``: the fields that it was to tell. Of the topics
    of who is not there nothing is known."""
    untold = {name for name, wanted in record.topics.items() if wanted is None}
    wishes = {name: was for name, was in before.topics.items() if name in untold and was is not None}
    values = {name: before.fields[name] for name in asked if name in before.fields and name not in record.fields}
    if record.status in IS_NOT_THERE:
        wishes = {}
    known = replace(record, topics={**record.topics, **wishes}, fields={**record.fields, **values})
    return known if wishes or values else record


def overlay(
    record: Record, *, status: Status | None, topics: Mapping[str, bool], fields: Mapping[str, Value]
) -> Record:
    """The record as it shows after a write of these values was applied."""
    return replace(
        record,
        status=record.status if status is None else status,
        topics={**record.topics, **topics},
        fields={**record.fields, **fields},
    )


def with_address(record: Record, address: str) -> Record:
    """The record as it shows once ``address`` is its primary one in place of the former."""
    return replace(
        record, addresses=(address, *(other for other in record.addresses[1:] if not same_mailbox(other, address)))
    )


def _flag(record: Record, name: str | None) -> bool:
    return name is not None and record.fields.get(name) is True
