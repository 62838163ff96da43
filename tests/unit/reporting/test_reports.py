"""report.html and postmortem.md: what they say, and that hostile answers stay text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from unit.reporting.sample import HOSTILE, Sample, make_rich_sample, make_sample

from burnish.reporting.escaping import visible
from burnish.reporting.meta import ReportMeta
from burnish.reporting.page import MOST_DISCORDANT, report_html
from burnish.reporting.postmortem import postmortem_md
from burnish.reporting.sentences import HEADLINES, UNSETTLED, headline
from burnish.reporting.training import finding_sentence
from burnish.schemas.evaluation import EXIT_CODES, ClaimAnswer, VerdictName
from burnish.schemas.training.tuning import Finding
from burnish.testing import eval_side
from burnish.verdict import decide, pair


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample()


@pytest.fixture(scope="module")
def page(sample: Sample) -> str:
    return report_html(sample.verdict, sample.base, sample.candidate, sample.meta)


@pytest.fixture(scope="module")
def rich() -> Sample:
    return make_rich_sample()


@pytest.fixture(scope="module")
def rich_page(rich: Sample) -> str:
    return report_html(rich.verdict, rich.base, rich.candidate, rich.meta)


@pytest.fixture(scope="module")
def postmortem(sample: Sample) -> str:
    return postmortem_md(sample.verdict, sample.base, sample.candidate, sample.meta)


class Elements(HTMLParser):
    """Every start tag with its attributes, every text, and whether tags are balanced."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_page_is_whole_and_self_contained(rich_page: str) -> None:
    elements = Elements(rich_page)
    assert elements.open == []
    assert {tag for tag, _ in elements.tags} & {"img", "link", "iframe", "object", "base", "form"} == set()
    for _, attributes in elements.tags:
        assert not {"src", "srcset", "action"} & attributes.keys()
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in rich_page
    assert "@import" not in rich_page
    assert "default-src 'none'" in rich_page


