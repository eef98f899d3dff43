"""``python -m optsync_mock``: the mock server as a process of its own; its URL is the first line it writes."""

import argparse
import sys

from optsync_mock.server import serve


def _announce(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m optsync_mock", description="Serves the vendor mocks.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--contacts", type=int, default=2000)
    parser.add_argument("--weather", type=float, default=0.0, help="share of requests that meet a fault, 0 to 1")
    options = parser.parse_args()
    serve(
        options.host,
        options.port,
        options.seed,
        options.contacts,
        error_rate=options.weather,
        on_ready=_announce,
    )


if __name__ == "__main__":
    main()
