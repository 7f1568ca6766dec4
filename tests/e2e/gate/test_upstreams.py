"""Upstreams: their names, their logins, and where a login must not go."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from imagekit.gate.listing import Listings
from imagekit.gate.upstreams import Upstream
from imagekit.oci.registry.options import RegistryOptions
from tests.e2e.gate.kit import GateProcess, Site
from tests.e2e.gate.local import LocalGate, Making
from tests.e2e.gate.origin import QUICK, Origin
from tests.support.hostile import Answer, Asked
from tests.support.servers import PASSWORD, USER

pytestmark = pytest.mark.real


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A registry with one image."""
    with Origin(b"layer") as running:
        yield running


@pytest.fixture
def login(origin: Origin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The gate has a login for the origin."""
    import base64

    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {origin.host: {"auth": pair}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    return f"Basic {pair}"


def front(folder: Path, origin: Origin, *upstreams: Upstream, **changes: object) -> Making:
    """Return what a gate in front of the origin is made of."""
    return Making(
        folder=folder,
        policy=origin.world.policy(),
        upstreams=upstreams or (origin.upstream(),),
        **changes,  # type: ignore[arg-type]
    )


def test_named_upstreams(tmp_path: Path) -> None:
    """Each is the first component; the policy judges by the upstream's own name."""
    with Origin(b"one") as one, Origin(b"two") as two:
        policy = one.world.policy()
        both = replace(policy, images=(*policy.images, *two.world.policy().images))
        made = front(
            tmp_path,
            one,
            replace(one.upstream(), name="one"),
            replace(two.upstream(), name="two"),
        )
        made.policy = both
        with LocalGate(made) as gate:
            first = gate.get("/v2/one/apps/demo/manifests/1")
            second = gate.get("/v2/two/apps/demo/manifests/1")
            blob = gate.get(f"/v2/one/apps/demo/blobs/{one.digest}")
            crossed = gate.get(f"/v2/two/apps/demo/blobs/{one.digest}")
            nowhere = gate.get("/v2/apps/demo/manifests/1")
            meant = gate.get(f"/v2/apps/demo/manifests/1?ns={two.host}")
            prefixed = gate.get(f"/v2/two/apps/demo/manifests/1?ns={two.host}")
            foreign = gate.get("/v2/apps/demo/manifests/1?ns=registry.evil.example")

    assert (first.status, second.status, blob.status, crossed.status) == (200, 200, 200, 404)
    assert first.body != second.body
    assert (nowhere.status, nowhere.code) == (404, "NAME_UNKNOWN")
    assert meant.body == prefixed.body == second.body
    assert (foreign.status, foreign.code) == (404, "NAME_UNKNOWN")


def test_login_by_basic(origin: Origin, login: str, tmp_path: Path) -> None:
    """Manifests and blobs are fetched with the gate's login, after the registry asked for it."""

    def lie(asked: Asked, _answer: Answer) -> Answer | None:
        if asked.headers.get("authorization") == login:
            return None
        return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})

    origin.lie = lie
    with LocalGate(front(tmp_path, origin)) as gate:
        assert gate.get(origin.manifest).status == 200
        assert gate.get(origin.blob).status == 200


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not-listed"])
def test_login_by_token(origin: Origin, login: str, tmp_path: Path, *, listed: bool) -> None:
    """A realm on another host sees the login only where it is listed, for manifests and blobs."""
    with Origin(b"tokens") as realm:
        seen: list[str] = []

        def give(asked: Asked, _answer: Answer) -> Answer:
            seen.append(asked.headers.get("authorization", ""))
            return Answer(body=b'{"token": "abc"}')

        realm.lie = give
        # The same address under another name: another host, to whoever compares them.
        place = f"http://localhost:{realm.host.partition(':')[2]}/token"

        def lie(asked: Asked, _answer: Answer) -> Answer | None:
            if asked.headers.get("authorization") == "Bearer abc":
                return None
            return Answer(401, {"WWW-Authenticate": f'Bearer realm="{place}",service="x"'})

        origin.lie = lie
        realms = (realm.host, "localhost") if listed else ()
        upstream = origin.upstream(realms=realms)
        with LocalGate(front(tmp_path, origin, upstream)) as gate:
            answer = gate.get(origin.manifest)

    # A realm by plain HTTP has to be the registry's own host, listed or not.
    assert answer.status == 403
    assert seen == []


