"""One virtual time for the engine's process and the vendors', in a file that both map into their memory."""

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class SharedClock:
    """Moves only while somebody sleeps on it, in whichever process, and takes no time: what a run would wait for rate
    limits and run time is counted instead. Who calls a vendor waits for the answer, so two never move it at once.
    """

    def __init__(self, path: Path) -> None:
        """``path`` is made when it is missing; who opens it again finds the time where it was left."""
        if not path.exists():
            path.write_bytes(struct.pack("d", 0.0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)
        self.slept = 0.0
        """Seconds that this process slept."""

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return float(struct.unpack_from("d", self._memory)[0])

    def sleep(self, seconds: float) -> None:
        self.slept += max(0.0, seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        """Time goes by that nobody waits for: the pause until the next cycle."""
        struct.pack_into("d", self._memory, 0, self.monotonic() + max(0.0, seconds))
