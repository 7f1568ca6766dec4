"""Attacks by Containerfiles: an image that the check of pins does not see, or a way to the host."""

import json
import time
from pathlib import Path

import pytest

from imagekit.build.job import ContainerStore, Folder, Isolation
from imagekit.build.tools.buildah import Buildah
from imagekit.build.tools.isolation import Sandbox
from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report
from imagekit.errors import BuildError, RecipeError
from imagekit.process import Runner
from imagekit.recipe import load
from imagekit.recipe.containerfile import read_containerfile, read_triggers
from imagekit.recipe.recipe import Stage
from imagekit.recipe.render import render

EVIL = "evil.example/x:1"
HEX = "ab" * 32
PINNED = f"r.example/base@sha256:{HEX}"

HIDDEN = {
    "no-break space behind a backslash": f"FROM scratch\nRUN x \\\u00a0\nFROM {EVIL}\n",
    "vertical tab behind a backslash": f"FROM scratch\nRUN x \\\v\nFROM {EVIL}\n",
    "no-break space before": f"FROM scratch\n\u00a0FROM {EVIL}\n",
    "em space before": f"FROM scratch\n\u2003FROM {EVIL}\n",
    "byte order mark before an escape": f"\ufeff# escape=`\nFROM scratch\nCMD a \\\nFROM {EVIL}\n",
    "escape behind a syntax": f"# syntax=x\n# escape=`\nFROM scratch\nCMD a \\\nFROM {EVIL}\n",
    "carriage return": f"FROM scratch\rFROM {EVIL}\n",
    "carriage return behind a backslash": f"FROM scratch\nRUN x \\\r\r\nFROM {EVIL}\n",
    "next line": f"FROM scratch\u0085FROM {EVIL}\n",
    "line separator": f"FROM scratch\nRUN x \\\u2028\nFROM {EVIL}\n",
    "form feed": f"FROM scratch\nRUN x \\\f\nFROM {EVIL}\n",
    "nul": f"FROM scratch\0\nFROM {EVIL}\n",
    "backslash at the end of a joined line": f"FROM scratch\nRUN x \\\\\n\nFROM {EVIL}\n",
    "here-document": f"FROM scratch\nRUN <<EOF\nEOF\nFROM {EVIL}\n",
    "quoted here-document": f"FROM scratch\nRUN 'a' <<EOF\nx\nFROM {EVIL}\n",
    "here-document in quotes": f"FROM scratch\nRUN ' <<EOF '\nFROM {EVIL}\nEOF\n",
    "variable": f"ARG X={EVIL}\nFROM $X\n",
    "nested variable": f"ARG A={EVIL}\nARG B=${{A}}\nFROM ${{C:-$B}}\n",
    "second on the line": f"ARG A=1 B={EVIL}\nFROM $B\n",
    "set, so other": f"ARG A=1\nFROM ${{A:+{EVIL}}}\n",
    "quotes": f'FROM "{EVIL}"\n',
    "escaped": f"FROM \\{EVIL}\n",
    "unused stage": f"FROM {EVIL} AS a\nFROM scratch\n",
    "own name": f"FROM {EVIL} AS evil\nCOPY --from=evil /a /a\n",
    "later stage": "FROM scratch\nCOPY --from=later /a /a\nFROM scratch AS later\n",
    "own stage": "FROM scratch AS own\nCOPY --from=own /a /a\n",
    "stage called like an image": f"FROM scratch AS {EVIL}\nFROM {EVIL}\n",
    "copy by a variable": f"FROM scratch\nARG X={EVIL}\nCOPY --from=$X /a /a\n",
    "copy with an option in quotes": f"FROM scratch\nCOPY --chown='1' --from={EVIL} /a /a\n",
    "copy with a variable option": f"FROM scratch\nARG X=from={EVIL}\nCOPY --$X /a /a\n",
    "copy twice": f"FROM scratch AS a\nFROM scratch\nCOPY --from=a --from={EVIL} /a /a\n",
    "mount": f"FROM scratch\nRUN --mount=type=bind,target=/x,from={EVIL} ls\n",
    "second mount": f"FROM scratch\nRUN --mount=target=/y --mount=from={EVIL},target=/x a\n",
    "mount by a variable": f"FROM scratch\nARG X=/a,from={EVIL}\nRUN --mount=target=$X a\n",
    "mount of a variable": f"FROM scratch\nENV X=/a,from={EVIL}\nRUN --mount=target=$X a\n",
    "onbuild copy": f"FROM scratch\nONBUILD COPY --from={EVIL} /a /a\n",
    "onbuild from": f"FROM scratch\nONBUILD FROM {EVIL}\n",
    "onbuild onbuild": f"FROM scratch\nONBUILD ONBUILD COPY --from={EVIL} /a /a\n",
    "unknown instruction": "FROM scratch\nINCLUDE more\n",
    "add of the network": "FROM scratch\nADD https://evil.example/x /x\n",
    "add of a variable": "FROM scratch\nARG X=https://evil.example/x\nADD $X /x\n",
    "add in a list": 'FROM scratch\nADD ["\\u0068ttps://evil.example/x", "/x"]\n',
    "add in a list behind a blank": 'FROM scratch\nADD \u00a0["\\u0068ttps:\\/\\/e/x", "/x"]\n',
    "add escaped": "FROM scratch\nADD ht\\tps://evil.example/x /x\n",
    "cache out of its folder": "FROM scratch\nRUN --mount=type=cache,id=../../etc,target=/x ls\n",
    "propagation": "FROM scratch\nRUN --mount=type=bind,target=/x,bind-propagation=rshared ls\n",
    "add with half a checksum": "FROM scratch\nADD --checksum=sha256:ab https://e.example/x /x\n",
    "network of the host": "FROM scratch\nRUN --network=host ls\n",
    "volume that moves": "FROM scratch\nENV A=/a\nVOLUME $A\nENV A=/b\nRUN x\n",
    "context that is written": "FROM scratch\nRUN --mount=target=/x,rw ln -s / /x/a\n",
    "source out of the context": "FROM scratch\nRUN --mount=source=../../,target=/x ls\n",
    "a line too long for Buildah": f"FROM scratch\nRUN {'x' * 66_000}\nFROM scratch\n",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_hidden_images_are_found(text: str) -> None:
    """However it is written, an image without digest is refused, and so is what is unclear."""
    report = Report("Containerfile", "recipe")

    script = read_containerfile(text.encode(), {}, report)

    assert script is None
    assert report.failed


@pytest.mark.parametrize(
    "text",
    [
        f"COPY --from={EVIL} /a /a",
        f"RUN x\nCOPY --from={EVIL} /a /a",
        f"FROM {EVIL}",
        "ADD https://evil.example/x /x",
        "RUN --mount=type=bind,target=/x ls /x; --from",
        "RUN --mount=type=bind,source=x,target=/x ls",
        "RUN <<EOF",
    ],
)
def test_triggers_of_a_base_are_judged(text: str) -> None:
    """ONBUILD of a base brings no image that nobody judged."""
    report = Report("Containerfile", "recipe")
    stage = Stage(number=0, image=PINNED, place=SourcePlace("Containerfile", 1, 1))

    steps = read_triggers((text,), stage, report)

    assert report.failed or not any("from" in step.text.split()[1] for step in steps)


def test_a_preprocessed_file_is_refused(tmp_path: Path) -> None:
    """Buildah hands NAME.in to cpp, which includes what it likes."""
    (tmp_path / "recipe.yaml").write_text(
        'schema: 1\nname: x\nversion: "1"\ncontainerfile: Containerfile.in\n'
    )
    (tmp_path / "Containerfile.in").write_text('FROM scratch\n#include "more"\n')

    with pytest.raises(RecipeError) as caught:
        load(tmp_path)

    assert [d.code for d in caught.value.diagnostics] == ["recipe/preprocessed"]


def test_a_source_of_another_stage_needs_a_safe_buildah() -> None:
    """Buildah before 1.35.1 follows a link in it out to the host (CVE-2024-1753)."""
    text = "FROM scratch AS a\nFROM scratch\nRUN --mount=from=a,source=/out,target=/x ls\n"

    script = read_containerfile(text.encode(), {}, Report("Containerfile", "recipe"))

    assert script is not None
    assert [need.version for need in script.needs] == ["1.35.1"]


@pytest.mark.parametrize(
    ("reported", "good"),
    [
        ("STEP 1/2: FROM scratch AS stage0\nSTEP 2/2: COPY a /a\n", True),
        ("STEP 1/3: FROM scratch AS stage0\nSTEP 2/3: COPY a /a\nSTEP 3/3: RUN b\n", False),
        ("STEP 1/2: FROM scratch AS stage0\nSTEP 2/2: COPY b /a\n", False),
        ("STEP 1/2: FROM evil AS stage0\nSTEP 2/2: COPY a /a\n", False),
        ("STEP 1/2: FROM scratch AS stage0\n", False),
        ("", False),
    ],
)
def test_buildah_does_the_steps_that_were_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: str, *, good: bool
) -> None:
    """What a Buildah reports that reads something else is no image."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "said").write_text(reported)
    program = tmp_path / "bin/buildah"
    containers = tmp_path / "vfs-containers"
    (containers / "a/userdata").mkdir(parents=True)
    record = {"CommonBuildOpts": {"Secrets": [f"src={tmp_path}/containerfile"]}}
    (containers / "a/userdata/buildah.json").write_text(json.dumps(record))
    (containers / "containers.json").write_text('[{"id": "a", "layer": "a"}]')
    commit = f"cat {tmp_path}/policy"
    program.write_text(
        f"#!/bin/sh\ncat {tmp_path}/said; {commit} >&2; echo sha256:1 > {tmp_path}/iid\n"
    )
    program.chmod(0o755)
    (tmp_path / "vfs/dir/a").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    script = read_containerfile(b"FROM scratch\nCOPY a /a\n", {}, Report("C", "recipe"))
    assert script is not None
    monkeypatch.setattr(Sandbox, "wrap", lambda _, argv, **__: argv)
    folder = Folder(path=tmp_path, real=tmp_path)
    store = ContainerStore(folder=folder, run=tmp_path, driver="vfs", runtime="runc")
    buildah = Buildah(runner=Runner(), store=store, folder=folder)

    def bud() -> str:
        rendered = render(script, {})
        return buildah.bud(
            rendered,
            tmp_path,
            ignore=None,
            build_args={},
            secrets=(),
            isolation=Isolation(how="chroot"),
            limit=30,
            epoch=0,
        )

    if good:
        assert bud() == "sha256:1"
    else:
        with pytest.raises(BuildError, match="did not report the step"):
            bud()


def test_a_cache_lies_in_no_other_cache() -> None:
    """A step could put a link where Buildah looks for the cache of a step behind it."""
    text = (
        "FROM scratch\nRUN --mount=type=cache,target=/a,sharing=locked ln -s / /a/b\n"
        "RUN --mount=type=cache,target=/a/b ls\nRUN --mount=type=cache,id=x,target=/a ls\n"
    )

    script = read_containerfile(text.encode(), {}, Report("Containerfile", "recipe"))

    assert script is not None
    options = [step.text.split()[1].split(",") for step in script.stages[0].steps]
    ids = [option for each in options for option in each if option.startswith("id=")]
    assert len(set(ids)) == 3
    assert not any("/" in each for each in ids)
    assert not any(option.startswith("sharing") for each in options for option in each)


DOUBLED = "".join(f"ARG A{n + 1}=${{A{n}}}${{A{n}}}\n" for n in range(60))
COSTLY = {
    "variables that double": f"ARG A0=xxxx\n{DOUBLED}FROM r.example/$A60@sha256:{HEX}\n",
    "one variable many times": f"ARG A={'x' * 30_000}\nFROM {'$A' * 20_000}\n",
    "many variables": "".join(f"ARG a{n}=1\n" for n in range(90_000)) + "FROM scratch\n",
    "many on a line": f"ARG {' '.join(f'a{n}=1' for n in range(6000))}\n" * 15 + "FROM scratch\n",
    "many stages": "FROM scratch\n" * 70_000,
    "many continued lines": "FROM scratch\nRUN x" + "\\\n" * 300_000 + "b\nFROM b\n",
    "nested defaults": f"FROM {'${A:-' * 5000}x{'}' * 5000}\n",
    "quotes": "ARG A=" + "'\"" * 29_000 + "\nFROM $A\n",
    "here-documents": "FROM scratch\nRUN " + "<<A " * 14_000 + "\n" + "A\n" * 14_000 + "FROM b\n",
}


@pytest.mark.parametrize("text", COSTLY.values(), ids=COSTLY)
def test_no_file_takes_long(text: str) -> None:
    """Products are bounded: a file of 1 MB is read, or refused, in no time."""
    report = Report("Containerfile", "recipe")
    began = time.process_time()

    script = read_containerfile(text.encode(), {}, report)

    assert script is None
    assert time.process_time() - began < 5
