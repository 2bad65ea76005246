"""Every address that `CloudEndpoint.parse` accepts works in what comes after it."""

from __future__ import annotations

import ipaddress
import re

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.errors import EgressError
from cogenesis.privacy.endpoint import CloudEndpoint


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://API.Example.com/", "https://api.example.com"),
        (" https://a-1.example:8443/v1 ", "https://a-1.example:8443/v1"),
        ("https://intranet", "https://intranet"),
        ("https://example.com:65535", "https://example.com:65535"),
        ("https://192.0.2.7/v1", "https://192.0.2.7/v1"),
        ("https://[2001:DB8::0:1]:443/v1", "https://[2001:db8::1]:443/v1"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("https://B\u00dcCHER.example", "https://xn--bcher-kva.example"),
        ("https://\u0430pple.example", "https://xn--pple-43d.example"),  # a Cyrillic a
        ("https://example.com/team%20a/v1", "https://example.com/team%20a/v1"),
        ("http://localhost:8080", "http://localhost:8080"),
    ],
)
def test_addresses_that_are_accepted(url: str, base: str) -> None:
    assert CloudEndpoint.parse(url).base == base


hosts = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"[a-z0-9.:_%\[\]-]{1,70}", fullmatch=True),
    st.lists(st.sampled_from(["a", "z9", "xn--", "-", ".", "\u00fc", "\u200d", "1", "0x"])).map(
        "".join
    ),
)


@given(hosts, st.text(max_size=8), st.text(max_size=12))
def test_no_accepted_address_breaks_the_http_library(host: str, port: str, path: str) -> None:
    try:
        endpoint = CloudEndpoint.parse(f"https://{host}{port}/{path}")
    except EgressError:
        return
    url = httpx2.URL(endpoint.url_for("/props"))
    assert re.fullmatch(r"[!-~]+", endpoint.base)
    assert url.netloc.decode() == endpoint.host.removesuffix(":443")
    url.host.encode("idna")  # what the socket library does with it
    if url.host.replace(".", "").isdigit():
        ipaddress.IPv4Address(url.host)


def test_a_refusal_does_not_repeat_the_address() -> None:
    for url in ("https://canary:x@a.example", "https://a.example?canary=1", "https://canary x"):
        with pytest.raises(EgressError) as refused:
            CloudEndpoint.parse(url)
        assert "canary" not in str(refused.value)
