"""Proving the ledger: everything that was sealed is computed again and compared, in bounded memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection
from sqlalchemy.types import NullType

from optsync.model.scope import EVERYTHING
from optsync.model.statement import Source, StatementKind
from optsync.state import seal
from optsync.state.chain import BONDS, EVIDENCE, NOTED, RAW, Head, as_bytes, parse_head, proof_of, raw
from optsync.state.codec import loads
from optsync.state.prepared import Prepared
from optsync.state.schema import block, contact_point, erasure, evidence, run, statement

MAX_FINDINGS = 200
_BLOCKS = 100
"""How many blocks are read at a time."""

_COUNT = Prepared(sa.select(sa.func.count()).select_from(statement))
_NEXT_BLOCKS = Prepared(
    sa.select(*(sa.type_coerce(column, NullType()).label(column.name) for column in block.c))
    .where(block.c.id > bindparam("after"))
    .order_by(block.c.id)
    .limit(_BLOCKS)
)
_SPAN = (statement.c.block - 1) // _BLOCKS
# Blocks follow one another as their statements do: where to look for them needs no index.
_SPANS = Prepared(
    sa.select(_SPAN.label("span"), sa.func.min(statement.c.id), sa.func.max(statement.c.id))
    .where(statement.c.block.is_not(None))
    .group_by(_SPAN)
)
# Read as it comes, not all at once.
_SAID = (
    sa.select(*RAW, *EVIDENCE, contact_point.c.email, *BONDS)
    .outerjoin(evidence, evidence.c.statement_id == statement.c.id)
    .outerjoin(contact_point, contact_point.c.id == statement.c.point_id)
    .where(
        statement.c.id.between(bindparam("lowest"), bindparam("highest")),
        statement.c.block.between(bindparam("first"), bindparam("last")),
    )
    .order_by(statement.c.id)
    .execution_options(yield_per=1000)
)
_SUMMARIES = (
    sa.select(run.c.uid, run.c.summary)
    .where(run.c.summary.is_not(None))
    .order_by(run.c.id)
    .execution_options(yield_per=500)
)
_OUTSIDE = Prepared(
    sa.select(*RAW)
    .where(sa.or_(statement.c.block.is_(None), ~sa.exists().where(block.c.id == statement.c.block)))
    .order_by(statement.c.id)
    .limit(MAX_FINDINGS)
)


def _forgotten() -> Prepared:
    """Whose private parts may be missing: whoever was forgotten by optsync, which has noted it and has said an out of
    everything in the ledger itself, at that time. Nobody adds that by hand without the chain telling."""
    is_said = sa.and_(
        statement.c.point_id == contact_point.c.id,
        statement.c.at == contact_point.c.forgotten_at,
        statement.c.kind == StatementKind.OUT,
        statement.c.scope == EVERYTHING,
        statement.c.source == Source.ADMIN,
        statement.c.is_personal.is_(True),
        statement.c.salt.is_not(None),
    )
    return Prepared(
        sa.select(erasure.c.point_id)
        .join(contact_point, contact_point.c.id == erasure.c.point_id)
        .join(statement, is_said)
    )


_FORGOTTEN = _forgotten()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it was sealed; ``statement`` is its id. The message names no address."""

    block: int | None
    statement: int | None
    message: str

    def __str__(self) -> str:
        place = "" if self.block is None else f"block {self.block}: "
        return place + ("" if self.statement is None else f"statement {self.statement}: ") + self.message


@dataclass(slots=True, kw_only=True)
class Verdict:
    """``head``: the newest block that is there. ``erased``: statements whose private parts were erased with a
    forgotten person. ``unsigned``: blocks without a signature. The first findings, and how many there are."""

    head: Head | None = None
    erased: int = 0
    unsigned: int = 0
    signed_with: dict[int, int] = field(default_factory=dict)
    """Blocks by the place of the key that signed them in ``secret_keys``."""
    findings: list[Finding] = field(default_factory=list)
    found: int = 0

    def add(self, message: str, *, block: int | None = None, statement: int | None = None) -> None:
        self.found += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(block=block, statement=statement, message=message))


