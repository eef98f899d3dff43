"""The vendor's own client library must find nothing strange in the imitation."""

import importlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from b24pysdk import BitrixWebhook, Client
from b24pysdk.errors import BitrixAPIError, BitrixAPIInvalidCredentials, BitrixAPIOperationTimeLimit

from optsync.connect.mock import MockRequest
from optsync_bitrix24.tests.mock_calls import Portal, person


class Server:
    """An imitation behind a loopback port; requests are answered one at a time."""

    def __init__(self, portal: Portal) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path, _, query = self.path.partition("?")
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = portal.mock.handle(
                    MockRequest(method="POST", path=path, query=query, headers=headers, body=body)
                )
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Tests are quiet."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.portal = portal
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def client(self, secret: str | None = None) -> Any:
        credential = f"7/{secret or self.portal.mock.portal.secret}"
        token = BitrixWebhook(domain=f"127.0.0.1:{self.http.server_port}", webhook_token=credential)
        return Client(token)

    def close(self) -> None:
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    caller = importlib.import_module("b24pysdk.api.callers.call_method")
    plain = property(lambda self: f"http://{self._domain}/rest")
    monkeypatch.setattr(caller._MethodCaller, "_base_url", plain)
    running = Server(Portal(*(person(i) for i in range(1, 131)), operating_budget=3.0, read_cost=0.05))
    yield running
    running.close()


def test_it_reads_describes_and_writes(server: Server) -> None:
    contacts = server.client().crm.contact
    assert contacts.fields().result["UF_CRM_OPT_OUT"]["type"] == "boolean"
    assert contacts.get(bitrix_id=5).result["EMAIL"][0]["VALUE"] == "p5@example.com"
    assert contacts.update(bitrix_id=5, fields={"UF_CRM_OPT_OUT": 1}).result is True
    assert contacts.get(bitrix_id=5).result["UF_CRM_OPT_OUT"] == "1"
    made = contacts.add(fields={"NAME": "Ann", "EMAIL": [{"VALUE": "ann@example.com", "VALUE_TYPE": "WORK"}]})
    assert made.result == 131
    assert contacts.delete(bitrix_id=131).result is True
    assert made.time.date_start.isoformat() == "2026-11-21T10:26:40+02:00"


def test_it_walks_all_pages_in_both_of_its_ways(server: Server) -> None:
    contacts = server.client().crm.contact
    asked = {"select": ["ID"], "order": {"ID": "ASC"}}
    page = contacts.list(**asked).response
    assert (len(page.result), page.total, page.next) == (50, 130, 50)
    everybody = [str(i) for i in range(1, 131)]
    assert [row["ID"] for row in contacts.list(**asked).as_list().result] == everybody
    assert [row["ID"] for row in contacts.list(select=["ID"]).as_list_fast().result] == everybody
    backwards = contacts.list(select=["ID"]).as_list_fast(descending=True).result
    assert [row["ID"] for row in backwards] == everybody[::-1]


def test_it_understands_a_batch_with_a_failure(server: Server) -> None:
    client = server.client()
    asked = {"good": client.crm.contact.get(bitrix_id=1), "bad": client.crm.contact.get(bitrix_id=999)}
    answer = client.call_batch(asked, halt=False).result
    assert answer.result["good"]["ID"] == "1"
    assert answer.result_error["bad"]["error_description"] == "Not found"


def test_it_knows_the_errors_by_name(server: Server) -> None:
    with pytest.raises(BitrixAPIInvalidCredentials):
        server.client("wrong").crm.contact.get(bitrix_id=1).result  # noqa: B018 - the result is fetched when asked for
    contacts = server.client().crm.contact
    with pytest.raises(BitrixAPIError, match="Not found"):
        contacts.get(bitrix_id=999).result  # noqa: B018 - as above
    for _ in range(60):
        server.portal.clock.advance(1)
        assert contacts.fields().result
    with pytest.raises(BitrixAPIOperationTimeLimit):
        contacts.fields().result  # noqa: B018 - as above
