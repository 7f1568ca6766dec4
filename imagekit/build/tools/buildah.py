"""Buildah, over imagekit's own container storage."""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from imagekit.build.catalogued import some_shown
from imagekit.build.job import ContainerStore, Folder, Isolation
from imagekit.build.tools.commits import CommitGuard
from imagekit.build.tools.isolation import IsolationRecord, Sandbox, no_way, probe_tree, ways
from imagekit.build.tools.podman_faults import explained_build
from imagekit.build.tools.storage import tool_files
from imagekit.errors import BuildError, ToolError
from imagekit.oci.hostplatform import host_platform
from imagekit.oci.types import Platform
from imagekit.paths import SHARED
from imagekit.process import Outcome, Runner, Stream, failure
from imagekit.progress import Note, OutputLine
from imagekit.recipe.render import Rendered, StepReport

PREFIX = "imagekit-work-"
"""How the names of working containers begin; the name of the job follows."""
_MARK = "imagekit-build"
_QUICK = 300.0


def version(runner: Runner) -> str:
    """Return the version of this host's Buildah; ``unknown`` where it prints none.

    Raises:
        ToolError: it is not installed.
    """
    output = runner.run(["buildah", "--version"]).stdout
    return next(iter(output.partition(" version ")[2].split()), "unknown")


