"""What the matrix needs: registries, the private Sigstore, the published image; and its report."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.e2e.differential import report
from tests.e2e.differential.bed import make
from tests.e2e.differential.case import Case
from tests.e2e.differential.front import before
from tests.e2e.differential.matrix import Matrix
from tests.support.servers import RegistryServer
from tests.support.sigstore_stack import Sigstore, is_built, running

_AMBIENT = ("GITHUB_", "ACTIONS_", "GITLAB_", "SIGSTORE_", "CI_", "COSIGN_", "TUF_")
_MATRIX = pytest.StashKey[Matrix]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the report be written to a file."""
    parser.addoption("--report", type=Path, help="write the verdicts as a table in Markdown")


@pytest.fixture(scope="session")
def sigstore() -> Iterator[Sigstore]:
    """Fulcio, its log, both Rekors, timestamps and issuers on loopback; skips if not built."""
    if not is_built():
        pytest.skip("`scripts/sigstore build` has not been run on this machine")
    with pytest.MonkeyPatch.context() as patch, running() as stack:
        # The machine that runs the tests may have an identity of its own.
        for name in [name for name in os.environ if name.startswith(_AMBIENT)]:
            patch.delenv(name)
        yield stack


@pytest.fixture(scope="session")
def matrix(
    request: pytest.FixtureRequest,
    bench: Path,
    sigstore: Sigstore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Matrix]:
    """The rows of all cases that were selected."""
    folder = tmp_path_factory.mktemp("differential")
    for name in ("plain", "modern", "bed"):
        (folder / name).mkdir()
    wanted = list(_wanted(request.session.items))
    with (
        RegistryServer.docker_registry(folder / "plain") as plain,
        RegistryServer.refregistry(bench / "refregistry", folder / "modern") as modern,
        before(modern.host) as front,
    ):
        bed = make(folder / "bed", {False: plain.host, True: front}, sigstore)
        matrix = Matrix(bed, bench, wanted)
        request.config.stash[_MATRIX] = matrix
        try:
            matrix.play()
            yield matrix
        finally:
            matrix.close()


def _wanted(items: Iterable[pytest.Item]) -> Iterator[tuple[Case, bool]]:
    """Yield the cases of the tests that were selected."""
    for item in items:
        if isinstance(item, pytest.Function) and "matrix" in item.fixturenames:
            case, referrers = (item.callspec.params[name] for name in ("case", "referrers"))
            assert isinstance(case, Case)
            yield case, bool(referrers)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many verdicts there were, and write them down where that is wanted."""
    matrix = config.stash.get(_MATRIX, None)
    if matrix is None:
        return
    rows = matrix.rows()
    terminalreporter.write_line(report.summary(rows))
    path = config.getoption("--report")
    if path is not None:
        path.write_text(report.markdown(rows))
        terminalreporter.write_line(f"the table: {path}")
