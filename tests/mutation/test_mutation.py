"""Mutation testing can tell a test that looks from one that does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant, core_modules, mutate
from tests.mutation.report import accepted, lines, rate
from tests.mutation.trial import Verdict

SAMPLE = "tests.mutation.sample"
TEXT = Path(__file__).with_name("sample.py").read_text(encoding="utf-8")
TRY = """
import json, sys
from tests.mutation.mutants import mutants_of
from tests.mutation.trial import judge
verdicts = judge(mutants_of("tests.mutation.sample"), jobs=2, tests=["tests/mutation/sample_tests.py"])
sys.stderr.write(json.dumps(verdicts))
"""


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str]:
    done = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, str] = json.loads(done.stderr)
    return found


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("Span.length: - return self.last - self.first  + return self.last + self.first", Verdict.KILLED),
        ("Span.upto: - return cls(first, last)  + return cls(None, last)", Verdict.KILLED),
        ("halve: - number //= 2  + number = 2", Verdict.TIMEOUT),
        ("halve: - while number > 1:  + while number >= 1:", Verdict.KILLED),
        ("longest: - return max(lengths, default=0)  + return max(lengths, default=1)", Verdict.SURVIVED),
        ("Span.upto: - first: int = 0,  + first: int = 1,", Verdict.SURVIVED),
        ("unused: - return True  + return False", Verdict.UNTESTED),
        ("NAMES: without 'one'", Verdict.KILLED),
        ("NAMES: without 'many'", Verdict.SURVIVED),
        ("SMALL: without 1", Verdict.KILLED),
        ("SMALL: without 2", Verdict.SURVIVED),
    ],
)
def test_each_mutant_gets_the_verdict_that_the_tests_deserve(
    verdicts: dict[str, str], identity: str, expected: Verdict
) -> None:
    assert verdicts[f"{SAMPLE}.{identity}"] == expected


def test_every_mutant_gets_one(verdicts: dict[str, str]) -> None:
    made = list(mutate(SAMPLE, TEXT))

    assert {m.identity for m in made} == verdicts.keys()
    assert len(made) == len(verdicts)


def test_a_mutant_is_the_same_after_an_edit_elsewhere() -> None:
    edited = TEXT.replace(
        "def longest", "LIMIT = 3\n\n\ndef within(n: int) -> bool:\n    return n < LIMIT\n\n\ndef longest"
    )
    was = {m.identity for m in mutate(SAMPLE, TEXT)}

    assert was < {m.identity for m in mutate(SAMPLE, edited)}


def test_the_report_names_survivors_without_a_reason_and_reasons_without_a_survivor() -> None:
    names = [f"{SAMPLE}.f: {fault}" for fault in "abcd"]
    mutants = [Mutant(name, SAMPLE, "f", "", ("f",)) for name in names]
    found = dict(zip(names, (Verdict.KILLED, Verdict.SURVIVED, Verdict.UNTESTED, Verdict.TIMEOUT), strict=True))
    reasons = {names[1]: "equivalent", names[0]: "equivalent", "optsync.model.scope.path: x": "of another module"}

    assert rate(found.values()) == 50
    assert list(lines(mutants, found, reasons))[-2:] == [
        f"alive, without a reason: {names[2]}",
        f"no longer alive, yet accepted: {names[0]}",
    ]


def test_every_accepted_survivor_has_a_reason_and_a_module() -> None:
    reasons = accepted()

    assert all(reason.strip() for reason in reasons.values())
    assert {".".join(identity.split(".", 3)[:3]) for identity in reasons} <= set(core_modules())


def test_nothing_is_accepted_twice(tmp_path: Path) -> None:
    twice = tmp_path / "accepted.toml"
    twice.write_text('[[group]]\nreason = "r"\nmutants = ["a", "a"]\n', encoding="utf-8")

    with pytest.raises(ValueError, match="named twice: a"):
        accepted(twice)
