"""What all worlds of a run came to: counted as they end, kept in a file, and gone on from there."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.simulation.coverage import table, zeros
from tests.simulation.shrink import Ending

_ROOT = Path(__file__).parents[2]
_PLAYED = ("src/optsync", "connectors/optsync_bitrix24", "connectors/optsync_mailchimp")
_NOT_PLAYED = {"cli", "daemon", "web", "tests"}


class OtherRun(ValueError):
    """The file is of a run that this one cannot go on with; the message says why."""


class Tally:
    """Of the worlds of ``seeds``, in order: the first ``done`` of them have ended.

    ``broken``: seed -> which rule; ``held``: the same of seeds that broke it in an earlier part and hold now.
    """

    def __init__(self, seeds: range) -> None:
        self._seeds, self._engine = seeds, _engine()
        self.broken: dict[int, str] = {}
        self.held: dict[int, str] = {}
        self.cycles = self.done = 0
        self.counts: Counter[str] = Counter()
        self.cells: Counter[tuple[str, str]] = Counter()
        self._begun = time.monotonic()
        self._before, self._played_before = 0.0, 0

    @classmethod
    def resumed(cls, file: Path, seeds: range) -> "Tally":
        """Goes on from what :meth:`keep` wrote; from the beginning where there is no such file.

        :raises OtherRun: that run began with another seed, or played another engine.
        """
        tally = cls(seeds)
        if not file.exists():
            return tally
        found = json.loads(file.read_text(encoding="utf-8"))
        for name, now in (("seed", seeds.start), ("engine", tally._engine)):
            if found.get(name) != now:
                raise OtherRun(f"{file}: its {name} is {found.get(name)}, not {now}; name another file for a new run")
        tally.done = tally._played_before = found["worlds"]
        tally.cycles, tally._before = found["cycles"], found["seconds"]
        tally.broken = {int(seed): message for seed, message in found["violations"].items()}
        tally.held = {int(seed): message for seed, message in found["held"].items()}
        tally.counts.update(found["checks"])
        tally.cells.update(dict(_cells(found["coverage"])))
        return tally

    def add(self, seed: int, ending: Ending) -> None:
        self.done += 1
        self.cycles += ending.cycles
        self.counts.update(ending.counts)
        self.cells.update(ending.cells)
        if ending.kind:
            self.broken[seed] = ending.message

    def replayed(self, endings: Iterable[tuple[int, Ending]]) -> None:
        """Worlds of an earlier part, played once more: the witness may have been mended since."""
        for seed, ending in endings:
            if seed in self.broken and not ending.kind:
                self.held[seed] = self.broken.pop(seed)

    def spent(self) -> float:
        """Seconds, those of earlier parts included."""
        return self._before + self.spent_now()

    def spent_now(self) -> float:
        return time.monotonic() - self._begun

    def progress(self) -> str:
        rate = (self.done - self._played_before) / max(0.001, self.spent_now())
        left = (len(self._seeds) - self.done) / rate if rate else 0.0
        done = f"{self.done} of {len(self._seeds)} worlds"
        return f"{done}, {rate:.1f}/s, {left:.0f} s left, {len(self.broken)} violations"

    def keep(self, file: Path | None) -> None:
        """Writes the file, if there is to be one, in one move: a run that is ended meanwhile leaves a whole one."""
        if file is None:
            return
        new = file.with_name(f"{file.name}.new")
        new.write_text(json.dumps(self._to_json(), indent=1) + "\n", encoding="utf-8")
        new.replace(file)

    def _to_json(self) -> dict[str, Any]:
        return {
            "seed": self._seeds.start,
            "worlds": self.done,
            "cycles": self.cycles,
            "seconds": round(self.spent(), 1),
            "engine": self._engine,
            "violations": {str(seed): message for seed, message in sorted(self.broken.items())},
            "held": {str(seed): message for seed, message in sorted(self.held.items())},
            "checks": dict(sorted(self.counts.items())),
            "coverage": table(self.cells),
            "zeros": zeros(self.cells),
        }


def _cells(found: dict[str, dict[str, int]]) -> Iterator[tuple[tuple[str, str], int]]:
    for row, counts in found.items():
        for name, count in counts.items():
            yield (row, name), count


def _engine() -> str:
    """A digest of the code that is played: the engine and the two connectors with their mocks, not the simulation."""
    digest = sha256()
    found = (file.relative_to(_ROOT) for folder in _PLAYED for file in (_ROOT / folder).rglob("*.py"))
    for file in sorted(file for file in found if _NOT_PLAYED.isdisjoint(file.parts)):
        digest.update(f"{file}\0".encode() + (_ROOT / file).read_bytes())
    return digest.hexdigest()[:16]
