"""What a right file means."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from optsync.config.load import load
from optsync.config.parts import State
from optsync.config.schema import Config
from optsync.errors import ConfigError
from optsync.model.scope import Basis, Kind
from tests.config.vendors import DeskSide

Loaded = Callable[..., Config]

BRANDS = """\
brands:
  acme:
    purposes:
      marketing: {basis: legitimate_interest, topics: [offers, news]}
      service: {kind: transactional}
"""


def test_the_smallest_file_has_the_documented_defaults(loaded: Loaded, smallest: str) -> None:
    config = loaded(smallest)
    sync = config.syncs["newsletter"]
    assert (sync.name, sync.scope, sync.every, sync.cron) == (
        "newsletter",
        "default/marketing",
        timedelta(minutes=5),
        None,
    )
    assert sync.full == timedelta(hours=24)
    assert sync.crm.entity == ("contact",)
    assert (sync.opt_out.crm_to_esp, sync.opt_out.esp_to_crm) == (True, True)
    assert sync.policy.model_dump() == {
        "existing": "unknown",
        "enter": "subscribe",
        "leave": "keep",
        "esp_only": "ignore",
        "after_opt_out": "stop",
        "carry_grant": "with_evidence",
        "topics_first_sight": "restrictive",
        "primary": "oldest",
        "inactive": "keep",
    }
    assert config.consent.clock_tolerance == timedelta(minutes=5)
    assert config.consent.soft_bounces.within == timedelta(days=30)
    assert (config.guard.creates.max, config.guard.updates.cap) == (1000, 100000)
    assert config.web.listen == "127.0.0.1:8080"


def test_sides_are_read_by_the_connectors_own_models(loaded: Loaded, smallest: str) -> None:
    side = loaded(smallest.replace("opt_out: OUT", "opt_out: OUT, pipeline: main")).syncs["newsletter"].crm
    assert isinstance(side, DeskSide)
    assert side.pipeline == "main"


def test_a_cron_line_takes_the_place_of_every(loaded: Loaded, smallest: str) -> None:
    config = loaded(smallest.replace("  newsletter:\n", '  newsletter:\n    cron: "0 6 * * mon-fri"\n'))
    assert config.syncs["newsletter"].every is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
        ("2 m", timedelta(minutes=2)),
    ],
)
def test_lengths_of_time_are_a_number_and_a_unit(loaded: Loaded, smallest: str, written: str, meant: timedelta) -> None:
    assert loaded(smallest + f"consent: {{absence_grace: {written}}}\n").consent.absence_grace == meant


def test_without_brands_the_default_purpose_has_all_mapped_topics(loaded: Loaded, smallest: str) -> None:
    text = smallest.replace("opt_out: OUT", "opt_out: OUT, topics: {offers: A, news: B}")
    text = text.replace("audience: 4c1a9f02bb", "audience: 4c1a9f02bb, topics: {offers: X, events: Y}")
    config = loaded(text)
    (purpose,) = config.purposes
    assert (purpose.scope, purpose.kind, purpose.basis) == ("default/marketing", Kind.COMMERCIAL, Basis.CONSENT)
    assert purpose.topics == ("events", "news", "offers")
    assert config.syncs["newsletter"].topics == ("offers",)


def test_a_scope_finds_its_purpose(loaded: Loaded, smallest: str) -> None:
    config = loaded(BRANDS + smallest.replace("  newsletter:\n", "  newsletter:\n    scope: acme/marketing\n"))
    assert config.purpose("acme/marketing/offers").basis is Basis.LEGITIMATE_INTEREST
    assert config.purpose("acme/service").kind is Kind.TRANSACTIONAL
    with pytest.raises(KeyError):
        config.purpose("acme")


def test_a_transactional_list_may_sync_fields(loaded: Loaded, smallest: str) -> None:
    directions = "    opt_out: {crm_to_esp: false, esp_to_crm: false}\n    fields: [{crm: NAME, esp: FNAME}]\n"
    text = smallest.replace("  newsletter:\n", f"  newsletter:\n    scope: acme/service\n{directions}")
    assert loaded(BRANDS + text.replace(", opt_out: OUT", "")).syncs["newsletter"].fields[0].crm == "NAME"


def test_transforms_become_a_chain_of_names_and_parameters(loaded: Loaded, smallest: str) -> None:
    fields = """\
    fields:
      - {crm: A, esp: A, transform: {map: {45: Gold, true: 7}}}
      - {crm: B, esp: B, direction: to_esp, transform: upper}
      - {crm: C, esp: C, direction: to_esp, transform: [{default: {value: x}}, {join: {with: [D]}}]}
      - {crm: E, esp: E, transform: {boolean: {true: "On", false: "Off"}}}
