"""What came of the mutants: the rate of every module, and who survived without a reason that somebody wrote down."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.mutation.mutants import Mutant
from tests.mutation.trial import Verdict

RATE = 95.0
ACCEPTED = Path(__file__).with_name("accepted.toml")


def accepted(path: Path = ACCEPTED) -> dict[str, str]:
    """Why no test needs to kill it, by the mutant's identity. Raises ``ValueError`` where one is named twice."""
    reasons: dict[str, str] = {}
    for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]:
        for identity in group["mutants"]:
            if identity in reasons:
                raise ValueError(f"named twice: {identity}")
            reasons[identity] = group["reason"]
    return reasons


def rate(verdicts: Iterable[Verdict]) -> float:
    """Killed mutants in a hundred. One that ran out of time counts: no test would have passed."""
    counts = Counter(verdicts)
    total = counts.total()
    return 100 * (counts[Verdict.KILLED] + counts[Verdict.TIMEOUT]) / total if total else 100.0


def lines(mutants: Sequence[Mutant], verdicts: Mapping[str, Verdict], reasons: Mapping[str, str]) -> Iterator[str]:
    """The report: modules, then survivors without a reason, then reasons without a survivor."""
    by_module: dict[str, list[Verdict]] = {}
    for mutant in mutants:
        by_module.setdefault(mutant.module, []).append(verdicts[mutant.identity])
    yield f"{'':36}" + "".join(f"{verdict:>10}" for verdict in Verdict) + f"{'rate':>10}"
    for name, found in {**by_module, "all": list(verdicts.values())}.items():
        counts = Counter(found)
        yield f"{name:36}" + "".join(f"{counts[verdict]:10}" for verdict in Verdict) + f"{rate(found):8.1f} %"
    alive = {m.identity for m in mutants if verdicts[m.identity] in {Verdict.SURVIVED, Verdict.UNTESTED}}
    yield from (f"alive, without a reason: {identity}" for identity in sorted(alive - reasons.keys()))
    tried = {m.module for m in mutants}
    gone = {i for i in reasons.keys() - alive if _module(i) in tried}
    yield from (f"no longer alive, yet accepted: {identity}" for identity in sorted(gone))


def _module(identity: str) -> str:
    return ".".join(identity.split(".", 3)[:3])
