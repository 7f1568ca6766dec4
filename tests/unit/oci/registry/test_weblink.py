"""The Link header by RFC 8288: everything that it allows is read, and nothing else is guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import DocumentError, RegistryError
from imagekit.oci.registry import protocol
from imagekit.oci.registry.weblink import MAX_HEADER, Link, parse_links

_AT = "https://r.example.org/v2/app/referrers/x?n=1"
_NEXT = "https://r.example.org/n"


@pytest.mark.parametrize(
    "header",
    [
        '</n>; rel="next"',
        "</n>; rel=next",
        "</n>;rel=next;",
        '</n>; REL="NEXT"',
        '</n>; Rel = "Next"',
        '</n> ; rel\t=\t"next"',
        '</n>; rel="next last"',
        '</n>; rel="last  NEXT"',
        "</n>; rel=last next",
        '</n>; title="a"; rel=next',
        '</n>; title="a, b; rel=\\"first\\""; rel=next',
        "</n>; title*=UTF-8''%e2%82%ac; rel=next",
        "</n>; crossorigin; rel=next",
        '</n>; rel="https://example.org/rels/more next"',
        '</n>; rel=next; rel="prev"',
        '</a>; rel="first", </n>; rel="next"',
        '</n>; rel="next", </z>; rel=last',
        '</a,b;c>; rel="prev", </n>; rel=next',
        ", ,</n>; rel=next, ,",
        '</n>; rel="next", </n>; rel="next last"',
        f'<{_NEXT}>; rel="n\\ext"',
        '</n>; rel="next"; anchor=""',
        f'</n>; rel="next"; anchor="{_AT}"',
    ],
)
def test_every_form_of_a_next_page(header: str) -> None:
    """Wherever the relation stands and however it is written."""
    assert protocol.next_page(header, _AT) == _NEXT


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        ",",
        '</n>; rel="prev"',
        '</n>; rel="nextish"',
        '</n>; rel="not-next"',
        '</n>; title="; rel=next"; rel=prev',
        '</n>; rel="prev"; rel="next"',
        '</?rel=next>; rel="first"',
        '</n>; rel="prev"; anchor="/elsewhere"',
    ],
)
def test_no_next_page(header: str) -> None:
    """What is none is none: a list ends where the registry says so."""
    assert protocol.next_page(header, _AT) is None


@pytest.mark.parametrize(
    "header",
    [
        "next",
        "</n",
        "</n>",
        '</n>; rel=""',
        '</n>; title="next"',
        '</n>; rev="prev"',
        "</n>; rel*=UTF-8''next",
        '</n>; rel="prev", </o>',
        '/n; rel="next"',
        "</n> rel=next",
        '</n>; rel="next',
        '</n>; rel="next\\',
        '</n>; rel=ne"xt',
        '</n>; rel="next"x',
        "</n>; =next",
        "</n>; r\u00e9l=next",
        '</n>; rel="next", junk',
        '</n>; rel="next", </o>; rel="next"',
        '</n>; rel="next"; anchor="/elsewhere"',
        "<" + "x" * MAX_HEADER + ">",
    ],
)
def test_what_cannot_be_read_is_an_error(header: str) -> None:
    """It may be the way to another page."""
    with pytest.raises(RegistryError) as caught:
        protocol.next_page(header, _AT)

    assert caught.value.code == "BAD_ANSWER"
    assert caught.value.message.isprintable()


def test_several_links() -> None:
    """Each has its own target and relations."""
    first, second = parse_links("<a>; rel=\"prev\"; anchor='x', <b>; rel=next")

    assert first == Link(target="a", relations=frozenset({"prev"}), anchor="'x'")
    assert second == Link(target="b", relations=frozenset({"next"}), anchor=None)


_WORDS = st.lists(st.sampled_from(["next", "prev", "last", "up"]), min_size=1, max_size=3)


@given(
    st.lists(st.tuples(st.text("abc/,;=? ", max_size=5), _WORDS, st.booleans()), max_size=5),
)
def test_what_was_written_is_read(links: list[tuple[str, list[str], bool]]) -> None:
    """However many links there are, and whatever their targets hold."""
    header = ", ".join(
        f'<{target}>; {"x=y; " if more else ""}rel="{" ".join(words)}"'
        for target, words, more in links
    )

    found = parse_links(header)

    assert [(one.target, one.relations) for one in found] == [
        (target, frozenset(words)) for target, words, _ in links
    ]


@given(st.text('<>;,="\\ relnxt*\t/', max_size=40))
def test_anything_is_read_or_refused(header: str) -> None:
    """No header leads to another error, or to a reader that does not end."""
    try:
        links = parse_links(header)
    except DocumentError:
        return
    assert all(">" not in one.target for one in links)
