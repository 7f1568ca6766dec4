"""One spelling for the host of a registry, and the names that Docker Hub goes by.

``Reg.Example.org.:443`` and ``reg.example.org`` are one registry. Policies match names, signatures
bind them and logins are looked up by them, so that a name has to have one spelling before any of
this is done. What is read as a host, from whatever source, goes through ``canonical_host``:

* a name is in lower case (RFC 4343) and ASCII, without the dot of the root at its end;
* a port has no leading zeros, and is left out where it is the scheme's own (RFC 3986 section
  6.2.3); without a scheme that is HTTPS;
* an address of IPv4 is four decimal numbers: ``127.1``, ``0x7f.1`` and ``0177.0.0.1``, which some
  resolvers take for addresses and others for names, are refused;
* an address of IPv6 is in brackets and in the form of RFC 5952, one that stands for an address of
  IPv4 is that address, and a zone is refused;
* all names of Docker Hub are ``docker.io``.
"""

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from imagekit.errors import InvalidReferenceError

LOCALHOST = "localhost"
HUB = "docker.io"
"""Docker Hub, as the names of its images have it."""
HUB_ALIASES = frozenset(
    {
        "index.docker.io",
        "registry-1.docker.io",
        "registry.docker.io",
        "registry.hub.docker.com",
        "hub.docker.com",
    }
)
"""The other names that Docker Hub goes by."""
PORTS = {"http": 80, "https": 443}

_HUB_SERVER = "registry-1.docker.io"
# The key of Docker Hub's login in docker's config.json is the address of its first API.
_HUB_LOGIN = "https://index.docker.io/v1/"
_KNOWN = 1024
"""How many hosts are kept as they were read: a verifier meets the same few again and again."""
# RFC 1035 section 2.3.4: a label has at most 63 octets and a name 255, which are 253 characters
# without the lengths of its labels.
_MAX_HOST = 253
_MAX_LABEL = 63
_MAX_PORT = 65535
_DIGITS = frozenset("0123456789")
_HEX = _DIGITS | frozenset("abcdef")
# RFC 952, with the first character as RFC 1123 section 2.1 has it: letters, digits and hyphens,
# neither the first nor the last a hyphen.
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_HINT = (
    "a registry is HOST or HOST:PORT: letters, digits, '.' and '-', an address of IPv4 as four "
    "decimal numbers, or one of IPv6 in brackets; names of other scripts as xn--..."
)


@lru_cache(maxsize=_KNOWN)
def canonical_host(text: str, *, scheme: str = "https") -> str:
    """Return the one spelling of ``HOST[:PORT]``.

    Args:
        text: as somebody wrote it.
        scheme: whose port is left out.

    Raises:
        InvalidReferenceError: it is no host, or an address in a form that is not read alike
            everywhere.
    """
    # Before lower(): the sign for Kelvin would become an ordinary k.
    if not text.isascii():
        raise _no_host(text, "it has characters other than those of ASCII")
    host, colon, port = _parted(text.lower())
    host = _address_of_ipv6(host, text) if host.startswith("[") else _name(host, text)
    if colon:
        number = _port(port, text)
        if number != PORTS.get(scheme):
            return f"{host}:{number}"
    return HUB if host in HUB_ALIASES else host


def url_host(text: str) -> str:
    """Return the one spelling of the host of a URL, which may have ``_`` and has no brackets.

    Unlike the host of a registry's name it keeps to what it says: Docker Hub's servers differ.

    Raises:
        InvalidReferenceError: it is no host, or an ambiguous form of an address.
    """
    if not text.isascii():
        raise _no_host(text, "it has characters other than those of ASCII")
    lower = text.lower()
    if ":" in lower:
        return _address_of_ipv6(f"[{lower}]", text).strip("[]")
    # Hosts of buckets, to which registries redirect, are seen with it in spite of RFC 952.
    return _name(lower, text, letters=_LABEL | {"_"})


