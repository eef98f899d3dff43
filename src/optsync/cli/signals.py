"""What signals other than Ctrl-C do to a command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""From a service manager, and from a terminal that is closed."""


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Inside, whatever would end the process at once ends the command as Ctrl-C does, so that no copy of the state is
    left behind. What is ignored, as by nohup, stays ignored."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is signal.SIG_DFL:
                signal.signal(number, handler)
