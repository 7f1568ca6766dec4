"""What must hold between the fields of a recipe, and between a recipe and its folder."""

from collections.abc import Iterable
from pathlib import Path

from imagekit.documents.report import Report
from imagekit.documents.scalars import Found, TextRefusedError
from imagekit.documents.shape import Values
from imagekit.errors import InputError
from imagekit.inputs import read_regular
from imagekit.needs.compatibility import ANNOTATIONS
from imagekit.oci.reference import Repository, TaggedReference
from imagekit.recipe.openpgp import MAX_KEY, parse_public_keys
from imagekit.recipe.path_inside import path_inside
from imagekit.recipe.recipe import BUILD, Tags
from imagekit.recipe.values import package, recipe_path, stage_path

SET_BY_KEYS = {
    "org.opencontainers.image.title": "title",
    "org.opencontainers.image.description": "description",
    "org.opencontainers.image.version": "version",
    "org.opencontainers.image.licenses": "licenses",
    "org.opencontainers.image.source": "source",
}
RESERVED = frozenset(
    {
        *SET_BY_KEYS,
        "org.opencontainers.image.created",
        "org.opencontainers.image.revision",
        "org.opencontainers.image.base.name",
        "org.opencontainers.image.base.digest",
        "org.opencontainers.image.ref.name",
        *ANNOTATIONS,
    }
)
"""Labels that imagekit sets itself."""
_OF_COMMAND = ("name", "exit_code", "stdout", "stderr", "signal")
"""What a test of one command has, and a file of tests has not."""
_INSTEAD = ("base", "packages", "apt", "steps", "stages")
_NUMBERS = ("major", "minor", "patch")
_A_BUILD = "01234567"


def base_or_containerfile(values: Values, report: Report) -> None:
    """Require either a base, or a Containerfile alone."""
    if "containerfile" not in values:
        if "base" not in values:
            hint = "add `base: {bootstrap: {distribution: debian, suite: bookworm}}`, or another"
            report.error(values.span, "no-base", "the recipe has no `base`", hint=hint)
        return
    for name in _INSTEAD:
        if name in values:
            message = f"`{name}` and `containerfile` exclude each other"
            hint = "the Containerfile says it all" if name == "base" else "move it there"
            report.error(values.key(name), "containerfile-and-base", message, hint=hint)


def labels_are_free(values: Values, report: Report) -> None:
    """Refuse labels that imagekit sets."""
    for name in values.get("labels") or ():
        if name in RESERVED:
            key = "needs" if name in ANNOTATIONS else SET_BY_KEYS.get(name)
            hint = f"write `{key}:` at the top of the recipe" if key else "take it out"
            message = f"the label {name} is set by imagekit"
            report.error(values.key("labels"), "reserved-label", message, hint=hint)


def cpu_is_of_a_platform(values: Values, report: Report) -> None:
    """Refuse a level of x86-64 for an image of another architecture."""
    needs, platforms = values.get("needs"), values.get("platforms")
    if needs is None or not needs.needs.cpu:
        return
    for platform in platforms or ():
        if platform.architecture != "amd64":
            message = f"`{needs.needs.cpu}` is no processor of {platform}"
            report.error(values.value("needs"), "cpu-of-platform", message, hint="take `cpu` out")


def run_or_args(values: Values, report: Report) -> None:
    """Require exactly one of a test's ``run``, ``args`` and ``structure``."""
    have = [name for name in ("run", "args", "structure") if name in values]
    if len(have) != 1:
        shown = " and ".join(f"`{name}`" for name in have) or "none of them"
        message = f"a test has one of `run`, `args` and `structure`; this one has {shown}"
        hint = "`run` goes around the entrypoint, `args` go to it; `structure` names a file"
        report.error(values.span, "run-or-args", message, hint=hint)
    elif have == ["structure"]:
        for name in _OF_COMMAND:
            if name in values:
                message = f"`{name}` says nothing about the tests of a file"
                report.error(values.key(name), "run-or-args", message, hint="say it in the file")


def packages_are_named(values: Values, report: Report) -> None:
    """Check each package by the rules of its manager."""
    manager, install = values.get("manager"), values.get("install")
    if manager is None or install is None:
        return
    for entry in install:
        try:
            package(manager, entry.value)
        except InputError as error:
            report.error(entry.span, "bad-package", error.message, hint=error.hint)


def requirements_are_of_pip(values: Values, report: Report) -> None:
    """Refuse a requirements file for a manager that cannot read one."""
    if "requirements" in values and values.get("manager") not in {None, "pip"}:
        message = f"{values['manager']} takes no requirements file"
        hint = "list its packages under `install`"
        report.error(values.key("requirements"), "bad-package", message, hint=hint)


def apt_is_used(values: Values, report: Report) -> None:
    """Require something that apt installs, where there are repositories for it."""
    packages, stages = values.get("packages"), values.get("stages")
    whole = all(
        name not in values or values.get(name) is not None for name in ("packages", "stages")
    )
    if "apt" in values and whole:
        of_stages = [entry for stage in (stages or {}).values() for entry in stage.packages]
        if any(entry.manager == "apt" for entry in (*(packages or ()), *of_stages)):
            return
        message = "the recipe has repositories for apt, and nothing that apt installs"
        hint = "add `packages: [{manager: apt, install: [NAME]}]`"
        report.error(values.key("apt"), "unused-apt", message, hint=hint)


