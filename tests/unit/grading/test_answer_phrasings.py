"""Multiple choice and number on the ways in which models and people put an answer."""

from __future__ import annotations

import pytest

from burnish.grading import grade
from burnish.schemas.benchmark import GraderSpec

CAPITALS = {"A": "London", "B": "Paris", "C": "New York", "D": "Rome"}
SEVERAL, NONE = "several-choices", "no-choice"

# What the grader was written with.
CHOICES = [
    ("Option A is incorrect, so the answer is B.", "B"),
    ("I think it is B", "B"),
    ("The answer: I think it is B", "B"),
    ("The answer is B.", "B"),
    ("The correct answer is (B) Paris.", "B"),
    ("Answer: B", "B"),
    ("**Answer:** B", "B"),
    ("**Answer: B**", "B"),
    ("Answer:\nB", "B"),
    ("The answer is b.", "B"),
    ("(b)", "B"),
    ("b) Paris", "B"),
    ("B: Paris", "B"),
    ("Option B", "B"),
    ("Option B: Paris", "B"),
    ("B is correct.", "B"),
    ("B, Paris, is the correct answer.", "B"),
    ("B (Paris) is right.", "B"),
    ("I would choose B.", "B"),
    ("I'd go with B, since Paris is the capital.", "B"),
    ("I choose option B because it is the capital of France.", "B"),
    ("It's B.", "B"),
    ("It must be B", "B"),
    ("Definitely B!", "B"),
    ("Probably B, but I am not sure.", "B"),
    ("So, B.", "B"),
    ("Therefore, the correct option is B.", "B"),
    ("The best choice here is option B.", "B"),
    ("Not A. It's B.", "B"),
    ("It is not A but B.", "B"),
    ("The answer is B, not A.", "B"),
    ("A is wrong, C is wrong and D is wrong, so B.", "B"),
    ("A, C and D are incorrect. Therefore B.", "B"),
    ("Neither A nor C fits, so the answer is B.", "B"),
    ("We can rule out A, C and D, which leaves B.", "B"),
    ("A isn't the capital, and C isn't either. B is.\n\nB", "B"),
    ("Paris is the capital of France.\n\n**B**", "B"),
    ("A) London\nB) Paris\nC) New York\nD) Rome\n\nThe correct answer is B) Paris.", "B"),
    ("Let me think. A is a city in England. The answer is B", "B"),
    ("The answer is A. Wait, no, the answer is B.", "B"),
    ("$\\boxed{B}$", "B"),
    ("The final answer is $\\boxed{\\text{B}}$.", "B"),
    ('{"answer": "B"}', "B"),
    ("<answer>B</answer>", "B"),
    ("A is incorrect: London is in England. B is correct.", "B"),
    ("A: incorrect. B: correct. C: incorrect.", "B"),
    ("I believe the answer would be B", "B"),
    ("I don't think it is A; I think it is B.", "B"),
    ("Rather than A, I pick B.", "B"),
    ("A", "A"),
    ("The answer is A.", "A"),
    ("A is the right answer", "A"),
    ("A London bus would say A", "A"),
    ("The answer is a.", "A"),
    ("The answer is A or B", SEVERAL),
    ("Both A and B are correct", SEVERAL),
    ("The answer is A. The answer is B.", SEVERAL),
    ("A) London\nB) Paris\nC) New York\nD) Rome", SEVERAL),
    ("A capital city is what you ask for", NONE),
    ("I do not know", NONE),
    ("I am not sure, it is a hard one", NONE),
    ("Option A is wrong.", NONE),
    ("It is neither A nor B", NONE),
    ("Vitamin C helps", NONE),
]

