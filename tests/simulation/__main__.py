"""``python -m tests.simulation --worlds N --seed S``: plays worlds; the last line says how many broke a rule.

``--show --seed S`` plays one world, shortened to what matters; ``--keep FILE`` writes it as a file that the tests
replay; ``--replay FILE`` plays such a file. ``--coverage`` prints which decisions were made in which weather. 20,000
worlds or more that leave a cell of that table empty, or a law without anything to look at, are a failure."""

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from tests.simulation.chance import FAMILY, make
from tests.simulation.coverage import ENOUGH, gaps, text, zeros
from tests.simulation.law import unexercised
from tests.simulation.script import Script, dump, load
from tests.simulation.shrink import Ending, are_alike, play, play_alike, shrink, trace
from tests.simulation.tally import OtherRun, Tally

_RESTED = 10_000
"""Worlds after which a worker makes room for a fresh one."""
_TRACED = 3
"""So many of the seeds that broke a rule are shortened and told at the end: a check has nobody to ask for more."""


def main() -> int | str:
    options = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if options.show or options.replay or options.keep:
        script = load(options.replay.read_text("utf-8")) if options.replay else make(options.seed)
        return _show(script, keep=options.keep, is_whole=options.whole)
    try:
        return _play_many(options)
    except OtherRun as error:
        return f"{error}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first world; the others follow")
    parser.add_argument("--within", type=int, metavar="SECONDS", help="no longer, however many worlds that are")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--show", action="store_true", help="play one seed, shortened, and tell what happened")
    parser.add_argument("--whole", action="store_true", help="with --show: do not shorten")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the shortened world of the seed to a file")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play a world that was kept")
    parser.add_argument("--coverage", action="store_true", help="print decisions by fault class, and the empty cells")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and coverage to a file, as they come")
    parser.add_argument("--resume", action="store_true", help="go on from that file: same seed, same engine")
    options = parser.parse_args()
    if options.resume and not options.json:
        parser.error("--resume goes on from a file: say --json FILE")
    return options


def _show(script: Script, *, keep: Path | None, is_whole: bool) -> int:
    if not is_whole:
        script = shrink(script)
    if keep:
        keep.write_text(dump(script) + "\n", encoding="utf-8")
    _say(str(script), *trace(script))
    return 1 if play(script).kind else 0


def _begin() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    # What is there already stays, and what worlds leave behind is collected between them.
    gc.freeze()
    gc.disable()


def _some(seeds: Sequence[int]) -> list[tuple[int, Ending]]:
    """Worlds that begin alike follow each other."""
    scripts = {seed: make(seed) for seed in seeds}
    endings: list[tuple[int, Ending]] = []
    while scripts:
        first = next(iter(scripts.values()))
        alike = {seed: script for seed, script in scripts.items() if are_alike(first, script)}
        endings.extend(zip(alike, play_alike(list(alike.values())), strict=True))
        scripts = {seed: script for seed, script in scripts.items() if seed not in alike}
        gc.collect(0)
    return endings


def _play_many(options: argparse.Namespace) -> int:
    seeds = range(options.seed, options.seed + options.worlds)
    tally = Tally.resumed(options.json, seeds) if options.resume else Tally(seeds)
    begun, told = seeds.start + tally.done, time.monotonic()
    with multiprocessing.Pool(options.jobs, _begin, maxtasksperchild=_RESTED // FAMILY) as pool:
        doubtful = [family for family in _families(range(seeds.start, begun)) if tally.broken.keys() & set(family)]
        for endings in pool.imap(_some, doubtful):
            tally.replayed(endings)
        for endings in pool.imap(_some, _families(range(begun, seeds.stop))):
            for seed, ending in endings:
                tally.add(seed, ending)
                if ending.kind:
                    _say(f"seed {seed}: {ending.message}", f"  python -m tests.simulation --show --seed {seed}")
            if time.monotonic() - told > 10:
                told = time.monotonic()
                sys.stderr.write(f"{tally.progress()}\n")
                tally.keep(options.json)
            if options.within and tally.done < len(seeds) and tally.spent_now() > options.within:
                _say(f"time is up: {tally.done} of {len(seeds)} worlds were played")
                break
    tally.keep(options.json)
    return _summed_up(tally, shows_coverage=options.coverage)


def _summed_up(tally: Tally, *, shows_coverage: bool) -> int:
    """Says what came of it; the exit status."""
    if shows_coverage:
        _say(text(tally.cells), "", *(f"{count:>9}  {law}" for law, count in sorted(tally.counts.items())), "")
    empty = gaps(tally.cells, tally.done)
    _say(*(f"never happened: {cell}" for cell in empty or (zeros(tally.cells) if shows_coverage else ())))
    unlooked = unexercised(tally.counts) if tally.done >= ENOUGH else []
    _say(*(f"never looked at: {law}" for law in unlooked))
    if tally.held:
        _say(f"{len(tally.held)} that broke a rule hold now: {', '.join(map(str, sorted(tally.held)))}")
    for seed in sorted(tally.broken)[:_TRACED]:
        script = shrink(make(seed))
        _say("", str(script), *trace(script), "")
    _say(f"{tally.cycles / max(1, tally.done):.1f} cycles a world, {tally.spent():.0f} s")
    _say(f"{tally.done} worlds, {len(tally.broken)} violations")
    return 1 if tally.broken or empty or unlooked else 0


def _families(seeds: range) -> Iterator[range]:
    """The seeds in groups of those whose worlds begin alike, none of them torn apart."""
    for first in range(seeds.start // FAMILY, -(-seeds.stop // FAMILY)):
        yield range(max(seeds.start, first * FAMILY), min(seeds.stop, (first + 1) * FAMILY))


def _say(*lines: str) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
