"""What holds for all tests: isolation, and honesty about what was not run."""

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.servers import RegistryServer

# How long an example takes says something about the machine, and about coverage's cost.
_PLAIN = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True, database=None
)
# One commit gives one result: the same examples at every run.
settings.register_profile("imagekit", _PLAIN, derandomize=True)
# Other examples at every run, and many: scripts/fuzz properties.
settings.register_profile("random", _PLAIN, derandomize=False)
settings.load_profile("imagekit")

REQUIRE_REAL = "IMAGEKIT_REQUIRE_REAL"
# Where it is set, recipes without a lock are refused, and most of the tests' have none.
os.environ.pop("CI", None)
# Before any test has a HOME of its own.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a HOME and XDG folders of its own, and no credentials or passwords."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        monkeypatch.delenv(name)
    for name in (
        "REGISTRY_AUTH_FILE",
        "DOCKER_CONFIG",
        "IMAGEKIT_KEY_PASSWORD",
        "COSIGN_PASSWORD",
        "SOURCE_DATE_EPOCH",
        "NO_COLOR",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped real part into a failure where the real parts were promised."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE_REAL) and item.get_closest_marker("real"):
        report.outcome = "failed"
        report.longrepr = f"a real part was skipped: {report.longrepr}"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run what is about root as root, through sudo where a user runs the tests."""
    if os.geteuid() == 0 or pyfuncitem.get_closest_marker("root") is None:
        return None
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    root = pyfuncitem.config.rootpath
    ran = subprocess.run(
        [root / "scripts/as-root", *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return True


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder of the checkout: recipes/, policies/ and the scripts."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def bench() -> Path:
    """The folder of the programs that tests/support/bench/setup sets up; skips without."""
    folder = Path(os.environ.get("IMAGEKIT_BENCH") or _CACHE / "imagekit-bench") / "bin"
    if not folder.is_dir():
        pytest.skip("tests/support/bench/setup has not been run on this machine")
    return folder


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry on loopback, as HOST:PORT; it has no referrers API."""
    with RegistryServer.docker_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server.host
