"""Other people's tools read everything there is: run by the Python of their own environment, where optsync is not.

``python -m benchmarks.readers`` reads an order as JSON from its standard input: ``tool``, ``mount`` (where the vendor's
API begins), ``webhook``, ``key``, ``audience``, ``fields`` to ask for, ``page``. It writes what it took.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from benchmarks.memory import peak_mib

Order = dict[str, Any]


def _fast_bitrix24(order: Order) -> int:
    from fast_bitrix24 import Bitrix

    bitrix = Bitrix(order["webhook"], verbose=False)
    return len(bitrix.get_all("crm.contact.list", params={"select": order["fields"]}))


def _b24pysdk(order: Order) -> int:
    from b24pysdk import BitrixWebhook, Client

    caller = importlib.import_module("b24pysdk.api.callers.call_method")
    # It knows https only, and no portal below a path.
    caller._MethodCaller._base_url = property(lambda _: f"{order['mount']}/rest")  # noqa: SLF001
    user, secret = urlsplit(order["webhook"]).path.rstrip("/").split("/")[-2:]
    token = BitrixWebhook(domain=urlsplit(order["mount"]).netloc, webhook_token=f"{user}/{secret}")
    found = Client(token).crm.contact.list(select=order["fields"]).as_list_fast().result
    return sum(1 for _ in found)


def _mailchimp_marketing(order: Order) -> int:
    import mailchimp_marketing

    client = mailchimp_marketing.Client({"api_key": order["key"], "server": "us6"})
    client.api_client.host, client.api_client.server = f"{order['mount']}/3.0", ""
    fields = [f"members.{name}" for name in order["fields"]] + ["total_items"]
    seen, total = 0, 1
    while seen < total:
        page = client.lists.get_list_members_info(order["audience"], fields=fields, count=order["page"], offset=seen)
        total = page["total_items"]
        seen += len(page["members"])
    return seen


def _tap_mailchimp(order: Order) -> int:
    import singer
    from singer import metadata
    from tap_mailchimp.client import MailchimpClient
    from tap_mailchimp.discover import discover

    tap: Any = importlib.import_module("tap_mailchimp.sync")
    config = {"api_key": order["key"], "dc": "us6", "start_date": "2010-01-01T00:00:00Z", "page_size": order["page"]}
    catalog = discover()
    for stream in catalog.streams:
        known = metadata.to_map(stream.metadata)
        known = metadata.write(known, (), "selected", stream.tap_stream_id in ("lists", "list_members"))
        for name in set(order["fields"]) & set(stream.schema.properties):
            known = metadata.write(known, ("properties", name), "selected", True)
        stream.metadata = metadata.to_list(known)
    # It asks every list for a member that only some have; the imitation refuses that.
    wanted = tap.format_selected_fields
    tap.format_selected_fields = lambda *a, **o: wanted(*a, **o).replace(",constraints", "")
    seen = [0]
    original = singer.write_record

    def counted(stream: str, *arguments: Any, **options: Any) -> Any:
        seen[0] += stream == "list_members"
        return original(stream, *arguments, **options)

    singer.write_record = counted
    with MailchimpClient(config) as client:
        client._MailchimpClient__base_url = order["mount"]  # noqa: SLF001 - it knows one host only
        tap.sync(client, catalog, {}, config["start_date"])
    return seen[0]


def _dlt(order: Order) -> int:
    from dlt.sources.rest_api import rest_api_source

    fields = ",".join([*(f"members.{name}" for name in order["fields"]), "total_items"])
    paginator = {
        "type": "offset",
        "limit": order["page"],
        "limit_param": "count",
        "offset_param": "offset",
        "total_path": "total_items",
    }
    endpoint = {
        "path": f"lists/{order['audience']}/members",
        "params": {"fields": fields},
        "data_selector": "members",
        "paginator": paginator,
    }
    auth = {"type": "http_basic", "username": "any", "password": order["key"]}
    client = {"base_url": f"{order['mount']}/3.0/", "auth": auth}
    source = rest_api_source({"client": client, "resources": [{"name": "members", "endpoint": endpoint}]})
    return sum(1 for _ in source.resources["members"])


READERS: dict[str, tuple[str, Callable[[Order], int]]] = {
    "fast-bitrix24": ("fast_bitrix24", _fast_bitrix24),
    "b24pysdk": ("b24pysdk", _b24pysdk),
    "mailchimp-marketing": ("mailchimp_marketing", _mailchimp_marketing),
    "tap-mailchimp": ("tap_mailchimp.sync", _tap_mailchimp),
    "dlt": ("dlt.sources.rest_api", _dlt),
}
"""By tool: the module whose import is not measured, and what is."""


def main() -> None:
    order = json.loads(sys.stdin.read())
    # What a tool prints, a tap its records, is not the answer; it is made all the same and costs what it costs.
    answer, sys.stdout = sys.stdout, open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115, PTH123 - until the end
    module, read = READERS[order["tool"]]
    importlib.import_module(module)
    wall, cpu = time.perf_counter(), time.process_time()
    records = read(order)
    took = {"records": records, "cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    answer.write(json.dumps({**took, "peak_mib": peak_mib()}) + "\n")


if __name__ == "__main__":
    main()
