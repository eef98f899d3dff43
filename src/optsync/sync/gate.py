"""The gate before every writing request: whoever stood still for too long and lost its leases sends nothing more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class WriteGate:
    """One for all connectors of an engine; each thread that works under leases brings its own proof."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @contextmanager
    def guarded_by(self, proof: Callable[[], None]) -> Iterator[None]:
        """Inside the block, writes of this thread go out only if ``proof`` does not raise."""
        self._of_thread.proof = proof
        try:
            yield
        finally:
            self._of_thread.proof = None

    def check(self) -> None:
        """Raises what the proof raises. Requests outside of any lease (checking a system) pass."""
        proof: Callable[[], None] | None = getattr(self._of_thread, "proof", None)
        if proof is not None:
            proof()
