import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from optsync.daemon.watchdog import Watchdog


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which systemd listens to a service."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        yield listener


def heard(listener: socket.socket) -> list[bytes]:
    messages = []
    try:
        while True:
            messages.append(listener.recv(100))
    except BlockingIOError:
        return messages


def watch(watchdog: Watchdog, seconds: float) -> None:
    async def watching() -> None:
        await asyncio.wait_for(watchdog.watch(), seconds)

    with closing(watchdog), suppress(TimeoutError):
        asyncio.run(watching())


def test_systemd_hears_when_the_daemon_is_ready_and_when_it_stops(systemd: socket.socket) -> None:
    with closing(Watchdog(lambda: True)) as watchdog:
        watchdog.ready()
        watchdog.stopping()
    assert heard(systemd) == [b"READY=1", b"STOPPING=1"]


def test_signs_of_life_come_twice_as_often_as_systemd_wants_them(systemd: socket.socket) -> None:
    watch(Watchdog(lambda: True), 0.5)
    assert 4 <= len([m for m in heard(systemd) if m == b"WATCHDOG=1"]) <= 11


def test_no_sign_of_life_is_given_while_something_hangs(systemd: socket.socket) -> None:
    watch(Watchdog(lambda: False), 0.2)
    assert heard(systemd) == []


def test_without_systemd_nothing_is_told_to_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    watchdog = Watchdog(lambda: True)
    watchdog.ready()
    watch(watchdog, 0.1)


def test_an_interval_that_is_no_number_is_none(systemd: socket.socket) -> None:
    told = Watchdog(lambda: True, {"NOTIFY_SOCKET": "set", "WATCHDOG_USEC": "soon"})
    watch(told, 1)
    assert heard(systemd) == []
