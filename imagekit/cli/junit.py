"""JUnit's XML, which CI systems show: what came of testing policies."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # nothing is parsed

from imagekit.errors import InputError
from imagekit.files import write_output
from imagekit.policy.findings import plain
from imagekit.verify.verdict_text import text

if TYPE_CHECKING:
    from imagekit.verify.run_table import Tested


def write(file: Path, suites: "Sequence[tuple[str, Sequence[Tested]]]") -> None:
    """Write the report.

    Args:
        file: where it goes.
        suites: the name of each table, and its cases.

    Raises:
        InputError: it cannot be written.
    """
    root = ET.Element("testsuites", name="imagekit policy test")
    for name, tested in suites:
        suite = ET.SubElement(
            root,
            "testsuite",
            name=plain(name),
            tests=str(len(tested)),
            failures=str(sum(one.verdict is not None and not one.passed for one in tested)),
            errors=str(sum(one.verdict is None for one in tested)),
        )
        for one in tested:
            _case(ET.SubElement(suite, "testcase", name=plain(one.case.name)), one, name)
    try:
        write_output(file, ET.tostring(root, encoding="utf-8", xml_declaration=True))
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror or type(error).__name__}",
            code="JUNIT",
        ) from error


def _case(element: ET.Element, one: "Tested", suite: str) -> None:
    element.set("classname", plain(suite))
    if one.verdict is None:
        said = plain(one.error.message) if one.error else ""
        ET.SubElement(element, "error", message=one.why_not).text = said
    elif not one.passed:
        ET.SubElement(element, "failure", message=one.why_not).text = text(one.verdict)