"""
    rules = loaded(smallest + fields).syncs["newsletter"].fields
    assert [rule.transform for rule in rules] == [
        (("map", {"pairs": {"45": "Gold", "true": "7"}}),),
        (("upper", {}),),
        (("default", {"value": "x"}), ("join", {"with": ("D",), "by": " "})),
        (("boolean", {"true": "On", "false": "Off"}),),
    ]


def test_one_source_may_fill_two_fields(loaded: Loaded, smallest: str) -> None:
    rules = "".join(
        f"      - {{crm: NAME, esp: {esp}, direction: to_esp, transform: {{split_name: {{part: {part}}}}}}}\n"
        for esp, part in (("FNAME", "first"), ("LNAME", "last"))
    )
    assert len(loaded(smallest + "    fields:\n" + rules).syncs["newsletter"].fields) == 2


def test_an_audience_that_looks_like_a_number_stays_the_text_it_is(loaded: Loaded, smallest: str) -> None:
    assert loaded(smallest.replace("4c1a9f02bb", "123e456")).syncs["newsletter"].esp.audience == "123e456"


def test_references_are_filled_from_the_environment_before_the_file_beside_it(tmp_path: Path, smallest: str) -> None:
    (tmp_path / ".env").write_text("EVERY=10m\nFULL='12h'\nAUDIENCE=\n", encoding="utf-8")
    path = tmp_path / "config.yaml"
    sync = '  newsletter:\n    every: "${EVERY}"\n    full: "${FULL}"\n'
    text = smallest.replace("  newsletter:\n", sync).replace(
        "audience: 4c1a9f02bb", 'audience: "a-${AUDIENCE:-1}-$${x}"'
    )
    path.write_text(text, encoding="utf-8")
    loaded_sync = load(path, {"EVERY": "7m"}).syncs["newsletter"]
    assert (loaded_sync.every, loaded_sync.full) == (timedelta(minutes=7), timedelta(hours=12))
    assert loaded_sync.esp.audience == "a-1-${x}"


def test_nested_variables_override_single_keys(loaded: Loaded, smallest: str) -> None:
    config = loaded(
        smallest, OPTSYNC_GUARD__OPT_OUTS__MAX="70", OPTSYNC_WEB__TOKENS='["abc"]', OPTSYNC_SECRET="unrelated"
    )
    assert config.guard.opt_outs.max == 70
    assert config.guard.opt_outs.cap == 1000
    assert config.web.tokens[0].get_secret_value() == "abc"


def test_a_variable_for_a_part_of_a_list_is_a_fault(loaded: Loaded, smallest: str) -> None:
    fields = f"{smallest}    fields: [{{crm: NAME, esp: FNAME}}]\n"
    with pytest.raises(ConfigError) as refused:
        loaded(fields, OPTSYNC_SYNCS__NEWSLETTER__FIELDS__0__CRM="LAST_NAME")
    (fault,) = refused.value.faults
    assert (fault.file, fault.expected) == (
        "environment OPTSYNC_SYNCS__NEWSLETTER__FIELDS__0__CRM",
        "the whole list, as JSON",
    )


def test_a_wrong_override_is_reported_at_its_variable_without_its_value(loaded: Loaded, smallest: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(smallest, OPTSYNC_LOG__LEVEL="loudest")
    (fault,) = raised.value.faults
    assert (fault.file, fault.line, fault.found) == ("environment OPTSYNC_LOG__LEVEL", None, "a hidden value")


def test_a_relative_database_lies_beside_the_file(loaded: Loaded, smallest: str, tmp_path: Path) -> None:
    assert loaded(smallest).state.file == tmp_path / "optsync.db"
    elsewhere = loaded(smallest + 'state: {url: "sqlite:////var/lib/optsync.db"}\n')
    assert elsewhere.state.file == Path("/var/lib/optsync.db")
    assert loaded(smallest + 'state: {url: "sqlite://"}\nsecret_keys: [abcdefghij]\n').state.file is None


def test_several_entities_have_a_filter_each(loaded: Loaded, smallest: str) -> None:
    text = smallest.replace("opt_out: OUT", "opt_out: OUT, entity: [contact, lead], where: {lead: {STATUS: NEW}}")
    assert loaded(text).syncs["newsletter"].filters() == {"contact": {}, "lead": {"STATUS": "NEW"}}
    one = smallest.replace("opt_out: OUT", "opt_out: OUT, where: {TYPE: CLIENT}")
    assert loaded(one).syncs["newsletter"].filters() == {"contact": {"TYPE": "CLIENT"}}


def test_one_scope_may_have_two_audiences_and_one_audience_two_syncs(loaded: Loaded, smallest: str) -> None:
    again = (
        "  leads:\n    crm: {system: crm, entity: lead, opt_out: OUT}\n    esp: {system: mail, audience: 4c1a9f02bb}\n"
    )
    assert set(loaded(smallest + again).syncs) == {"newsletter", "leads"}


def test_the_digest_follows_the_meaning_of_readings_only(loaded: Loaded, smallest: str) -> None:
    def digest(text: str) -> str:
        return loaded(text).syncs["newsletter"].digest()

    first = digest(smallest)
    same = smallest.replace("  newsletter:\n", "  newsletter:\n    every: 1h\n    policy: {enter: skip}\n")
    assert digest(same) == first
    others = [
        smallest.replace("audience: 4c1a9f02bb", "audience: b2"),
        smallest.replace("opt_out: OUT", "opt_in: OUT"),
        smallest.replace("opt_out: OUT", "opt_out: OUT, where: {TYPE: CLIENT}"),
        smallest + "    fields: [{crm: NAME, esp: FNAME}]\n",
        smallest + "    fields: [{crm: NAME, esp: FNAME, transform: {map: {a: b}}}]\n",
    ]
    assert len({first, *map(digest, others)}) == 6


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://optsync:p%40ss@db.example.com/optsync?application_name=me@here",
        "postgresql:///optsync?host=/var/run/postgresql&user=a@b&application_name=c@d",
    ],
)
def test_an_at_in_the_options_of_a_database_is_no_part_of_a_password(url: str) -> None:
    assert not State(url=url).is_sqlite


def test_yaml_merges_and_anchors_work(loaded: Loaded, smallest: str) -> None:
    guard = "guard:\n  opt_outs: &few {max: 5, percent: 1, cap: 9}\n  opt_ins: {<<: *few, max: 7}\n"
    limit = loaded(smallest + guard).guard.opt_ins
    assert (limit.max, limit.percent, limit.cap) == (7, 1, 9)


def test_secrets_show_in_no_representation_of_a_loaded_file(loaded: Loaded, smallest: str) -> None:
    canary = "canary-5f1e9d72c0"
    text = (
        smallest.replace('"0123456789"', '"${CANARY}"') + 'secret_keys: ["${CANARY}"]\nweb: {tokens: ["${CANARY}"]}\n'
    )
    text += 'state: {url: "postgresql+psycopg://optsync:${CANARY}@db.example.com/optsync"}\n'
    config = loaded(text, CANARY=canary)
    assert canary not in repr(config) + str(config)
    assert canary not in json.dumps(config.model_dump(mode="json", exclude={"state"}))


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.yaml", {})


@pytest.mark.parametrize(
    "text",
    ["", "just words", "a: *nobody", "a: [1, 2", "? [x]\n: y", "a: &a [*a]", "\x00", "a:\n\t- b", "%YAML 9\n---\na: b"],
)
def test_whatever_the_file_holds_the_answer_is_a_configuration_error(loaded: Loaded, text: str) -> None:
    with pytest.raises(ConfigError):
        loaded(text)
