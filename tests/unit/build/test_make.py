"""Making layers: what a step did is in one, or it is said by name, or it is refused."""

import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from imagekit.build.image import BuiltLayer
from imagekit.build.job import BuildResult, CommandResult
from imagekit.build.make import all_cached, make
from imagekit.build.marks import Mark
from imagekit.build.plan import make_plan
from imagekit.errors import BuildError
from imagekit.lock.lock import LockedDeb, LockedPlatform, LockedTree
from imagekit.oci.digest import Digest
from imagekit.oci.types import Platform
from imagekit.progress import Event, Note, Started
from imagekit.recipe.recipe import (
    BuildStage,
    CopyStep,
    FetchStep,
    Packages,
    Recipe,
    RunStep,
    StageCopy,
    Step,
)
from tests.support.folder_container import PLACE, FakeWorkshop, ends

PLATFORM = Platform(os="linux", architecture="amd64")
MIRROR = Mark(b"builder:s3cret@", "the login of a mirror", secret=True)
PROXY = Mark(b"proxy.site:3128", "the proxy in $http_proxy")


def _recipe(recipe: Recipe, *steps: Step, **more: object) -> Recipe:
    words = {name: getattr(recipe, name) for name in Recipe.__struct_fields__}
    return Recipe(**{**words, "steps": steps, **more})


def _make(
    recipe: Recipe, workshop: FakeWorkshop, locked: LockedPlatform | None = None
) -> tuple[BuildResult, list[str]]:
    notes: list[str] = []

    def progress(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.message)

    plan = make_plan(recipe, platform=PLATFORM, epoch=1, locked=locked)
    return make(plan, workshop, use_cache=False, progress=progress), notes


def _content(workshop: FakeWorkshop, layer: BuiltLayer) -> dict[str, bytes]:
    packed = (workshop.blobs / layer.descriptor.digest.hex).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(zlib.decompress(packed, 31))) as archive:
        return {
            member.name: (member.isreg() and archive.extractfile(member).read()) or b""  # type: ignore[union-attr]  # a file has content
            for member in archive
        }


def _step(text: str = "step") -> RunStep:
    return RunStep(command=text, place=PLACE)


def test_a_new_systems_mirror_is_in_no_layer(workshop: FakeWorkshop, recipe: Recipe) -> None:
    """Neither where mmdebstrap wrote it nor in apt's lists."""

    def fills(root: Path) -> None:
        (root / "etc/apt/sources.list.d").mkdir()
        text = "deb http://builder:s3cret@site.example/debian bookworm main\n"
        (root / "etc/apt/sources.list.d/0000sources.list").write_text(text)
        lists = root / "var/lib/apt/lists/site.example_debian_dists_bookworm_InRelease"
        lists.write_text(text)

    workshop.fills = fills
    workshop.texts = (MIRROR,)

    made, _ = _make(recipe, workshop)

    content = _content(workshop, made.layers[0])
    assert not any("site.example" in name for name in content)
    assert b"site.example" not in b"".join(content.values())
    assert "site.example" not in str(made.materials)


def _of_deb(version: str) -> LockedPlatform:
    deb = LockedDeb(
        name="libc6",
        version=version,
        architecture="amd64",
        sha256=Digest.of(b"libc6"),
        size=1,
        path="pool/libc6.deb",
        archive="debian",
    )
    return LockedPlatform(image=LockedTree(base="debian bookworm", bootstrap=(deb,)))


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_new_system_has_the_locks_packages(
    workshop: FakeWorkshop, recipe: Recipe, version: str
) -> None:
    """They are its materials, and its layer is good whatever its age; any other is an error."""
    installed = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
    workshop.fills = lambda root: (root / "var/lib/dpkg/status").write_text(installed)

    if version == "1":
        made, _ = _make(recipe, workshop, _of_deb(version))
        assert [m.digest for m in made.materials] == [Digest.of(b"libc6")]
        assert [kept.locked for kept in workshop.cache.values()] == [True]
    else:
        with pytest.raises(BuildError, match=r"libc6 \(amd64\) in the version 2, and 1 was"):
            _make(recipe, workshop, _of_deb(version))
    assert "bootstrap bookworm of 1 locked" in workshop.calls


