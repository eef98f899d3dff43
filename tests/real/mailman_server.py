"""A real GNU Mailman 3 on loopback, in a virtual environment of its own.

``python tests/real/mailman_server.py`` prepares that environment (network needed once); the tests start a server
from it with :func:`running`. Only the REST runner works: nothing is ever mailed, and everything the server writes
is in the folder that it is given.
"""

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

# SQLAlchemy 2.1 is admitted by the package and makes every collection call answer 500.
REQUIREMENTS = ("mailman==3.3.10", "mailmanclient==3.3.5", "SQLAlchemy<2.1")
ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venvs" / "mailman"
DOMAIN = "lists.example"

_IDLE_RUNNERS = (
    *("archive", "bad", "bounces", "command", "digest", "in", "lmtp", "nntp"),
    *("out", "pipeline", "retry", "shunt", "task", "virgin"),
)
_CONFIGURATION = """\
[mailman]
layout: test
site_owner: owner@{domain}

[paths.test]
var_dir: {folder}

[webservice]
hostname: 127.0.0.1
port: {rest}
admin_user: {user}
admin_pass: {password}
workers: 1

[mta]
incoming: mailman.mta.null.NullMTA
smtp_host: 127.0.0.1
smtp_port: {smtp}
lmtp_host: 127.0.0.1
lmtp_port: {lmtp}
"""


class MailmanMissing(Exception):
    """The server cannot be installed or started here; the message says why."""


