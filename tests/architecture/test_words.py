import re

import pytest

from tests.architecture.sources import texts

VENDOR = re.compile(
    r"bitrix|mailchimp|mailman|UF_CRM|merge_?fields?|donotbulk|dataverse|dynamics ?365|hubspot|salesforce|brevo"
    r"|klaviyo|sendgrid|pipedrive|activecampaign|active campaign|listmonk|espocrm",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"[\w.+'%-]+(?:@|%40)((?:[\w-]+\.)+[\w-]*[^\W\d_][\w-]*)")
RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost)$")
URL_USER = re.compile(r"://[^\s/@]*@")
NOBODYS = {
    "gmail.con": "a vendor refuses this very misspelling; the ending does not exist",
    "freddiesjokes.com": "a vendor's own example for its hash of an address",
}
# Written so that the patterns do not find themselves.
LOCAL = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users|mnt)/\w")
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|proxy\.golang\.org|deb\.debian\.org|crates\.io")


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [
        f"{number}: {line.strip()[:80]}" for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)
    ]


def strangers(text: str) -> list[str]:
    """Domains of addresses that could belong to somebody."""
    domains = {match[1].lower() for match in ADDRESS.finditer(URL_USER.sub("://", text))}
    return sorted(domain for domain in domains if not RESERVED.search(domain) and domain not in NOBODYS)


def test_the_core_knows_no_vendor_by_name_or_word() -> None:
    files = list(texts("src"))
    assert len(files) > 20
    assert {str(path): hits for path, text in files if (hits := found(VENDOR, text))} == {}


def test_addresses_in_tests_and_recordings_belong_to_nobody() -> None:
    files = list(texts("tests", "connectors", "benchmarks"))
    assert {str(path): hits for path, text in files if (hits := strangers(text))} == {}


@pytest.mark.parametrize("pattern", [LOCAL, REGISTRY], ids=["local paths", "registries"])
def test_no_file_speaks_of_one_machine_or_of_a_package_registry(pattern: re.Pattern[str]) -> None:
    assert {str(path): hits for path, text in texts() if (hits := found(pattern, text))} == {}


def test_the_searches_find_what_they_are_for() -> None:
    slash = "/"
    assert found(VENDOR, "see UF_" + "CRM_OPT_OUT")
    assert found(LOCAL, f"cd {slash}home{slash}anna")
    assert not found(LOCAL, "https://vendor.example/home/start")
    assert found(REGISTRY, "https://pypi" + ".org/simple")
    assert strangers('{"email": "anna@' + 'gmail.com"}') == ["gmail.com"]
    assert strangers("anna%40" + "web.de") == ["web.de"]
    assert strangers("a@example.com b@Bücher.example c@mail.example.org @pytest.mark.slow x@1.2") == []
    assert strangers("https://user:word@crm.vendor.io/rest") == []
