"""A run in words: what travelled where and why, and what to do next."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optsync.cli.moments import written
from optsync.cli.output import line, table
from optsync.errors import CredentialsRefused, StateLocked, SystemFailure
from optsync.model.change import ChangeState
from optsync.reconcile.rules import TEXTS, Rule
from optsync.state.changes import Change
from optsync.sync.journaled import counted
from optsync.sync.report import BAD, Report, SyncReport


def show_sync(report: Report) -> None:
    """The answer of ``sync``."""
    for name, part in report.syncs.items():
        line(f"{name}: {part.state}", style="bold")
        show_counts(part.counts_to_json())
        _show_travelled(part.changes)
        _show_held(part)
        for failure in part.failures:
            line(f"  {failure}", style="red")
    line()
    for hint in _next_steps(report):
        line(hint)


def show_plan(report: Report, *, limit: int) -> None:
    """The answer of ``plan``: one line for each change."""
    for name, part in report.syncs.items():
        state = "planned" if part.state == "failed" else part.state  # what failed is named below, and is no change
        line(f"{name}: {len(part.changes)} changes {state}", style="bold")
        show_counts(part.counts_to_json())
        for change in part.changes[:limit]:
            line(f"  {whom(change)}  {change.system}  {change.kind}  {_diff(change)}  ({why(change.rule)})")
        if len(part.changes) > limit:
            line(f"  … and {len(part.changes) - limit} more, --json shows all")
        _show_held(part)
        for failure in part.failures:
            line(f"  {failure}", style="red")
    line()
    line(_after_plan(report))


def _after_plan(report: Report) -> str:
    if any(part.held_for for part in report.syncs.values()):
        return "Nothing was written. optsync sync would hold it for approval and write nothing of it."
    return "Nothing was written. optsync sync carries it out." if _count(report) else "Nothing was written."


def whom(change: Change) -> str:
    """The address; of a forgotten person nothing is shown."""
    return change.email or "(forgotten)"


def why(rule: str) -> str:
    """The sentence of a rule; its name where it has none."""
    return TEXTS[Rule(rule)] if rule in Rule.__members__.values() else rule


def diff(before: dict[str, Any], after: dict[str, Any]) -> str:
    """``status: in → out``, for each value that differs."""
    names = sorted({*before, *after}, key=lambda n: (n != "status", n))
    return ", ".join(f"{n}: {_value(before.get(n))} → {_value(after.get(n))}" for n in names) or "–"


def _diff(change: Change) -> str:
    return diff(change.before, change.after)


def _value(value: Any) -> str:
    if value is None:
        return "(nothing)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value) or '""'


def show_counts(part: Mapping[str, Any]) -> None:
    """What one sync read and what it cost; ``part`` in the form of ``sync --json``."""
    outcome = part["outcome"]
    seen = ", ".join(f"{side} {count}" for side, count in part["seen"].items())
    skipped = ", ".join(f"{count} {reason}" for reason, count in outcome["skipped"].items()) or "0"
    calls = ", ".join(f"{system} {count}" for system, count in part["calls"].items()) or "none"
    counts = f"changed {outcome['changed']}, same {outcome['same']}, skipped: {skipped}"
    line(f"  read: {seen}; {counts}, quarantined {outcome['quarantined']}")
    line(f"  calls: {calls}; new issues: {part['issues']}")


def waiting_in_words(system: str, left: Mapping[str, Any]) -> str:
    """How many changes wait for a system, and until when."""
    until = f", which takes none before {written(left['until'])}" if left["until"] else ""
    through = f"; about {written(left['through'])} all are written" if left["through"] else ""
    return f"{left['changes']} changes wait to be written to {system}{until}{through}"


def _show_travelled(changes: Sequence[Change]) -> None:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for (system, kind, rule, state), count in counted(changes).items():
        counts[system, kind, why(rule), "waits" if state == ChangeState.READY else state] += count
    if counts:
        table(("system", "what", "why", "state", "count#"), [(*key, count) for key, count in counts.items()])


def _show_held(part: SyncReport) -> None:
    """What is too much, beside its limits."""
    for reason in part.held_for:
        if "reason" in reason:
            line(f"  held: {reason['reason']}", style="bold")
    rows = [
        (r["system"], r["kind"], r["count"], r["known"], r["max"], f"{r['percent']:g} %", r["cap"])
        for r in part.held_for
        if "kind" in r
    ]
    if rows:
        table(("held in", "what", "count#", "known#", "max#", "and above#", "or cap#"), rows)


def _count(report: Report) -> int:
    return sum(len(part.changes) for part in report.syncs.values())


def _next_steps(report: Report) -> Iterator[str]:
    for plan in (part.plan for part in report.syncs.values() if part.plan):
        yield f"Plan {plan} waits for a person, nothing of it was written. Its changes: optsync runs show {report.run}"
        yield f"To let it go: optsync approve {plan} --actor NAME. To take it back: optsync reject {plan} --actor NAME"
    failures = [f for part in report.syncs.values() for f in part.failures]
    yield from _about_failures(failures)
    if any(part.is_stopped for part in report.syncs.values()):
        yield "It was stopped before all was written: the next run takes up what is left."
    if any(state in BAD for part in report.syncs.values() for _, _, _, state in counted(part.changes)):
        yield f"Some changes did not go through: optsync runs show {report.run}"
    if any(part.needs_person for part in report.syncs.values()):
        yield "Something needs a person: optsync issues list"
    for system, left in (each for part in report.syncs.values() for each in part.unsent.items()):
        yield f"{waiting_in_words(system, left)}: the next runs send them, opt-outs go first."
    waiting = [plan for part in report.syncs.values() for plan in part.waiting]
    for plan in waiting:
        yield f"Plan {plan} still waits for a person: optsync approve {plan} --actor NAME, or optsync reject {plan}"
    if not failures and not _count(report) and not any(part.unsent for part in report.syncs.values()):
        # What keeps both sides apart, such as a refusal or an opt-out that stays, is nothing to change either.
        yield "Nothing else to change." if waiting else "Nothing to change."


def _about_failures(failures: Sequence[Exception]) -> Iterator[str]:
    for system in sorted({f.system for f in failures if isinstance(f, CredentialsRefused)}):
        yield f"{system} refused us: put its credentials right, then try optsync check."
    down = {f.system for f in failures if isinstance(f, SystemFailure) and not isinstance(f, CredentialsRefused)}
    for system in sorted(down):
        yield f"{system} could not be reached: nothing is lost, the next run makes up for it."
    if any(isinstance(f, StateLocked) for f in failures):
        yield "Somebody else is at work on it: try again when they are done."
