"""``optsync`` as a real process with its own connections, forked from this one, which has everything imported."""

import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from optsync.cli.app import run
from optsync.clock import SystemClock
from optsync.connect.http import Effect, HttpSession
from optsync.state.store import Store
from optsync.state.unit import Unit
from tests.crash.shared import Aim, Phase, Shared, SharedClock

_NUMBERS = count(1)
pause = time.sleep  # noqa: TID251 - real processes live in real time


def fork(work: Callable[[], int]) -> int:
    """Does the work in a process of its own, whose id is returned; nothing of this one's is cleaned up there."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # The test runner has a thread that talks to its controller; nothing here uses it.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = work()
    except BaseException:  # noqa: BLE001 - whatever it is must not reach the parent's frames
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@dataclass(frozen=True, slots=True)
class Ended:
    """``code``: of the exit, or the negative number of the signal that killed it."""

    code: int
    phase: Phase
    events: int
    seconds: float


class Program:
    """One ``optsync`` command as a process."""

    def __init__(self, shared: Shared, config: Path, *arguments: str) -> None:
        self._shared = shared
        self._arguments = ["-c", str(config), *arguments]
        self.output = config.with_suffix(f".{next(_NUMBERS)}.out")

    def start(self, aim: Aim | None = None) -> None:
        """``aim``: where it gets a signal."""
        self._shared.start_over(aim)
        self._began = time.monotonic()
        self.pid = fork(self._run)

    def kill(self) -> Ended:
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> Ended:
        """Until it ends."""
        _, status = os.waitpid(self.pid, 0)
        return self._ended(os.waitstatus_to_exitcode(status))

    def wait_until_stopped(self) -> bool:
        """False if it ended instead."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        return os.WIFSTOPPED(status)

    def go_on(self) -> Ended:
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    @property
    def printed(self) -> str:
        return self.output.read_text(errors="replace")

    def _ended(self, code: int) -> Ended:
        return Ended(code, self._shared.phase, self._shared.events, time.monotonic() - self._began)

    def _run(self) -> int:
        written = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(written, stream)
        # The test runner has put its own in their place.
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        clock = SharedClock(self._shared)
        for name in ("now", "monotonic", "sleep"):
            setattr(SystemClock, name, staticmethod(getattr(clock, name)))
        _Observed(self._shared).install()
        return run(self._arguments)


class _Observed:
    """Notes the phases of the program from inside, and carries the signal out that was ordered for one of them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._process = os.getpid()
        self._aim = shared.aim
        self._left = self._aim.nth

    def enter(self, phase: Phase) -> None:
        self._shared.enter(phase)
        if self._aim.phase not in (None, phase):
            return
        self._left -= 1
        if self._left:
            return
        if self._aim.delay:
            threading.Timer(self._aim.delay, os.kill, (self._process, self._aim.signal)).start()
        else:
            os.kill(self._process, self._aim.signal)

    def install(self) -> None:
        """Once, in the process itself."""
        send, transport, transaction = HttpSession.send, HTTPAdapter.send, Store.transaction
        is_writing = threading.local()

        def sending(session: HttpSession, *arguments: Any, effect: Effect, **options: Any) -> Any:
            is_writing.now = effect is not Effect.READ
            self.enter(Phase.BEFORE_A_WRITE if is_writing.now else Phase.READING)
            answer = send(session, *arguments, effect=effect, **options)
            self.enter(Phase.AFTER_A_WRITE if is_writing.now else Phase.DECIDING)
            return answer

        def going_out(adapter: HTTPAdapter, request: requests.PreparedRequest, *a: Any, **o: Any) -> Any:
            if is_writing.now:
                self.enter(Phase.WRITING)
            return transport(adapter, request, *a, **o)

        @contextmanager
        def in_transaction(store: Store) -> Iterator[Unit]:
            with transaction(store) as unit:
                yield unit
                self.enter(Phase.COMMITTING)
            self.enter(Phase.DECIDING)

        for owner, name, new in (
            (HttpSession, "send", sending),
            (HTTPAdapter, "send", going_out),
            (Store, "transaction", in_transaction),
        ):
            setattr(owner, name, new)
