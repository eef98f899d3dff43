"""What a sync wants, as pure values: the configuration seen by the reconciler."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from optsync.model.record import Value
from optsync.model.scope import Basis, Kind, Purpose
from optsync.reconcile.fields import FieldRule
from optsync.reconcile.representation import Representation


class Enter(StrEnum):
    """What happens to somebody who belongs to the list and is no member yet."""

    SUBSCRIBE = "subscribe"
    REQUEST = "request"
    SKIP = "skip"


class Leave(StrEnum):
    """What happens to a member who no longer belongs to the list."""

    KEEP = "keep"
    ARCHIVE = "archive"
    TAG = "tag"


class Inactive(StrEnum):
    """What happens to a member without any sign of life."""

    KEEP = "keep"
    TAG = "tag"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomHandling:
    """What an organisation adds to opt-outs and opt-ins: CRM fields to set, by scope, and handlers of its own with the
    further fields that each may set."""

    on_opt_out: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    on_opt_in: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    handlers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def fields(self) -> frozenset[str]:
        """The CRM fields named for scopes."""
        return frozenset(n for by in (self.on_opt_out, self.on_opt_in) for fields in by.values() for n in fields)

    @property
    def all_fields(self) -> frozenset[str]:
        """Every CRM field that may be set."""
        return self.fields.union(*self.handlers.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPolicy:
    """One sync. ``crm_defaults`` are field values that new CRM records get (the list scope's equalities)."""

    name: str
    scope: str
    purpose: Purpose
    crm_system: str
    crm_collections: tuple[str, ...]
    esp_system: str
    audience: str
    crm: Representation
    esp: Representation
    is_mapped_topic: bool = False
    """Whether the scope is a topic that another sync maps."""
    has_list_scope: bool = False
    outs_to_esp: bool = True
    outs_to_crm: bool = True
    enter: Enter = Enter.SUBSCRIBE
    leave: Leave = Leave.KEEP
    inactive: Inactive = Inactive.KEEP
    inactive_after: timedelta = timedelta(days=180)
    creates_in_crm: bool = False
    crm_defaults: Mapping[str, Value] = field(default_factory=dict)
    fields_after_opt_out: bool = False
    topics_first_sight_union: bool = False
    prefers_newest: bool = False
    carries_grants: bool = True
    """Whether a grant follows a changed address, with evidence."""
    renames_members: bool = False
    """Whether the ESP can give a member another address, and further what its connectors can do."""
    archives_members: bool = False
    renames_records: bool = False
    fields: tuple[FieldRule, ...] = ()
    can_ask: bool = True
    """Whether the ESP can be told to ask somebody for a confirmation."""
    takes_back: bool = False
    """Whether the ESP subscribes somebody again who left by themself, without asking them."""
    clock_tolerance: timedelta = timedelta(minutes=5)
    soft_limit: int = 5
    soft_within: timedelta = timedelta(days=30)
    handling: CustomHandling = field(default_factory=CustomHandling)

    @property
    def handled_scopes(self) -> tuple[str, ...]:
        """Whose turns are handled: the scopes named, and with handlers all that this sync is about."""
        own = (self.scope, *self.mapped_topics) if self.handling.handlers else ()
        return tuple(sorted({*self.handling.on_opt_out, *self.handling.on_opt_in, *own}))

    @property
    def mapped_topics(self) -> frozenset[str]:
        """Scopes of the topics that some side shows."""
        return frozenset(scope for scope, _ in (*self.crm.topics, *self.esp.topics))

    @property
    def is_transactional(self) -> bool:
        """Whether no wish, not even one about everything, keeps anybody from this mail."""
        return self.purpose.kind is Kind.TRANSACTIONAL

    @property
    def needs_grant(self) -> bool:
        return self.purpose.basis is Basis.CONSENT and not self.is_transactional

    def needs_own_grant(self, scope: str) -> bool:
        """Whether a grant of the purpose does not cover the scope: a topic that is mapped, here or by another sync."""
        return self.needs_grant and (self.is_mapped_topic if scope == self.scope else scope in self.mapped_topics)