@pytest.mark.parametrize("mark", [MIRROR, PROXY])
@pytest.mark.parametrize("where", ["content", "late", "name", "link", "attribute"])
def test_a_text_of_the_host_is_refused(
    workshop: FakeWorkshop, recipe: Recipe, mark: Mark, where: str
) -> None:
    """Wherever a step wrote it; the message says which, and not the text."""
    text = mark.text.decode()

    def runs(command: str, root: Path) -> CommandResult:
        del command
        file = root / "opt"
        match where:
            case "content":
                file.write_text(f"http_proxy=http://{text}\n")
            case "late":
                # Over the border of two reads.
                file.write_bytes(b"x" * ((1 << 20) - 5) + mark.text + b"x" * 100)
            case "name":
                (root / text).touch()
            case "link":
                file.symlink_to(text)
            case _:
                file.touch()
                os.setxattr(file, "user.origin", mark.text)
        return ends(0)("", root)

    workshop.runs = runs
    workshop.texts = (mark,)

    with pytest.raises(BuildError, match=r"of this host|in \$http_proxy") as caught:
        _make(_recipe(recipe, _step()), workshop)
    assert caught.value.code == "build/host-text"
    assert where == "name" or text not in caught.value.message + caught.value.hint


def test_a_recipe_may_name_its_proxy_and_no_password(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """What stands in the recipe is the image's own, but for what opens something."""

    def runs(command: str, root: Path) -> CommandResult:
        (root / "opt").write_text(command)
        return ends(0)(command, root)

    workshop.runs = runs
    workshop.texts = (PROXY,)
    _make(_recipe(recipe, _step("echo proxy.site:3128 > /opt")), workshop)

    workshop.texts = (MIRROR,)
    workshop.cache.clear()
    for path in workshop.root.iterdir():
        path.rename(workshop.folder / f"old-{path.name}")
    with pytest.raises(BuildError, match="the login of a mirror"):
        _make(_recipe(recipe, _step("echo builder:s3cret@ > /opt")), workshop)


def test_a_containerfiles_configuration_is_looked_at(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """``ENV`` may name what ARG took of the host."""
    workshop.texts = (Mark(b"serve", "the proxy in $http_proxy", secret=True),)
    workshop.result = lambda result: (result / "file").touch()

    with pytest.raises(BuildError, match="the configuration of Containerfile"):
        _make(_recipe(recipe, base=None, containerfile="Containerfile"), workshop)


def test_keys_made_by_packages_are_removed_and_named(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """From the layer and from the working container, so that no later layer has them."""

    def runs(command: str, root: Path) -> CommandResult:
        if " install " in command:
            for name in ("etc/ssh/ssh_host_rsa_key", "etc/machine-id", "etc/ssh/sshd_config"):
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_text("made")
        return ends(0)(command, root)

    workshop.runs = runs
    packages = (Packages(manager="apt", install=("openssh-server",), place=PLACE),)
    made, notes = _make(_recipe(recipe, _step(), packages=packages), workshop)

    contents = [_content(workshop, layer) for layer in made.layers]
    assert not any("etc/ssh/ssh_host_rsa_key" in content for content in contents)
    assert contents[1]["etc/ssh/sshd_config"] == b"made"
    assert contents[1]["etc/machine-id"] == b""
    assert any("/etc/ssh/ssh_host_rsa_key" in note for note in notes)


def test_a_private_key_that_a_step_makes_stays_and_is_named(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """It may be meant so; whoever builds has to know who reads it."""

    def runs(command: str, root: Path) -> CommandResult:
        (root / "etc/key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
        return ends(0)(command, root)

    workshop.runs = runs
    made, notes = _make(_recipe(recipe, _step()), workshop)

    assert "etc/key.pem" in _content(workshop, made.layers[-1])
    assert notes == ["/etc/key.pem: in the image: a private key, which all who pull it can read"]


def test_what_is_left_out_is_said(workshop: FakeWorkshop, recipe: Recipe) -> None:
    """Also where a step was told to put something in the place of a known file."""

    def runs(command: str, root: Path) -> CommandResult:
        (root / "dev").mkdir()
        for number in range(30):
            (root / f"dev/{number:02}").write_text("x")
        (root / "var/log").mkdir()
        return ends(0)(command, root)

    workshop.runs = runs
    copy = CopyStep(source="seed", to="/var/log/dpkg.log", place=PLACE)
    _, notes = _make(_recipe(recipe, _step(), copy), workshop)

    assert any("/dev/00" in note and "and 10 more" in note for note in notes)
    assert any(note.startswith("/var/log/dpkg.log: not in the image") for note in notes)


def test_folders_links_and_copies_in_volatile_places_are_in_the_layer(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """What a step was told to write is there, and nothing has to be said."""

    def runs(command: str, root: Path) -> CommandResult:
        for name in ("run/sshd", "var/log/nginx", "tmp", "var/cache/app"):
            (root / name).mkdir(parents=True)
        (root / "var/log/nginx/access.log").symlink_to("/dev/stdout")
        return ends(0)(command, root)

    workshop.runs = runs
    copies = [
        CopyStep(source="seed", to=to, place=PLACE)
        for to in ("/tmp/seed", "/run/seed", "/var/log/seed", "/var/cache/app/seed")
    ]
    made, notes = _make(_recipe(recipe, _step(), *copies), workshop)

    content = _content(workshop, made.layers[-1])
    assert {"run/sshd", "var/log/nginx/access.log", "tmp/seed"} <= set(content)
    assert {"run/seed", "var/log/seed", "var/cache/app/seed"} <= set(content)
    assert notes == []


def test_no_command_sees_the_name_of_the_host(workshop: FakeWorkshop, recipe: Recipe) -> None:
    """Nor that of the working container, which is another one each time."""
    seen: list[str] = []
    run = workshop.run

    def watched(*words: object, **more: object) -> CommandResult:
        env = more["env"]
        assert isinstance(env, dict)
        seen.append(env["HOSTNAME"])
        return run(*words, **more)  # type: ignore[arg-type]  # handed through

    workshop.run = watched  # type: ignore[method-assign]  # watched
    packages = (Packages(manager="apt", install=("make",), place=PLACE),)
    _make(_recipe(recipe, _step(), packages=packages), workshop)

    assert set(seen) == {"localhost"}


def test_a_package_in_an_entry_of_its_own_is_a_layer_of_its_own(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """What was installed before is not installed again for it."""
    many = Packages(manager="apt", install=("many",), place=PLACE)
    forgotten = Packages(manager="apt", install=("forgotten",), own_layer=True, place=PLACE)
    progress: list[Event] = []
    plan = make_plan(_recipe(recipe, packages=(many,)), platform=PLATFORM, epoch=1)
    before = make(plan, workshop, use_cache=True, progress=progress.append)
    workshop.calls.clear()

    plan = make_plan(_recipe(recipe, packages=(many, forgotten)), platform=PLATFORM, epoch=1)
    made = make(plan, workshop, use_cache=True, progress=progress.append)

    assert made.layers[:2] == before.layers
    assert [layer.title for layer in made.layers[2:]] == ["apt forgotten: 0 more packages"]
    assert not any("many" in call for call in workshop.calls)


def _stage(name: str, *steps: Step, packages: tuple[Packages, ...] = ()) -> BuildStage:
    return BuildStage(name=name, steps=steps, packages=packages, env={"IN": name}, place=PLACE)


def _copy(stage: str, source: str, to: str) -> StageCopy:
    return StageCopy(stage=stage, source=source, to=to, place=PLACE, named=PLACE)


def _two_stages(recipe: Recipe) -> Recipe:
    gcc = Packages(manager="apt", install=("gcc",), place=PLACE)
    fetch = FetchStep(url="https://h/f", sha256=Digest.of(b"f"), to="/src", place=PLACE)
    return _recipe(
        recipe,
        _copy("last", "/built", "/program"),
        stages=(
            _stage("first", fetch, packages=(gcc,)),
            _stage("last", _copy("first", "/src", "/built"), _step("make")),
        ),
    )


def _compiles(command: str, root: Path) -> CommandResult:
    """Install or compile something."""
    if "install" in command:
        with (root / "var/lib/dpkg/status").open("a") as status:
            status.write("\nPackage: gcc\nStatus: install ok installed\nVersion: 4:12+1\n")
            status.write("Architecture: amd64\n")
    return ends(0)(command, root)


def test_a_layer_that_another_build_makes_meanwhile_is_taken(
    workshop: FakeWorkshop, recipe: Recipe, tmp_path: Path
) -> None:
    """Two builds on one base make it once: who waited looks into the cache when it has the key."""
    plan = make_plan(_recipe(recipe, _step("touch /made")), platform=PLATFORM, epoch=1)
    other = FakeWorkshop(tmp_path / "other")
    made = make(plan, other, use_cache=True, progress=lambda _: None)
    events: list[Event] = []
    workshop.other_build = lambda key: workshop.cache.update({key: other.cache[key]})

    found = make(plan, workshop, use_cache=True, progress=events.append)

    assert found.layers == made.layers
    assert workshop.calls == []
    told = [event.detail for event in events if isinstance(event, Started)]
    assert sum("another build makes it" in detail for detail in told) == len(made.layers)


def test_without_the_cache_no_build_waits_for_another(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """What another one makes would not be taken."""
    workshop.other_build = lambda _: pytest.fail("it waited")
    plan = make_plan(_recipe(recipe, _step()), platform=PLATFORM, epoch=1)

    assert make(plan, workshop, use_cache=False, progress=lambda _: None).layers


def test_only_what_is_copied_of_stages_is_in_the_image(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """And all that they were made of is among its materials."""
    workshop.runs = _compiles
    made, _ = _make(_two_stages(recipe), workshop)

    content = [_content(workshop, layer) for layer in made.layers]
    assert [layer.title for layer in made.layers] == ["debian bookworm, 1 package", "1 of 1"]
    assert content[1]["program"] == b"https://h/f"
    assert not {"src", "built"} & {name for layer in content for name in layer}
    uris = [material.uri for material in made.materials]
    assert uris.count("https://h/f") == 1
    assert "pkg:deb/debian/gcc@4:12%2B1?arch=amd64" in uris
    assert "pkg:generic/debian/bookworm" in uris
    assert made.isolations == ("oci (fake)",)


def test_a_system_that_all_stages_begin_with_is_made_once(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """Also where no layer of another build is used."""
    workshop.runs = _compiles
    _make(_two_stages(recipe), workshop)

    assert workshop.calls.count("bootstrap bookworm") == 1


def test_a_stage_has_its_own_environment(
    workshop: FakeWorkshop, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the recipe is the finished image's."""
    seen: list[Mapping[str, str]] = []

    def run(*words: object, env: Mapping[str, str], **others: object) -> CommandResult:
        del words, others
        seen.append(env)
        return CommandResult(status=0, output="", seconds=0.1)

    monkeypatch.setattr(FakeWorkshop, "run", run)
    stages = (_stage("build", _step()),)
    _make(_recipe(recipe, _step(), stages=stages, env={"OWN": "x"}), workshop)

    build, own = seen
    assert (build["IN"], own["OWN"]) == ("build", "x")
    assert "OWN" not in build
    assert "IN" not in own


def test_a_failing_step_of_a_stage_names_it(workshop: FakeWorkshop, recipe: Recipe) -> None:
    """With its place."""
    workshop.runs = ends(2)

    with pytest.raises(BuildError, match="build: step 1 of 1: make: ended with 2") as caught:
        _make(_recipe(recipe, stages=(_stage("build", _step("make")),)), workshop)

    assert caught.value.diagnostic is not None


def test_stages_of_the_cache_are_not_opened_unless_they_are_copied_from(
    workshop: FakeWorkshop, recipe: Recipe
) -> None:
    """What was made of them before is found as it is, with the same materials."""
    workshop.runs = _compiles
    plan = make_plan(_two_stages(recipe), platform=PLATFORM, epoch=1)
    made = make(plan, workshop, use_cache=True, progress=lambda _: None)

    found = all_cached(plan, workshop.cached, progress=lambda _: None)
    del workshop.cache[plan.stages[0].layers[1].key]

    assert found == made
    # Without one of their layers, nobody could say what the image was made of.
    assert all_cached(plan, workshop.cached, progress=lambda _: None) is None


def test_a_stage_that_was_found_is_opened_to_copy_from_it(
    workshop: FakeWorkshop, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On all of its layers."""
    workshop.runs = _compiles
    plan = make_plan(_two_stages(recipe), platform=PLATFORM, epoch=1)
    make(plan, workshop, use_cache=True, progress=lambda _: None)
    del workshop.cache[plan.layers[-1].key]
    shutil.rmtree(workshop.folder / "steps")
    workshop.calls.clear()
    workshop.root.rename(workshop.folder / "old")
    workshop.root.mkdir()
    for name in ("first", "last"):
        (workshop.folder / f"stage {name}").rename(workshop.folder / f"old {name}")
    opened: list[str] = []

    def open_(self: FakeWorkshop, layers: Sequence[BuiltLayer]) -> Path:
        opened.append(f"{self.role} on {len(layers)}")
        (self.root / "built").write_text("built")
        return self.root

    monkeypatch.setattr(FakeWorkshop, "open", open_)
    make(plan, workshop, use_cache=True, progress=lambda _: None)

    assert opened == ["root on 1", "stage last on 2"]


def test_a_layer_names_what_made_it(workshop: FakeWorkshop, recipe: Recipe) -> None:
    """The program that makes new systems is named by the layer of one alone."""
    workshop.runs = ends(0)
    _make(_recipe(recipe, _step()), workshop)

    names = [[name for name, _ in entry.tools] for entry in workshop.cache.values()]
    assert names == [["fake", "bootstrap", "isal"], ["fake", "isal"]]
