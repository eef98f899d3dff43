import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "optsync_mock", "--port", "0", "--contacts", "40", "--seed", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


def test_the_server_says_where_it_is_serves_every_vendor_and_ends_when_told_to(
    process: subprocess.Popen[str],
) -> None:
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    shown = requests.get(f"{url}/_mock/config", timeout=5).json()
    assert {config["role"] for config in shown.values()} == {"crm", "esp"}
    for name in shown:
        assert requests.post(f"{url}/_mock/{name}/act/count", timeout=5).json()["records"] > 20
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) in (0, -signal.SIGTERM)


def test_a_taken_port_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "optsync_mock", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "Address already in use" in done.stderr
