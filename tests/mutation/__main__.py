"""``python -m tests.mutation [MODULE…]``: how many mutants of the pure core the tests kill, and which not."""

import argparse
import multiprocessing
import os
import sys
import time


def main() -> int:
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"  # read when the tests are collected
    from tests.mutation.mutants import core_modules, mutants_of
    from tests.mutation.report import RATE, accepted, lines, rate
    from tests.mutation.trial import judge

    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as optsync.reconcile.consent; else all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if unknown := set(options.modules) - set(core_modules()):
        parser.error(f"no module of the core: {', '.join(sorted(unknown))}")
    begun = time.monotonic()
    with multiprocessing.Pool(options.jobs) as pool:
        made = pool.map(mutants_of, options.modules or core_modules(), chunksize=1)
    mutants = [mutant for module in made for mutant in module]
    verdicts = judge(mutants, jobs=options.jobs)
    sys.stdout.write("".join(f"{line}\n" for line in lines(mutants, verdicts, accepted())))
    reached = rate(verdicts.values())
    seconds = time.monotonic() - begun
    sys.stdout.write(f"{len(mutants)} mutants, {reached:.1f} % killed, {RATE:.0f} % wanted, {seconds:.0f} s\n")
    return 0 if reached >= RATE else 1


if __name__ == "__main__":
    sys.exit(main())
