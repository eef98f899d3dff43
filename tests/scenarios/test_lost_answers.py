"""The answer to a write is lost, and somebody says no before it is known what became of the write."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.model.record import Origin, Status
from optsync.sync.explain import explain
from tests.scenarios.test_crashes import Killed
from tests.scenarios.world import CRM, ESP, START, World, person

pytestmark = pytest.mark.rule("no opt-out is lost")

Make = Callable[..., World]
ANN = "ann1@example.com"


class Deaf(MockTransport):
    """The answer to the first opt-in at the CRM, or whatever has the ``sign``, does not arrive. ``then`` happens right
    after it; ``is_lost``: the write itself does not arrive either; ``lasts``: nor does anything else at the ``system``.
    """

    def __init__(
        self,
        w: World,
        then: Callable[[], Any],
        *,
        is_lost: bool = False,
        sign: str = "UF_CRM_OPT_OUT]=0",
        error: type[BaseException] = requests.ConnectionError,
        lasts: bool = False,
        system: str = CRM,
    ) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._sign, self._error, self._lasts = sign, error, lasts
        self._system = system
        self._then = then
        self._is_lost = is_lost
        self.count = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        body = unquote(str(request.body or ""))
        if self.count and self._lasts and str(request.url).startswith(self._system):
            raise self._error("Connection aborted.")
        if self.count or self._sign not in body:
            return super().send(request, *args, **options)
        self.count += 1
        if not self._is_lost:
            super().send(request, *args, **options)
        self._then()
        raise self._error("Connection aborted.")


def _lifted(world: Make) -> World:
    """Ann was out on both sides and signed up again; besides the flags, the proof of it goes to the CRM."""
    w = world(person(1, status=Status.OUT, origin=Origin.PERSON))
    w.sync()
    w.esp.act("resubscribe", email=ANN)
    return w


def test_an_opt_out_where_one_of_ours_may_have_arrived_speaks_for_all_addresses(world: Make) -> None:
    home = "home@example.com"
    w = world(person(1, addresses=(ANN, home)), person(2, addresses=(home,), in_crm=False))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.use(Deaf(w, lambda: None, is_lost=True, sign="UF_CRM_OPT_OUT]=1", error=Killed))
    with pytest.raises(Killed):
        w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()

    assert w.esp_shows(home)["status"] == Status.OUT
    w.settle()


def _is_heard_beside(trouble: "Deaf | Failing", w: World) -> None:
    """The opt-out that somebody sets in the midst of the trouble."""
    w.use(trouble)
    w.sync()
    w.sync()

    assert trouble.count == 1
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert explain(w.engine, ANN)["scopes"]["acme/marketing"]["may_send"] is False
    w.settle()


def test_an_opt_out_after_an_opt_in_whose_answer_was_lost_is_heard_whatever_else_is_written(world: Make) -> None:
    w = _lifted(world)
    _is_heard_beside(Deaf(w, lambda: w.crm.act("opt_out", email=ANN)), w)


class Failing(MockTransport):
    """The portal carries the first opt-in out and says that it broke over it. Who ticks the opt-out box is faster than
    the look that follows, or comes after it: then the portal breaks over that as well."""

    def __init__(self, w: World, *, is_seen: bool) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._w = w
        self._is_seen = is_seen
        self.count = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        if not self.count and "UF_CRM_OPT_OUT]=0" in unquote(str(request.body or "")):
            self.count += 1
            self._w.crm.act("opt_out", email=ANN)
            answer = json.loads(response.content)
            results = answer["result"]["result"]
            error = {"error": "INTERNAL_SERVER_ERROR", "error_description": "Internal server error"}
            answer["result"]["result_error"] = {key: error for key in results if not (self._is_seen and key == "zr")}
            answer["result"]["result"] = {"zr": results["zr"]} if self._is_seen else []
            if self._is_seen:
                results["zr"][0] |= {"UF_CRM_OPT_OUT": "1", "UF_CRM_OPT_IN": "0"}
            response._content = json.dumps(answer).encode()
        return response


@pytest.mark.parametrize("is_seen", [True, False])
def test_an_opt_out_after_an_opt_in_over_which_the_portal_broke_is_heard(world: Make, *, is_seen: bool) -> None:
    w = world(person(1, status=Status.OUT, origin=Origin.PERSON))
    w.reconfigure(lambda sync: sync["crm"].pop("consent"))
    w.sync()
    w.esp.act("resubscribe", email=ANN)
    _is_heard_beside(Failing(w, is_seen=is_seen), w)


@pytest.mark.rule("nothing to do, nothing written")
def test_an_opt_in_that_did_not_arrive_is_sent_again_and_nobody_is_taken_to_have_said_no(world: Make) -> None:
    w = _lifted(world)
    w.use(Deaf(w, lambda: None, is_lost=True))
    w.sync()
    w.sync()
    w.sync()

    assert not w.crm_shows(ANN)["opt_out"]
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()


@pytest.mark.rule("nobody is opted in by accident")
def test_an_edit_of_a_contact_at_which_an_opt_in_may_have_arrived_counts_as_a_new_no(world: Make) -> None:
    """Its box is ticked and its stamp has moved: somebody may have ticked it again, and who came back says so again."""
    w = _lifted(world)
    w.use(Deaf(w, lambda: w.crm.act("set_field", email=ANN, field="city", value="Oslo"), is_lost=True))
    w.sync()
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()

    w.wait(minutes=30)
    w.esp.act("resubscribe", email=ANN)
    w.sync()

    assert not w.crm_shows(ANN)["opt_out"]
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()


class Overtaken(MockTransport):
    """While our opt-out for Ann is on its way to the platform, somebody ``acts`` there: she uses the link of a mail,
    if nothing else is given."""

    def __init__(self, w: World, *acts: str) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._w = w
        self._acts = acts or ("unsubscribe",)
        self.count = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if not self.count and b"unsubscribed" in bytes(str(request.body or ""), "utf-8"):
            self.count += 1
            for act in self._acts:
                self._w.wait(minutes=5)
                self._w.esp.act(act, email=ANN)
        return super().send(request, *args, **options)


def test_an_unsubscribe_that_was_faster_than_our_own_write_is_the_persons_word(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    overtaken = Overtaken(w)
    w.use(overtaken)
    w.sync()

    assert overtaken.count == 1
    said = explain(w.engine, ANN)["scopes"]["acme/marketing"]["statements"]
    assert [(s["source"], s["kind"]) for s in said if s["source"] == "esp" and s["kind"] == "out"] == [("esp", "out")]
    w.settle()


def test_a_no_that_took_back_a_sign_up_while_our_opt_out_was_on_its_way_counts_beside_it(world: Make) -> None:
    """An administrator's, told like ours: but the stamp of the sign-up is not ours."""
    w = world(person(1))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    overtaken = Overtaken(w, "unsubscribe", "resubscribe", "admin_unsubscribe")
    w.use(overtaken)
    w.sync()
    w.crm.act("opt_in", email=ANN, at=(w.clock.now() - timedelta(minutes=4)).isoformat())
    w.settle()

    assert overtaken.count == 1
    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.OUT)
    assert explain(w.engine, ANN)["scopes"]["acme/marketing"]["standing"] == "out"


