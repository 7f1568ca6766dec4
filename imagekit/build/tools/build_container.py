"""The build container: Buildah, mmdebstrap, pip, and a cache of layers in a folder."""

import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Self

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit import rooted
from imagekit.build import apt_sources, inside
from imagekit.build.image import BuiltLayer, Material
from imagekit.build.job import CachedLayer, CommandResult, Isolation, Job, StagePlan
from imagekit.build.layer import refuse_whiteout
from imagekit.build.marks import Mark
from imagekit.build.step_environment import FIXED
from imagekit.build.tools.buildah import PREFIX, Buildah
from imagekit.build.tools.chain import Chain
from imagekit.build.tools.fetch import download
from imagekit.build.tools.flat_repository import write_repository
from imagekit.build.tools.hostmarks import host_marks
from imagekit.build.tools.isolation import IsolationRecord, check_mount_points
from imagekit.build.tools.layer_cache import LayerCache
from imagekit.build.tools.locked_packages import wanted_debs
from imagekit.build.tools.mirrors import Mirrors, mirrors_here
from imagekit.build.tools.mmdebstrap import bootstrap, bootstrap_locked
from imagekit.build.tools.package_cache import DOWNLOADS, PackageCache
from imagekit.build.tools.step_cache import StepCache
from imagekit.build.tools.wheel_download import download_wheels
from imagekit.build.wheels import ImagePython
from imagekit.errors import BuildError, ImagekitError
from imagekit.lock.lock import LockedDeb, LockedWheel
from imagekit.locks import held
from imagekit.oci.codec import config_bytes, parse_config
from imagekit.oci.digest import Digest
from imagekit.oci.layout import LayoutStore
from imagekit.oci.types import History, ImageConfig
from imagekit.process import Runner
from imagekit.progress import Note
from imagekit.recipe.recipe import (
    BootstrapBase,
    CopyStep,
    FetchStep,
    Needed,
    Recipe,
    StageCopy,
    is_excluded,
)
from imagekit.recipe.recipe_digest import content_digest
from imagekit.recipe.render import BaseReference, reaches, render

_LAST_LINES = 40
_NO_FIXES = (
    "no mirror of the security fixes is known, so that the image is without the newest ones: "
    "give --mirror debian-security=URL"
)
_SHELLS = ("bin/bash", "bin/sh")
_LESS_CONTAINED = (
    "steps are contained by chroot only: they share the host's network and user ids "
    "(imagekit doctor shows what an OCI runtime needs here)"
)


class _Opened(Struct, frozen=True):
    """A working container that is mounted."""

    name: str
    root: Path


class _Shared(Struct):
    """What the working containers of one job have in common."""

    containers: list[str] = field(default_factory=list)
    stages: dict[str, _Opened] = field(default_factory=dict)
    """Those of stages, by their names, once they are open."""
    isolation: Isolation | None = None
    versions: dict[str, str] = field(default_factory=dict)
    """Those of the programs that were asked, by their names."""
    used: ExitStack = field(default_factory=ExitStack)
    """Holds what this job reads of the storage, so that no other job removes it meanwhile."""


