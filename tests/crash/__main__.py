"""``optsync sync`` killed again and again: ``python -m tests.crash --kills 200 --state sqlite --seed 1``.

Prints where the kills landed and what was found wrong; exits with 1 if anything was.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.crash.kills import Kills
from tests.crash.life import Life
from tests.crash.shared import AROUND_A_WRITE
from tests.crash.stage import KINDS, people, staged, state_url


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--state", choices=KINDS, default="sqlite")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--people", type=int, default=30)
    options.add_argument(
        "--near-writes", action="store_true", help="before, in and after the first write of a run only"
    )
    chosen = options.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with staged(folder, state_url(chosen.state, folder), people(chosen.people)) as stage:
            life = Life(stage, Random(f"life/{chosen.seed}"), chosen.people)
            kills = Kills(stage, life, chosen.seed, only_at=AROUND_A_WRITE if chosen.near_writes else (), say=_say)
            found = kills.play(chosen.kills)
    for line in found:
        _say(f"WRONG: {line}\n")
    _say(
        f"{chosen.state}: {kills.killed.total()} kills in {time.monotonic() - began:.0f} s, {kills.ended} runs went "
        f"through; killed while {kills.landed()}; {len(found)} violations, {kills.kept_out} kept out who came back\n"
    )
    return 1 if found else 0


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
