"""Which optsync this process runs."""

from functools import cache
from importlib.metadata import version


@cache
def running() -> str:
    """Its version, as it was at the first call: an upgrade on the disk changes nothing of a process under way."""
    return version("optsync")
