"""From the file to a checked :class:`Config`, or to all its faults at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel
from sqlalchemy.engine import make_url

from optsync.config import checks, wording
from optsync.config.places import Document, Path, read
from optsync.config.problem import Problem
from optsync.config.schema import Config
from optsync.config.validate import Validator
from optsync.config.variables import expand, override, require_text, variables
from optsync.connect import registry
from optsync.connect.contract import Connector
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.errors import ConfigError, Fault
from optsync.model.record import Side


def load(path: FilePath, env: Mapping[str, str] | None = None) -> Config:
    """The configuration of ``path``; references are filled from ``env`` (default: the process's) and ``.env``.

    A relative SQLite file is taken to lie beside the configuration, wherever the command was started.

    Raises:
        ConfigError: with every fault that was found, in the order of the file.
    """
    document = read(_text(path), str(path))
    known = variables(path, env)
    expand(document, known)
    override(document, Config, known)
    require_text(document)
    config = _Loading(document).config()
    if document.faults or config is None:
        raise ConfigError(sorted(document.faults, key=lambda fault: (fault.line or 0, fault.key)))
    return _anchored(config, path.resolve().parent)


def _text(path: FilePath) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problem = ("bytes that are no UTF-8", "a text file in UTF-8")
    except OSError as error:
        problem = (str(error.strerror or "no file").lower(), "a readable file; `optsync init` writes one")
    raise ConfigError([Fault(file=str(path), line=None, key="(file)", found=problem[0], expected=problem[1])])


def _anchored(config: Config, folder: FilePath) -> Config:
    file, url = config.state.file, make_url(config.state.url)
    if file is None or "uri" in url.query:
        return config
    try:
        anchored = url.set(database=str(folder / file)).render_as_string(hide_password=False)
    except UnicodeEncodeError:
        anchored = ""
    if not anchored:
        raise ConfigError(
            "state.url: the folder of the configuration has a name that is no text in UTF-8; name the database with "
            "its whole path, in another folder, as in sqlite:////var/lib/optsync/optsync.db"
        )
    return config.model_copy(update={"state": config.state.model_copy(update={"url": anchored})})


class _Loading:
    """Systems first, since they say what a side may hold; then the sides; then the whole."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._validator = Validator(document)
        self._connectors: dict[str, type[Connector] | None] = {}
        """By system; None where the entry is there and its connector is not known."""

    def config(self) -> Config | None:
        for name in self._keys(("systems",)):
            self._system(name)
        for name in self._keys(("syncs",)):
            self._side(("syncs", name, "crm"), Side.CRM)
            self._side(("syncs", name, "esp"), Side.ESP)
        config = self._validator.model(Config, ())
        if config is not None:
            self._check(config)
        return config

    def _check(self, config: Config) -> None:
        """All problems are gathered before the first is reported: one must not hide another at the same place."""
        for problem in list(self._unspoilt(config)):
            found = problem.found or self._validator.found(problem.path)
            self._validator.report_check(problem.path, found, problem.expected)

    def _unspoilt(self, config: Config) -> Iterator[Problem]:
        """Those that are not judged by something already known to be wrong."""
        for problem in checks.problems(config, self._connectors):
            if not any(self._validator.touches_fault(path) for path in (problem.path, *problem.because)):
                yield problem

    def _keys(self, path: Path) -> list[str]:
        value = self._document.get(path)
        return list(value) if isinstance(value, dict) else []

    def _system(self, name: str) -> None:
        path: Path = ("systems", name)
        given = self._document.get((*path, "connector"))
        self._connectors[name] = self._connector((*path, "connector"), given) if isinstance(given, str) else None
        connector = self._connectors[name]
        settings = SystemSettings if connector is None else connector.settings
        self._settle(path, settings, tolerate_unknown=connector is None)

    def _connector(self, path: Path, name: str) -> type[Connector] | None:
        if self._validator.touches_fault(path):
            return None
        if name not in registry.installed():
            self._validator.report(path, self._validator.found(path), wording.choice(name, registry.installed()))
            return None
        try:
            return registry.load(name)
        except registry.ConnectorBroken as error:
            message = str(error)
        self._validator.report(path, self._validator.found(path), f"a connector that can be imported: {message}")
        return None

    def _side(self, path: Path, side: Side) -> None:
        base: type[CrmSide | EspSide] = CrmSide if side is Side.CRM else EspSide
        system = self._document.get((*path, "system"))
        model = self._side_model((*path, "system"), system, side) if isinstance(system, str) else None
        self._settle(path, model or base, tolerate_unknown=model is None)

    def _side_model(self, path: Path, system: str, side: Side) -> type[CrmSide | EspSide] | None:
        connector = self._connectors.get(system)
        if self._validator.touches_fault(path):
            return None
        if system not in self._connectors:
            self._validator.report(path, self._validator.found(path), wording.choice(system, self._connectors))
            return None
        if connector is None:
            return None
        model = _plays(connector, side)
        if model is None:
            able = [name for name, other in self._connectors.items() if other and _plays(other, side)]
            role = "CRM" if side is Side.CRM else "e-mail platform"
            found = f"{self._validator.found(path)}, a system that cannot be the {role} of a sync"
            self._validator.report(path, found, f"a system that can: {wording.one_of(able) or 'none is configured'}")
        return model

    def _settle(self, path: Path, model: type[BaseModel], *, tolerate_unknown: bool) -> None:
        """Puts the validated value into the document, in the place of what was written."""
        value: Any = self._document.get(path)
        if not isinstance(value, dict):
            return
        settled = self._validator.model(model, path, tolerate_unknown=tolerate_unknown)
        parent = self._document.get(path[:-1])
        if settled is None:
            self._validator.faulty.add(path)
        parent[path[-1]] = settled if settled is not None else _stand_in(model)


def _stand_in(model: type[BaseModel]) -> BaseModel:
    """For a part that cannot be used: lets the rest be judged, and is never returned to anybody."""
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return model.model_construct(None, **dict.fromkeys(required, ""))


def _plays(connector: type[Connector], side: Side) -> type[CrmSide | EspSide] | None:
    if side not in connector.capabilities.sides:
        return None
    return connector.crm_side if side is Side.CRM else connector.esp_side
