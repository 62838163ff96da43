"""A person's words in postmortem.md: a rebuild keeps them, and damage is told instead of losing them."""

from __future__ import annotations

import pytest
from unit.reporting.sample import Sample, make_sample

from burnish.errors import InvalidInputError
from burnish.reporting.own_words import BEGIN, END
from burnish.reporting.postmortem import postmortem_md

WORDS = "\n\nWe should have asked *two* people.\n\n- `x` | <b>y</b> \udcff\n\n"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample()


def build(sample: Sample, previous: str | None = None) -> str:
    return postmortem_md(sample.verdict, sample.base, sample.candidate, sample.meta, previous=previous)


def written(text: str, words: str = WORDS) -> str:
    return text.replace(f"{BEGIN}\n\n{END}", f"{BEGIN}{words}{END}")


def test_there_is_a_place_and_a_rebuild_keeps_what_stands_in_it(sample: Sample) -> None:
    first = written(build(sample))
    assert WORDS in first
    second = build(sample, previous=first)
    assert second == first
    other = sample.meta.model_copy(update={"candidate_model": "another"})
    third = postmortem_md(sample.verdict, sample.base, sample.candidate, other, previous=second)
    assert third.startswith("# Postmortem: `another`")
    assert third.count(WORDS) == 1
    assert third.count(BEGIN) == third.count(END) == 1


def test_windows_line_ends_are_the_same_words(sample: Sample) -> None:
    assert build(sample, previous=written(build(sample)).replace("\n", "\r\n")) == written(build(sample))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(BEGIN, ""),
        lambda text: text.replace(END, ""),
        lambda text: text.replace(BEGIN, f"{BEGIN} and here"),
        lambda text: text.replace(END, f"{END}\n{BEGIN}\nmore\n{END}"),
        lambda text: text.replace(BEGIN, "@").replace(END, BEGIN).replace("@", END),
        lambda text: text.replace("## 4.", "I think\n\n## 4."),
        lambda text: text + "A last word.\n",
        lambda text: text.replace("<!-- burnish:generated", "<!-- burnish"),
        lambda text: "",
    ],
)
def test_damage_is_an_error_that_says_what_to_do(sample: Sample, damage) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInputError, match=r"postmortem\.md: .*(around your words again|between the two lines)"):
        build(sample, previous=damage(written(build(sample))))