class Buildah(Struct, frozen=True, kw_only=True):
    """Drives Buildah; inside ``buildah unshare`` as a user, directly as root."""

    runner: Runner
    store: ContainerStore
    folder: Folder
    """The job's, where small files for Buildah are put."""
    platform: Platform = field(default_factory=host_platform)
    """Whose images are built."""

    @property
    def work(self) -> Path:
        """The job's folder, as the path that Buildah gets."""
        return self.folder.path

    @property
    def own(self) -> str:
        """The name of what this job builds: another job may make the same image meanwhile."""
        return f"localhost/{PREFIX}{self.folder.real.name}"

    def version(self) -> str:
        """Return Buildah's version.

        Raises:
            ToolError: it is not installed.
        """
        return version(self.runner)

    def create(self, name: str, source: str = "scratch") -> Path:
        """Make a working container from nothing or from ``oci:FOLDER:NAME``, and mount it.

        Raises:
            ToolError: Buildah failed.
        """
        argv = ["from", "--quiet", "--name", name]
        if source != "scratch":
            argv += ["--signature-policy", str(tool_files(self.store).policy)]
        self._run([*argv, source])
        return Path(self._run(["mount", name]).stdout.strip())

    def pull(self, source: str) -> str:
        """Bring ``oci:FOLDER:NAME`` into the storage and return the image's id.

        Raises:
            ToolError: Buildah failed.
        """
        policy = str(tool_files(self.store).policy)
        out = self._run(["pull", "--quiet", "--signature-policy", policy, source]).stdout
        return out.strip().splitlines()[-1]

    def run(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        isolation: Isolation,
        mounts: Sequence[tuple[Path, str]] = (),
        network: bool = True,
        stage: str,
        limit: float,
    ) -> Outcome:
        """Run a command in a working container; the outcome may be a failure.

        Raises:
            ToolTimeoutError: it took longer than ``limit`` seconds.
        """
        argv = _run_words(name, command, env=env, isolation=isolation, mounts=mounts)
        runner = self._in_sandbox(isolation=isolation, network=network)
        return runner.run(argv, stage=stage, limit=limit, check=False)

    def entered(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        isolation: Isolation,
        mounts: Sequence[tuple[Path, str]],
        network: bool,
        terminal: bool,
    ) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return how another process runs a command in a working container, with its environment.

        That process has the terminal, and is none of this process's children; it gets this one's
        namespaces, in which the container is mounted.
        """
        argv = _run_words(name, command, env=env, isolation=isolation, mounts=mounts)
        argv[2:2] = ["--terminal"] if terminal else []
        runner = self._in_sandbox(
            isolation=isolation, network=network, join=os.getpid(), session=not terminal
        )
        # The path of a socket has 107 bytes at most (unix(7)), and Buildah makes one below TMPDIR.
        return runner.wrap(argv), {**(runner.env or {}), "TMPDIR": str(SHARED)}

    def isolation(self, record: IsolationRecord) -> Isolation:
        """Return the best way to contain steps that the user asked for and that works here.

        Args:
            record: what worked before.

        Raises:
            ToolError: there is none.
        """
        # Inside `buildah unshare` every user is root; only for root of the host it is not set.
        superuser = os.geteuid() == 0 and "_CONTAINERS_USERNS_CONFIGURED" not in os.environ
        possible = tuple(ways(self.store.isolation, self.store, superuser=superuser))
        known = record.find()
        if known in possible:
            return known
        tried = {}
        for way in possible:
            outcome = self._probe(way)
            if outcome.status == 0:
                if way.how != "chroot":
                    record.keep(way)
                return way
            tried[way] = outcome.last_lines
        raise no_way(self.store.isolation, tried)

    def copy(self, name: str, source: Path, target: str, *, owner: str, extract: bool) -> None:
        """Copy a file or the content of a folder into a working container.

        Buildah resolves links of the image inside the image.

        Raises:
            ToolError: Buildah failed, or the target leaves the image.
        """
        verb = "add" if extract else "copy"
        self._run([verb, "--quiet", "--chown", owner, name, str(source), target], limit=3600.0)

    def copy_from(self, name: str, source: str, *, into: str, target: str, owner: str) -> None:
        """Copy a file or the content of a folder from one working container into another.

        Buildah resolves links of either container inside that container, and reads no ignore file.

        Args:
            name: the container that it is copied from.
            source: an absolute path in that, without characters of patterns.
            into: the container that it is copied into.
            target: where it goes there.
            owner: whose it is then.

        Raises:
            ToolError: Buildah failed.
        """
        argv = ["copy", "--quiet", "--from", name, "--chown", owner, into, source, target]
        self._run(argv, limit=3600.0)

    def bud(
        self,
        rendered: Rendered,
        context: Path,
        *,
        ignore: Path | None,
        build_args: Mapping[str, str],
        secrets: Sequence[tuple[str, Path]],
        isolation: Isolation,
        limit: float,
        epoch: int,
    ) -> str:
        """Build a Containerfile into the storage, named ``own``, and return the image's id.

        Buildah fetches no image, and no cache of another build is used. Docker's format is asked
        for: HEALTHCHECK, SHELL and ONBUILD have no place in OCI's (image-spec config.md).

        Args:
            rendered: the Containerfile, and the steps that Buildah has to report.
            context: the folder that COPY and ADD read.
            ignore: the file with the patterns of what they do not see, if there is one.
            build_args: values of its ARGs.
            secrets: ids and files of what ``RUN --mount=type=secret`` reads.
            isolation: how RUN is contained.
            limit: seconds that it may take.
            epoch: the image's time.

        Raises:
            BuildError: Buildah ran other steps than were asked for, or a step made what no layer
                can hold.
            ToolError: a step failed.
        """
        names = ("iid", "containerfile", "caches", "policy")
        iid, file, caches, policy = (self.work / name for name in names)
        file.write_text(rendered.text, encoding="utf-8")
        caches.mkdir(mode=0o700, exist_ok=True)
        argv = [
            "buildah",
            "bud",
            *_contained(isolation),
            "--uts",
            "host",
            "--layers=false",
            "--no-cache",
            "--tag",
            self.own,
        ]
        argv += ["--pull=never", "--signature-policy", str(policy)]
        argv += ["--format", "docker"]
        argv += [] if self.platform == host_platform() else ["--platform", str(self.platform)]
        argv += ["--identity-label=false", "--skip-unused-stages=false", "--jobs", "1"]
        argv += ["--timestamp", str(epoch), "--iidfile", str(iid), "--file", str(file)]
        argv += [] if ignore is None else ["--ignorefile", str(ignore)]
        for key, value in build_args.items():
            argv += ["--build-arg", f"{key}={value}"]
        # The mark by which the guard of commits knows this build's containers; no RUN asks for it.
        for identifier, path in (*secrets, (_MARK, file)):
            argv += ["--secret", f"id={identifier},src={path}"]
        reports = _Reports(rendered, self.runner)
        # NOTE: a RUN's mount may be made at a path that an earlier RUN turned into a link.
        runner = self._in_sandbox(isolation=isolation, keep_layers=True)
        runner = replace(runner, env={**(runner.env or {}), "TMPDIR": str(caches)})
        text = tool_files(self.store).policy.read_bytes()
        with CommitGuard(self.store, policy, text, mark=str(file)) as guard:
            outcome = runner.stream(
                [*argv, str(context)], on_line=reports.take, limit=limit, longest=1 << 20
            )
        if outcome.status != 0:
            raise failure(outcome)
        guard.check()
        reports.check()
        if guard.sockets:
            message = f"{some_shown(guard.sockets)}: not in the image: no layer holds a socket"
            self.runner.progress(Note(message=message))
        return iid.read_text().strip()

    def tag(self, image: str, name: str) -> None:
        """Give an image of the storage another name.

        Raises:
            ToolError: Buildah failed.
        """
        self._run(["tag", image, name])

    def config_of(self, image: str) -> str:
        """Return the configuration of an image of the storage, as Docker's JSON.

        It has all that OCI's has, and HEALTHCHECK, SHELL and ONBUILD.

        Raises:
            ToolError: Buildah failed.
        """
        inspected = json.loads(self._run(["inspect", "--type", "image", image]).stdout)
        return json.dumps(inspected["Docker"])

    def remove(self, *names: str) -> None:
        """Remove working containers, mounted or not.

        Raises:
            ToolError: Buildah failed.
        """
        if names:
            self._run(["rm", *names])

    def remove_image(self, image: str) -> None:
        """Remove a name of an image, and the image with its last name.

        Raises:
            ToolError: Buildah failed, or a container stands on the image.
        """
        self._run(["rmi", image])

    def containers(self) -> tuple[str, ...]:
        """Return the names of the working containers, those of Podman's tests too.

        Raises:
            ToolError: Buildah failed.
        """
        listed = json.loads(self._run(["containers", "--all", "--json"]).stdout or "[]")
        return tuple(entry["containername"] for entry in listed or ())

    def images(self) -> tuple[str, ...]:
        """Return the names of the images in the storage.

        Raises:
            ToolError: Buildah failed.
        """
        listed = json.loads(self._run(["images", "--json"]).stdout or "[]")
        return tuple(name for entry in listed or () for name in entry.get("names") or ())

    def _in_sandbox(
        self,
        *,
        isolation: Isolation,
        network: bool = True,
        keep_layers: bool = False,
        join: int = 0,
        session: bool = False,
    ) -> Runner:
        """Return what runs Buildah in a sandbox."""
        sandbox = Sandbox(store=self.store, folder=self.folder)
        ours = os.environ if self.runner.env is None else self.runner.env
        wrap = partial(
            sandbox.wrap,
            network=network,
            # Without a runtime that needs it, nothing of the host's kernel is shown.
            sys_folder=isolation.how != "chroot",
            programs=(isolation.runtime,) if isolation.runtime else (),
            keep_layers=keep_layers,
            join=join,
            session=session,
        )
        return replace(self.runner, env=sandbox.environment(ours, network=network), wrap=wrap)

    def _probe(self, way: Isolation) -> Outcome:
        """Run the host's ``true`` in an empty container, contained like this."""
        with self._empty() as (name, root):
            mounts, command = probe_tree(root)
            return self.run(
                name, command, env={}, isolation=way, mounts=mounts, stage="", limit=_QUICK
            )

    @contextmanager
    def _empty(self) -> Iterator[tuple[str, Path]]:
        name = f"{PREFIX}{self.folder.real.name}-probe"
        root = self.create(name)
        try:
            yield name, root
        finally:
            with suppress(ToolError):
                self.remove(name)

    def _run(self, argv: Sequence[str], *, limit: float = _QUICK) -> Outcome:
        try:
            return self.runner.run(["buildah", *argv], limit=limit)
        except ToolError as error:
            if "no space left on device" in error.output:
                raise ToolError(
                    "the disk is full",
                    hint=f"make room in {self.store.graph} and run it again",
                    argv=error.argv,
                    status=error.status,
                    output=error.output,
                ) from error
            raise explained_build(error) from error


