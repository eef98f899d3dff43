"""What a run did, in the form that ``sync --json`` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optsync.errors import CredentialsRefused, OptsyncError, StateLocked, SystemFailure
from optsync.model.change import ChangeState
from optsync.state.changes import Change
from optsync.sync.journaled import Rows, counted

BAD = frozenset({ChangeState.REFUSED, ChangeState.FAILED})
_WORST = ("done", "planned", "held", "failed")


@dataclass(slots=True, kw_only=True)
class SyncReport:
    """One sync's part of a run. ``plan``: the plan that this run holds, none in a rehearsal; ``held_for``: why, see
    :class:`optsync.state.plans.Plan`. ``waiting``: plans of earlier runs that are still held.
    ``unheard_of``: how many unusable rows nobody knew of, whose issues may belong to another sync of their collection;
    ``unsent``: by system, how many changes wait to be sent, and until when it takes none (see
    :func:`optsync.sync.waiting.waiting`); ``has_more``: some of them could be sent at once. ``is_stopped``: it was
    asked to stop, and something is left that it would have sent. ``failures``: systems that could not be reached, or
    why it did not run."""

    state: str = "done"
    plan: str | None = None
    seen: dict[str, int] = field(default_factory=lambda: {"crm": 0, "esp": 0})
    outcome: dict[str, Any] = field(default_factory=lambda: {"changed": 0, "same": 0, "skipped": {}, "quarantined": 0})
    changes: Sequence[Change] = field(default_factory=list)
    issues: int = 0
    unheard_of: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    failures: list[OptsyncError] = field(default_factory=list)
    held_for: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    unsent: dict[str, dict[str, Any]] = field(default_factory=dict)
    has_more: bool = False
    is_stopped: bool = False

    @property
    def is_locked_out(self) -> bool:
        """It did not run, since another process works on it."""
        return bool(self.failures) and all(isinstance(f, StateLocked) for f in self.failures) and not self.calls_made

    @property
    def needs_person(self) -> bool:
        """Whether this run has something new to look at."""
        return self.issues > 0 or self.unheard_of > 0

    @property
    def calls_made(self) -> int:
        return sum(self.calls.values())

    def to_json(self) -> dict[str, Any]:
        """As the contract of ``sync --json`` has it; many changes as :class:`optsync.sync.journaled.Rows`."""
        is_kept = isinstance(self.changes, list)
        changes = [change_to_json(c) for c in self.changes] if is_kept else Rows(self.changes, change_to_json)
        return self._to_json({"changes": changes})

    def counts_to_json(self) -> dict[str, Any]:
        """The same without the single changes."""
        return self._to_json({})

    def _to_json(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        value: dict[str, Any] = {
            "plan": self.plan,
            "state": self.state,
            "seen": self.seen,
            "outcome": self.outcome,
            **changes,
            "issues": self.issues,
            "calls": self.calls,
        }
        if self.held_for:
            value["held_for"] = self.held_for
        if self.unsent:
            value["waiting"] = self.unsent
        if self.is_stopped:
            value["stopped"] = True
        if self.failures:
            value["errors"] = [str(failure) for failure in self.failures]
        return value


@dataclass(slots=True, kw_only=True)
class Report:
    """A whole run."""

    run: str
    syncs: dict[str, SyncReport] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The worst of the syncs' states."""
        return max((s.state for s in self.syncs.values()), key=_WORST.index, default="done")

    @property
    def failed_systems(self) -> set[str]:
        """Systems that could not be reached or refused us."""
        return {f.system for s in self.syncs.values() for f in s.failures if isinstance(f, SystemFailure)}

    @property
    def exit_code(self) -> int:
        """By the contract: 3, then 4, then 1."""
        failures = [f for s in self.syncs.values() for f in s.failures]
        if any(isinstance(f, SystemFailure | CredentialsRefused) for f in failures):
            return 3
        if any(s.state == "held" for s in self.syncs.values()):
            return 4
        needs_person = any(s.needs_person for s in self.syncs.values())
        has_bad = any(state in BAD for s in self.syncs.values() for _, _, _, state in counted(s.changes))
        is_stopped = any(s.is_stopped for s in self.syncs.values())
        return 1 if needs_person or has_bad or failures or is_stopped else 0

    def to_json(self) -> dict[str, Any]:
        """One JSON document; top-level ``plan`` is set when exactly one plan is held."""
        return {**self._head(), "syncs": {name: sync.to_json() for name, sync in self.syncs.items()}}

    def _head(self) -> dict[str, Any]:
        plans = [s.plan for s in self.syncs.values() if s.plan]
        return {"run": self.run, "plan": plans[0] if len(plans) == 1 else None, "state": self.state}

    def summary(self) -> dict[str, Any]:
        """What is kept of it: everything but the single changes, which the journal has."""
        return {**self._head(), "syncs": {name: sync.counts_to_json() for name, sync in self.syncs.items()}}


def change_to_json(change: Change) -> dict[str, Any]:
    """One change as ``sync --json`` and ``explain --json`` show it."""
    return {
        "system": change.system,
        "record": change.record,
        "email": change.email,
        "kind": change.kind,
        "before": change.before,
        "after": change.after,
        "rule": change.rule,
        "state": ChangeState.PLANNED if change.state in {ChangeState.READY, ChangeState.SENDING} else change.state,
    }


def count_kinds(changes: Sequence[Change]) -> Mapping[tuple[str, str, str], int]:
    """How many changes there are, by (system, kind, rule)."""
    counts: dict[tuple[str, str, str], int] = {}
    for change in changes:
        key = (change.system, change.kind, change.rule)
        counts[key] = counts.get(key, 0) + 1
    return counts
