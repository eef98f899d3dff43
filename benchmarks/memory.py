"""How much memory this process has and had."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """The most that this process ever had. Linux hands a parent's peak on to the programs that it starts when it asks
    ``getrusage``, so there the memory's own high-water mark is read."""
    return _of_status("VmHWM") or _rusage()


def now_mib() -> float:
    """What it has now; its peak where the system does not say."""
    return _of_status("VmRSS") or _rusage()


def _rusage() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def _of_status(key: str) -> float:
    if not _STATUS.exists():
        return 0.0
    lines = (line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{key}:"))
    return round(int(next(lines, "0 0").split()[1]) / 1024, 1)
