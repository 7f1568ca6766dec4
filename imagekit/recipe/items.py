"""The shape of recipe.yaml, schema 1: every key, what it is for and what it may hold."""

import base64
from typing import Any

from msgspec.structs import replace

from imagekit.documents.place import SourcePlace
from imagekit.documents.scalars import (
    LINES,
    Boolean,
    ByKind,
    Choice,
    Integer,
    ListOf,
    Located,
    MapOf,
    Text,
    plain,
)
from imagekit.documents.shape import OneKey, Record, Values, item
from imagekit.oci.types import NOTHING
from imagekit.recipe import rules, values
from imagekit.recipe.recipe import (
    AptSource,
    Base,
    BootstrapBase,
    BuildStage,
    CopyStep,
    FetchStep,
    ImageBase,
    Packages,
    RecipeBase,
    RunStep,
    ScratchBase,
    Secret,
    StageCopy,
    Step,
)

_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
_ACCOUNT = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"

NAME = plain(
    "a repository's name: lower-case words, with '/' between folders",
    pattern=_NAME,
    max_length=200,
    examples=("hello-mpi", "base/debian"),
)
VERSION = plain(
    "a version that can be a tag: letters, digits, '_', '.' and '-'",
    pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    max_length=128,
    examples=("1.2.0",),
)
_LINE = plain("one line")
_EMPTY_LINE = plain("one line, which may be empty", min_length=0, max_length=32768)
_WORD = plain("an argument", pattern=LINES, min_length=0, max_length=65536)
_URL = Text(
    "a web address", pattern=r"https?://[^\x00-\x20\x7f]+", parse=values.url, max_length=2048
)
_PART = r"[A-Za-z0-9][A-Za-z0-9.+_-]*"
_MAX_SOURCES = 16
REPOSITORY = Text(
    "the address of a repository: http or https, of plain characters",
    pattern=r"https?://(?:[!-~]+@)?[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9.,~+=_-]+)*/?",
    parse=values.url,
    max_length=1000,
    examples=("https://mirror.example.org/debian",),
)
_IMAGE_PATH = Text(
    "an absolute path in the image",
    pattern=r"/[^\x00-\x1f\x7f]*",
    parse=values.image_path,
    examples=("/opt/solver",),
)
_RECIPE_PATH = Text("a path below the recipe's folder", parse=values.recipe_path)
_OWNER = plain(
    "USER or USER:GROUP, by number or name", pattern=rf"{_ACCOUNT}(?::{_ACCOUNT})?", max_length=128
)
_ARGUMENTS = ListOf(_WORD)
COMMAND: ByKind[Any] = ByKind(
    "a command: text for /bin/sh -c, or a list that is executed as it stands",
    scalar=plain("a shell command", pattern=LINES, max_length=65536),
    sequence=ListOf(_WORD, min_items=1),
)


def _bootstrap(mapping: Values) -> BootstrapBase:
    return BootstrapBase(
        distribution=mapping["distribution"],
        suite=mapping["suite"],
        mirror=mapping["mirror"],
        place=mapping.place,
    )


_BOOTSTRAP = Record(
    "a distribution to bootstrap",
    {
        "distribution": item(
            Choice(
                "the distribution",
                ("debian", "ubuntu"),
                hint="for one of rpm packages write `base: {image: HOST/NAME@sha256:...}`, or "
                "`containerfile:`, and install them by `run: dnf install --assumeyes NAME`",
            ),
            "debian, or ubuntu where the host has its keyring",
            required=True,
        ),
        "suite": item(
            Text("a suite's name", pattern="[a-z][a-z0-9-]*", parse=values.suite, max_length=40),
            "the release, such as bookworm, trixie, testing or noble",
            required=True,
        ),
        "mirror": item(
            REPOSITORY, "where it is got from, instead of the host's own mirror", default=""
        ),
    },
    make=_bootstrap,
)


