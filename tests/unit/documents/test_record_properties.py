"""What the worker says, read back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.build.image import BuiltLayer, Material, Origin
from imagekit.build.job import BuildResult, CachedLayer
from imagekit.documents.record import from_document, to_document
from imagekit.errors import DocumentError, ImagekitError
from imagekit.oci.digest import Digest
from imagekit.oci.types import LAYER, Descriptor
from imagekit.progress import Command, Done, Note, OutputLine

_LAYERS = st.builds(
    BuiltLayer,
    descriptor=st.builds(
        Descriptor,
        media_type=st.just(LAYER),
        digest=st.binary().map(Digest.of),
        size=st.integers(min_value=0),
        annotations=st.dictionaries(st.text(), st.text(), max_size=2),
    ),
    diff_id=st.binary().map(Digest.of),
    origin=st.sampled_from(Origin),
    title=st.text(),
)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_VALUES = (
    st.builds(OutputLine, stage=st.text(), line=st.text())
    | st.builds(Command, argv=st.lists(st.text()).map(tuple))
    | st.builds(Done, stage=st.text(), summary=st.text(), seconds=_NUMBERS)
    | st.builds(
        BuildResult,
        layers=st.lists(_LAYERS, max_size=2).map(tuple),
        materials=st.lists(st.builds(Material, uri=st.text(), name=st.text())).map(tuple),
        tools=st.lists(st.tuples(st.text(), st.text())).map(tuple),
    )
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("kind", "stage", "line", "message", "layers", "made")), inner
        )
    ),
    max_leaves=8,
)


@given(_VALUES)
def test_what_is_said_is_understood(value: object) -> None:
    """A value goes through JSON and comes out as it was."""
    document = json.loads(json.dumps(to_document(value)))

    assert from_document(type(value), document) == value


@given(_JSON, st.sampled_from((OutputLine, Note, Command, BuildResult, CachedLayer)))
def test_anything_else_is_refused(document: object, kind: type[object]) -> None:
    """What does not fit the type is told by one of imagekit's errors, and nothing else happens."""
    try:
        value = from_document(kind, document)
    except ImagekitError:
        return
    assert isinstance(value, kind)


@pytest.mark.parametrize("origin", ["recipu", "", None, 1, [], {}])
def test_a_word_that_is_none_of_the_choices_is_refused(origin: object) -> None:
    """An enumeration takes its own words only."""
    with pytest.raises(ImagekitError):
        from_document(Origin, origin)


@pytest.mark.parametrize(
    "seconds", [10**400, -(10**400), float("inf"), float("nan"), True, "1", None]
)
def test_a_number_that_no_clock_shows_is_refused(seconds: object) -> None:
    """JSON's integers have no end, and Python reads words for what is no number."""
    document = to_document(Done(stage="build", summary="", seconds=1.0)) | {"seconds": seconds}

    with pytest.raises(DocumentError) as refused:
        from_document(Done, document)

    assert refused.value.code == "BAD_DOCUMENT"


def test_a_whole_number_is_a_number_of_seconds() -> None:
    """A writer may leave the fraction out."""
    document = to_document(Done(stage="build", summary="", seconds=1.0)) | {"seconds": 2}

    assert from_document(Done, document).seconds == 2.0
