"""``python -m tests.fuzz --worlds N --seed S``: worlds whose vendors answer in wrong shapes; the last line counts."""

import argparse
import logging
import multiprocessing
import os
import sys
import tempfile
import traceback
from pathlib import Path

import structlog

from tests.fuzz.answers import Fuzzed
from tests.fuzz.busy import Busy


def play(seed: int) -> tuple[int, list[str]]:
    """The seed, and what went wrong. In every third one much is asked for besides, in a world of its own."""
    kinds = (Fuzzed, Busy) if seed % 3 == 2 else (Fuzzed,)
    return seed, [line for kind in kinds for line in _played(kind, seed)]


def _played(kind: type[Fuzzed], seed: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        fuzzed = kind(Path(folder), seed)
        try:
            fuzzed.play()
        except Exception:  # noqa: BLE001 - anything that leaves the engine is what is looked for
            fuzzed.wrong.append(traceback.format_exc())
    return [kind.__name__, *fuzzed.wrong, *(f"  after {done[:200]}" for done in fuzzed.done)] if fuzzed.wrong else []


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first world; the others follow")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    broken = 0
    with multiprocessing.Pool(options.jobs) as pool:
        seeds = range(options.seed, options.seed + options.worlds)
        for done, (seed, wrong) in enumerate(pool.imap_unordered(play, seeds, chunksize=4), 1):
            if wrong:
                broken += 1
                sys.stdout.write("\n".join([f"seed {seed}:", *wrong, ""]))
            if done % 100 == 0:
                sys.stderr.write(f"{done} of {options.worlds} worlds\n")
    sys.stdout.write(f"{options.worlds} worlds, {broken} violations\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
