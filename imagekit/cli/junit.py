"""The results of testing policies as JUnit's XML, which CI systems show."""

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
            failures=str(
                sum(result.verdict is not None and not result.passed for result in tested)
            ),
            errors=str(sum(result.verdict is None for result in tested)),
        )
        for result in tested:
            _case(ET.SubElement(suite, "testcase", name=plain(result.case.name)), result, name)
    try:
        write_output(file, ET.tostring(root, encoding="utf-8", xml_declaration=True))
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror or type(error).__name__}",
            code="JUNIT",
        ) from error


def _case(element: ET.Element, result: "Tested", suite: str) -> None:
    element.set("classname", plain(suite))
    if result.verdict is None:
        message = plain(result.error.message) if result.error else ""
        ET.SubElement(element, "error", message=result.why_not).text = message
    elif not result.passed:
        ET.SubElement(element, "failure", message=result.why_not).text = text(result.verdict)
