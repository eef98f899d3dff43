"""What an operator does at optsync itself: statements, plans, undoing, imports, erasures, another configuration."""

import tempfile
from pathlib import Path
from typing import Any, Protocol

from optsync.errors import OptsyncError
from optsync.model.change import ChangeKind, ChangeState, Fact
from optsync.model.statement import Source
from optsync.sync.administer import deliverable, opt_in, opt_out
from optsync.sync.check import check_systems
from optsync.sync.forget import forget
from optsync.sync.importing import Request, bring_in
from optsync.sync.progress import Silent
from optsync.sync.report import Report
from optsync.sync.word import Word
from tests.simulation.script import SLOTS, Act, Cycle, address
from tests.simulation.stage import PURPOSE, SYNC, Stage
from tests.simulation.terms import CHOICES, DIRECTIONS
from tests.simulation.witness import Witness
from tests.simulation.words import STATUS

ACTOR = "Olga"


class World(Protocol):
    """What the operator needs of the world that is being played."""

    stage: Stage
    witness: Witness
    runs: list[str]
    is_approved: bool

    def cycle(self, cycle: Cycle, word: Word | None = None) -> Report | None: ...

    def undo(self, cycle: Cycle, run: str) -> None: ...

    def reconfigured(self) -> None: ...


def operate(world: World, act: Act) -> bool:
    """Does it; False when optsync refuses."""
    try:
        _ACTS[act.what](world, act)
    except (OptsyncError, LookupError):
        return False
    return True


def _out(world: World, act: Act) -> None:
    scope = "*" if act.other % 2 else PURPOSE
    opt_out(world.stage.engine, address(act.slot), scope=scope, actor=ACTOR)
    world.witness.says_no(address(act.slot), STATUS, world.stage.clock.now())


def _in(world: World, act: Act) -> None:
    opt_in(world.stage.engine, address(act.slot), scope=PURPOSE, actor=ACTOR, evidence="a letter")
    world.witness.order += 1
    world.witness.says_yes(address(act.slot), STATUS, world.stage.clock.now(), clock="own", is_admin=True)


def _deliverable(world: World, act: Act) -> None:
    deliverable(world.stage.engine, address(act.slot), actor=ACTOR, evidence="a letter")


def _forget(world: World, act: Act) -> None:
    done = forget(world.stage.engine, address(act.slot), actor=ACTOR)
    if not done.was_forgotten:  # twice is as once: nothing is said again
        world.witness.says_no(address(act.slot), STATUS, world.stage.clock.now(), is_personal=True)


def held(stage: Stage) -> tuple[str, list[str]]:
    """The first held plan and the addresses that it is about. Raises ``LookupError`` without one."""
    with stage.store.reading() as unit:
        uid = unit.plans.held(SYNC)[0].uid
        points = unit.plans.points_of(uid)
        return uid, sorted(unit.points.addresses(points).values())


def found_gone(report: Report | None) -> bool:
    """Whether a write found a record deleted, of which no reading tells: what follows from that is decided after it."""
    return report is not None and any(c.fact == Fact.GONE for c in report.syncs[SYNC].changes)


def has_asked(report: Report | None) -> bool:
    """Whether somebody was sent a request: their member waits for it and shows no more what it showed before, so the
    next cycle asks what that was."""
    changes = report.syncs[SYNC].changes if report else ()
    return any(c.kind is ChangeKind.REQUEST and c.state is ChangeState.APPLIED for c in changes)


def spoken(world: World, word: str) -> Word:
    """What the operator says of the first held plan. Raises ``LookupError`` without one."""
    uid, mails = held(world.stage)
    if word == "approve":
        world.is_approved = True
        return Word(actor=ACTOR, approves=uid)
    for mail in mails:
        world.witness.retracted(world.witness.families.get(mail, {mail}) | {mail})
    return Word(actor=ACTOR, rejects=uid)


def _decide(world: World, act: Act) -> None:
    world.cycle(Cycle(), spoken(world, act.what))


def _undo(world: World, act: Act) -> None:
    world.undo(Cycle(), world.runs[-1 - act.other % len(world.runs)])


def _import(world: World, act: Act) -> None:
    """Three rows; the file names the time of each."""
    stage, status = world.stage, "out" if act.what == "import_outs" else "grant"
    at = stage.clock.now().replace(microsecond=0)
    mails = [address(n % SLOTS) for n in range(act.slot, act.slot + 3)]
    path = Path(_folder()) / f"rows-{id(world)}.csv"
    rows = [f"{mail},{status},{at.isoformat()},imported" for mail in mails]
    path.write_text("\n".join(["email,status,at,evidence", *rows]), encoding="utf-8")
    source = Source.LEGACY if act.what == "import_legacy" else Source.IMPORT
    try:
        bring_in(stage.engine, Request(path=path, scope=PURPOSE, source=source, actor=ACTOR), Silent())
    finally:
        path.unlink()
    for mail in mails:
        world.witness.order += 1
        if status == "out":
            world.witness.says_no(mail, STATUS, at)
        elif source is Source.IMPORT:
            world.witness.says_yes(mail, STATUS, at, clock=None)
        else:
            world.witness.hints.add(mail)


_folders: list[tempfile.TemporaryDirectory[str]] = []


def _folder() -> str:
    """One for all imports of this process."""
    if not _folders:
        _folders.append(tempfile.TemporaryDirectory())
    return _folders[0].name


def _reconfigure(world: World, act: Act) -> None:
    world.stage.reconfigure(act.what, act.other)
    world.reconfigured()


def problems(world: World) -> str:
    """What optsync says when it is asked to check both systems."""
    return str([result.to_json() for result in check_systems(world.stage.engine)])


def let_travel(world: World) -> None:
    """Opt-outs travel both ways from now on."""
    for way in DIRECTIONS:
        _reconfigure(world, Act("operator", way, other=1))


_ACTS: dict[str, Any] = {
    "opt_out": _out,
    "opt_in": _in,
    "deliverable": _deliverable,
    "forget": _forget,
    "approve": _decide,
    "reject": _decide,
    "undo": _undo,
    "import_outs": _import,
    "import_grants": _import,
    "import_legacy": _import,
    "remap": _reconfigure,
    "refilter": _reconfigure,
    **dict.fromkeys((*DIRECTIONS, *CHOICES), _reconfigure),
}
