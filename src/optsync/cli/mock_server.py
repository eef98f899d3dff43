"""``optsync mock-server``: the vendor mocks over HTTP, to try things without an account anywhere."""

from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Annotated

import typer

from optsync.errors import CommandRefused

TOOLS = "optsync.tools"


def mock_server(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8765,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people.")] = 1,
    contacts: Annotated[int, typer.Option(min=0, help="How many people.")] = 2000,
    weather: Annotated[float, typer.Option(min=0, max=1, help="Share of requests that meet a fault.")] = 0.0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve imitations of the vendors, filled with people who do not exist.

    `GET /_mock/config` says how to reach each; `POST /_mock/{name}/act/{action}` does what people do there.
    """
    try:
        with suppress(KeyboardInterrupt):
            _server()(host, port, seed, contacts, error_rate=weather, on_ready=_announce)
    except OSError as error:
        raise CommandRefused(
            f"port {port} on {host} cannot be used: {error.strerror}; take another by --port"
        ) from None


def _server() -> Callable[..., None]:
    # By entry point: the server is part of the connectors, and the core names none of them.
    for point in entry_points(group=TOOLS, name="mock_server"):
        server: Callable[..., None] = point.load()
        return server
    raise CommandRefused("the mock server is not installed; install optsync with its connectors")


def _announce(url: str) -> None:
    typer.echo(f"Mock server at {url}, settings at {url}/_mock/config, Ctrl-C ends it.")
