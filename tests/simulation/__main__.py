"""``python -m tests.simulation --worlds N --seed S``: plays worlds; the last line says how many broke a rule."""

import argparse
import logging
import multiprocessing
import os
import sys
import time

import structlog

from tests.simulation.script import make
from tests.simulation.shrink import shrink, trace, wrong


def play(seed: int) -> tuple[int, str | None]:
    """The seed, and what went wrong."""
    return seed, wrong(make(seed))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first world; the others follow")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--show", action="store_true", help="play one seed, shortened, and tell what happened")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if options.show:
        script = shrink(make(options.seed))
        _say(str(script), *trace(script))
        return 0
    begun, broken = time.monotonic(), 0
    seeds = range(options.seed, options.seed + options.worlds)
    with multiprocessing.Pool(options.jobs) as pool:
        for done, (seed, message) in enumerate(pool.imap_unordered(play, seeds, chunksize=4), 1):
            if message:
                broken += 1
                _say(f"seed {seed}: {message}")
            if done % 100 == 0:
                sys.stderr.write(f"{done} of {options.worlds} worlds, {time.monotonic() - begun:.0f} s\n")
    _say(f"{options.worlds} worlds, {broken} violations")
    return 1 if broken else 0


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
