"""Logins: what wrong passwords cost, and whom they keep from being served."""

import asyncio
import base64
from collections.abc import Awaitable, Callable

import bcrypt
import pytest
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import BaseRequest

from imagekit.gate.answers import RequestRefusedError
from imagekit.gate.auth import authenticate as module
from imagekit.gate.auth.authenticate import NOBODY, Authenticator, Client, Grant, Rights
from imagekit.gate.limits import ListenerLimits

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4))
RIGHTS = Rights(passwords={"alice": HASH, "bob": HASH}, tokens={})
EVERYBODY = Grant(users=("anonymous",), repositories=("**",))
STRANGER, HOME = "192.0.2.1", "192.0.2.2"


def basic(user: str, password: str) -> BaseRequest:
    """Return a request with a login."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return make_mocked_request("GET", "/v2/", headers={"Authorization": f"Basic {pair}"})


def with_access(
    rights: Rights, work: Callable[[Authenticator], Awaitable[None]], **limits: int
) -> None:
    """Run a test's coroutine with an authenticator."""

    async def run() -> None:
        access = Authenticator(rights, ListenerLimits(**limits))  # type: ignore[arg-type]  # numbers only
        try:
            await work(access)
        finally:
            access.close()

    asyncio.run(run())


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed."""
    seen: list[str] = []
    check = module._check_password

    def noted(password: str, kept: bytes) -> bool:
        seen.append(password)
        return check(password, kept)

    monkeypatch.setattr(module, "_check_password", noted)
    return seen


def test_wrong_passwords_lock_nobody_out_elsewhere() -> None:
    """The account logs in from another address, and another account from the same one."""

    async def work(access: Authenticator) -> None:
        for number in range(3):
            assert (await access.client(basic("alice", f"w{number}"), STRANGER)).refused
        with pytest.raises(RequestRefusedError) as caught:
            await access.client(basic("alice", "w"), STRANGER)

        assert caught.value.status == 429
        assert int(caught.value.headers["Retry-After"]) > 1
        assert await access.client(basic("alice", "right"), HOME) == Client("alice")
        assert await access.client(basic("bob", "right"), STRANGER) == Client("bob")

    with_access(RIGHTS, work, login_failures=3)


def test_a_login_that_was_right_once_needs_no_check(checks: list[str]) -> None:
    """Not even where its account is being guessed from the same address."""

    async def work(access: Authenticator) -> None:
        await access.client(basic("alice", "right"), STRANGER)
        for number in range(2):
            await access.client(basic("alice", f"w{number}"), STRANGER)
        with pytest.raises(RequestRefusedError):
            await access.client(basic("alice", "w"), STRANGER)
        for _ in range(50):
            assert await access.client(basic("alice", "right"), STRANGER) == Client("alice")

    with_access(RIGHTS, work, login_failures=2)
    assert checks == ["right", "w0", "w1"]


def test_names_that_nobody_has_are_bounded_too() -> None:
    """Each costs a check, so that nobody learns which ones there are."""

    async def work(access: Authenticator) -> None:
        for number in range(10):
            assert (await access.client(basic(f"x{number}", "w"), STRANGER)).refused
        with pytest.raises(RequestRefusedError):
            await access.client(basic("another", "w"), STRANGER)

    with_access(RIGHTS, work, login_failures=1)


def test_one_wrong_password_is_checked_once(checks: list[str]) -> None:
    """By however many connections it is shown, at once or later."""

    async def work(access: Authenticator) -> None:
        shown = (access.client(basic("alice", "w"), STRANGER) for _ in range(40))
        assert all(each.refused for each in await asyncio.gather(*shown))
        assert (await access.client(basic("alice", "w"), STRANGER)).refused

    with_access(RIGHTS, work)
    assert checks == ["w"]


def test_what_waits_to_be_checked_is_bounded(checks: list[str]) -> None:
    """A flood of wrong ones is refused before it is hashed; a right one is not kept waiting."""

    async def work(access: Authenticator) -> None:
        flood = [
            asyncio.ensure_future(access.client(basic(f"x{number}", "w"), STRANGER))
            for number in range(100)
        ]
        await asyncio.sleep(0)
        assert await access.client(basic("alice", "right"), HOME) == Client("alice")
        assert sum(task.done() for task in flood) >= 90
        await asyncio.gather(*flood, return_exceptions=True)

    with_access(RIGHTS, work, waiting_per_client=8)
    assert checks.index("right") < 4


def test_a_refused_login_says_nothing_about_nobody() -> None:
    """What is kept for who shows no login is not what who shows a wrong one gets, nor back."""
    grant = Grant(users=("anonymous",), repositories=("open/*",))
    access = Authenticator(Rights(passwords={"alice": HASH}, tokens={}, grants=(grant,)))

    assert not access.allows(Client(refused=True), "open/x")
    assert access.allows(NOBODY, "open/x")
    assert not access.allows(Client(refused=True), "open/x")


@pytest.mark.parametrize(
    "rights",
    [
        Rights(passwords={"alice": HASH}, tokens={}),
        Rights(passwords={}, tokens={b"x": "robot"}),
        Rights(passwords={}, tokens={}, certificates=True),
        Rights(
            passwords={}, tokens={}, grants=(Grant(users=("anonymous",), repositories=("**",)),)
        ),
    ],
    ids=["passwords", "tokens", "certificates", "anonymous"],
)
def test_what_is_not_of_the_registry_is_for_who_is_known(rights: Rights) -> None:
    """As soon as anybody has to be known, in whatever way."""
    access = Authenticator(rights)

    access.check_known(Client("alice"))
    for client in (NOBODY, Client(refused=True)):
        with pytest.raises(RequestRefusedError) as caught:
            access.check_known(client)
        assert caught.value.status == 401
