"""The entry point of ``optsync``: light, so that a Ctrl-C while the rest is loaded ends in silence."""

import sys

_STOPPED = 130


def main() -> None:
    """Loads the command line and runs it."""
    try:
        from optsync.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(_STOPPED)
    run()


if __name__ == "__main__":
    main()
