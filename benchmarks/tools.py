"""Other people's tools, each in a virtual environment of its own below .venvs: none is a dependency of this project."""

import fcntl
import os
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.vendors import CRM, ESP, ROOT

_PATIENCE_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """``name``: of its reader in ``readers.py``. ``package``: what pip installs; ``vendor``: whose records it reads."""

    name: str
    package: str
    vendor: str
    how: str


TOOLS = (
    Tool(name="fast-bitrix24", package="fast-bitrix24==1.8.14", vendor=CRM, how="get_all"),
    Tool(name="b24pysdk", package="b24pysdk==1.3.2", vendor=CRM, how="list(…).as_list_fast()"),
    Tool(name="mailchimp-marketing", package="mailchimp-marketing==3.0.80", vendor=ESP, how="get_list_members_info"),
    Tool(name="tap-mailchimp", package="tap-mailchimp==1.3.3", vendor=ESP, how="sync of list_members"),
    Tool(name="dlt", package="dlt==1.31.0", vendor=ESP, how="rest_api_source, extract only"),
)


class ToolMissing(Exception):
    """It cannot be installed here; the message says why."""


def prepare(tool: Tool) -> Path:
    """The Python that has it; installed when it is not there in this version yet.

    Raises:
        ToolMissing: pip could not.
    """
    environment = ROOT / ".venvs" / f"benchmark-{tool.name}"
    environment.parent.mkdir(exist_ok=True)
    stamp = environment / "installed.txt"
    with environment.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == tool.package):
            venv.create(environment, with_pip=True, clear=True)
            _install(environment, tool.package)
            stamp.write_text(tool.package)
    return environment / "bin" / "python"


def surroundings() -> dict[str, str]:
    """The environment variables without the one that would show the tools this project's packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _install(environment: Path, package: str) -> None:
    # Some of them still ask for pkg_resources, which setuptools has dropped.
    command = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", package, "setuptools<81"]
    try:
        done = subprocess.run(
            command, env=surroundings(), capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise ToolMissing(f"pip did not install {package} within {_PATIENCE_S} s") from None
    if done.returncode:
        raise ToolMissing(f"pip could not install {package}: {done.stderr.strip()[-300:]}")