class _Reports:
    """Compares the steps that Buildah reports with those that it was given."""

    def __init__(self, rendered: Rendered, runner: Runner) -> None:
        self._runner = runner
        self._left = deque(rendered.reports)

    def take(self, stream: Stream, line: str) -> None:
        """Compare a line of Buildah, or of a step, with the next report."""
        self._runner.progress(OutputLine(stage="steps", line=line))
        if stream == "stdout" and self._left:
            # Secrets are replaced in what is read, so they are in what it is compared with.
            begin, end = self._left[0].begin, self._left[0].end
            end = None if end is None else self._runner.redact(end)
            if StepReport(self._runner.redact(begin), end).fits(line):
                self._left.popleft()

    def check(self) -> None:
        """Check that every step was reported, in order, each with the number of steps.

        Raises:
            BuildError: Buildah read other steps than were written for it.
        """
        if self._left:
            raise BuildError(
                f"buildah did not report the step `{self._left[0].begin[:200]}`",
                hint="it read the Containerfile in another way than imagekit; please report it",
                code="build/other-steps",
            )


def _run_words(
    name: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    isolation: Isolation,
    mounts: Sequence[tuple[Path, str]],
) -> list[str]:
    argv = ["buildah", "run", *_contained(isolation), "--hostname", "localhost"]
    for key, value in env.items():
        argv += ["--env", f"{key}={value}"]
    for source, target in mounts:
        argv += ["--volume", f"{source}:{target}:ro"]
    return [*argv, name, "--", *command]


def _contained(isolation: Isolation) -> list[str]:
    """Return the options that contain what a step does.

    The network is the sandbox's, which has the host's or none: one mechanism for all isolations.
    """
    argv = ["--isolation", isolation.how, "--network", "host"]
    if isolation.how != "chroot":
        return [*argv, "--runtime", isolation.runtime]
    # With it a step can leave a chroot (chroot(2)); no other isolation relies on one.
    return [*argv, "--cap-drop", "CAP_SYS_CHROOT"]
