"""Tries mutants: each in a fork of one process that has collected the tests and knows which of them call a function."""

import importlib
import os
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import process_time
from types import CodeType, FrameType

import pytest

from tests.mutation.mutants import Mutant, function_at, memories, turn_on

TESTS = ("tests/model", "tests/reconcile")
PATIENCE, SECONDS = 10, 2
"""How many times longer than usual the tests may take, in time of the processor, and how much more."""
_NAMED_KILLERS = 250
"""An exit code has room for so many tests."""


class Verdict(StrEnum):
    """What the tests said."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"
    UNTESTED = "untested"


@dataclass(eq=False)  # plugins of pytest are kept in sets
class Trial:
    """A plugin of pytest that runs the tests once as they are, then once again for each mutant."""

    mutants: Sequence[Mutant]
    jobs: int = 1
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """By identity; in the end every mutant has one."""
    _callers: dict[CodeType, dict[pytest.Item, None]] = field(default_factory=dict)
    _cost: dict[pytest.Item, float] = field(default_factory=dict)
    _kills: defaultdict[tuple[str, str], Counter[pytest.Item]] = field(default_factory=lambda: defaultdict(Counter))
    _memories: list[Callable[[], None]] = field(default_factory=list)
    _has_failed: bool = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test, or what prepares or clears up after it, was run."""
        self._has_failed = self._has_failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Stands in for the loop of pytest."""
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self._callers = {code: {} for mutant in self.mutants for code in self._codes(mutant)}
        self._memories = memories()
        for item in session.items:
            if not self._watch(item):
                raise session.Failed(f"{item.nodeid} fails without any mutant")
        self._try_all()
        if os.waitpid(self._start(None, session.items), 0)[1]:
            raise session.Failed("in a fork the tests fail without any mutant: no verdict counts")
        return True

    def _watch(self, item: pytest.Item) -> bool:
        def notice(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code in self._callers:
                self._callers[frame.f_code][item] = None

        self._forget()
        begun = process_time()
        sys.setprofile(notice)
        is_passed = self._passes(item)
        sys.setprofile(None)
        self._cost[item] = process_time() - begun
        return is_passed

    def _forget(self) -> None:
        for clear in self._memories:
            clear()

    def _passes(self, item: pytest.Item) -> bool:
        self._has_failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self._has_failed

    def _try_all(self) -> None:
        running: dict[int, tuple[Mutant, list[pytest.Item]]] = {}
        for number, mutant in enumerate(self.mutants, 1):
            tests = self._likeliest_first(mutant)
            if not tests:
                self.verdicts[mutant.identity] = Verdict.UNTESTED
                continue
            if len(running) == self.jobs:
                self._end_one(running)
            running[self._start(mutant, tests)] = (mutant, tests)
            if number % 250 == 0:
                os.write(2, f"{number} of {len(self.mutants)} mutants\n".encode())
        while running:
            self._end_one(running)

    def _likeliest_first(self, mutant: Mutant) -> list[pytest.Item]:
        kills = self._kills[mutant.module, mutant.name]
        callers = dict.fromkeys(item for code in self._codes(mutant) for item in self._callers[code])
        return sorted(callers, key=lambda item: (-kills[item], self._cost[item]))

    def _start(self, mutant: Mutant | None, tests: list[pytest.Item]) -> int:
        if child := os.fork():
            return child
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS + PATIENCE * sum(self._cost[item] for item in tests))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os._exit(self._killer(mutant, tests))

    def _killer(self, mutant: Mutant | None, tests: list[pytest.Item]) -> int:
        """The number of the test that fails, from 1; 0 if none does."""
        try:
            self._forget()
            if mutant:
                turn_on(mutant)
            failing = (n for n, item in enumerate(tests, 1) if not self._passes(item))
            return min(next(failing, 0), _NAMED_KILLERS)
        except BaseException:  # noqa: BLE001 - whatever escapes pytest was not to be expected of the right code
            return _NAMED_KILLERS

    def _end_one(self, running: dict[int, tuple[Mutant, list[pytest.Item]]]) -> None:
        child, status = os.wait()
        mutant, tests = running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            self.verdicts[mutant.identity] = Verdict.TIMEOUT
        elif code == 0:
            self.verdicts[mutant.identity] = Verdict.SURVIVED
        else:
            self.verdicts[mutant.identity] = Verdict.KILLED
            if code < _NAMED_KILLERS:
                self._kills[mutant.module, mutant.name][tests[code - 1]] += 1

    def _codes(self, mutant: Mutant) -> list[CodeType]:
        module = importlib.import_module(mutant.module)
        return [function_at(module, user).__code__ for user in mutant.users]


def judge(mutants: Sequence[Mutant], *, jobs: int = 1, tests: Sequence[str] = TESTS) -> dict[str, Verdict]:
    """What the tests say of every mutant, by its identity; raises ``RuntimeError`` if they fail without one."""
    trial = Trial(mutants, jobs)
    quiet = ("-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist")
    exit_code = pytest.main([*quiet, *tests], plugins=[trial])
    if exit_code != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests ended with {exit_code!r}; without a mutant they must pass")
    return trial.verdicts
