"""What is kept of answers by digest: bounded, the oldest goes first."""

from imagekit.oci.registry.cache import AnswerCache

KIB = 1 << 10


def test_what_is_kept_is_found() -> None:
    """By its key and no other."""
    known: AnswerCache[bytes] = AnswerCache()

    known.keep("a", b"1", size=1)

    assert (known.get("a"), known.get("b")) == (b"1", None)


def test_the_one_not_used_longest_goes_first() -> None:
    """Each costs its bytes and what keeps it; four such fit, the fifth drives one out."""
    known: AnswerCache[str] = AnswerCache(most=40 * KIB)
    for name in "abcd":
        known.keep(name, name, size=9 * KIB)
    known.get("a")

    known.keep("e", "e", size=9 * KIB)

    assert [known.get(name) for name in "abcde"] == ["a", None, "c", "d", "e"]


def test_the_same_again_costs_nothing() -> None:
    """Two threads that ask for one answer at once do not fill the cache with it."""
    known: AnswerCache[str] = AnswerCache(most=25 * KIB)
    known.keep("a", "a", size=9 * KIB)
    for _ in range(10):
        known.keep("b", "b", size=9 * KIB)

    assert (known.get("a"), known.get("b")) == ("a", "b")


def test_one_large_answer_is_not_kept() -> None:
    """It would drive out all the others."""
    known: AnswerCache[str] = AnswerCache(largest=10)
    known.keep("a", "a", size=10)
    known.keep("b", "b", size=11)

    assert (known.get("a"), known.get("b")) == ("a", None)


def test_empty_answers_are_not_free() -> None:
    """A million of them would be many megabytes, too."""
    known: AnswerCache[str] = AnswerCache(most=100 * KIB)
    for number in range(1000):
        known.keep(number, "", size=0)

    assert sum(known.get(number) is not None for number in range(1000)) == 100