def realm_host(text: str) -> str:
    """Return a token server in its one spelling; with a port only that one is meant.

    Raises:
        InvalidReferenceError: it is no host, or an ambiguous form of an address.
    """
    host, colon, port = _parted(text)
    canonical = url_host(host.removeprefix("[").removesuffix("]") if ":" in host else host)
    return f"{canonical}:{_port(port, text)}" if colon else canonical


def is_canonical(text: str) -> bool:
    """Return whether a host is written in its one spelling."""
    try:
        return canonical_host(text) == text
    except InvalidReferenceError:
        return False


def names_host(component: str) -> bool:
    """Return whether the first component of a name is meant to be a registry's host.

    As podman and docker do: it has a dot or a port, or is ``localhost``. Whether it can be one
    ``canonical_host`` says.
    """
    marked = "." in component or ":" in component
    return marked or component.casefold() == LOCALHOST


def is_loopback(host: str) -> bool:
    """Return whether a host, in its one spelling, can mean nothing but this machine."""
    name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
    if name == LOCALHOST:
        return True
    try:
        return (IPv6Address if ":" in name else IPv4Address)(name).is_loopback
    except AddressValueError:
        return False


def server_of(host: str) -> str:
    """Return the host that requests for a registry go to: of Docker Hub it is another one."""
    return _HUB_SERVER if host == HUB else host


def login_key(host: str) -> str:
    """Return what a registry is called where logins are kept."""
    return _HUB_LOGIN if host == HUB else host


def _parted(text: str) -> tuple[str, str, str]:
    if text.startswith("["):
        inside, bracket, rest = text.partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in {"", ":"}:
            raise _no_host(text, "brackets hold an address, and only a port stands behind them")
        return f"{inside}]", colon, port
    return text.partition(":")


def _port(text: str, whole: str) -> int:
    number = int(text) if 0 < len(text) <= len(str(_MAX_PORT)) and _DIGITS.issuperset(text) else 0
    if not 0 < number <= _MAX_PORT:
        raise _no_host(whole, "its port is none")
    return number


def _name(host: str, whole: str, letters: frozenset[str] = _LABEL) -> str:
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > _MAX_HOST or not all(_is_label(label, letters) for label in labels):
        raise _no_host(whole, "it is no name of a host")
    if _ends_in_a_number(labels[-1]):
        try:
            address = IPv4Address(host)
        except AddressValueError as error:
            raise _no_host(whole, "it ends as an address of IPv4 does, and is none") from error
        return _address(address, whole)
    return host


def _is_label(label: str, letters: frozenset[str]) -> bool:
    good = 0 < len(label) <= _MAX_LABEL and letters.issuperset(label)
    return good and not label.startswith("-") and not label.endswith("-")


def _ends_in_a_number(label: str) -> bool:
    """Return whether a name is taken for an address (the URL Standard, "ends in a number")."""
    return _DIGITS.issuperset(label) or (label.startswith("0x") and _HEX.issuperset(label[2:]))


def _address_of_ipv6(bracketed: str, whole: str) -> str:
    try:
        # It would take a zone: `%` and an interface of this machine.
        address = IPv6Address("" if "%" in bracketed else bracketed[1:-1])
    except AddressValueError as error:
        raise _no_host(whole, "what stands in brackets is no address of IPv6") from error
    if address.ipv4_mapped is not None:
        return _address(address.ipv4_mapped, whole)
    return f"[{_address(address, whole)}]"


def _address(address: IPv4Address | IPv6Address, whole: str) -> str:
    # Linux takes 0.0.0.0 and :: for this machine, and they are no loopback addresses.
    if address.is_unspecified:
        raise _no_host(whole, "the unspecified address is that of no host")
    return address.compressed


def _no_host(text: str, why: str) -> InvalidReferenceError:
    limit = 120
    shown = repr(text if len(text) <= limit else text[:limit] + "...")
    return InvalidReferenceError(f"{shown} is not the host of a registry: {why}", hint=_HINT)