# Written before the grader was run on it, and never tuned on.
UNSEEN_CHOICES = [
    ("My answer would be B", "B"),
    ("Based on the passage, B is the most accurate option.", "B"),
    ("The right answer here is: B", "B"),
    ("Choice B", "B"),
    ("Among the options, (B) best describes it.", "B"),
    ("Eliminating A and D, and since C is in America, we are left with B.", "B"),
    ("Sure! The correct choice is **B. Paris**.", "B"),
    ("B.\n\nExplanation: A is in England, C in the USA and D in Italy.", "B"),
    ("The answer isn't A or C. It is B.", "B"),
    ("I was going to say A, but it's actually B.", "B"),
    ("ANSWER: B", "B"),
    ("answer b", "B"),
    ("> B", "B"),
    ("Final Answer: (B)", "B"),
    ("The capital of France is Paris, which is option B.", "B"),
    ("The capital of France is Paris, so it's (B).", "B"),
    ("Correct answer: B) Paris", "B"),
    ("B - Paris", "B"),
    ("Hmm, London is English. New York is American. That makes B the answer.", "B"),
    ("I'm confident that B is right.", "B"),
    ("My guess is B", "B"),
    ("A can't be right because London is in the UK. The only French city is B.", "B"),
    ("Option D is tempting, but option B is correct.", "B"),
    ("1. A is out.\n2. C is out.\n3. D is out.\nAnswer = B", "B"),
    ("The answer to this question is B", "B"),
    ("Between A and B, I'd say B.", "B"),
    ("B seems to be the best answer", "B"),
    ("I select B", "B"),
    ("Paris (option B)", "B"),
    ("Paris.", "B"),
    ("It should be B, as Paris is the capital of France.", "B"),
    ("A is not correct. C is not correct. D is not correct. So we choose B.", "B"),
    ("B\nA is London.", "B"),
    ("The answer is clearly option B: Paris.", "B"),
    ("You asked for a letter: B", "B"),
    ("None of A, C or D is French; the answer is B.", "B"),
    ("A or B", SEVERAL),
    ("It could be A, B or C.", SEVERAL),
    ("Perhaps A. Perhaps B.", SEVERAL),
    ("All of the above", NONE),
    ("I would need more information.", NONE),
    ("A good question!", NONE),
]


def picked(answer: str) -> str:
    """The letter that the grader reads, or its label."""
    for letter in CAPITALS:
        result = grade(GraderSpec(name="multiple_choice", args={"choices": CAPITALS}), answer, letter)
        if result.passed:
            return letter
    return result.failure_label or "?"


@pytest.mark.parametrize(("answer", "letter"), CHOICES)
def test_a_choice_is_read_from_a_sentence(answer: str, letter: str) -> None:
    assert picked(answer) == letter


NUMBERS = [
    "12",
    "12.",
    "**12**",
    "= 12",
    "$12",
    "12 (3 + 9)",
    "12 (that is 3 + 9)",
    "12, since 3 + 9 is 12",
    "12 apples.",
    "12. That is 3 + 9.",
    "The answer is 12, not 13",
    "The answer is 12 (rounded from 12.4).",
    "Not 13 but 12.",
    "It is not 13, it is 12.",
    "13 is wrong; 12 is right.",
    "3 + 9 = 12",
    "12 = 3 + 9",
    "3 + 9 = 12.\nSo the answer is 12.",
    "The answer is 3 + 9 = 12",
    "Answer: 12",
    "**Answer:** 12",
    "The total is 12, because 4 × 3 = 12 and 12 + 1 = 13.",
    "#### 12",
    "\\boxed{12}",
    "The result is $\\boxed{12}$.",
    "1. Add 3 and 4 to get 7.\n2. Add 5 to get 12.",
    "Step 1: 3 + 4 = 7. Step 2: 7 + 5 = 12.",
    "She has 12 out of 30",
    "He bought 3 boxes of 4, which makes 12 (without the 2 he lost).",
    "2 apples and 10 pears make 12",
    "x = 12",
    "About 12.0",
    "12%",
]
UNSEEN_NUMBERS = [
    "So, 12.",
    "The sum of 3 and 9 is 12.",
    "Total: $12.00 (for 3 items)",
    "I get 12.",
    "3 times 4 is 12",
    "There are 12 of them, not 14.",
    "12 (twelve)",
    "Therefore there are 12 apples left (15 − 3).",
    "First we have 20. Then we take 8 away. That leaves 12.",
    "It's 12 rather than 11",
    "Final answer: **12** apples",
    "20 - 8 = 12 apples",
    "The number of legs is 12",
    "12 because 24 / 2 = 12",
    "(12)",
    "Answer: 12\n\nExplanation: 3 rows of 4.",
    "The answer equals 12",
    "60 × 20 % = 12",
    "12 hours (8 + 4)",
    "If each of 3 friends gets 4, you need 12.",
]


@pytest.mark.parametrize("answer", NUMBERS)
def test_the_stated_number_counts(answer: str) -> None:
    assert grade(GraderSpec(name="number"), answer, "12").passed


def test_phrasings_that_the_readers_were_not_written_with() -> None:
    """A bar, not a list to tune on: a miss here is a reason to write more phrasings above."""
    wrong = [answer for answer, letter in UNSEEN_CHOICES if picked(answer) != letter]
    wrong += [answer for answer in UNSEEN_NUMBERS if not grade(GraderSpec(name="number"), answer, "12").passed]
    assert len(wrong) <= 0.1 * (len(UNSEEN_CHOICES) + len(UNSEEN_NUMBERS)), wrong
