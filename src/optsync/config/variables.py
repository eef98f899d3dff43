"""``${NAME}`` and ``${NAME:-default}`` in the values of the file, and ``OPTSYNC_SECTION__KEY`` over it."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from dotenv import dotenv_values
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from optsync.config.places import Document, Path
from optsync.errors import ConfigError, Fault

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\})?")
_NESTED = "__"


def variables(file: FilePath, env: Mapping[str, str] | None) -> dict[str, str]:
    """The ``.env`` beside the file, and over it the environment (the process's own if None).

    Raises:
        ConfigError: there is one that cannot be read.
    """
    written = _written(file.parent / ".env")
    known = {name: value for name, value in written.items() if value is not None}
    return {**known, **(os.environ if env is None else env)}


def _written(file: FilePath) -> Mapping[str, str | None]:
    try:
        return dotenv_values(file, interpolate=False)
    except UnicodeDecodeError:
        found, expected = "bytes that are no UTF-8", "a text file in UTF-8"
    except OSError as error:
        found, expected = str(error.strerror or "no file").lower(), "a file that optsync may read, or none"
    raise ConfigError([Fault(file=str(file), line=None, key="(file)", found=found, expected=expected)])


def expand(document: Document, known: Mapping[str, str]) -> None:
    """Replaces every reference in the document's values; what cannot be becomes a fault.

    ``$${`` stands for ``${`` itself. An empty variable takes the default, as in a shell.
    """
    for path, value in list(_texts(document.tree, ())):
        if "${" not in value:
            continue
        document.hidden.add(path)
        missing: list[str] = []
        replaced = _REFERENCE.sub(lambda match, gone=missing: _replacement(match, known, gone), value)  # type: ignore[misc]
        if missing:
            document.broken.add(path)
            document.faults.extend(_unset(document, path, name) for name in dict.fromkeys(missing))
        document.put(path, replaced)


def _replacement(match: re.Match[str], known: Mapping[str, str], missing: list[str]) -> str:
    name = match["name"]
    if match[0] == "$${":
        return "${"
    if name is None:
        missing.append("")
        return ""
    if match["default"] is not None:
        return known.get(name) or match["default"]
    if name not in known:
        missing.append(name)
    return known.get(name, "")


def _unset(document: Document, path: Path, name: str) -> Fault:
    if not name:
        return document.fault(
            path, "a reference that cannot be read", "${NAME}, ${NAME:-default}, or $${ for ${ itself"
        )
    return document.fault(
        path, f"${{{name}}}, which is not set", f"{name} in the environment or .env, or ${{{name}:-default}}"
    )


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


class _Overrides(EnvSettingsSource):
    """The nested variables of a given environment; ``OPTSYNC_SECRET`` and the like stay free for references."""

    def __init__(self, settings: type[BaseSettings], known: Mapping[str, str]) -> None:
        prefix = str(settings.model_config.get("env_prefix", ""))
        self._known = {
            name.lower(): value
            for name, value in known.items()
            if name.upper().startswith(prefix) and _NESTED in name[len(prefix) :]
        }
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._known


def override(document: Document, settings: type[BaseSettings], known: Mapping[str, str]) -> None:
    """Lays ``OPTSYNC_STATE__URL`` and the like over the document: two underscores between keys, JSON for lists."""
    try:
        found: dict[str, Any] = _Overrides(settings, known)()
    except (SettingsError, json.JSONDecodeError):
        document.faults.append(
            Fault(file="environment", line=None, key="OPTSYNC_…", found="a value that is no JSON", expected="JSON")
        )
        return
    for path, value in _leaves(found, ()):
        document.from_environment.add(path)
        if any(isinstance(document.get(path[:end]), list) for end in range(len(path))):
            document.faults.append(document.fault(path, "a part of a list", "the whole list, as JSON"))
            continue
        document.put(path, value)
        document.hidden.add(path)


def require_text(document: Document) -> None:
    """Whatever came from variables whose bytes are no text becomes a fault, which shows none of them."""
    document.tree = _text_of(document, document.tree, ())


def _text_of(document: Document, value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        spoilt = [key for key in value if not _is_text(key)]
        document.faults.extend(_no_text(document, (*path, key)) for key in spoilt)
        return {key: _text_of(document, value[key], (*path, key)) for key in value if key not in spoilt}
    if isinstance(value, list):
        return [_text_of(document, item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, str) or _is_text(value):
        return value
    document.broken.add(path)
    document.hidden.add(path)
    document.faults.append(_no_text(document, path))
    return ""


def _is_text(value: str) -> bool:
    return value == _shown(value)


def _shown(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


def _no_text(document: Document, path: Path) -> Fault:
    # A key of a variable is a part of that variable's name.
    whole = min((each for each in document.from_environment if each[: len(path)] == path), key=str, default=path)
    fault = document.fault(whole, "bytes that are no UTF-8", "text in UTF-8")
    return replace(fault, file=_shown(fault.file), key=_shown(fault.key))


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif path:
        yield path, value
