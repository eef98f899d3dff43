"""Running ``optsync sync``, killing it, letting people act, and so on; then a clean end and everything looked at."""

import signal
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from tests.crash.checks import damage, duplicates, in_doubt
from tests.crash.life import Life, disagreements, kept_out, wrong_writes
from tests.crash.processes import pause
from tests.crash.shared import AROUND_A_WRITE, Aim, Phase
from tests.crash.stage import KEY, Stage

_RARE = (Phase.COMMITTING, *AROUND_A_WRITE)
_CLEAN_RUNS = 3
_TRIES = 5
"""Runs for each kill, at most: some are over before their moment comes."""


class Kills:
    """``life``: of the people on the stage. ``only_at``: the phases at whose first beginning it is killed; at random
    moments if there are none. ``killed``: how many kills landed in which phase; ``ended``: runs that were faster;
    ``kept_out``: people who came back and are out on both sides."""

    def __init__(
        self,
        stage: Stage,
        life: Life,
        seed: int,
        *,
        only_at: Sequence[Phase] = (),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stage = stage
        self._life = life
        self._rng = Random(f"kills/{seed}")
        self._only_at = only_at
        self._say = say
        self._longest = 100.0
        """Events of a run, as far as is known: a guess that grows until a run is over before its moment comes."""
        self._seconds = 0.5
        self.kept_out = 0
        self.killed: Counter[Phase] = Counter()
        self.ended = 0

    def play(self, kills: int) -> Sequence[str]:
        """Returns what was wrong."""
        self._stage.sync()
        found = list(wrong_writes(self._life, self._stage))
        for _ in range(kills * _TRIES):
            if self.killed.total() == kills or found:
                break
            for _ in range(self._rng.randint(1, 3)):
                self._life.go_on()
            self._run()
            self._life.in_doubt = in_doubt(self._stage.url)
            found += wrong_writes(self._life, self._stage)
            self._say(f"\r{self.killed.total()} kills, {self.ended} runs went through ")
        self._say("\n")
        return found or self._end()

    def landed(self) -> str:
        return ", ".join(f"{phase.name.lower().replace('_', ' ')} {self.killed[phase]}" for phase in Phase)

    def _run(self) -> None:
        program = self._stage.program("sync", "--json")
        if not self._only_at and self._rng.random() < 0.25:
            program.start()
            pause(self._rng.uniform(0.0, self._seconds))
            ended = program.kill()
        else:
            program.start(self._aim())
            ended = program.wait()
        if ended.code == -signal.SIGKILL:
            self.killed[ended.phase] += 1
            self._longest *= 1.02
        else:
            assert ended.code in (0, 1), program.printed[-2000:]
            self.ended += 1
            self._longest, self._seconds = float(ended.events), ended.seconds
        program.output.unlink(missing_ok=True)  # it may have died before it opened that

    def _aim(self) -> Aim:
        """One of the steps of a run, or just after it; every third near a write or in a commit, which are rare."""
        if self._only_at:
            return Aim(1, self._rng.choice(self._only_at), signal.SIGKILL)
        delay = self._rng.choice((0.0, self._rng.uniform(0.0, 0.004)))
        if self._rng.random() < 0.35:
            phase = self._rng.choice(_RARE)
            return Aim(self._rng.randint(1, 12 if phase is Phase.COMMITTING else 3), phase, signal.SIGKILL, delay)
        return Aim(self._rng.randint(1, round(self._longest)), None, signal.SIGKILL, delay)

    def _tell_kept_out(self) -> None:
        for address in kept_out(self._life, self._stage):
            self.kept_out += 1
            explained = self._stage.program("explain", address)
            explained.start()
            explained.wait()
            self._say(f"came back and is kept out on both sides:\n{explained.printed}\n")

    def _end(self) -> list[str]:
        for _ in range(_CLEAN_RUNS):
            self._stage.wait(10)
            self._stage.sync()
        found = [*wrong_writes(self._life, self._stage), *disagreements(self._life, self._stage)]
        self._tell_kept_out()
        writes = self._stage.vendors.writes()
        self._stage.wait(10)
        self._stage.sync()
        if self._stage.vendors.writes() != writes:
            found.append("a further run writes, although nobody did anything")
        found += [f"said twice: {row}" for row in duplicates(self._stage.url)]
        found += damage(self._stage.url)
        store = self._stage.store()
        with store.reading() as unit:
            found += [str(finding) for finding in unit.ledger.verify((KEY.encode(),)).findings]
        store.close()
        return found