class Verification:
    """One check of the whole ledger, within one reading transaction."""

    def __init__(self, connection: Connection, keys: Sequence[bytes]) -> None:
        self._connection = connection
        self._keys = keys
        self._verdict = Verdict()
        self._previous: tuple[int, bytes] = (0, seal.START)
        self._total = 0
        self._is_signed = False
        self._spans: dict[int, tuple[int, int]] = {}
        self._forgotten: frozenset[int] = frozenset()

    def run(self, *, written_down: bytes | None, step: Callable[[int, int], None]) -> Verdict:
        """``written_down``: a head's hash that was kept elsewhere. ``step`` is told how many of how many statements
        are through."""
        of = int(_COUNT.scalar(self._connection))
        self._forgotten = frozenset(_FORGOTTEN.scalars(self._connection))
        self._spans = {span: (lowest, highest) for span, lowest, highest in _SPANS.all(self._connection)}
        wanted = _Remembered(self._remembered(), written_down)
        for rows in self._blocks():
            by_block: dict[int, list[dict[str, Any]]] = {}
            for each in self._statements(rows[0]["id"], rows[-1]["id"]):
                by_block.setdefault(each["block"], []).append(each)
            for row in rows:
                self._block(row, by_block.pop(row["id"], []))
                wanted.see(row["id"], row["hash"], self._verdict)
            for number, strays in by_block.items():
                self._strays(strays, f"belongs to block {number}, which is not there")
            step(self._total, of)
        self._verdict.head = self._newest()
        self._outside_of_blocks()
        self._noted_head()
        wanted.conclude(self._verdict)
        return self._verdict

    # reading

    def _blocks(self) -> Iterator[Sequence[Mapping[str, Any]]]:
        last = -(2**63)
        while rows := _NEXT_BLOCKS.dicts(self._connection, after=last):
            last = rows[-1]["id"]
            yield rows

    def _statements(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        within = [ids for span, ids in self._spans.items() if _span_of(first) <= span <= _span_of(last)]
        if not within:
            return
        places = {"lowest": min(low for low, _ in within), "highest": max(high for _, high in within)}
        for row in self._connection.execute(_SAID, {**places, "first": first, "last": last}).mappings():
            values = raw(row)
            yield {**values, "is_forgotten": row["point_id"] in self._forgotten, "made": proof_of(values)}

    # one block

    def _block(self, row: Mapping[str, Any], said: Sequence[Mapping[str, Any]]) -> None:
        number, before = row["id"], self._previous
        self._previous = (number, as_bytes(row["hash"]))
        self._total += len(said)
        if number != before[0] + 1:
            self._verdict.add(_missing(before[0] + 1, number - 1), block=number)
        elif as_bytes(row["previous"]) != before[1]:
            self._verdict.add("names another hash of the block before it than that block has", block=number)
        bad_points: set[int] = set()
        for each in said:
            self._statement(each, bad_points)
        if row["count"] != len(said):
            self._verdict.add(f"{row['count']} statements were sealed and {len(said)} are there", block=number)
        leaves = [seal.leaf(s["id"], as_bytes(s["seal"]), s["made"] or as_bytes(s["proof"]), s) for s in said]
        if seal.block_hash(as_bytes(row["previous"]), number, row["at"], leaves) != row["hash"]:
            self._verdict.add("its time, its statements or their order are not those that were sealed", block=number)
        self._signature(row)

    def _signature(self, row: Mapping[str, Any]) -> None:
        if row["mac"] is None:
            self._verdict.unsigned += 1
            if self._is_signed:
                self._verdict.add("is not signed, and blocks before it are", block=row["id"])
            return
        self._is_signed = True
        if not self._keys:
            return
        place = seal.signer(self._keys, as_bytes(row["hash"]), as_bytes(row["mac"]))
        if place is None:
            self._verdict.add("signed with a key that is not configured, or by somebody who has none", block=row["id"])
        else:
            self._verdict.signed_with[place] = self._verdict.signed_with.get(place, 0) + 1

    # one statement

    def _statement(self, row: Mapping[str, Any], bad_points: set[int]) -> None:
        if row["point_id"] not in bad_points and (problem := _point_problem(row)):
            bad_points.add(row["point_id"])
            self._verdict.add(problem, block=row["block"], statement=row["id"])
        if row["salt"] is None and row["point_salt"] is None:
            self._erased(row)
        elif row["point_id"] not in bad_points and not seal.is_mark(as_bytes(row["proof"]), row["made"] or b""):
            problem = "it is about somebody else, or its content or evidence is not what was sealed"
            self._verdict.add(problem, block=row["block"], statement=row["id"])

    def _erased(self, row: Mapping[str, Any]) -> None:
        if not row["is_forgotten"]:
            problem = "its private parts were erased, and nobody forgot the person"
        elif any(row[name] is not None for name in ("reason", "record", "data")):
            problem = "its private parts were erased, and others are in their place"
        else:
            self._verdict.erased += 1
            return
        self._verdict.add(problem, block=row["block"], statement=row["id"])

    # the whole

    def _newest(self) -> Head | None:
        number, digest = self._previous
        return Head(block=number, hash=digest, statements=self._total) if number else None

    def _outside_of_blocks(self) -> None:
        known = {finding.statement for finding in self._verdict.findings}
        rows = [raw(row) for row in _OUTSIDE.dicts(self._connection) if row["id"] not in known]
        self._strays(rows, "belongs to no block: it was not added by optsync")

    def _strays(self, rows: Sequence[Mapping[str, Any]], message: str) -> None:
        for row in rows:
            self._verdict.add(message, statement=row["id"])

    def _noted_head(self) -> None:
        noted = parse_head(NOTED.scalar(self._connection))
        head = self._verdict.head
        if noted != head:
            there = f"block {head.block} with {head.statements} statements" if head else "none"
            was = f"block {noted.block} with {noted.statements} statements" if noted else "none"
            same = noted and head and (noted.block, noted.statements) == (head.block, head.statements)
            detail = "its hash is another" if same else f"noted was {was}, there is {there}"
            self._verdict.add(f"the newest block is not the one that was noted when it was sealed: {detail}")

    def _remembered(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for uid, summary in self._connection.execute(_SUMMARIES):
            head = loads(summary).get("ledger_head")
            if head:
                yield uid, head


class _Remembered:
    """Hashes that were noted outside of the chain, each of which must be in it."""

    def __init__(self, heads: Iterator[tuple[str, Mapping[str, Any]]], written_down: bytes | None) -> None:
        self._runs: dict[int, dict[str, str]] = {}
        for uid, head in heads:
            self._runs.setdefault(int(head["block"]), {}).setdefault(str(head["hash"]), uid)
        self._written_down = written_down
        self.is_written_down_found = written_down is None

    def see(self, number: int, digest: object, verdict: Verdict) -> None:
        """A block that is there."""
        found = as_bytes(digest)
        if self._written_down is not None and found.startswith(self._written_down):
            self.is_written_down_found = True
        for noted, uid in self._runs.pop(number, {}).items():
            if noted != found.hex():
                verdict.add(f"its hash is not the one that run {uid} noted", block=number)

    def conclude(self, verdict: Verdict) -> None:
        """Those that nobody saw."""
        for number, noted in sorted(self._runs.items()):
            for uid in noted.values():
                verdict.add(f"it is not there, and run {uid} noted it", block=number)
        if not self.is_written_down_found:
            verdict.add("no block has the hash that was written down: the ledger was cut off or written anew")


def _point_problem(row: Mapping[str, Any]) -> str | None:
    """What is wrong with the address that a statement is about."""
    if row["seal"] is None:
        return "its contact point is gone, or not sealed"
    if row["point_salt"] is None:
        return None if row["is_forgotten"] and row["email"] is None else "its address can't be proven any more"
    if row["email"] is None:
        return "its address is gone, and nobody forgot the person"
    is_same = seal.address_seal(as_bytes(row["point_salt"]), row["email"]) == row["seal"]
    return None if is_same else "its address is not the one that was sealed"


def _span_of(number: int) -> int:
    """As databases divide whole numbers: towards zero."""
    before = number - 1
    return abs(before) // _BLOCKS * (-1 if before < 0 else 1)


def _missing(first: int, last: int) -> str:
    if last < first:
        return f"comes where block {first} should be"
    return f"block {first} is missing" if first == last else f"blocks {first} to {last} are missing"