def prepare(environment: Path = ENVIRONMENT) -> Path:
    """Makes the virtual environment unless it is there with these very versions; returns its path.

    Raises:
        MailmanMissing: the packages could not be installed.
    """
    environment.parent.mkdir(parents=True, exist_ok=True)
    stamp = environment / "installed.txt"
    wanted = "\n".join(REQUIREMENTS)
    with (environment.parent / "mailman.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            venv.create(environment, with_pip=True, clear=True)
            _install(environment)
            stamp.write_text(wanted)
    return environment


def _install(environment: Path) -> None:
    command = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", *REQUIREMENTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise MailmanMissing(f"pip could not install {', '.join(REQUIREMENTS)}: {done.stderr.strip()[-500:]}")


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailmanServer:
    """Where the server is, and the hands of the people who use it."""

    base_url: str
    """With the API version and without a slash at the end."""
    user: str
    password: str

    def entry(self) -> dict[str, str]:
        """For `systems:` in a configuration."""
        return {"connector": "mailman3", "base_url": self.base_url, "user": self.user, "password": self.password}

    def call(self, method: str, path: str, *, body: Mapping[str, Any] | None = None, ok: tuple[int, ...] = ()) -> Any:
        """One request; the parsed answer, None when it is empty. A status of 400 or more that is not ``ok`` raises."""
        answer = requests.request(
            method, f"{self.base_url}/{path}", json=body, auth=(self.user, self.password), timeout=60
        )
        if answer.status_code >= 400 and answer.status_code not in ok:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.json() if answer.content else None

    def new_list(self, prefix: str = "news", **config: Any) -> str:
        """Makes a fresh list that sends no goodbye and welcome mails; ``config`` are its settings. Returns the
        list_id."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.call("POST", "domains", body={"mail_host": DOMAIN}, ok=(400,))
        self.call("POST", "lists", body={"fqdn_listname": f"{name}@{DOMAIN}"})
        silent = {"send_goodbye_message": False, "send_welcome_message": False}
        list_id = f"{name}.{DOMAIN}"
        self.call("PATCH", f"lists/{list_id}/config", body={**silent, **config})
        return list_id

    def subscribe(self, list_id: str, email: str, display_name: str = "", status: str = "enabled") -> None:
        """The person joins; ``status`` is a delivery status."""
        done = {"pre_verified": True, "pre_confirmed": True, "pre_approved": True, "send_welcome_message": False}
        body = {"list_id": list_id, "subscriber": email, "display_name": display_name, **done}
        self.call("POST", "members", body=body)
        if status != "enabled":
            self.pause(list_id, email, status)

    def ask_to_join(self, list_id: str, email: str) -> str:
        """The person fills in the sign-up form and has yet to confirm by mail; returns the token."""
        body = {"list_id": list_id, "subscriber": email, "pre_verified": True, "pre_approved": True}
        return str(self.call("POST", "members", body=body)["token"])

    def confirm(self, list_id: str, token: str) -> None:
        """What the person's confirmation mail does."""
        self.call("POST", f"lists/{list_id}/requests/{token}", body={"action": "accept"})

    def unsubscribe(self, list_id: str, email: str) -> None:
        """The person leaves the list."""
        self.call("DELETE", f"lists/{list_id}/member/{quote(email)}")

    def pause(self, list_id: str, email: str, status: str = "by_user") -> None:
        """Sets the delivery status: by_user is the person's own pause."""
        member = self.call("GET", f"lists/{list_id}/member/{quote(email)}")["member_id"]
        self.call("PATCH", f"members/{member}/preferences", body={"delivery_status": status})

    def resume(self, list_id: str, email: str) -> None:
        """Ends a pause."""
        self.pause(list_id, email, "enabled")

    def ban(self, list_id: str, email: str) -> None:
        """The list's owner blocks an address."""
        self.call("POST", f"lists/{list_id}/bans", body={"email": email})

    def members(self, list_id: str) -> dict[str, str]:
        """Address -> effective delivery status of everybody on the list."""
        found: dict[str, str] = {}
        for status in ("enabled", "by_user", "by_bounces", "by_moderator", "unknown"):
            body = {"list_id": list_id, "role": "member", "delivery_status": status}
            answer = self.call("POST", "members/find", body=body)
            found.update({entry["email"]: status for entry in answer.get("entries", [])})
        return found

    def requests(self, list_id: str) -> list[dict[str, Any]]:
        """Subscriptions that wait for a confirmation or a decision."""
        return list(self.call("GET", f"lists/{list_id}/requests?request_type=subscription").get("entries", []))


@contextmanager
def running(folder: Path, *, environment: Path | None = None) -> Iterator[MailmanServer]:
    """A server that keeps everything in ``folder`` and ends with the block. ``environment`` is a prepared one.

    Raises:
        MailmanMissing: it could not be installed or did not start.
    """
    program = (environment or prepare()) / "bin" / "master"
    # The ports are free when they are chosen and may be taken a moment later: one more try.
    for attempt in (1, 2):
        place = folder / f"mailman-{attempt}"
        server, configuration = _configure(place)
        with (place / "output.log").open("wb") as output:
            # The foreground master and not `mailman start`, which detaches: this way the processes stay ours to end.
            command = [str(program), "--config", str(configuration)]
            master = subprocess.Popen(command, stdout=output, stderr=output, cwd=place, start_new_session=True)
            try:
                if _answers(server, master):
                    yield server
                    return
            finally:
                _stop(master)
    log = (place / "output.log").read_text(errors="replace").strip()
    raise MailmanMissing(f"Mailman did not answer on {server.base_url}: {log[-500:]}")


def _configure(folder: Path) -> tuple[MailmanServer, Path]:
    folder.mkdir(parents=True)
    rest, lmtp, smtp = _free_ports(3)
    user, password = "restadmin", secrets.token_hex(12)
    text = _CONFIGURATION.format(
        folder=folder / "var", rest=rest, lmtp=lmtp, smtp=smtp, user=user, password=password, domain=DOMAIN
    )
    idle = "".join(f"\n[runner.{name}]\nstart: no\n" for name in _IDLE_RUNNERS)
    path = folder / "mailman.cfg"
    path.write_text(text + idle)
    return MailmanServer(base_url=f"http://127.0.0.1:{rest}/3.1", user=user, password=password), path


def _answers(server: MailmanServer, master: subprocess.Popen[bytes], seconds: float = 90.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and master.poll() is None:
        with suppress(requests.ConnectionError, requests.Timeout, AssertionError):
            server.call("GET", "system/versions")
            return True
        # The server is another process: only real time brings its answer nearer.
        time.sleep(0.2)  # noqa: TID251
    return False


def _stop(master: subprocess.Popen[bytes]) -> None:
    """Asks the master, which ends its runners; its process group is ours alone, so what is left of it goes too."""
    if master.poll() is None:
        master.terminate()
        with suppress(subprocess.TimeoutExpired):
            master.wait(timeout=20)
    with suppress(ProcessLookupError):
        os.killpg(master.pid, signal.SIGKILL)
    master.wait()


if __name__ == "__main__":
    try:
        sys.stdout.write(f"Mailman is ready in {prepare()}\n")
    except MailmanMissing as missing:
        sys.exit(str(missing))
