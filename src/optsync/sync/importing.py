"""Bringing in wishes that another system held, in an administrator's name; and taking such an import back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path

from optsync.errors import CommandRefused
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, restated, state
from optsync.reconcile.erasure import may_be_kept
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.import_file import ImportFile, Refused, Wish
from optsync.sync.permission import permissions
from optsync.sync.progress import Progress

BATCH = 500
MAX_SHOWN = 10_000
"""So many refused rows are kept to be shown; all are counted."""


@dataclass(slots=True, kw_only=True)
class Imported:
    """What became of a file's rows: ``rows == sum(added) + known + voided + forgotten + refused``. ``voided``: rows
    that this very file said before and that were retracted; they stay so. ``forgotten``: grants of forgotten people,
    which count for nothing."""

    uid: str
    ignored: tuple[str, ...] = ()
    rows: int = 0
    added: dict[StatementKind, int] = field(default_factory=lambda: {StatementKind.OUT: 0, StatementKind.GRANT: 0})
    known: int = 0
    voided: int = 0
    forgotten: int = 0
    refused: int = 0
    shown: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``source``: ``legacy`` is what another system held, whose grants lift nothing; with ``import`` somebody vouches
    for the evidence, and a grant lifts older outs."""

    path: Path
    scope: str
    source: Source
    actor: str
    is_rehearsal: bool = False


def bring_in(engine: Engine, request: Request, progress: Progress) -> Imported:
    """Adds what the file says; the next cycle of every sync carries it. A row that is there already adds nothing.

    Raises:
        ConfigError: the scope is unknown or transactional, or the file has no such columns.
        CommandRefused: nobody answers for it.
    """
    permissions(engine).require_wish_scope(request.scope)
    if not request.actor.strip():
        raise CommandRefused("somebody has to answer for it: name them with --actor")
    file = ImportFile(request.path)
    now = engine.clock.now()
    name = sha256(b"\0".join((file.digest, request.scope.encode(), request.source.encode()))).hexdigest()[:16]
    done = Imported(uid=name, ignored=file.ignored)
    total, rows = file.count(), file.rows(now, scope=request.scope)
    while batch := list(islice(rows, BATCH)):
        wishes = _sorted_out(batch, done)
        if request.is_rehearsal:
            with engine.store.reading() as unit:
                _Batch(unit, request, done, now).look(wishes, unit.points.find({w.email for w in wishes}))
        elif wishes:
            with engine.store.transaction() as unit:
                points = unit.points.require({w.email for w in wishes})
                news = _Batch(unit, request, done, now).look(wishes, points)
                unit.ledger.append(news, run=None)
                unit.points.mark(engine.bound.policies, {key for key, _ in news})
        progress.step("import", done.rows, max(total, done.rows))
    return done


def _sorted_out(batch: Sequence[Wish | Refused], done: Imported) -> list[Wish]:
    wishes = [row for row in batch if isinstance(row, Wish)]
    refused = [row for row in batch if isinstance(row, Refused)]
    done.rows += len(batch)
    done.refused += len(refused)
    done.shown.extend(refused[: max(0, MAX_SHOWN - len(done.shown))])
    return wishes