class BuildahContainer(Struct):
    """Works on one job; use it as a context, so that nothing stays behind."""

    job: Job
    runner: Runner
    digest_of: Callable[[Path], Digest]
    """Returns the digest of a recipe's folder."""
    stage: str = ""
    """The name of the stage that is made in it; empty for the image itself."""
    _shared: _Shared = field(default_factory=_Shared)
    _images_made: list[str] = field(default_factory=list)
    _opened: _Opened = field(default_factory=lambda: _Opened("", Path()))
    """The working container, once it is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        buildah = self._buildah()
        with self._shared.used:
            with suppress(ImagekitError):
                buildah.remove(*self._shared.containers)
            for image in self._images_made:
                with suppress(ImagekitError):
                    buildah.remove_image(image)

    @property
    def blobs(self) -> Path:
        """The folder that layers are written into."""
        return self.job.layout / "blobs" / "sha256"

    @property
    def steps(self) -> StepCache:
        """What steps changed, in this build and in others."""
        return StepCache(
            folder=self.job.cache / "steps",
            max_age=self.job.max_age,
            contained=self.job.store.isolation == "oci",
        )

    def cached(self, key: Digest) -> CachedLayer | None:
        """Return the layer of the cache, if it is still valid."""
        return self._cache().find(key)

    def keep(self, key: Digest, layer: CachedLayer) -> None:
        """Put a layer into the cache."""
        self._cache().keep(key, layer)

    def making(self, key: Digest, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold a lock of the key among those of jobs."""
        return held(self.job.locks / f"layer-{key.hex}.lock", waiting=waiting)

    def open(self, layers: Sequence[BuiltLayer]) -> Path:
        """Start the working container on these layers and mount it."""
        # Names of containers end with one word behind a dash: see imagekit.build.worker.
        role = f"stage{len(self._shared.stages)}" if self.stage else "main"
        self._opened = self._open(role, self._chain(layers) if layers else "scratch")
        if self.stage:
            self._shared.stages[self.stage] = self._opened
        return self._opened.root

    def beside(self, stage: StagePlan) -> "BuildahContainer":
        """Return the working container of a stage, on the same job."""
        job = replace(self.job, plan=self.job.plan.of(stage))
        return BuildahContainer(
            job, self.runner, self.digest_of, stage=stage.name, _shared=self._shared
        )

    def bootstrap(
        self, base: BootstrapBase, root: Path, *, debs: Sequence[LockedDeb] | None = None
    ) -> tuple[Material, ...]:
        """Fill the empty root by mmdebstrap."""
        plan = self.job.plan
        if debs is not None:
            given = self.given({})
            self._repository(given, debs, suite=base.suite, stage="base")
            bootstrap_locked(
                self.runner, base, given, platform=plan.platform, root=root, epoch=plan.epoch
            )
            return ()
        mirrors = self._mirrors(base.distribution)
        if mirrors.lacks_fixes(base.distribution, base.suite):
            self.runner.progress(Note(message=_NO_FIXES))
        bootstrap(
            self.runner,
            base,
            mirrors,
            platform=plan.platform,
            root=root,
            epoch=plan.epoch,
            work=self.job.work,
        )
        return ()

    def run(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        stage: str,
        limit: float,
        mounts: Sequence[tuple[Path, str]] = (),
        network: bool = True,
    ) -> CommandResult:
        """Run a command in the working container by ``buildah run``."""
        targets = [target for _, target in mounts]
        check_mount_points(self._opened.root, targets, isolation=self._contained())
        outcome = self._buildah().run(
            self._opened.name,
            command,
            env=env,
            isolation=self._contained(),
            mounts=mounts,
            network=network,
            stage=stage,
            limit=limit,
        )
        lines = (outcome.stdout + outcome.stderr).splitlines()
        output = "\n".join(lines[-_LAST_LINES:])
        return CommandResult(status=outcome.status, output=output, seconds=outcome.seconds)

    def reopen(self, layers: Sequence[BuiltLayer]) -> None:
        """Start another working container, on these layers."""
        self._opened = self._open("shell", self._chain(layers) if layers else "scratch")

    def entered(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        stage: str,
        network: bool,
        terminal: bool,
    ) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return how another process runs a command, or a shell, where a step would run now."""
        opened = self._shared.stages[stage] if stage else self._opened
        mounts, root = self.secrets(), opened.root
        targets = [target for _, target in mounts]
        check_mount_points(root, targets, isolation=self._contained())
        shell = next((name for name in _SHELLS if inside.is_file(root, name)), _SHELLS[-1])
        return self._buildah().entered(
            opened.name,
            command or (f"/{shell}",),
            env=env,
            isolation=self._contained(),
            mounts=mounts,
            network=network,
            terminal=terminal,
        )

    def copy(self, step: CopyStep) -> None:
        """Copy from the recipe's folder, with modes and times that depend on the recipe only.

        Raises:
            BuildError: it is not what the plan was made of.
        """
        source = self.job.plan.recipe.folder / step.source
        staged = self._staged("copy")
        if source.is_dir():
            shutil.copytree(source, staged, symlinks=True, ignore=_no_part)
            target = step.to
        else:
            shutil.copyfile(source, staged)
            staged.chmod(source.stat().st_mode)
            target = self._target(step.to, source.name)
        if content_digest(staged) != self.job.plan.copied.get(step.source):
            raise _changed(source)
        _settle(staged, mode=step.mode, epoch=self.job.plan.epoch)
        self._buildah().copy(self._opened.name, staged, target, owner=step.owner, extract=False)

    def copy_from_stage(self, step: StageCopy) -> None:
        """Copy from a stage's container; a file gets its name where the target is a folder.

        Raises:
            BuildError: the stage has no such file or folder.
        """
        stage = self._shared.stages[step.stage]
        if rooted.is_folder(stage.root, step.source):
            target = step.to
        elif _is_there(stage.root, step.source):
            target = self._target(step.to, step.source.rstrip("/").rpartition("/")[2])
        else:
            raise BuildError(
                f"the stage `{step.stage}` has no {step.source}",
                hint="links are followed inside the stage only; is it made there, and spelled so?",
                code="build/not-in-stage",
            )
        self._buildah().copy_from(
            stage.name, step.source, into=self._opened.name, target=target, owner=step.owner
        )

    def fetch(self, step: FetchStep) -> Material:
        """Download a file into the cache, check it, and place or unpack it."""
        cached = self._packages().path(step.sha256)
        limit = self.job.plan.recipe.time_limit
        download(
            step.url,
            step.sha256,
            cached,
            where=f"{step.place.file}:{step.place.line}",
            limit=limit,
            progress=self.runner.progress,
        )
        staged = self._staged("fetch")
        name = step.url.partition("?")[0].rpartition("/")[2] or "file"
        shutil.copyfile(cached, staged)
        _settle(staged, mode=None, epoch=self.job.plan.epoch)
        if step.extract and not tarfile.is_tarfile(staged):
            raise BuildError(
                f"{step.url} is no tar archive that could be unpacked",
                hint="leave `extract` out and unpack it in a `run` step",
                code="build/not-an-archive",
            )
        target = step.to if step.extract else self._target(step.to, name)
        self._buildah().copy(self._opened.name, staged, target, owner="0:0", extract=step.extract)
        return Material(uri=step.url, digest=step.sha256, name=name)

    def _staged(self, folder: str) -> Path:
        """Return where to put what Buildah copies: it reads a source's name as a pattern."""
        staged = self.job.work / folder
        _clear(staged)
        staged.mkdir()
        return staged / "item"

    def _target(self, to: str, name: str) -> str:
        """Return the whole path that a file gets in the image, as its staged name is another.

        Raises:
            BuildError: a folder is there.
        """
        root = self._opened.root
        if not to.endswith("/") and not rooted.is_folder(root, to):
            return to
        target = f"{to.rstrip('/')}/{name}"
        if rooted.is_folder(root, target):
            raise BuildError(
                f"{target} is a folder, and a file is to be put there",
                hint="remove it in a `run` step before, or choose another place",
                code="build/folder-in-the-way",
            )
        return target

    def apt_sources(self, distribution: str, suite: str, *, keyring: str) -> str:
        """Return the mirrors that were stated, else the host's, for the suite."""
        return self._mirrors(distribution).lines(distribution, suite, keyring=keyring)

    def _mirrors(self, distribution: str) -> Mirrors:
        return mirrors_here(self.runner, distribution, self.job.plan.mirrors)

    def locked_sources(self, debs: Sequence[LockedDeb], *, suite: str) -> Path:
        """Return a folder with a repository of just these packages, and it as the only source."""
        folder = self.given({"sources/locked.list": apt_sources.LOCKED.encode()})
        self._repository(folder, debs, suite=suite, stage="packages")
        return folder

    def _repository(
        self, folder: Path, debs: Sequence[LockedDeb], *, suite: str, stage: str
    ) -> None:
        cache = self._packages()
        plan = self.job.plan
        wanted = wanted_debs(debs, plan.recipe, plan.mirrors)
        limit = plan.recipe.time_limit
        cache.bring(wanted, stage=stage, limit=limit, progress=self.runner.progress)
        write_repository(folder / "repository", debs, suite=suite, cache=cache, runner=self.runner)

    def _packages(self) -> PackageCache:
        return PackageCache(self.job.cache / DOWNLOADS)

    def given(self, files: Mapping[str, bytes]) -> Path:
        """Write files into a folder that a command can have mounted."""
        folder = self.job.work / "given"
        _clear(folder)
        folder.mkdir(parents=True)
        for name, raw in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        return folder

    def wheels(
        self,
        requirements: Sequence[str],
        *,
        wanted: Sequence[str],
        python: ImagePython,
        locked: Sequence[LockedWheel] = (),
    ) -> tuple[Path, tuple[Material, ...]]:
        """Download wheels with the host's own pip configuration, hashes checked by pip."""
        folder = self.job.work / "pip"
        _clear(folder)
        (folder / "wheels").mkdir(parents=True)
        listed = folder / "requirements.txt"
        listed.write_text("".join(f"{line}\n" for line in requirements))
        if wanted and not self._packages().place_all(
            {wheel.file: wheel.sha256 for wheel in locked}, folder / "wheels"
        ):
            download_wheels(self.runner, wanted, python, folder=folder)
            self._keep_wheels(folder / "wheels", locked)
        self._bring_pip(folder / "pip")
        return folder, tuple(
            _wheel_material(path) for path in sorted((folder / "wheels").iterdir())
        )

    def _keep_wheels(self, folder: Path, locked: Sequence[LockedWheel]) -> None:
        """Put locked wheels into the cache.

        Raises:
            BuildError: pip got another file than the lock has.
        """
        wanted = {wheel.file: wheel.sha256 for wheel in locked}
        for path in folder.iterdir() if locked else ():
            if wanted.get(path.name) != Digest.of(path.read_bytes()):
                raise BuildError(
                    f"pip got the wheel {path.name}, which is not the one of the lock",
                    hint="imagekit lock RECIPE",
                    code="build/not-as-locked",
                )
            self._packages().keep(path)

    def marks(self) -> Sequence[Mark]:
        """Return the texts of this host that no layer may hold."""
        return host_marks(os.environ)

    def secrets(self) -> Sequence[tuple[Path, str]]:
        """Write the secrets for the time of the job and return where a step finds them."""
        folder = self.job.work / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        files = []
        for secret in self.job.secrets:
            path = folder / secret.id
            if not path.exists():
                path.touch(mode=0o600)
                path.write_bytes(secret.value.encode())
            files.append((path, f"/run/secrets/{secret.id}"))
        return files

    def containerfile(self, name: str) -> tuple[Path, ImageConfig]:
        """Build a Containerfile by ``buildah bud`` and mount the result.

        Raises:
            BuildError: Buildah is too old for it, or the recipe's folder was changed meanwhile.
        """
        buildah, recipe = self._buildah(), self.job.plan.recipe
        if recipe.script is None:
            raise BuildError(f"{recipe.file}: the recipe has no Containerfile")
        check_needs(recipe.script.needs, dict(self.tools(bootstrapped=False))["buildah"])
        context = self._context(recipe)
        image = buildah.bud(
            render(
                recipe.script,
                self._images(buildah),
                {**FIXED, "SOURCE_DATE_EPOCH": str(self.job.plan.epoch)},
            ),
            context,
            ignore=_ignore_file(context, name),
            build_args=recipe.build_args,
            secrets=[(Path(target).name, path) for path, target in self.secrets()],
            isolation=self._contained(),
            limit=recipe.time_limit,
            epoch=self.job.plan.epoch,
        )
        self._images_made.append(buildah.own)
        config = parse_config(buildah.config_of(image).encode())
        onbuild = tuple(step.text for step in recipe.script.stages[-1].onbuild)
        return self._open("result", image).root, replace(config, onbuild=onbuild)

    def _images(self, buildah: Buildah) -> dict[str, BaseReference]:
        """Bring the images that the Containerfile names into the storage."""
        references = {}
        for context in self.job.plan.contexts:
            # Buildah gets these of an image as steps: see imagekit.recipe.render.
            config = replace(context.config, onbuild=(), shell=(), healthcheck=None, volumes=())
            # Docker's format has one line of history for each layer; another's base may have none.
            line = History(created=config.created, created_by=context.name)
            config = replace(config, history=(line,) * len(context.layers))
            references[context.name] = BaseReference(
                id=buildah.pull(self._layout(context.layers, config)),
                shell=context.config.shell,
                triggers=context.triggers,
            )
        return references

    def _context(self, recipe: Recipe) -> Path:
        """Stage what COPY and ADD read: the recipe's files as its digest covers them, no others.

        Raises:
            BuildError: they are not what the digest was made of, a mount would lead out of them, or
                a name is one that no layer can hold.
        """
        context = self.job.work / "context"
        _clear(context)
        shutil.copytree(recipe.folder, context, symlinks=True, ignore=_no_part)
        _settle(context, mode=None, epoch=self.job.plan.epoch)
        if self.digest_of(context) != recipe.digest:
            raise _changed(recipe.folder)
        for path in sorted(context.rglob("*")):
            # Buildah would copy it, and write it as a whiteout when it makes the layer.
            refuse_whiteout(str(path.relative_to(context)))
        for bind in () if recipe.script is None else recipe.script.binds:
            # Buildah follows links in it on the host.
            linked = any((context / path).is_symlink() for path in _prefixes(bind))
            if linked or not (context / bind.strip("/")).exists():
                raise BuildError(
                    f"`{bind}` is mounted by a RUN and is not there, a link, or behind one",
                    hint="mount the folder itself",
                    code="build/mount-is-link",
                )
        return context

    def isolation(self) -> str:
        """Return how commands are contained."""
        return str(self._contained())

    def tools(self, *, bootstrapped: bool) -> tuple[tuple[str, str], ...]:
        """Return what made a layer, with versions; each program is asked once a job."""
        versions = self._shared.versions
        if "buildah" not in versions:
            versions["buildah"] = self._buildah().version()
        # A Perl program, which takes as long as all else that a small layer needs.
        if bootstrapped and "mmdebstrap" not in versions:
            words = self.runner.run(["mmdebstrap", "--version"]).stdout.split()
            versions["mmdebstrap"] = words[-1] if words else "unknown"
        used = ("buildah", "mmdebstrap") if bootstrapped else ("buildah",)
        return tuple((name, versions[name]) for name in used)

    def _buildah(self) -> Buildah:
        return Buildah(
            runner=self.runner,
            store=self.job.store,
            folder=self.job.folder,
            platform=self.job.plan.platform,
        )

    def _contained(self) -> Isolation:
        shared = self._shared
        if shared.isolation is None:
            shared.isolation = self._buildah().isolation(IsolationRecord(self.job.record))
            if shared.isolation.how == "chroot":
                self.runner.progress(Note(message=_LESS_CONTAINED))
        return shared.isolation

    def _open(self, role: str, source: str) -> _Opened:
        name = f"{PREFIX}{self.job.name}-{role}"
        self._shared.containers.append(name)
        return _Opened(name, self._buildah().create(name, source))

    def _cache(self) -> LayerCache:
        folder = self.job.cache / "layers"
        return LayerCache(
            folder=folder,
            blobs=self.blobs,
            max_age=self.job.max_age,
            contained=self.job.store.isolation == "oci",
        )

    def _chain(self, layers: Sequence[BuiltLayer]) -> str:
        """Return ``oci:FOLDER:NAME`` of an image of just these layers, for Buildah to start on."""
        plan = self.job.plan
        inherited = plan.inherited.env if plan.inherited is not None else ()
        env = dict(text.partition("=")[::2] for text in inherited)
        config = ImageConfig(
            platform=plan.platform,
            created="1980-01-01T00:00:00Z",
            diff_ids=tuple(layer.diff_id for layer in layers),
            env=tuple(f"{key}={value}" for key, value in env.items()),
        )
        return self._layout(layers, config)

    def _layout(self, layers: Sequence[BuiltLayer], config: ImageConfig) -> str:
        chain = Chain.of(config_bytes(config), layers, LayoutStore(self.job.layout))
        self._shared.used.enter_context(held(chain.lock(self.job.locks), shared=True, keep=True))
        return chain.place(self.job.store)

    def _bring_pip(self, target: Path) -> None:
        """Put pip itself beside the wheels, from where imagekit's own Python has it."""
        import pip

        source = Path(pip.__file__).parent
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target / "pip", ignore=ignore)


