"""An SBOM as rows, by licence, by origin, and as a tree."""

import time

from imagekit.sbom.sbom_listing import ListedComponent, SbomListing
from imagekit.sbom.sbom_views import by_licence, by_origin, group_lines, rows, tree_lines


def component(name: str, *depends: str, licences: tuple[str, ...] = ()) -> ListedComponent:
    """Return a component whose ref is its name."""
    return ListedComponent(
        type="deb", name=name, version="1", ref=name, depends=depends, licences=licences
    )


def listing(*components: ListedComponent) -> SbomListing:
    """Return a listing of these."""
    return SbomListing(title="solver", components=components)


def test_rows_are_all_components() -> None:
    """Several licences stand in one cell."""
    sbom = listing(component("a", licences=("BSD", "MIT")))

    assert list(rows(sbom)) == [("deb", "a", "1", "BSD, MIT", "")]


def test_a_component_stands_under_each_of_its_licences() -> None:
    """The largest group first, and what states none is a group, too."""
    sbom = listing(component("a", licences=("BSD", "MIT")), component("b", licences=("MIT",)))

    assert list(group_lines(by_licence(sbom))) == [
        "MIT: 2 components",
        "  a 1",
        "  b 1",
        "BSD: 1 component",
        "  a 1",
    ]
    assert list(by_licence(listing(component("c")))) == ["no licence stated"]


def test_origins_are_parts_of_the_recipe_and_types() -> None:
    """What says nothing is called unknown."""
    assert list(by_origin(listing(component("a")))) == ["unknown, deb"]


def test_a_tree_shows_each_branch_once() -> None:
    """A circle ends, and what stands nowhere above a circle is shown all the same."""
    sbom = listing(
        component("a", "b", "c"),
        component("b", "c"),
        component("c", "b"),
        component("x", "y"),
        component("y", "x", "absent"),
    )

    assert list(tree_lines(sbom)) == [
        "a 1",
        "  b 1",
        "    c 1",
        "      b 1  (above)",
        "  c 1  (above)",
        "x 1",
        "  y 1",
        "    x 1  (above)",
    ]


def test_a_long_chain_costs_linear_time() -> None:
    """No recursion, and no indentation that grows with it."""
    many = 50_000
    chain = listing(*(component(f"n{n}", f"n{n + 1}") for n in range(many)))
    began = time.process_time()
    lines = list(tree_lines(chain))

    assert len(lines) == many
    assert max(map(len, lines)) < 200
    assert time.process_time() - began < 10