class _Batch:
    """Some rows of a file against what is known."""

    def __init__(self, unit: Unit, request: Request, done: Imported, now: datetime) -> None:
        self._unit = unit
        self._request = request
        self._done = done
        self._now = now

    def look(self, wishes: Sequence[Wish], points: Mapping[str, int]) -> list[tuple[int, Statement]]:
        """The statements to add, with their points; what becomes of every row is counted."""
        about = self._unit.ledger.about(points.values())
        seen: dict[str, list[Statement]] = {email: list(about[key]) for email, key in points.items()}
        forgotten = self._unit.points.forgotten(points.values())
        news = []
        for wish in wishes:
            known = seen.setdefault(wish.email, [])
            said = self._statement(wish)
            same = [s for s in known if self._is_same(s, said, wish)]
            own = [s for s in same if self._is_of_file(s, said)]
            voided = {s.target for s in known if s.kind is StatementKind.RETRACT}
            if any(s.uid in voided for s in own):
                self._done.voided += 1
                continue
            if not own and points.get(wish.email) in forgotten and not may_be_kept(said):
                self._done.forgotten += 1
                continue
            if not own:  # what another file says as well stays when one of them is taken back
                known.append(said)
                news.append((points.get(wish.email, 0), said))
            if any(s.uid not in voided for s in same):
                self._done.known += 1
            else:
                self._done.added[said.kind] += 1
        return news

    def _is_same(self, known: Statement, said: Statement, wish: Wish) -> bool:
        """Whether this was said before: of a row without a time, by this file."""
        # What has no time, or no time of day, counts since it was first imported at the latest, and not anew each time.
        at = known.seen_at if wish.at is None else min(wish.at, known.seen_at)
        is_like = (known.kind, known.scope, known.source, known.system) == (said.kind, said.scope, said.source, None)
        return is_like and known.at == at and (wish.at is not None or self._is_of_file(known, said))

    def _is_of_file(self, known: Statement, said: Statement) -> bool:
        """Of who was forgotten the evidence is gone; what the file said of them then is known by its identity."""
        if known.evidence:
            return known.evidence.get("import") == self._done.uid
        return known.uid == restated(said, at=known.at, seen_at=known.seen_at).uid

    def _statement(self, wish: Wish) -> Statement:
        request = self._request
        is_vouched = wish.kind is StatementKind.GRANT and request.source is Source.IMPORT
        proof = {
            "import": self._done.uid,
            "file": request.path.name,
            "row": str(wish.line),
            "actor": request.actor.strip(),
            "source": wish.source,
            "evidence": wish.evidence,
        }
        return state(
            scope=request.scope,
            kind=wish.kind,
            at=wish.at or self._now,
            clock=None if wish.at else OUR_CLOCK,
            seen_at=self._now,
            source=request.source,
            strength=Strength.EVIDENCED if is_vouched else Strength.NOTHING,
            reason=wish.reason,
            record=self._done.uid,
            evidence={key: value for key, value in proof.items() if value},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """``already``: statements of the import that were retracted before."""

    uid: str
    retracted: int
    already: int


def take_back(engine: Engine, uid: str, *, actor: str, reason: str, progress: Progress) -> TakenBack:
    """Retracts every statement of an import; the next cycle of every sync follows.

    Raises:
        CommandRefused: there is no such import, or nobody answers for it, or no reason is given.
    """
    if not actor.strip() or not reason.strip():
        raise CommandRefused("somebody has to answer for it and say why: --actor and --reason")
    with engine.store.reading() as unit:
        points = unit.ledger.points_of_import(uid)
    retracted = already = through = 0
    for keys in _parts(points):
        with engine.store.transaction() as unit:
            news = []
            for key, said in unit.ledger.about(keys).items():
                voided = {s.target for s in said if s.kind is StatementKind.RETRACT}
                of_import = [s for s in said if s.evidence.get("import") == uid]
                already += sum(s.uid in voided for s in of_import)
                news += [(key, _voids(engine, s, actor, reason)) for s in of_import if s.uid not in voided]
            unit.ledger.append(news, run=None)
            unit.points.mark(engine.bound.policies, {key for key, _ in news})
        retracted += len(news)
        through += len(keys)
        progress.step("retract", through, len(points))
    if not retracted + already:
        raise CommandRefused(f"there is no import {uid}; `optsync import` printed its id when it was made")
    return TakenBack(uid=uid, retracted=retracted, already=already)


def _parts(points: Sequence[int]) -> Iterator[Sequence[int]]:
    return (points[n : n + BATCH] for n in range(0, len(points), BATCH))


def _voids(engine: Engine, said: Statement, actor: str, reason: str) -> Statement:
    now = engine.clock.now()
    return state(
        scope=said.scope,
        kind=StatementKind.RETRACT,
        at=now,
        clock=OUR_CLOCK,
        seen_at=now,
        source=Source.ADMIN,
        reason=reason.strip(),
        target=said.uid,
        evidence={"actor": actor.strip()},
    )
