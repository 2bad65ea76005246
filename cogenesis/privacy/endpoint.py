"""Where a cloud model is, checked once before anything is sent there."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

import idna

from cogenesis.errors import EgressError

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_NAME: Final = 253
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label of this form belongs to an IPv4 address (WHATWG URL, "ends in a number")."""
_PATH: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
"""What RFC 3986 allows in a path."""


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

        A host in other letters than ASCII is kept in its ASCII form (`xn--...`), so that the
        ledger shows what is asked, not what looks like it.

        Raises:
            EgressError: not an http(s) address, plain HTTP to another host, an address
                that carries a user name, a query or a fragment, or one with a character
                that no host or path has.
        """
        parts, name, port = _split(url.strip())
        if parts.username is not None or parts.password is not None:
            raise EgressError(
                "the cloud address holds a user name or password: put the key into an "
                "environment variable and name it with --cloud-key-env"
            )
        if parts.query or parts.fragment:
            raise EgressError("the cloud address holds a query or a fragment: leave it out")
        host = _host(f"[{name}]" if "[" in parts.netloc and ":" not in name else name)
        if parts.scheme == "http" and not is_loopback(host):
            raise EgressError(
                f"plain http:// to {host} would show every byte to the network: use https://"
            )
        if not _PATH.fullmatch(parts.path):
            raise EgressError(
                "the path of the cloud address holds a character that must be written as %XX"
            )
        netloc = f"[{host}]" if ":" in host else host
        if port is not None:
            netloc += f":{port}"
        return cls(f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}", api_key)

    @property
    def host(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.base).netloc

    @property
    def on_this_device(self) -> bool:
        """Whether it is a loopback address."""
        return is_loopback(urlsplit(self.base).hostname or "")

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


def _host(name: str) -> str:
    """An IP address, or a host name in ASCII whose every label is well formed.

    Raises:
        EgressError: anything else, also ways of writing an address that only some
            programs understand (127.1, 0x7f000001).
    """
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        if "%" not in name:
            return str(address)
    try:
        # As the HTTP library does it, but here a failure is still an EgressError.
        ascii_name = name if name.isascii() else idna.encode(name.lower()).decode("ascii")
        if "xn--" in ascii_name:
            idna.decode(ascii_name)
    except idna.IDNAError:
        ascii_name = ""
    labels = ascii_name.split(".")
    well_formed = len(ascii_name) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, labels))
    if not well_formed or _NUMBER.fullmatch(labels[-1]):
        raise EgressError(
            "the host of the cloud address is neither a name such as api.example.com nor an "
            "IP address"
        )
    return ascii_name


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    """The parts of an http(s) address, its host and its port."""
    if any(c.isspace() or not c.isprintable() for c in url):
        # urlsplit would silently drop some of them.
        raise EgressError(
            "the cloud address holds a space, a line break or an invisible character: type it again"
        )
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
        if port == 0:
            raise ValueError
    except ValueError:
        raise EgressError(
            "the cloud address is no URL: check its host, and that the port is a number "
            "from 1 to 65535"
        ) from None
    if parts.scheme not in {"http", "https"} or not name:
        raise EgressError("the cloud address looks like https://api.example.com/v1")
    return parts, name, port


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this device, without asking DNS."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