def test_the_one_script_is_ours_and_allowed_by_its_hash_alone(rich_page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", rich_page, re.DOTALL)
    assert len(scripts) == rich_page.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in rich_page
    assert "</" not in scripts[0]
    assert "innerHTML" not in scripts[0]


def test_headings_do_not_skip_a_level(rich_page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Elements(rich_page).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_section_shows_what_the_verdict_holds(rich: Sample, rich_page: str) -> None:
    text = " ".join(" ".join(Elements(rich_page).texts).split())
    for wanted in (
        "margin −2.0",
        "Mean score 0.210 → 0.930",
        "A cheaper baseline does it: few-shot-nearest.",
        "does not do it",
        "Informs, does not decide.",
        "Asked again, the base flips on 6.1 % of the rest questions (2 samples a question)",
        "instruction following",
        "+0.0388",
        "18 342 tokens of 24 texts",
        "98 880",
        "direct preference optimization (DPO), QLoRA (base in NF4), rank 32, alpha 32",
        "overfitting training loss fell from 0.41 to 0.04 after step 30",
        "time 5 min 00 s 5 min 28 s +9.3 %",
        "peak memory 1.90 GB 1.71 GB −10.0 %",
        "refusal, accepted completion-cut",
        "q18, q19 and 7 more)",
    ):
        assert wanted in text, wanted
    for name in rich.verdict.flaky_questions:
        assert name in text
    shown = "".join(Elements(rich_page).texts)
    assert shown.count(HOSTILE.replace("\u202e", "‹U+202E›")) > 40, "answers, and every name that can hold it"


def test_a_margin_outside_the_interval_is_drawn_too(rich: Sample) -> None:
    far = rich.verdict.model_copy(update={"margin": 0.5})
    page = report_html(far, rich.base, rich.candidate, rich.meta)
    places = [float(left) for left in re.findall(r'class="margin" style="left:([0-9.]+)%"', page)]
    assert places
    assert all(0 < left < 100 for left in places)


def test_all_discordant_pairs_are_on_the_page(rich: Sample, rich_page: str) -> None:
    changed = {p.question_id for p in pair(rich.base, rich.candidate).pairs if p.base_passed != p.candidate_passed}
    outcomes = [a["data-outcome"] for tag, a in Elements(rich_page).tags if "data-outcome" in a]
    assert len(outcomes) - outcomes.count("still failing") == len(changed)
    assert outcomes.count("regression regressed") == len(rich.verdict.regressions)
    first_gain = outcomes.index("fixed")
    assert all(outcome != "regression regressed" for outcome in outcomes[first_gain:]), "what was lost comes first"


def test_more_discordant_pairs_than_the_page_holds_are_counted() -> None:
    base, candidate = (
        eval_side(["F"] * 510, prefix="t", targeted=True),
        eval_side(["P"] * 510, prefix="t", targeted=True),
    )
    page = report_html(decide(base, candidate), base, candidate, ReportMeta(base_model="a", candidate_model="b"))
    assert page.count('class="example"') == MOST_DISCORDANT
    assert "10 more are in base.jsonl and candidate.jsonl." in page


def test_absent_parts_say_which_command_would_tell() -> None:
    base = eval_side(["F"] * 10, prefix="t", targeted=True) + eval_side(["P"] * 30, prefix="r")
    candidate = eval_side(["P"] * 10, prefix="t", targeted=True) + eval_side(["P"] * 30, prefix="r")
    page = report_html(decide(base, candidate), base, candidate, ReportMeta(base_model="a", candidate_model="b"))
    for command in (
        "burnish eval --samples 2",
        "burnish eval --control",
        "burnish eval --forgetting",
        "burnish eval</code> records",
        "burnish eval --adapter</code> has it",
    ):
        assert command in page
    assert "No judge graded these answers." in page


def test_page_says_what_was_decided_and_from_what(sample: Sample, page: str) -> None:
    text = " ".join(" ".join(Elements(page).texts).split())
    assert headline(sample.verdict) in text
    for reason in sample.verdict.reasons:
        assert reason in text
    for wanted in (
        "9f8e7d6c5b4a3210",
        "ab12cd34ef56ab78",
        "11aa22bb33cc44dd",
        "sha256:0f0f",
        "480, all from the run log",
    ):
        assert wanted in text
    assert "burnish verdict --base base.jsonl --candidate candidate.jsonl --json" in text
    for comparison in sample.verdict.slices:
        assert comparison.slice in text
    for regression in sample.verdict.regressions:
        assert regression.question_id in text


def test_hostile_answers_are_shown_as_text(page: str) -> None:
    shown = "".join(Elements(page).texts)
    assert HOSTILE.replace("\u202e", "‹U+202E›") in shown
    assert "\u202e" not in page


def test_invisible_and_endless_text_is_made_visible() -> None:
    assert visible("a\x00b\x1b[31m\u2066c\ufeff") == "a‹U+0000›b‹U+001B›[31m‹U+2066›c‹U+FEFF›"
    assert visible("tab\tand\nline\r\n") == "tab\tand\nline\n"
    assert visible("x" * 4010) == "x" * 4000 + "\n… 10 more characters"
    assert visible(None) == ""
    assert visible("\ud800") == "‹U+D800›"


def test_postmortem_answers_five_questions(sample: Sample, postmortem: str) -> None:
    assert re.findall(r"^## (\d)", postmortem, re.MULTILINE) == list("12345")
    assert (
        "`json-in-prose`: 112 model-attributed failures over 57 questions, 55 of them repeated, 61.0 % of all failures"
        in postmortem
    )
    assert (
        "20 corrections and 10 anchor examples, 27 rows trained on and 3 for validation; 40 targeted questions held out"
        in postmortem
    )
    assert "Discarded, by reason: `empty` 2" in postmortem
    assert "Review: 20 of its questions took 2 people 4.0 minutes, 12 s each." in postmortem
    assert "loss 1.100 → 0.040" in postmortem
    assert f"| Targeted, held out (decides) | {sample.verdict.targeted.n} |" in postmortem
    for regression in sample.verdict.regressions:
        assert f"`{regression.question_id}`" in postmortem
    assert "No baseline was run" in postmortem


def test_postmortem_says_what_preflight_and_run_warned_of(rich: Sample, postmortem: str) -> None:
    text = postmortem_md(rich.verdict, rich.base, rich.candidate, rich.meta)
    assert "- Training: direct preference optimization (DPO), 40 steps" in text
    assert "- Estimated → measured: time 5 min 00 s → 5 min 28 s (+9.3 %); loading the model 2.5 s → 2.4 s" in text
    assert "- Warning `overfitting`: training loss fell from 0.41 to 0.04 after step 30" in text
    assert "- Refusal, accepted `completion-cut`: cut off (1 row: " in text
    assert "Estimated → measured" not in postmortem, "an adapter of before estimates"
    assert rich.meta.adapter is not None
    clean = rich.meta.adapter.model_copy(update={"findings": []})
    without = rich.meta.model_copy(update={"adapter": clean})
    assert "Warnings of preflight and run: none." in postmortem_md(rich.verdict, rich.base, rich.candidate, without)
    page = report_html(rich.verdict, rich.base, rich.candidate, without)
    assert "Preflight and run warned of nothing." in page


def test_rows_that_a_finding_names_itself_are_not_named_twice() -> None:
    finding = Finding(code="x", severity="warning", message="rows q1 and q2 are alike", question_ids=["q1"], count=2)
    assert finding_sentence(finding) == finding.message
    assert finding_sentence(finding.model_copy(update={"message": "alike"})) == "alike (2 rows: q1 and 1 more)"
    assert finding_sentence(finding.model_copy(update={"count": 0})) == finding.message


def test_postmortem_counts_what_a_cheaper_baseline_might_do(sample: Sample, postmortem: str) -> None:
    failing = {r.question_id for r in sample.base if r.targeted and r.held_out and r.passed is False and r.sample == 0}
    match = re.search(r"cheaper baseline: (\d+) of those (\d+) fail in format", postmortem)
    assert match
    assert int(match[2]) == len(failing)
    assert 0 < int(match[1]) <= len(failing)


def test_hostile_names_stay_text_in_markdown(rich: Sample) -> None:
    hostile = "[x](http://a.b) **b** <i> `c|<i>` | # $y$ @z www.a.b `"
    verdict = rich.verdict.model_copy(update={"warnings": [hostile]})
    text = postmortem_md(verdict, rich.base, rich.candidate, rich.meta)
    outside = re.sub("`[^`\n]*`|<!--.*?-->", "", re.sub(r"\\.", "", text))
    assert not re.search(r"<(?! )|[>\[\]$@]|https?:|www\.", outside)
    assert r"- \[x\](http\://a.b) \*\*b\*\* \<i\> `c¦<i>` \| \# \$y\$ \@z www\.a.b \`" in text


def test_commands_in_reasons_and_warnings_are_code(rich: Sample) -> None:
    verdict = rich.verdict.model_copy(update={"warnings": ["Run `burnish <b> & go`, then ` <i>\u202e"]})
    page = report_html(verdict, rich.base, rich.candidate, rich.meta)
    assert "<li>Run <code>burnish &lt;b&gt; &amp; go</code>, then ` &lt;i&gt;‹U+202E›</li>" in page
    assert "- Run `burnish <b> & go`, then \\` \\<i\\>‹U+202E›" in postmortem_md(
        verdict, rich.base, rich.candidate, rich.meta
    )


def test_postmortem_rests_the_fifth_answer_on_the_arms(rich: Sample) -> None:
    text = postmortem_md(rich.verdict, rich.base, rich.candidate, rich.meta)
    assert "**No: a cheaper baseline does it.** `few-shot-nearest` needs no training" in text
    assert "- `schema` does not do it: Worse than the adapter on the target. Target" in text
    none_does = rich.verdict.model_copy(update={"cheaper_rung": None})
    for name, answer in (
        ("ship", "**Yes, as far as was tried:** none of the 4"),
        ("data-quality", "**Open.** It is not shown"),
    ):
        verdict = none_does.model_copy(update={"verdict": name})
        assert answer in postmortem_md(verdict, rich.base, rich.candidate, rich.meta)


def test_both_say_what_they_do_not_know() -> None:
    base = eval_side(["F"] * 10, prefix="t", targeted=True) + eval_side(["P"] * 30, prefix="r")
    candidate = eval_side(["P"] * 10, prefix="t", targeted=True) + eval_side(["P"] * 30, prefix="r")
    meta = ReportMeta(base_model="a", candidate_model="b|`<i>")
    verdict = decide(base, candidate)
    page, text = report_html(verdict, base, candidate, meta), postmortem_md(verdict, base, candidate, meta)
    assert Elements(page).open == []
    assert "b|`&lt;i&gt;" in page
    assert "not given" in page
    assert "Not given to this evaluation" in text
    assert "# Postmortem: `b¦ˋ<i>` against `a`" in text
    assert "None: no rest question that the base always passes regressed. Noise: not measured" in text


@pytest.mark.parametrize(("improved", "broke"), list(UNSETTLED))
def test_an_inconclusive_headline_says_which_claim_is_settled(
    improved: ClaimAnswer, broke: ClaimAnswer, sample: Sample
) -> None:
    verdict = sample.verdict.model_copy(update={"verdict": "inconclusive", "improved": improved, "broke": broke})
    assert headline(verdict).startswith(UNSETTLED[improved, broke])
    assert ("Something else broke" in headline(verdict)) == (broke == "yes")


@pytest.mark.parametrize("name", sorted(EXIT_CODES))
def test_every_verdict_has_a_sentence_and_a_page(name: VerdictName, sample: Sample) -> None:
    verdict = sample.verdict.model_copy(
        update={
            "verdict": name,
            "broke": None,
            "needs_questions": 44,
            "needs_rest_questions": 120,
            "cheaper_rung": "few-shot",
        }
    )
    assert headline(verdict).startswith(HEADLINES[name])
    assert headline(verdict).endswith(
        "About 44 more held-out targeted questions and 120 more rest questions would settle it. A cheaper baseline does it: few-shot."
    )
    assert headline(verdict) in report_html(verdict, sample.base, sample.candidate, sample.meta)
