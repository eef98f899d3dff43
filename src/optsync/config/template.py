"""Writes a new user's first file from what is installed."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files

from pydantic.fields import FieldInfo

from optsync.config import installed, shape
from optsync.connect.contract import Connector
from optsync.errors import ConfigError
from optsync.model.record import Side


def starting_config() -> str:
    """A commented file with one sync between the first installed CRM and the first installed e-mail platform.

    Raises:
        ConfigError: no connector is installed for one of the sides.
    """
    connectors = installed.connectors()
    crm = _first(connectors, Side.CRM)
    esp = _first({name: connector for name, connector in connectors.items() if name != crm}, Side.ESP)
    systems = [
        "\n".join(_system(name, connector, is_used=name in {crm, esp})) for name, connector in connectors.items()
    ]
    entity = (connectors[crm].capabilities.entities or ("contact",))[0]
    text = files("optsync.config").joinpath("template.yaml").read_text(encoding="utf-8")
    filled = {"{systems}": "\n".join(systems), "{crm}": crm, "{esp}": esp, "{entity}": entity}
    for mark, value in filled.items():
        text = text.replace(mark, value)
    return text


def _first(connectors: Mapping[str, type[Connector]], side: Side) -> str:
    for name, connector in connectors.items():
        if side in connector.capabilities.sides:
            return name
    raise ConfigError(f"no connector for the {side} side of a sync is installed; `optsync connectors` lists them")


def _system(name: str, connector: type[Connector], *, is_used: bool) -> Iterator[str]:
    lead = "  " if is_used else "  # "
    yield f"{lead}{name}:"
    yield f"{lead}  connector: {name}"
    for key, field in shape.keys(connector.settings).items():
        if key != "connector":
            yield f"{lead}  {_setting(name, key, field)}"


def _setting(system: str, key: str, field: FieldInfo) -> str:
    """What must be given as a variable, what may be left out as a comment with its default."""
    meaning = f"   # {' '.join(field.description.split())}" if field.description else ""
    if field.is_required():
        variable = f"{system}_{key}".upper().replace("-", "_")
        return f'{key}: "${{{variable}}}"{meaning}'
    standard = field.get_default(call_default_factory=True)
    return f"# {key}: {'…' if standard is None else json.dumps(standard, default=str)}{meaning}"