def _base(key: str, value: Any, place: SourcePlace) -> Base:
    if key == "image":
        location, reference = value
        return ImageBase(reference=reference, location=location, place=place)
    if key == "recipe":
        return RecipeBase(name=value, place=place)
    bootstrap: BootstrapBase = replace(value, place=place)
    return bootstrap


BASE: ByKind[Any] = ByKind(
    "what the image stands on: `scratch`, or one of `image:`, `bootstrap:`, `recipe:`",
    scalar=Choice("nothing at all", ("scratch",)),
    mapping=OneKey(
        "the base",
        {
            "image": item(
                Text("a reference with its digest", parse=values.pinned, code="bad-reference"),
                "an image of a registry, by digest: HOST/NAME[:TAG]@sha256:...",
            ),
            "bootstrap": item(_BOOTSTRAP, "a distribution's minimal system, from its archive"),
            "recipe": item(NAME, "the `name` of another recipe of the same tree"),
        },
        make=_base,
    ),
)


def _packages(mapping: Values) -> Packages:
    manager, file = mapping["manager"], mapping["requirements"]
    return Packages(
        manager=manager,
        install=(
            _of_file(file, mapping)
            if file
            else tuple(values.package(manager, part.value) for part in mapping["install"])
        ),
        requirements=file,
        own_layer=mapping["layer"] == "own",
        place=mapping.place,
    )


def _of_file(name: str, mapping: Values) -> tuple[str, ...]:
    """Return what a requirements file pins; nothing where the recipe's folder is not known."""
    # Its library costs more to import than a recipe without such a file to read.
    from imagekit.recipe.requirements_file import read_requirements

    report, span = mapping.report, mapping.value("requirements")
    return read_requirements(name, report, span) if report.folder is not None else ()


PACKAGES = Record(
    "an entry of `packages`",
    {
        "manager": item(
            Choice(
                "the package manager",
                ("apt", "pip"),
                hint="what another one installs is a step: `run: dnf install --assumeyes NAME`",
            ),
            "who installs",
            required=True,
        ),
        "install": item(
            ListOf(Located(plain("a package", pattern=LINES, max_length=65536)), min_items=1),
            "what is installed: NAME or NAME=VERSION for apt; "
            "NAME==VERSION[ ; MARKER] --hash=sha256:... for pip",
        ),
        "requirements": item(
            _RECIPE_PATH,
            "for pip, instead of `install`: a file below the recipe's folder, as "
            "`uv pip compile --generate-hashes` or `pip-compile --generate-hashes` writes it",
            default="",
        ),
        "layer": item(
            Choice("whose layer it is", ("own",)),
            "`own`: this entry is a layer of its own, which is made again only when it or one "
            "before it changes; entries without it that stand together are one layer",
            default="",
        ),
    },
    make=_packages,
    rules=(rules.packages_are_named, rules.requirements_are_of_pip),
    aliases={"file": "requirements", "requirement": "requirements", "names": "install"},
    one_of=(("install", "requirements"),),
)


def _source(mapping: Values) -> AptSource:
    key = rules.public_key(mapping, mapping.report)
    return AptSource(
        uri=mapping["uri"],
        suite=mapping["suite"],
        components=mapping["components"],
        signed_by=mapping["signed_by"],
        key=base64.b64encode(key).decode(),
        place=mapping.place,
    )


# sources.list(5). A blank would begin another word, a bracket the options, and $ a variable.
_SOURCE = Record(
    "a repository",
    {
        "uri": item(REPOSITORY, "where it is; without a login", required=True),
        "suite": item(
            plain(
                "a suite, or a path that ends with '/'",
                pattern=rf"\./|/|{_PART}(?:/{_PART})*/?",
                max_length=200,
                examples=("bookworm",),
            ),
            "its suite, or a path with '/' at its end where it has none (`/`)",
            required=True,
        ),
        "components": item(
            ListOf(plain("a component", pattern=rf"{_PART}(?:/{_PART})*", max_length=100)),
            "the components of the suite, such as main; none where the suite is a path",
            default=(),
        ),
        "signed_by": item(
            _RECIPE_PATH,
            "the public key that signs it: an OpenPGP file below the recipe's folder",
            required=True,
        ),
    },
    make=_source,
    rules=(rules.components_are_of_a_suite, rules.key_is_public),
    aliases={
        "url": "uri",
        "uris": "uri",
        "suites": "suite",
        "component": "components",
        "signed-by": "signed_by",
        "key": "signed_by",
    },
)
APT: Record[tuple[AptSource, ...]] = Record(
    "what apt is told",
    {
        "sources": item(
            ListOf(_SOURCE, min_items=1, max_items=_MAX_SOURCES),
            "repositories besides the distribution's own, while packages are installed only",
            required=True,
        )
    },
    make=lambda v: v["sources"],
)