def components_are_of_a_suite(values: Values, report: Report) -> None:
    """Require components for a suite, and none for a path (sources.list(5))."""
    suite, components = values.get("suite"), values.get("components")
    if suite is None or (components is None and "components" in values):
        return
    if suite.endswith("/") is bool(components):
        span = values.value("components" if components else "suite")
        message = (
            f"`{suite}` is a path, which has no components"
            if components
            else f"the suite `{suite}` has no components"
        )
        hint = (
            "take `components` out, or write a suite"
            if components
            else "add `components: [main]`, or write a path with '/' at its end"
        )
        report.error(span, "bad-components", message, hint=hint)


def key_is_public(values: Values, report: Report) -> None:
    """Check that a repository's key is a public key in the recipe's folder."""
    public_key(values, report)


def public_key(values: Values, report: Report) -> bytes:
    """Return the key of a repository; report one that is none, and return nothing then."""
    path = _inside(values, report, name="signed_by")
    if path is None:
        return b""
    span = values.value("signed_by")
    try:
        return parse_public_keys(read_regular(path, limit=MAX_KEY))
    except OSError as error:
        message = f"`{values['signed_by']}` cannot be read: {error.strerror}"
        report.error(span, "bad-key", message, hint=f"at most {MAX_KEY} bytes are read of a key")
    except InputError as error:
        message = f"`{values['signed_by']}`: {error.message}"
        report.error(span, "bad-key", message, hint=error.hint)
    return b""


def source_is_inside(values: Values, report: Report) -> None:
    """Check that what a step copies lies in the recipe's folder, or could lie in a stage."""
    path: str | None = values.get("from")
    if path is None:
        return
    try:
        if "from_stage" in values:
            stage_path(path)
        else:
            recipe_path(path)
    except TextRefusedError as error:
        report.error(values.value("from"), error.code, error.message, hint=error.hint)
        return
    if "from_stage" not in values:
        _inside(values, report, name="from")
    elif "mode" in values:
        message = "`mode` and `from_stage` exclude each other: what a stage made keeps its modes"
        report.error(values.key("mode"), "mode-of-stage", message, hint="set it in the stage")


def containerfile_is_inside(values: Values, report: Report) -> None:
    """Check that the Containerfile is a file in the recipe's folder."""
    path = _inside(values, report, name="containerfile")
    if path is not None and not path.is_file():
        message = f"`{values['containerfile']}` is not a file"
        report.error(values.value("containerfile"), "no-such-file", message)


def tags_are_tags(values: Values, report: Report) -> None:
    """Put the version and name into the tags, and check what comes out."""
    version, name, tags = values.get("version"), values.get("name"), values.get("tags")
    if version is None or name is None or tags is None:
        return
    immutable = _checked(tags["immutable"], version, name, report=report)
    moving = _checked(tags["moving"], version, name, report=report)
    for tag in sorted(immutable & moving):
        message = f"the tag {tag} cannot both move and never move"
        report.error(values.key("tags"), "tag-twice", message)


def tags(values: Values | None, version: str, name: str) -> Tags:
    """Return the tags of a release; without any in the recipe, the version is the only one."""
    if values is None:
        return Tags(immutable=(version,), moving=())
    return Tags(
        immutable=tuple(expand(tag.value, version, name) for tag in values["immutable"]),
        moving=tuple(expand(tag.value, version, name) for tag in values["moving"]),
    )


def expand(template: str, version: str, name: str) -> str:
    """Put version and name into a tag's template; what stands for ``{build}`` is not known yet.

    Raises:
        InputError: an unknown placeholder, or the version has no such number.
    """
    numbers = version.partition("-")[0].split(".")
    known = {"version": version, "name": name.replace("/", "-")}
    known |= dict(zip(_NUMBERS, numbers, strict=False))
    text = template
    for word, value in known.items():
        text = text.replace(f"{{{word}}}", value)
    if set("{}") & set(text.replace(BUILD, "")):
        missing = next((word for word in _NUMBERS if f"{{{word}}}" in text), "")
        if missing:
            raise InputError(f"the version {version} has no {missing} number for {template}")
        hint = "known are: {version}, {major}, {minor}, {patch}, {name}, {build}"
        raise InputError(f"`{template}` holds an unknown placeholder", hint=hint)
    return text


def _checked(
    templates: Iterable[Found[str]], version: str, name: str, *, report: Report
) -> frozenset[str]:
    good = set()
    for template in templates:
        try:
            tag = expand(template.value, version, name)
            TaggedReference(Repository("localhost", "x"), tag.replace(BUILD, _A_BUILD))
        except InputError as error:
            report.error(template.span, "bad-tag", error.message, hint=error.hint)
            continue
        if tag.startswith(("sha256-", "sha512-")):
            # Such tags hold signatures and lists of referrers (distribution-spec, fallback tags).
            message = f"the tag {tag} is kept for signatures"
            report.error(template.span, "bad-tag", message, hint="take another")
        good.add(tag)
    return frozenset(good)


def _inside(values: Values, report: Report, *, name: str) -> Path | None:
    """Return the real path below the folder; report one that is missing or lies elsewhere."""
    text: str | None = values.get(name)
    if text is None or report.folder is None:
        return None
    return path_inside(text, report.folder, report=report, span=values.value(name))
