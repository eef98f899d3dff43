"""The example, the first file of a new user, and the JSON Schema agree with the models."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from optsync.cli.init import init, schema
from optsync.config import shape
from optsync.config.load import load
from optsync.config.places import read
from optsync.config.schema import Config, SyncConfig
from optsync.connect import registry
from optsync.errors import CommandRefused

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
ENVIRONMENT = {
    "OPTSYNC_SECRET": "a-long-enough-secret",
    "OPTSYNC_API_TOKEN": "an-api-token",
    "BITRIX24_WEBHOOK_URL": "https://portal.example.com/rest/1/abcdefghijklmnop/",
    "MAILCHIMP_API_KEY": "0123456789abcdef0123456789abcdef-us6",
}


@pytest.fixture
def app() -> typer.Typer:
    commands = typer.Typer()
    commands.command()(init)
    commands.command()(schema)
    return commands


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for part in _parts(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in found:
                found |= _models(part)
    return found


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *(part for argument in get_args(annotation) for part in _parts(argument))]


@pytest.mark.usefixtures("installed_connectors")
def test_the_example_loads_with_its_variables_set() -> None:
    for name in ("bitrix24", "mailchimp"):
        try:
            registry.load(name)
        except (KeyError, registry.ConnectorBroken) as error:
            pytest.skip(f"the example's connector {name} is not installed: {error}")
    config = load(EXAMPLE, ENVIRONMENT)
    assert config.syncs["newsletter"].topics == ("news", "offers")


def test_every_key_of_the_models_appears_in_the_example() -> None:
    written = set(re.findall(r"([a-z_0-9]+):", EXAMPLE.read_text(encoding="utf-8"))) | {"upper"}
    expected = {key for model in _models(Config) for key in shape.keys(model)}
    assert len(expected) > 70
    assert expected - written == set()


def test_the_defaults_that_the_example_shows_are_the_defaults() -> None:
    document = read(EXAMPLE.read_text(encoding="utf-8"), "example").tree
    shown = {section: document[section] for section in ("consent", "guard", "log")}
    shown["policy"] = document["syncs"]["newsletter"]["policy"]
    fields = {**Config.model_fields, "policy": SyncConfig.model_fields["policy"]}
    for section, values in shown.items():
        assert values == json.loads(fields[section].default.model_dump_json()), section


def test_init_writes_a_file_that_loads_once_its_variables_are_set(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.yaml"
    result = CliRunner().invoke(app, ["init", str(path)])
    assert result.exit_code == 0, result.output
    variables = re.findall(r"^(?! *#).*\$\{(\w+)\}", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(variables) == {"DESK_HOOK", "POST_API_KEY", "OPTSYNC_CRM_OPT_OUT", "OPTSYNC_AUDIENCE"}
    config = load(path, dict.fromkeys(variables, "something"))
    assert set(config.systems) == {"desk", "post"}


def test_what_init_writes_also_loads_with_all_its_comments_taken_away(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    CliRunner().invoke(app, ["init", str(path)])
    text = path.read_text(encoding="utf-8")
    keys = re.sub(r"^( *)# (?=( *)[a-z_]+:|    |  -)", r"\1", text, flags=re.MULTILINE)
    path.write_text(keys.replace("# pace", "pace").replace("# base_url: …", ""), encoding="utf-8")
    values = dict.fromkeys(re.findall(r"\$\{(\w+)\}", keys), "a-long-enough-value")
    with_all = path.read_text(encoding="utf-8").replace("where: {KEY: VALUE}", "where: {}")
    path.write_text(with_all, encoding="utf-8")
    config = load(path, values)
    assert config.syncs["newsletter"].topics == ("news", "offers")
    for section in ("consent", "guard", "web", "log"):
        assert getattr(config, section) == Config.model_fields[section].default, f"{section} shows its defaults"
    assert config.syncs["newsletter"].policy == SyncConfig.model_fields["policy"].default


def test_init_never_replaces_a_file_unasked(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine", encoding="utf-8")
    result = CliRunner().invoke(app, ["init", str(path)])
    assert isinstance(result.exception, CommandRefused)
    assert path.read_text(encoding="utf-8") == "mine"
    assert CliRunner().invoke(app, ["init", str(path), "--force"]).exit_code == 0
    assert "systems:" in path.read_text(encoding="utf-8")


def test_the_schema_tells_the_installed_connectors_apart(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["schema"])
    document = json.loads(result.output)
    entries = document["properties"]["systems"]["additionalProperties"]["oneOf"]
    assert [entry["properties"]["connector"]["const"] for entry in entries] == ["desk", "post"]
    assert "pipeline" in json.dumps(document["$defs"]["SyncConfig"]["properties"]["crm"])


def test_the_schema_knows_the_short_forms(app: typer.Typer) -> None:
    definitions = json.loads(CliRunner().invoke(app, ["schema"]).output)["$defs"]
    crm = definitions["SyncConfig"]["properties"]["crm"]["anyOf"][0]["properties"]
    assert {"type": "string"} in crm["entity"]["anyOf"]
    assert {"type": "string"} in definitions["FieldRule"]["properties"]["transform"]["anyOf"]
    assert definitions["SyncConfig"]["properties"]["full"]["type"] == "string"