def _copy(mapping: Values) -> CopyStep | StageCopy:
    where = {"source": mapping["from"], "to": mapping["to"], "owner": mapping["owner"]}
    if mapping["from_stage"]:
        named = mapping.report.place(mapping.value("from_stage"))
        return StageCopy(stage=mapping["from_stage"], place=mapping.place, named=named, **where)
    return CopyStep(mode=mapping["mode"], place=mapping.place, **where)


_STAGE_NAME = plain("a stage's name", pattern=r"[a-z0-9][a-z0-9_-]*", max_length=60)
_COPY: Record[CopyStep | StageCopy] = Record(
    "a `copy` step",
    {
        "from": item(
            plain("a path"),
            "file or folder below the recipe's folder, links are kept; with `from_stage` an "
            "absolute path in that stage; of a folder, what is in it",
            required=True,
        ),
        "from_stage": item(
            _STAGE_NAME,
            "the stage that it is copied from, with modes, links, capabilities and `user.*` "
            "attributes as they are there",
            default="",
        ),
        "to": item(_IMAGE_PATH, "where it goes in the image", required=True),
        "mode": item(
            Text("permissions in octal", pattern="[0-7]{3,4}", parse=lambda t: int(t, 8)),
            'permissions in octal, in quotes: "0755"; not with `from_stage`',
        ),
        "owner": item(_OWNER, "whose all of it is: USER or USER:GROUP", default="0:0"),
    },
    make=_copy,
    rules=(rules.source_is_inside,),
    aliases={
        "stage": "from_stage",
        "src": "from",
        "source": "from",
        "dest": "to",
        "destination": "to",
        "chmod": "mode",
    },
)
_FETCH = Record(
    "a `fetch` step",
    {
        "url": item(_URL, "where it is fetched from", required=True),
        "sha256": item(
            Text(
                "64 lower-case hexadecimal digits",
                pattern="[0-9a-f]{64}",
                parse=values.sha256,
                hint="`sha256sum FILE` prints it",
            ),
            "what the bytes must hash to",
            required=True,
        ),
        "to": item(_IMAGE_PATH, "where it goes in the image", required=True),
        "extract": item(Boolean("unpack"), "whether the archive is unpacked there", default=False),
    },
    make=lambda v: FetchStep(
        url=v["url"], sha256=v["sha256"], to=v["to"], extract=v["extract"], place=v.place
    ),
    aliases={"uri": "url", "checksum": "sha256", "hash": "sha256", "unpack": "extract"},
)


def _step(key: str, value: Any, place: SourcePlace, *, network: bool = True) -> Step:
    if key == "run":
        return RunStep(command=value, place=place, network=network)
    step: Step = replace(value, place=place)
    return step


NETWORK = Text(
    "`none` or `host`", pattern="none|host", parse=lambda text: text == "host", max_length=4
)
STEP = OneKey(
    "a step",
    {
        "run": item(COMMAND, "a command, run in the image as root"),
        "copy": item(_COPY, "a file or folder of the recipe's folder, or of a stage"),
        "fetch": item(_FETCH, "a file of the network, by its digest"),
    },
    make=_step,
    aliases={"add": "copy", "script": "run", "shell": "run", "exec": "run", "download": "fetch"},
    beside={
        "run": {
            "network": item(
                NETWORK,
                "`none` leaves the command nothing but loopback; else it has the host's network",
            )
        }
    },
)


