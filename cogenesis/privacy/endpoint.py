"""Where a cloud model is, checked once before anything is sent there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cogenesis.errors import EgressError


class Secret:
    """A value that never shows itself: an API key. `reveal` is called by the egress only."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise EgressError("an API key holds printable ASCII characters without spaces")
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class CloudEndpoint:
    """The base address of a cloud server. Make it with `CloudEndpoint.parse`."""

    base: str
    api_key: Secret | None = None

    _VERSION: Final = "/v1"

    @classmethod
    def parse(cls, url: str, api_key: Secret | None = None) -> CloudEndpoint:
        """Check an address such as `https://api.example.com/v1` or `http://127.0.0.1:8090`.

        Plain HTTP is for this device only: on a network it would show every byte.

        Raises:
            EgressError: not an http(s) address, plain HTTP to another host, or an address
                that carries a user name, a query or a fragment.
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise EgressError("the cloud address is no URL") from None
        if parts.scheme not in {"http", "https"} or not host:
            raise EgressError("the cloud address looks like https://api.example.com/v1")
        if parts.username is not None or parts.password is not None:
            raise EgressError(
                "the cloud address holds a user name or password: put the key into an "
                "environment variable and name it with --cloud-key-env"
            )
        if parts.query or parts.fragment:
            raise EgressError("the cloud address holds a query or a fragment: leave it out")
        if parts.scheme == "http" and not is_loopback(host):
            raise EgressError(
                f"plain http:// to {host} would show every byte to the network: use https://"
            )
        name = f"[{host}]" if ":" in host else host
        netloc = name if port is None else f"{name}:{port}"
        return cls(f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}", api_key)

    @property
    def host(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.base).netloc

    def url_for(self, endpoint: str) -> str:
        """The full URL of an endpoint such as `/v1/chat/completions` or `/tokenize`.

        A base that ends in `/v1` is the usual form of OpenAI clients. A base with another
        path (`/v1beta/openai`) stands for that version prefix itself.
        """
        root = self.base.removesuffix(self._VERSION)
        has_other_path = bool(urlsplit(root).path)
        if endpoint.startswith(self._VERSION + "/") and has_other_path and root == self.base:
            return root + endpoint.removeprefix(self._VERSION)
        return root + endpoint


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this device, without asking DNS."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
