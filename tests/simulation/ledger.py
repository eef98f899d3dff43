"""What must hold of optsync's own books: the ledger, the journal, its answers, and what both sides' fields agree on."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from optsync.state.columns import to_text
from optsync.sync.engine import Engine
from optsync.sync.permission import Permissions, permissions
from optsync.sync.report import Report
from tests.simulation.law import Law, Violation
from tests.simulation.messages import Asked
from tests.simulation.script import SLOTS, TOPICS, address
from tests.simulation.stage import PURPOSE, SYNC, Stage
from tests.simulation.values import Values
from tests.simulation.witness import Witness
from tests.simulation.words import OUR_REASON, STATUS, Key

_SERVICE = "acme/service"
_NOBODY = 4194305
"""A process id that no machine gives."""


class Books:
    """Of one world."""

    def __init__(self, stage: Stage, witness: Witness, counts: Counter[str]) -> None:
        self._stage = stage
        self._witness = witness
        self._counts = counts
        self._rng = random.Random(4)
        self.is_seen_anew = False
        """Whether what we wrote somewhere may count as theirs: a first sight again, or an edit in the same moment."""
        self.covered: set[tuple[str, Any]] = set()
        """Records on which we wrote a restriction over an edit that no answer had shown: theirs or ours, nobody can
        tell."""
        self.is_any_answer_damaged = False
        self.is_anything_cut_short = False
        """Whether a run was killed, or its database failed. One that is under way has no end either."""
        self._driver = stage.store.driver
        self.values = Values(stage, witness, counts, self._ask)
        self._permissions: tuple[Engine, Permissions] | None = None
        self._heard: set[int] = set()

    def _ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._driver.execute(query, values).fetchall()

    def release_leases(self) -> None:
        """The process that held them is gone, and this host knows it."""
        self._driver.execute("UPDATE lease SET pid = ?", (_NOBODY,))

    # during the play

    def expect_intent(self, asked: Iterable[Asked]) -> None:
        """Each record that is written has one, and they are committed. A member may be made by the opt-out of one that
        is not there any more."""
        self._counts[Law.INTENT] += 1
        found = self._ask(
            "SELECT c.system, r.rid FROM change c LEFT JOIN system_record r ON c.record_id = r.id"
            " WHERE c.state = 'sending'"
        )
        known = {(system, None if rid is None else to_text(rid)) for system, rid in found}
        named = [each for each in asked if each.key is not None and not each.is_creating]
        without = [each for each in named if (each.side, str(each.key)) not in known]
        if without or not found or self._driver.in_transaction:
            raise Violation(Law.INTENT, f"a write goes out and no intent is committed: {without}")

    def begins_anew(self) -> bool:
        """Whether the next cycle reads some system whole, as where somebody forgotten was let back in."""
        return bool(self._ask("SELECT 1 FROM source WHERE cursor IS NULL LIMIT 1"))

    def is_plan_under_way(self) -> bool:
        """Whether anything of a plan that was approved is still to be sent."""
        unsent = "SELECT 1 FROM change WHERE plan IS NOT NULL AND state IN ('planned', 'ready', 'sending') LIMIT 1"
        return bool(self._ask(unsent))

    def planned_under(self) -> str | None:
        """The digest of the meaning under which the sync was last planned."""
        rows = self._ask("SELECT value FROM meta WHERE key = ?", f"meaning:{SYNC}")
        return str(rows[0][0]) if rows else None

    def doubted(self) -> Iterator[tuple[Key, bool, list[str]]]:
        """Records that the engine may have restricted, for all it knows: whether by an opt-out, and which topics."""
        query = "SELECT s.system, r.rid, r.unsure FROM system_record r JOIN source s ON r.source_id = s.id"
        for system, stored, unsure in self._ask(f"{query} WHERE r.unsure IS NOT NULL"):
            rid = to_text(stored)
            write = json.loads(unsure)
            # UF_CRM_TOPIC_NEWS here, Topics/News there; a CRM's flags are fields.
            wishes = {**write["topics"], **{n: on for n, on in write["fields"].items() if "_TOPIC_" in n}}
            off = [re.split("[_/]", name)[-1].lower() for name, wanted in wishes.items() if not wanted]
            is_out = write["status"] == "out" or write["fields"].get("UF_CRM_OPT_OUT") is True
            yield (system, int(rid) if system == "crm" else rid), is_out, off

    def closed(self) -> Iterator[Key]:
        """Members that an opt-out was written to since this was asked last: the answer about many names no record, and
        no reading need have shown one since."""
        query = (
            "SELECT c.id, r.rid FROM change c JOIN system_record r ON c.record_id = r.id JOIN source s"
            " ON r.source_id = s.id WHERE s.system = 'esp' AND c.kind = 'opt_out' AND c.state = 'applied'"
        )
        for change, stored in self._ask(query):
            if change not in self._heard:
                self._heard.add(change)
                yield "esp", to_text(stored)

    def known(self, side: str) -> int:
        query = "SELECT count(*) FROM system_record r JOIN source s ON r.source_id = s.id WHERE s.system = ?"
        return int(self._ask(query, side)[0][0])

    def count(self, report: Report) -> None:
        for name, part in report.syncs.items():
            outcome = part.outcome
            counted = outcome["changed"] + outcome["same"] + sum(outcome["skipped"].values()) + outcome["quarantined"]
            self._counts[Law.COUNTED] += counted > 0
            if sum(part.seen.values()) != counted and not part.failures:
                raise Violation(Law.COUNTED, f"{name}: a record has no outcome, or two: {part.to_json()}")

    def may_send(self) -> None:
        """Whoever is known to have said no is not to be mailed about that; service mails go to everybody."""
        emails = sorted({email for email, _ in self._witness.nos})
        if not emails:
            return
        rules = self._rules()
        now = self._stage.clock.now()
        with self._stage.store.reading() as unit:
            keys = unit.points.find(emails)
            about = unit.ledger.about(keys.values())
        for email in emails:
            said = list(about[keys[email]]) if email in keys else []
            self._rng.shuffle(said)
            verdicts = {name: rules.verdict(said, name, now=now) for name in (PURPOSE, _SERVICE)}
            for scope, name in ((STATUS, PURPOSE), *((t, f"{PURPOSE}/{t}") for t in TOPICS)):
                if not self._witness.must_be_out(email, scope, shown=True):
                    continue
                self._counts[Law.MAY_SEND] += 1
                self._counts[Law.KEPT] += 1
                verdict = verdicts.get(name) or rules.verdict(said, name, now=now)
                if verdict.permission.may_send:
                    raise Violation(Law.MAY_SEND, f"{email} said no to {scope} and may be mailed: {_told(said)}")
            verdict = verdicts[_SERVICE]
            self._counts[Law.SERVICE] += 1
            if not verdict.permission.may_send and verdict.mailbox != "hard":
                raise Violation(Law.SERVICE, f"{email} gets no service mail: {verdict.permission.reason}")
            self._counts[Law.ORDER] += len(said) > 1
            again = sorted(said, key=lambda s: s.uid)
            wish = verdicts[PURPOSE].standing.wish
            if again != said and rules.verdict(again, PURPOSE, now=now).standing.wish != wish:
                raise Violation(Law.ORDER, f"the standing of {email} depends on the order of {_told(said)}")

    def _rules(self) -> Permissions:
        """Of the process that is at work."""
        engine = self._stage.engine
        if self._permissions is None or self._permissions[0] is not engine:
            self._permissions = engine, permissions(engine)
        return self._permissions[1]

    # the end

    def close(self) -> None:
        left = self._ask("SELECT id, state FROM change WHERE state IN ('planned', 'ready', 'sending')")
        self._counts[Law.OUTCOME] += len(self._ask("SELECT 1 FROM change LIMIT 1"))
        if left:
            raise Violation(Law.OUTCOME, f"changes without an outcome: {left}")
        # A grant may be told again after a change of the mapping, once it was carried.
        said = "FROM statement WHERE record IS NOT NULL AND kind <> 'grant' GROUP BY"
        same = "point_id, scope, kind, at, clock, source, is_personal, reason, system, record"
        query = f"SELECT {same}, count(*) {said} {same} HAVING count(*) > 1"
        self._counts[Law.ONCE] += 1
        if twice := self._ask(query):
            raise Violation(Law.ONCE, f"statements that are there twice: {twice}")
        self._must_be_in_the_end()
        self._must_be_said()
        self._must_verify()

    def _must_be_in_the_end(self) -> None:
        """Nobody counts as in for whom no record that people made ever said so, and whoever signed up last may be
        mailed."""
        rules, now = self._rules(), self._stage.clock.now()
        is_doubtful = self.is_seen_anew or self.is_in_doubt() or bool(self._witness.clocks_set)
        with self._stage.store.reading() as unit:
            keys = unit.points.find([address(slot) for slot in range(SLOTS)])
            about = unit.ledger.about(keys.values())
        for email, key in keys.items():
            is_in = rules.verdict(about[key], PURPOSE, now=now).standing.wish == "in"
            self._counts[Law.NO_GRANT] += is_in
            if is_in and not self._witness.has_said_yes(email):
                raise Violation(Law.NO_GRANT, f"{email} counts as in, and nobody said so: {_told(about[key])}")
            if not is_doubtful and self._witness.signed_up_last(email):
                self._counts[Law.HONOURED] += 1
                verdict = rules.verdict(about[key], PURPOSE, now=now)
                if not verdict.permission.may_send and verdict.mailbox != "hard":
                    raise Violation(Law.HONOURED, f"{email} signed up and is not mailed: {_told(about[key])}")

    def _must_be_said(self) -> None:
        """A statement that names a record is about something that people made the record show. Where a write's answer
        was lost, or a configuration changed, a restriction may be told of whom nobody knows the author."""
        if self.is_seen_anew or self.is_in_doubt():
            return
        named = "SELECT text FROM word WHERE id = s"
        query = f"SELECT ({named}.system), record, ({named}.scope), reason FROM statement s"  # noqa: S608
        for system, stored, scope, reason in self._ask(f"{query} WHERE kind = 'out' AND system IS NOT NULL"):
            record = to_text(stored)
            # Of a clock that was set twice nobody remembers how it went at first, when our own opt-out was stamped.
            is_undatable = reason == OUR_REASON and self._witness.clocks_set["esp"] > 1
            if reason == "the two sides disagreed when first seen" or is_undatable:
                continue
            name = STATUS if scope == PURPOSE else scope.rsplit("/", 1)[1]
            key = (system, int(record) if system == "crm" else record)
            self._counts[Law.NO_ECHO] += 1
            if key in self.covered or (name == STATUS and self._is_made_out(key)):
                continue
            if name in {STATUS, *TOPICS} and (key, name, "no") not in self._witness.spoken:
                raise Violation(Law.NO_ECHO, f"the ledger says that {key} said no to {name}, and nobody did")

    def _is_made_out(self, key: Key) -> bool:
        """Whether we made the member by opting out an address that another one, unseen, did not have any more."""
        row = self._witness.latest.get(key)
        return row is not None and self._witness.entered.get(row.addresses[0]) == "unsubscribed"

    def was_seen_anew(self) -> bool:
        return self.is_seen_anew

    def is_in_doubt(self) -> bool:
        """Whether the answer to some write was lost, some answer damaged, or a run cut short."""
        is_unsure = self.is_anything_cut_short or self.is_any_answer_damaged
        return is_unsure or bool(self._ask("SELECT 1 FROM change WHERE state = 'failed' LIMIT 1"))

    def _must_verify(self) -> None:
        store = self._stage.store
        keys = list(store.keys()) if store.keys else []
        with store.reading() as unit:
            verdict = unit.ledger.verify(keys)
        self._counts[Law.SEALED] += 1
        if verdict.found:
            raise Violation(Law.SEALED, "; ".join(str(f) for f in verdict.findings))


def _told(said: Iterable[Any]) -> str:
    return "; ".join(f"{s.kind} {s.scope} {s.at:%H:%M:%S} {s.source} {int(s.strength)}" for s in said)