def test_login_by_token_of_the_registry_itself(origin: Origin, login: str, tmp_path: Path) -> None:
    """A realm on the registry's own host needs no word."""
    place = f"http://{origin.host}/v2/apps/demo/token"

    def lie(asked: Asked, _answer: Answer) -> Answer | None:
        if asked.path.startswith("/v2/apps/demo/token"):
            assert asked.headers["authorization"] == login
            assert "repository%3Aapps%2Fdemo%3Apull" in asked.path
            return Answer(body=b'{"token": "abc"}')
        if asked.headers.get("authorization") == "Bearer abc":
            return None
        return Answer(401, {"WWW-Authenticate": f'Bearer realm="{place}",service="x"'})

    origin.lie = lie
    with LocalGate(front(tmp_path, origin)) as gate:
        assert gate.get(origin.manifest).status == 200
        assert gate.get(origin.blob).status == 200


def test_login_does_not_follow_a_redirect(origin: Origin, login: str, tmp_path: Path) -> None:
    """The registry's login stays with the registry."""
    with Origin(b"layer") as store:

        def lie(asked: Asked, _answer: Answer) -> Answer | None:
            if asked.headers.get("authorization") != login:
                return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
            if asked.path == origin.blob:
                return Answer(307, {"Location": f"http://{store.host}{store.blob}"})
            return None

        origin.lie = lie
        with LocalGate(front(tmp_path, origin)) as gate:
            assert gate.get(origin.manifest).status == 200
            assert gate.get(origin.blob).status == 200

        assert all("authorization" not in one.headers for one in store.asked)


def test_client_s_login_does_not_go_upstream(origin: Origin, tmp_path: Path) -> None:
    """What a client shows to the gate stays with the gate."""
    with LocalGate(front(tmp_path, origin)) as gate:
        headers = {"Authorization": "Basic c2VjcmV0OnNlY3JldA==", "Cookie": "a=b"}
        assert gate.get(origin.manifest, headers=headers).status == 200
        assert gate.get(origin.blob, headers=headers).status == 200

    assert all("authorization" not in one.headers for one in origin.asked)
    assert all("cookie" not in one.headers for one in origin.asked)


def test_real_registry_with_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's docker-registry with htpasswd, by the login that podman keeps."""
    import base64

    from tests.support.servers import RegistryServer

    (tmp_path / "registry").mkdir()
    with RegistryServer.docker_registry(tmp_path / "registry", login=True) as server:
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"auths": {server.host: {"auth": pair}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(auth))
        site = Site(server.host, tmp_path)
        site.push("apps/solver", "1")
        with GateProcess(site) as gate:
            manifest = gate.get("/v2/apps/solver/manifests/1")
            layer = manifest.json["layers"][0]["digest"]
            blob = gate.get(f"/v2/apps/solver/blobs/{layer}")

    assert (manifest.status, blob.status) == (200, 200)


def test_catalog_of_a_layout(tmp_path: Path) -> None:
    """Where the configuration says so, a layout's repositories are listed."""
    from imagekit.oci.layout import LayoutStore

    LayoutStore.create(tmp_path / "layout")
    site = Site("registry.site.example", tmp_path, tmp_path / "layout")
    for path in ("apps/a", "apps/b", "apps/c"):
        site.push(path, "1")
    config = tmp_path / "gate.yaml"
    config.write_text(
        "apiVersion: imagekit/v1\nkind: Gate\nupstreams: [{layout: layout}]\n"
        "lists: {catalog: true}\n"
    )
    with GateProcess(site, "--config", str(config)) as gate:
        whole = gate.get("/v2/_catalog").json["repositories"]
        page = gate.get("/v2/_catalog?n=2")
        rest = gate.get("/v2/_catalog?n=2&last=apps/b")

    assert whole == ["apps/a", "apps/b", "apps/c"]
    assert page.json["repositories"] == ["apps/a", "apps/b"]
    assert 'rel="next"' in page.headers["Link"]
    assert rest.json["repositories"] == ["apps/c"]


