"""Which choice an answer in English picks. Used by the grader multiple_choice; pure text, no choice is looked up elsewhere.

Letters are found where they stand by themselves, neighbours joined by "and", "or" or a comma are one mention, and the words
around a mention say whether the answer asserts it ("the answer is B", "B is correct"), rejects it ("B is wrong", "not B") or only
names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from burnish.grading.text import fold, narrow, stands_in, visible

BEFORE_CHARACTERS, AFTER_CHARACTERS = 120, 160
FIRST_MENTIONS, LAST_MENTIONS = 50, 200  # the mentions that are read in an answer that has more

_CLOSERS = r"[)\]}.,:\"']*\s*"
_NOUN = r"(?:answers?|choices?|options?|letters?|selection|response|solution|pick|guess|vote|conclusion|match)"
_COPULA = (
    r"(?:\s*(?:=|:|→|->|['’]s\b|\b(?:is|was|are|would be|must be|should be|has to be|will be|could be|may be|might be|"
    r"seems to be|appears to be|remains)\b))"
)
_MODIFIERS = (
    r"(?:\s*\b(?:most|very|likely|probably|definitely|clearly|therefore|thus|indeed|simply|obviously|surely|actually|"
    r"certainly|in fact|the|correct|right|best|letter|number|option|choice|answer)\b)*"
)
_OPENERS = r"[\s:,\"'(\[{=]*$"
_PICKS = (
    r"(?:choose|choosing|chose|pick|picking|picked|select|selecting|selected|say|go(?:ing)? with|went with|go(?:ing)? for|vote for|guess|"
    r"think|believe|answer|opt for|settle on|conclude|lean(?:ing)? towards?|bet on|mark|tick)"
)
_ASSERTED_BEFORE = re.compile(
    rf"(?:\b{_NOUN}(?:\s+(?:here|(?:to|for|of) (?:this|the)(?: \w+)?))?{_COPULA}|"
    rf"\b(?:it|that|this|one|which)(?:\s+\w+ly)?{_COPULA}|"
    rf"\b{_PICKS}(?:\s+that)?(?:\s+(?:it|this|that|(?:the|my) (?:\w+ )?{_NOUN}))?{_COPULA}?){_MODIFIERS}{_OPENERS}",
    re.IGNORECASE,
)
_HINTED_BEFORE = re.compile(
    r"\b(?:so|therefore|thus|hence|probably|likely|definitely|clearly|surely|maybe|perhaps|obviously|certainly|finally|"
    rf"leaves(?: us with| only)?|leaving|but|only|rather|final){_MODIFIERS}{_OPENERS}",
    re.IGNORECASE,
)
_NAMED_BEFORE = re.compile(r"(?:^|[.!?:\n]|\b(?:option|choice|answer|letter))[\s(\[]*$", re.IGNORECASE)
_ASIDE = r"(?:\([^)\n]{0,80}\)\s*|[,:–—-]\s*[^.,;\n]{0,80},\s*|[^\W\d_]+(?: [^\W\d_]+){0,3}[,)]\s*)?"
_VERB = r"(?:is|are|was|were|seems?|looks?|appears?|must be|would be|has to be)\s+(?:to be\s+)?"
_DEGREE = r"(?:\w+ly\s+|the\s+|an?\s+|most\s+|also\s+|both\s+|all\s+|indeed\s+|our\s+|my\s+|your\s+|only\s+|one\s+|just\s+|simply\s+)*"
_ASSERTED_AFTER = re.compile(
    rf"{_CLOSERS}(?:{_ASIDE}{_VERB}{_DEGREE}(?:correct|right|true|best|answer|accurate|valid|likel(?:y|iest)|solution|winner)\b|"
    r"[:–—-]?\s*\(?(?:correct|right)\b)",
    re.IGNORECASE,
)
_REJECTED_AFTER = re.compile(
    rf"{_CLOSERS}(?:{_ASIDE}(?:{_VERB}{_DEGREE}(?:incorrect|wrong|false|not|never|out|ruled out|eliminated|impossible|unlikely|"
    r"distractors?|irrelevant|inaccurate|invalid|untrue|excluded|implausible|unrelated)\b|"
    r"(?:is|are|was|were|would|does|do|did|could|ca|can|should|has|have|wo)n['’]t\b|cannot\b|can ?not\b|"
    r"(?:does|do|did|would|could|should|may|might|will) not\b|fails?\b|makes? no sense\b)|[:–—-]?\s*\(?(?:incorrect|wrong)\b)",
    re.IGNORECASE,
)
_REJECTED_BEFORE = re.compile(
    r"(?:(?:\bnot|n['’]t(?: be)?|\bnever|\brather than|\binstead of|\bunlike|\bneither|\bnor|\bcannot be|"
    r"\b(?:rul(?:e|ed|es|ing)|cross(?:ed|ing)?) out|\b(?:eliminat|exclud|reject|discard|dismiss)\w+|\bother than|\bwhy not|\bexcept)"
    r"(?:\s+(?:the|an?|of|both|correct|right|options?|choices?|answers?|letter))*|"
    r"(?:\bnot|n['’]t)\s+(?:think|believe|say|choose|pick|select)\b[^.;,]{0,30})[\s\"'(\[]*$",
    re.IGNORECASE,
)
_TURN = re.compile(
    r"\b(?:wait|actually|no|correction|sorry|hmm|final(?:ly)?|so|therefore|thus|hence|conclusion|instead|"
    r"second thought|chang\w+|revis\w+|overall|conclud\w+|but|however)\b",
    re.IGNORECASE,
)

_LETTER = r"(?<![\w'’.&+/-])[A-Z](?![\w+#&'’]|-\w|\.[A-Za-z])"
_JOINT = r"[)\]]?\s*(?:,|/|&|,?\s*\b(?:and|or|nor)\b)\s*(?:(?:the )?(?:option|choice|answer)s? )?[(\[]?"
_MENTION = re.compile(rf"{_LETTER}(?:{_JOINT}{_LETTER})*")
_ONE = re.compile(_LETTER)
_AFTER_ARTICLE = re.compile(r"\s+(?P<word>[^\W_]+)")
_LETTER_VERBS = frozenset(
    [
        "is",
        "was",
        "and",
        "or",
        "because",
        "since",
        "as",
        "seems",
        "looks",
        "would",
        "must",
        "are",
        "for",
        "but",
        "nor",
        "isn",
        "cannot",
        "can",
        "does",
        "doesn",
        "has",
        "states",
        "says",
        "fits",
        "matches",
        "appears",
        "also",
        "describes",
        "best",
        "not",
        "only",
    ]
)
_LOWER_CASE = re.compile(
    r"(?:(?<=[(\[])[a-z](?=[)\]])|^\s*[a-z](?=[).:]\s)|\b(?:answers?|choice|option)\b(?:\s*\bis\b|\s*:)*\s*[(\[\"']?[a-z](?=\s*(?:$|[.)\]!;,\n])))",
    re.IGNORECASE,
)
_ALONE = re.compile(r"[)\].,:!\s]*(?:\n|$)")
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|mathrm|textbf)\s*\{)?([^{}\n]{0,80})\}+")
_TAG = re.compile(r"</?\w{1,20}>")
_MARKS = re.compile(r"[*`$\"“”#]+|(?<!\w)_+|_+(?!\w)")


@dataclass(frozen=True)
class _Mention:
    letters: frozenset[str]
    before: str
    after: str
    start: int

    @property
    def rejected(self) -> bool:
        return bool(_REJECTED_AFTER.match(self.after) or _REJECTED_BEFORE.search(self.before))

    @property
    def asserted(self) -> bool:
        alone = not self.before.strip(" ([") and _ALONE.match(self.after)
        return bool(alone or _ASSERTED_AFTER.match(self.after) or _ASSERTED_BEFORE.search(self.before))

    @property
    def hinted(self) -> bool:
        return bool(_HINTED_BEFORE.search(self.before))

    @property
    def marked(self) -> bool:
        """In brackets, followed by one (`B)`), or named as a choice."""
        bracketed = self.after[:1] in (")", "]")
        return bracketed or _NAMED_BEFORE.search(self.before) is not None


def read_choice(answer: str, texts: Mapping[str, str]) -> set[str]:
    """Letters that the answer picks: one is a pick, several are a hedge, none is no answer.

    texts: letter -> folded text of the choices on offer; empty: any letter is one. The first reading that finds any counts: the
    letter alone; asserted; hinted ("so B", "probably B"); leading ("B. Paris"); named ("option B", "(B)"); the text of a choice.
    Of several asserted the last counts if a word of change ("so", "wait", "but") comes before it, else all do.
    """
    text = _plain(answer)
    lone = re.fullmatch(r"[\s(\[{]*([A-Za-z])[\s)\]}.:!]*", text)
    if lone:
        return _offered({lone[1].upper()}, texts)
    mentions = _mentions(text, texts)
    kept = [mention for mention in mentions if not mention.rejected]
    for chosen in (_settled(text, [m for m in kept if m.asserted]), _settled(text, [m for m in kept if m.hinted])):
        if chosen:
            return set(chosen)
    leading = [
        m
        for m in kept
        if not text[: m.start].strip(" ([\n") and re.match(r"[)\].:,]|\s+[-–—]\s|\s+because\b|\s*$", m.after)
    ]
    listed = [m for m in kept if m.after.startswith(")") and not m.before.rstrip().endswith("(")]
    for group in ([*leading, *listed] if leading else [], [m for m in kept if m.marked]):
        if group:
            return set().union(*(mention.letters for mention in group))
    rejected = frozenset().union(*(mention.letters for mention in mentions if mention.rejected))
    folded = fold(answer)
    return {
        letter for letter, spelled in texts.items() if letter not in rejected and spelled and stands_in(spelled, folded)
    }


def _offered(letters: set[str], texts: Mapping[str, str]) -> set[str]:
    return {letter for letter in letters if not texts or letter in texts}


def _plain(answer: str) -> str:
    """Without marks of Markdown, LaTeX and tags; lower-case letters that are plainly choices in upper case."""
    text = _BOXED.sub(r" the answer is \1. ", narrow(visible(answer)))
    text = _MARKS.sub("", _TAG.sub("\n", text))
    text = re.sub(r":[ \t]*\n\s*", ": ", text).strip()
    return _LOWER_CASE.sub(lambda match: match[0][:-1] + match[0][-1].upper(), text)


def _mentions(text: str, texts: Mapping[str, str]) -> list[_Mention]:
    found = list(_MENTION.finditer(text))
    if len(found) > FIRST_MENTIONS + LAST_MENTIONS:
        found = [*found[:FIRST_MENTIONS], *found[-LAST_MENTIONS:]]
    mentions = []
    for match in found:
        before = text[max(0, match.start() - BEFORE_CHARACTERS) : match.start()]
        after = text[match.end() : match.end() + AFTER_CHARACTERS]
        before = re.split(r"[.!?;](?=\s)|\n", before)[-1]
        letters = frozenset(_offered(set(_ONE.findall(match[0])), texts))
        if letters and not _is_word(letters, before, after, texts):
            mentions.append(_Mention(letters, before, after, match.start()))
    return mentions


def _is_word(letters: frozenset[str], before: str, after: str, texts: Mapping[str, str]) -> bool:
    """Whether the letter is the pronoun I, or the article A at the start of a sentence."""
    word = _AFTER_ARTICLE.match(after)
    if letters == {"I"}:
        return word is not None and word["word"] not in ("is", "because")
    if (
        letters != {"A"}
        or word is None
        or word["word"] in _LETTER_VERBS
        or before.rstrip(" ([")[-1:] not in ("", ":", ",")
    ):
        return False
    return word["word"][0].islower() and not (texts and fold(after).startswith(texts["A"]))


def _settled(text: str, mentions: list[_Mention]) -> frozenset[str]:
    if not mentions:
        return frozenset()
    last = mentions[-1]
    if len(mentions) > 1:
        between = text[mentions[-2].start : last.start]
        if not _TURN.search(between[-2 * BEFORE_CHARACTERS :]):
            return frozenset().union(*(mention.letters for mention in mentions))
    return last.letters