def _moved_unheard(
    world: Make, then: Callable[[World], Any], error: type[BaseException] = Killed, *, lasts: bool = False
) -> World:
    """Ann moved to Turin at the platform, which the CRM was told, and nobody heard its answer; ``then`` happens at that
    moment. ``lasts``: nor does the CRM answer anything else in that run."""
    w = world(person(1), person(2))
    w.settle()
    w.esp.act("set_field", email=ANN, field="city", value="Turin")
    w.use(Deaf(w, lambda: then(w), sign="UF_CRM_CITY]=Turin", error=error, lasts=lasts))
    with pytest.raises(Killed) if error is Killed else nullcontext():
        w.sync()
    w.use(w.transport)
    return w


def _cities_after_coming_back(w: World) -> tuple[Any, Any]:
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()
    w.sync()
    return w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]


@pytest.mark.rule("fields merge three ways")
def test_a_value_of_ours_that_nobody_knew_of_beats_no_edit_of_somebody_who_was_out_meanwhile(world: Make) -> None:
    w = _moved_unheard(world, lambda w: w.esp.act("unsubscribe", email=ANN))
    w.settle()
    w.esp.act("set_field", email=ANN, field="city", value="Graz")

    assert _cities_after_coming_back(w) == ("Graz", "Graz")