def test_one_path_under_two_hosts_of_a_layout(tmp_path: Path) -> None:
    """A name that a layout has twice is nobody's."""
    from imagekit.oci.layout import LayoutStore

    LayoutStore.create(tmp_path / "layout")
    site = Site("registry.site.example", tmp_path, tmp_path / "layout")
    site.push("apps/a", "1")
    replace(site, host="other.example").push("apps/a", "1")
    site.write_policy()
    with GateProcess(site) as gate:
        answer = gate.get("/v2/apps/a/manifests/1")

    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
    assert "several" in answer.message


def test_lists_can_be_off(origin: Origin, tmp_path: Path) -> None:
    """Tags and referrers are given only as configured, and nothing that is attached then."""
    made = front(tmp_path, origin, listings=Listings(with_tags=False, with_referrers=False))
    attached = origin.world.registry.referrers(origin.image)[0].digest
    with LocalGate(made) as gate:
        assert gate.get(origin.manifest).status == 200
        assert gate.get("/v2/apps/demo/tags/list").status == 404
        assert gate.get(f"/v2/apps/demo/referrers/{origin.image.digest}").status == 404
        assert gate.get(f"/v2/apps/demo/manifests/{attached}").status == 403


def test_slow_upstream_keeps_no_other_waiting(tmp_path: Path) -> None:
    """One registry that does not answer takes nothing from the others."""
    import threading
    import time

    with Origin(b"slow") as slow, Origin(b"quick") as quick:
        stop = threading.Event()

        def lie(_asked: Asked, _answer: Answer) -> None:
            stop.wait(20)

        slow.lie = lie
        options = RegistryOptions(
            attempts=1, connect_seconds=2, read_seconds=15, deadline_seconds=15
        )
        made = front(
            tmp_path,
            quick,
            replace(slow.upstream(), name="slow", options=options),
            replace(quick.upstream(), name="quick", options=QUICK),
        )
        policy = made.policy
        made.policy = replace(policy, images=(*policy.images, *slow.world.policy().images))
        with LocalGate(made) as gate:
            threads = [
                threading.Thread(target=gate.get, args=(f"/v2/slow/apps/demo/manifests/{number}",))
                for number in range(20)
            ]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            began = time.monotonic()
            answer = gate.get("/v2/quick/apps/demo/manifests/1")
            took = time.monotonic() - began
            stop.set()
            for thread in threads:
                thread.join(40)

    assert answer.status == 200
    assert took < 10


def test_redirect_is_passed_on_where_that_is_wanted(origin: Origin, tmp_path: Path) -> None:
    """Clients fetch a blob of an allowed image where the registry sends them; never elsewhere."""
    place = "https://blobs.example/x?signature=a%2Fb"
    origin.lie = lambda asked, _answer: (
        Answer(307, {"Location": place}) if asked.path == origin.blob else None
    )
    with LocalGate(front(tmp_path, origin, redirect=True)) as gate:
        before = gate.get(origin.blob).status
        gate.get(origin.manifest)
        answer = gate.get(origin.blob)
        config = gate.get(origin.config)
        place = "http://169.254.169.254/x"
        inner = gate.get(origin.blob)

    assert before == 404
    assert (answer.status, answer.headers["Location"]) == (
        307,
        "https://blobs.example/x?signature=a%2Fb",
    )
    assert config.status == 200
    assert inner.status in {403, 503}