def base_of(mapping: Values) -> Base | None:
    """Return what `base` says; None where it does not stand there."""
    base = mapping["base"]
    if base == "scratch":
        return ScratchBase(place=mapping.report.place(mapping.value("base")))
    known: Base | None = base
    return known


ENV = MapOf(plain("a variable's name", pattern=_VARIABLE, max_length=200), _EMPTY_LINE)
_STAGE = Record(
    "a stage",
    {
        "base": item(BASE, "what the stage stands on; what the recipe stands on by default"),
        "packages": item(ListOf(PACKAGES), "what package managers install in it", default=()),
        "steps": item(ListOf(STEP), "what is done then; it may copy from other stages", default=()),
        "env": item(ENV, "environment of its steps, instead of the recipe's", default=NOTHING),
    },
    make=lambda v: BuildStage(
        name="",
        base=base_of(v),
        packages=v["packages"],
        steps=v["steps"],
        env=v["env"],
        place=v.place,
    ),
    aliases={"from": "base", "environment": "env", "run": "steps", "install": "packages"},
)
STAGES = MapOf(_STAGE_NAME, _STAGE, max_items=20)

SECRET = OneKey(
    "a secret's source",
    {
        "env": item(
            plain("a variable's name", pattern=_VARIABLE), "variable of imagekit's environment"
        ),
        "file": item(_LINE, "file on the building host"),
    },
    make=lambda key, value, place: Secret(
        id="", env=value if key == "env" else "", file=value if key == "file" else "", place=place
    ),
)

_TEMPLATE = Located(
    plain(
        "a tag, with {version}, {major}, {minor}, {patch}, {name} or {build}",
        pattern=r"[A-Za-z0-9_.{}-]+",
        max_length=128,
        examples=("{version}", "{major}.{minor}", "latest"),
    )
)
TAGS: Record[Values] = Record(
    "`tags`",
    {
        "immutable": item(ListOf(_TEMPLATE, min_items=1), "tags that never move", required=True),
        "moving": item(ListOf(_TEMPLATE), "tags that move to each release", default=()),
    },
    make=lambda v: v,
)
_PORT = r"[1-9][0-9]{0,4}(?:/(?:tcp|udp|sctp))?"

LABELS = MapOf(
    plain("a label's name", pattern=r"[A-Za-z0-9][A-Za-z0-9._/-]*", max_length=200),
    plain("text", pattern=LINES, min_length=0),
)
SECRETS = MapOf(
    plain("a secret's id", pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*", max_length=100), SECRET
)
LINE = _LINE
URL = _URL
OWNER = _OWNER
ARGUMENTS = _ARGUMENTS
IMAGE_PATH = _IMAGE_PATH
RECIPE_PATH = _RECIPE_PATH
DESCRIPTION = plain("text of any number of lines", pattern=LINES, max_length=20000)
LICENCES = Text("an SPDX licence expression", parse=values.licence, max_length=1000)
PLATFORM = Text(
    "linux/ARCHITECTURE",
    pattern="linux/[a-z0-9_]+(?:/[a-z0-9]+)?",
    parse=values.platform,
    max_length=60,
    examples=("linux/amd64", "linux/arm64"),
)
PORT: ByKind[Any] = ByKind(
    "a port, such as 8080 or 9000/udp",
    number=Integer("a port", minimum=1, maximum=65535),
    scalar=plain("a port with its protocol", pattern=_PORT),
)
DATE = Text(
    "a date, or a time with its zone",
    pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?)?",
    parse=values.epoch,
    examples=("2026-11-23", "2026-11-23T14:00:00Z"),
)
TIME_LIMIT: ByKind[Any] = ByKind(
    "seconds, or a number with s, m, h or d",
    number=Integer("seconds", minimum=1, maximum=values.MAX_TIME_LIMIT),
    scalar=Text(
        "a duration",
        pattern="[1-9][0-9]{0,5}[smhd]",
        parse=values.seconds,
        examples=("90m", "2h"),
    ),
)