@pytest.mark.rule("fields merge three ways")
@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("error", [Killed, requests.ConnectionError])
def test_a_value_of_ours_that_arrived_unknown_is_in_no_conflict_with_an_edit_before_anybody_looked(
    world: Make, error: type[BaseException], *, leaves: bool
) -> None:
    def goes_on(w: World) -> None:
        if leaves:
            w.esp.act("unsubscribe", email=ANN)
        w.esp.act("set_field", email=ANN, field="city", value="Graz")

    assert _cities_after_coming_back(_moved_unheard(world, goes_on, error)) == ("Graz", "Graz")


@pytest.mark.rule("fields merge three ways")
@pytest.mark.parametrize("leaves", [True, False])
def test_a_value_of_ours_that_arrived_as_the_crm_went_down_is_in_no_conflict_with_an_edit(
    world: Make, *, leaves: bool
) -> None:
    w = _moved_unheard(world, lambda _: None, requests.ConnectionError, lasts=True)
    if leaves:
        w.esp.act("unsubscribe", email=ANN)
    w.esp.act("set_field", email=ANN, field="city", value="Graz")

    assert _cities_after_coming_back(w) == ("Graz", "Graz")


@pytest.mark.rule("fields merge three ways")
def test_a_value_of_ours_that_did_not_arrive_as_the_crm_went_down_is_sent_again(world: Make) -> None:
    w = world(person(1))
    w.settle()
    w.esp.act("set_field", email=ANN, field="city", value="Turin")
    w.use(Deaf(w, lambda: None, sign="UF_CRM_CITY]=Turin", is_lost=True, lasts=True))
    w.sync()
    w.use(w.transport)
    w.wait(hours=1)
    w.settle()

    assert w.crm_shows(ANN)["fields"]["city"] == "Turin"


@pytest.mark.rule("fields merge three ways")
def test_a_write_that_failed_long_ago_makes_nothing_ours_that_somebody_types_while_another_one_is_in_doubt(
    world: Make,
) -> None:
    def dies(city: str, then: Callable[[], Any]) -> None:
        """As it tells the CRM of the city, which does not arrive."""
        w.esp.act("set_field", email=ANN, field="city", value=city)
        w.use(Deaf(w, then, is_lost=True, sign=f"UF_CRM_CITY]={city}", error=Killed))
        with pytest.raises(Killed):
            w.sync()
        w.use(w.transport)

    w = world(person(1), person(2))
    w.settle()
    dies("Turin", lambda: None)
    w.wait(hours=1)
    w.settle()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.settle()
    dies("Kyiv", lambda: w.crm.act("set_field", email=ANN, field="city", value="Turin"))
    w.sync()
    w.wait(hours=1)
    w.sync()

    assert (w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]) == ("Turin", "Turin")


def _made_unheard(world: Make, error: type[BaseException], *, is_lost: bool = False) -> World:
    """Ann gets onto the list, where she was not; nobody hears whether that arrived, and somebody there types Graz."""
    w = world(person(1, in_esp=False, opt_in=True, consent_at=START - timedelta(days=50)))
    w.use(Deaf(w, lambda: None, sign='"update_existing":false', is_lost=is_lost, error=error, lasts=True, system=ESP))
    with pytest.raises(Killed) if error is Killed else nullcontext():
        w.sync()
    w.use(w.transport)
    w.wait(hours=1)
    if is_lost:
        w.esp.act("resubscribe", email=ANN)
    w.esp.act("set_field", email=ANN, field="city", value="Graz")
    w.settle()
    return w


@pytest.mark.rule("fields merge three ways")
@pytest.mark.parametrize("error", [Killed, requests.ConnectionError])
def test_values_of_a_member_that_we_made_unknown_are_in_no_conflict_with_an_edit(
    world: Make, error: type[BaseException]
) -> None:
    w = _made_unheard(world, error)

    assert (w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]) == ("Graz", "Graz")


@pytest.mark.rule("fields merge three ways")
def test_values_of_a_member_that_somebody_else_made_are_in_conflict_with_those_that_did_not_arrive(
    world: Make,
) -> None:
    w = _made_unheard(world, requests.ConnectionError, is_lost=True)

    assert (w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]) == ("Riga", "Riga")
