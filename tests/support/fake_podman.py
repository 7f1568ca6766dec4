"""Podman's command line over images in memory, in the place of ``imagekit.process.Runner``.

It does what Podman 4.3 does with the words that imagekit's driver says: ``tests/contract`` runs one
test on both. Registries are not asked: every name that has a digest can be pulled.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagekit.errors import ToolError
from imagekit.oci.digest import Digest
from imagekit.process import Outcome, Runner, failure

# Options before the command; each has a value.
_STORAGE = ("--root", "--runroot", "--tmpdir", "--storage-driver", "--storage-opt")
_GLOBAL = {*_STORAGE, "--cgroup-manager"}
_ENGINE_FAILED = 125
# Options of `run` that have a value of their own.
_VALUES = {
    *("--pull", "--name", "--network", "--log-driver", "--cap-drop", "--security-opt", "--user"),
    *("--ulimit", "--runtime", "--entrypoint", "--workdir", "--env", "--volume"),
}


@dataclass
class StoredFake:
    """An image of a storage."""

    digest: str
    names: list[str] = field(default_factory=list)
    chosen: tuple[str, ...] = ()
    """What was chosen from an index."""

    def inspected(self) -> list[dict[str, object]]:
        """Return what ``podman image inspect`` prints."""
        digests = [f"r.site/x@{digest}" for digest in (self.digest, *self.chosen)]
        return [{"Digest": self.digest, "RepoTags": self.names, "RepoDigests": digests}]


@dataclass
class FakePodman:
    """A host with Podman."""

    image: str | None = None
    """What a pull from a registry prints as the id; None for one that is made of the digest."""
    digest: str = ""
    """What is stored of a pull from a registry; empty for what was asked for."""
    chosen: tuple[str, ...] = ()
    inspected: str = ""
    """What ``image inspect`` prints; empty for what is stored."""
    failing: frozenset[str] = frozenset()
    """Commands that end with an error."""
    container: Callable[[Sequence[str]], int] = field(default=lambda _: 7)
    """How a container ends, by what goes to its entrypoint."""
    stderr: str = ""
    """What containers print on stderr."""
    host_driver: str = "overlay"
    asked: list[tuple[str, ...]] = field(default_factory=list)
    stores: dict[str, dict[str, StoredFake]] = field(default_factory=dict)
    """Images by their id, by the folder of their storage."""

    def run(
        self, argv: Sequence[str], *, stage: str = "", limit: float = 60.0, check: bool = True
    ) -> Outcome:
        """Answer as Podman does; other programs are run."""
        assert limit > 0
        if argv[0] != "podman":
            return Runner().run(argv, stage=stage, limit=limit, check=check)
        self.asked.append(tuple(argv))
        status, stdout = self._answer(*_parts(argv))
        stderr = self.stderr if "run" in argv else ""
        outcome = Outcome(
            argv=tuple(argv), status=status, stdout=stdout, stderr=stderr, seconds=0.0
        )
        if check and status != 0:
            raise failure(outcome)
        return outcome

    def foreground(self, argv: Sequence[str]) -> int:
        """Run a container."""
        self.asked.append(tuple(argv))
        return self._answer(*_parts(argv))[0]

    def _answer(self, options: Sequence[tuple[str, str]], words: Sequence[str]) -> tuple[int, str]:
        command, *rest = words
        if command in self.failing:
            return _ENGINE_FAILED, ""
        storage = dict(options)
        images = self.stores.setdefault(storage.get("--root", ""), {})
        match command:
            case "info":
                driver = storage.get("--storage-driver", self.host_driver)
                root = storage.get("--root", "/var/lib/containers/storage")
                return 0, json.dumps({"store": {"graphDriverName": driver, "graphRoot": root}})
            case "pull":
                return 0, f"{self._pull(rest[-1], images)}\n"
            case "images":
                return 0, json.dumps([entry for key in images for entry in _listed(key, images)])
            case "run":
                return self._run(rest, images | self._additional(options))
            case _:
                return self._change(command, rest, images)

    def _pull(self, source: str, images: dict[str, StoredFake]) -> str:
        if source.startswith("oci:"):
            name, digest, image = _in_layout(Path(source.removeprefix("oci:")))
            images.setdefault(image, StoredFake(digest)).names.append(name)
            return image
        digest = self.digest or source.rpartition("@")[2]
        image = Digest.of(digest.encode()).hex if self.image is None else self.image
        images[image] = StoredFake(digest, chosen=self.chosen)
        return image

    def _run(self, rest: Sequence[str], images: dict[str, StoredFake]) -> tuple[int, str]:
        root, *arguments = _after_options(rest)
        if root not in images and "--rootfs" not in rest:
            return _ENGINE_FAILED, ""
        return self.container(arguments), ""

    def _additional(self, options: Sequence[tuple[str, str]]) -> dict[str, StoredFake]:
        found: dict[str, StoredFake] = {}
        for name, value in options:
            if name == "--storage-opt" and ".imagestore=" in value:
                found |= self.stores.get(value.partition("=")[2], {})
        return found

    def _change(
        self, command: str, rest: Sequence[str], images: dict[str, StoredFake]
    ) -> tuple[int, str]:
        image = rest[-1] if command in {"rmi", "image"} else rest[0]
        if image not in images:
            return _ENGINE_FAILED, ""
        match command, *rest:
            case "image", "inspect", _:
                return 0, self.inspected or json.dumps(images[image].inspected())
            case "tag", _, name:
                images[image].names.append(name)
            case "untag", _, name:
                images[image].names.remove(name)
            case "rmi", *_:
                del images[image]
            case _:
                raise ToolError(f"the fake knows no podman {command}")
        return 0, ""


def _parts(argv: Sequence[str]) -> tuple[list[tuple[str, str]], Sequence[str]]:
    options, words = [], list(argv[1:])
    while words[0] in _GLOBAL:
        options.append((words.pop(0), words.pop(0)))
    return options, words


def _after_options(words: Sequence[str]) -> Sequence[str]:
    left = list(words)
    while left[0].startswith("-"):
        if left.pop(0) in _VALUES:
            left.pop(0)
    return left


def _in_layout(layout: Path) -> tuple[str, str, str]:
    """Return name, digest and id of a layout's one image; the id is the configuration's digest."""
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    digest = Digest.parse(entry["digest"])
    manifest = json.loads((layout / "blobs" / digest.algorithm / digest.hex).read_bytes())
    name = entry["annotations"]["org.opencontainers.image.ref.name"]
    return name, str(digest), Digest.parse(manifest["config"]["digest"]).hex


def _listed(image: str, images: dict[str, StoredFake]) -> list[dict[str, object]]:
    """Podman lists an image once for each of its names, each time with all of them."""
    stored = images[image]
    (shown,) = stored.inspected()
    entry = {"Id": image, "Names": stored.names or None, **shown}
    return [entry] * max(1, len(stored.names))
