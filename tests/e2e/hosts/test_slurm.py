"""Slurm's own daemons let no container start without a good receipt."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.hosts.slurm import Cluster, started
from tests.support.offline_site import Site

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(
    site: Site,
    project: Path,
    program: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """A cluster of one node, which has a staged bundle."""
    program("runc")
    folder = tmp_path_factory.mktemp("s")
    (folder / "images").mkdir()
    site.stage(f"bundle:{folder}/images/hello")
    with started(project, site, folder, program) as made:
        yield made


BUNDLE = "/srv/images/hello"


@pytest.fixture
def own(cluster: Cluster) -> Iterator[str]:
    """A user's copy of a staged bundle, where the site's are: without a receipt."""
    folder = cluster.folder / "images/own"
    shutil.copytree(cluster.folder / "images/hello", folder, symlinks=True)
    yield "/srv/images/own"
    shutil.rmtree(folder)


def test_a_staged_image_runs(cluster: Cluster) -> None:
    """With the job's own arguments."""
    code, out = cluster.srun(BUNDLE, "--version")

    assert (code, "ldconfig (" in out) == (0, True), out


@pytest.mark.parametrize(
    "path", ["/etc", "/srv/images/none", "/srv/images/../x", "/srv/images/a b"]
)
def test_what_is_not_staged_is_refused_at_once(cluster: Cluster, path: str) -> None:
    """By job_submit, which tells the user why."""
    code, out = cluster.srun(path)

    assert code != 0
    assert "imagekit: the job's container is refused" in out


def test_a_job_without_a_receipt_is_cancelled_and_the_node_stays(
    cluster: Cluster, own: str
) -> None:
    """A prolog that failed would take the node away."""
    code, out = cluster.srun(own, "--version")

    assert code != 0
    assert "ldconfig (" not in out
    assert cluster.node_state() in {"idle", "completing"}


def test_a_step_without_a_receipt_does_not_start(cluster: Cluster, own: str) -> None:
    """Steps have containers of their own, which the prolog does not see."""
    out = cluster.batch(
        f"srun --container={own} /usr/bin/hello --version\n"
        f"srun --container={BUNDLE} /usr/bin/hello --version"
    )

    assert "NO_RECEIPT" in out
    assert out.count("ldconfig (") == 1


def test_an_altered_image_does_not_run(cluster: Cluster) -> None:
    """Until it is as it was staged."""
    more = cluster.folder / "images/hello/rootfs/more"
    more.write_text("x")

    altered = cluster.srun(BUNDLE, "--version")[1]
    more.unlink()

    assert "ldconfig (" not in altered
    assert cluster.srun(BUNDLE, "--version")[0] == 0


NEEDY = """\
schema: 1
name: apps/needy
version: 1.0.0
base: scratch
steps:
  - copy: {from: hello, to: /usr/bin/hello}
needs: NEEDS
tags: {immutable: ["{version}"]}
"""


def _published(site: Site, needs: str, version: str) -> str:
    """Publish an image that says what it needs, and return its name."""
    folder = site.home / "recipes/needy"
    folder.mkdir(exist_ok=True)
    text = NEEDY.replace("NEEDS", needs).replace("1.0.0", version)
    (folder / "recipe.yaml").write_text(text)
    shutil.copy("/sbin/ldconfig", folder / "hello")
    host = site.image.partition("/")[0]
    site.done("publish", "recipes/needy", "--to", f"{host}/site", "--key", "imagekit.key")
    return f"{host}/site/apps/needy:{version}"


def _after_prolog(cluster: Cluster, site: Site, project: Path, comment: str) -> str:
    """Return what Slurm says of a job that waits, after the prolog for it."""
    for name in ("policy.yaml", "imagekit.pub"):
        cluster.said("cp", str(site.home / name), "/etc/imagekit/")
    code, told = cluster.said("sbatch", "--hold", f"--comment={comment}", "--wrap=true")
    job = told.split()[-1]
    assert code == 0, told
    script = str(project / "scripts/slurm/imagekit-prolog-needs")
    code, told = cluster.said("env", f"SLURM_JOB_ID={job}", script)
    assert code == 0, told
    shown = cluster.said("scontrol", "--oneliner", "show", "job", job)[1]
    cluster.said("scancel", job)
    return shown


def test_a_job_is_cancelled_where_the_node_lacks_what_its_image_needs(
    cluster: Cluster, site: Site, project: Path
) -> None:
    """The user reads why in the job's record."""
    image = _published(site, '{cuda: "99.1"}', "1.0.0")

    shown = _after_prolog(cluster, site, project, f"image:{image}")

    assert "JobState=CANCELLED" in shown
    assert "the image needs CUDA 99.1" in shown


def test_a_job_waits_on_where_the_node_has_everything(
    cluster: Cluster, site: Site, project: Path
) -> None:
    """Also one that names no image."""
    image = _published(site, "{}", "1.0.1")

    for comment in (f"image:{image}", "something else"):
        assert "JobState=PENDING" in _after_prolog(cluster, site, project, comment)


@pytest.mark.parametrize("image", ["$(id)", "-h", "127.0.0.1:1/site/apps/none:1"])
def test_a_job_is_cancelled_where_there_is_no_verdict(
    cluster: Cluster, site: Site, project: Path, image: str
) -> None:
    """What is no name is given to no program, and silence of a registry is no consent."""
    assert "JobState=CANCELLED" in _after_prolog(cluster, site, project, f"image:{image}")
