"""The file on the disk: read whole, replaced whole, and never over somebody else's edit."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_SUFFIX = ".optsync"
_OLD = 3600.0
"""Seconds after which nobody can be writing a copy any more."""


class ChangedMeanwhile(Exception):
    """The file is not what it was when it was read."""


class Disk:
    """One file. Raises ``OSError`` as the operating system does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        return self._path.read_bytes()

    def replace(self, content: bytes, *, before: bytes) -> None:
        """Puts the content in the place of ``before``, at once for every reader. Mode and access list of the file
        stay, and its owner and group where the operating system lets us give files away.

        Raises:
            ChangedMeanwhile: somebody saved the file since; nothing was written.
        """
        target = self._path.resolve()  # a link stays a link
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_SUFFIX, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _remove_leftovers(target, name)
            _give_to_owner_of(target, name)
            _give_rights_of(target, name)
            # As late as can be: no file system compares and swaps.
            self._compare(target, before)
            Path(name).replace(target)
            _keep(target.parent)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    @staticmethod
    def _compare(target: Path, before: bytes) -> None:
        if target.read_bytes() != before:
            raise ChangedMeanwhile


def _keep(folder: Path) -> None:
    """Else a power failure could bring the old file back after we have said that an opt-out is in it."""
    with suppress(OSError):  # not every system opens folders, and the new file is there
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove_leftovers(target: Path, name: str) -> None:
    """A process that was killed leaves its copy of everybody in the file behind."""
    now = Path(name).stat().st_mtime
    with suppress(OSError):  # they may be somebody else's, or the folder may not be listed
        for each in target.parent.iterdir():
            is_ours = each.name.startswith(f".{target.name}.") and each.name.endswith(_SUFFIX)
            if is_ours and now - each.lstat().st_mtime > _OLD:
                each.unlink()


def _give_rights_of(target: Path, name: str) -> None:
    """The mode and the access list: where there is one, the mode alone would let the group in."""
    with suppress(OSError, AttributeError):
        os.removexattr(name, "system.posix_acl_access")  # inherited from the folder
    try:
        shutil.copystat(target, name)
    except OSError:  # a share with attributes of its own
        shutil.copymode(target, name)
    os.utime(name)


def _give_to_owner_of(target: Path, name: str) -> None:
    found, made = target.stat(), Path(name).stat()
    # One after the other: whoever may not change the owner may belong to the group. In a container the owner may be
    # somebody who is not known there, and some file systems have none.
    for owner, group in ((-1, found.st_gid), (found.st_uid, -1)):
        # Nothing is asked for that is so already: a sandbox may forbid the very question.
        if (owner, group) not in ((-1, made.st_gid), (made.st_uid, -1)):
            with suppress(OSError):
                os.chown(name, owner, group)
