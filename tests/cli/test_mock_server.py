import signal
import socket
import subprocess
import sys

import pytest
import requests
import typer
from typer.testing import CliRunner

from optsync.cli.mock_server import mock_server
from optsync.errors import CommandRefused

COMMAND = "import typer; from optsync.cli.mock_server import mock_server; typer.run(mock_server)"


def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(mock_server)
    return made


def test_the_command_says_where_the_server_is_and_ends_when_told_to() -> None:
    command = [sys.executable, "-u", "-c", COMMAND, "--port", "0", "--contacts", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[3].rstrip(",")
            assert len(requests.get(f"{url}/_mock/config", timeout=5).json()) >= 2
            process.send_signal(signal.SIGINT)
            process.wait(5)
        finally:
            process.kill()


def test_a_taken_port_is_refused_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(app(), ["--port", str(taken.getsockname()[1])])
    assert isinstance(result.exception, CommandRefused)
    assert "take another by --port" in str(result.exception)


@pytest.mark.parametrize("options", [["--port", "70000"], ["--weather", "2"], ["--contacts", "-1"]])
def test_impossible_options_are_a_usage_error(options: list[str]) -> None:
    assert CliRunner().invoke(app(), options).exit_code == 2