def _changed(path: Path) -> BuildError:
    return BuildError(
        f"{path} was changed while it was built",
        hint="build it again when nothing writes there",
        code="build/recipe-changed",
    )


def _is_there(root: Path, path: str) -> bool:
    """Return whether a path, all its links followed inside the root, leads to something."""
    try:
        with rooted.place(root, path) as opened:
            os.stat(opened.name, dir_fd=opened.folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _no_part(folder: str, names: list[str]) -> set[str]:
    """Return what the recipe's digest does not cover either."""
    del folder
    return {name for name in names if is_excluded(name)}


def _settle(path: Path, *, mode: int | None, epoch: int) -> None:
    """Give what is copied its modes and the image's time, whatever those of the checkout are.

    Extended attributes and access control lists are removed: the recipe's digest does not cover
    them, and a browser writes the URL of a download into one.
    """
    for item in (path, *path.rglob("*")) if path.is_dir() else (path,):
        _remove_attributes(item)
        if item.is_symlink():
            os.utime(item, (epoch, epoch), follow_symlinks=False)
            continue
        plain = 0o755 if item.is_dir() or item.stat().st_mode & stat.S_IXUSR else 0o644
        item.chmod(plain if mode is None or item.is_dir() else mode)
    for item in (*path.rglob("*"), path) if path.is_dir() else (path,):
        os.utime(item, (epoch, epoch), follow_symlinks=False)


def _remove_attributes(path: Path) -> None:
    with suppress(OSError):  # a file system without them
        for name in os.listxattr(path, follow_symlinks=False):
            with suppress(OSError):  # of the file system itself, such as a label of SELinux
                os.removexattr(path, name, follow_symlinks=False)


def _prefixes(path: str) -> list[Path]:
    """Return the path and every folder above it, all relative."""
    whole = Path(path.strip("/"))
    return [whole, *whole.parents]


def _ignore_file(context: Path, name: str) -> Path | None:
    """Return the file of patterns that COPY leaves out; one beside the Containerfile is preferred.

    Dockerfile reference, ".dockerignore files", and containerignore(5).

    Raises:
        BuildError: it is a link.
    """
    own = [f"{name}.dockerignore", f"{name}.containerignore"]
    for candidate in (*own, ".containerignore", ".dockerignore"):
        path = context / candidate
        if path.is_symlink():
            raise BuildError(f"{candidate} is a link", hint="put the file itself there")
        if path.is_file():
            return path
    return None


def check_needs(needs: Sequence[Needed], version: str) -> None:
    """Check that this host's Buildah has everything that a Containerfile needs.

    Raises:
        BuildError: it is too old.
    """
    for need in needs:
        if not reaches(version, need.version):
            raise BuildError(
                f"{need.place.file}:{need.place.line}: {need.feature} needs buildah "
                f"{need.version}, and this host has {version}",
                hint="write it without, or build on a host with a newer one",
                code="build/needs-newer-buildah",
            )


def _wheel_material(path: Path) -> Material:
    name, version = path.name.split("-")[:2]
    digest = Digest.of(path.read_bytes())
    return Material(
        uri=f"pkg:pypi/{name.lower().replace('_', '-')}@{version}", name=path.name, digest=digest
    )
