"""Whose a request is: addresses, networks, balancers; and how often somebody may do something."""

import ipaddress

import pytest
from aiohttp.test_utils import make_mocked_request

from imagekit.gate.clients import Clients
from imagekit.gate.rate import RateLimit

PROXIES = [ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("2001:db8:1::/48")]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:2:3:4:5:6:7", "2001:db8:2:3::/64"),
        ("2001:db8:2:3::1", "2001:db8:2:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("nobody", ""),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str, client: str) -> None:
    """Who has a /64 of IPv6 has as many addresses as wanted, and is one client."""
    assert Clients().named(address) == client


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),
        ("10.0.0.5", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.5", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.5", ["6.6.6.6", "198.51.100.1, 10.0.0.9"], "198.51.100.1"),
        ("10.0.0.5", [], "10.0.0.5"),
        ("10.0.0.5", ["nonsense"], "10.0.0.5"),
        ("10.0.0.5", ["198.51.100.1, nonsense"], "10.0.0.5"),
        ("10.0.0.5", ["10.0.0.6, 10.0.0.7"], "10.0.0.5"),
        ("2001:db8:1::5", ["2001:db8:9::1"], "2001:db8:9::1"),
        ("10.0.0.5", ["6.6.6.6, " + ", ".join(["10.0.0.6"] * 40)], "10.0.0.5"),
    ],
    ids=[
        "not-a-proxy",
        "one-hop",
        "forged-first",
        "two-proxies",
        "silent",
        "nonsense",
        "nonsense-last",
        "proxies-only",
        "v6",
        "too-many-hops",
    ],
)
def test_forwarded_for(peer: str, said: list[str], address: str) -> None:
    """Only a configured balancer is believed, and of what it says only what it has seen itself."""
    headers = [(b"X-Forwarded-For", each.encode()) for each in said]
    request = make_mocked_request("GET", "/v2/")
    request = request.clone(headers=[(k.decode(), v.decode()) for k, v in headers], remote=peer)

    assert Clients(PROXIES).address(request) == address


def test_rate_is_a_burst_and_then_so_many_a_second() -> None:
    """Each key has its own."""
    now = [0.0]
    rate = RateLimit(burst=2, per_second=0.5, clock=lambda: now[0])

    assert [rate.charge("a") for _ in range(4)] == [0.0, 0.0, 2.0, 4.0]
    assert rate.wait("a") > 0
    assert rate.wait("b") == 0
    now[0] = 7.0
    assert rate.wait("a") == 0


def test_debts_are_bounded() -> None:
    """Who floods for an hour is not punished for a day."""
    now = [0.0]
    rate = RateLimit(burst=10, per_second=1, clock=lambda: now[0])
    for _ in range(10_000):
        rate.charge("a")

    assert rate.wait("a") <= 11
