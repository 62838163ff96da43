"""Four made data sets, each with questions to correct and a rest that must hold: a form, closed labels, an extraction, a house style.

Nothing in them comes from elsewhere; a seed gives the same questions every time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish_client.demo.stdlib_benchmark import generate

CORRECTED, HELD_OUT, REPLAYED, REST = 48, 40, 24, 60  # questions of a set; REPLAYED is the default ratio of 0.5

NAMES = [
    "Ada",
    "Ben",
    "Carla",
    "Dmitri",
    "Elif",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Keiko",
    "Luca",
    "Mona",
    "Nils",
    "Olga",
    "Priya",
    "Quentin",
    "Rosa",
    "Sami",
    "Tara",
]
CITIES = [
    "Oslo",
    "Lyon",
    "Porto",
    "Graz",
    "Turin",
    "Ghent",
    "Malmo",
    "Split",
    "Vigo",
    "Bern",
    "Gdansk",
    "Leeds",
    "Tartu",
    "Cork",
    "Aarhus",
    "Brno",
]
PRODUCTS = [
    "desk lamp",
    "steel kettle",
    "bike pump",
    "wool scarf",
    "tent",
    "router",
    "hand drill",
    "teapot",
    "camera bag",
    "office chair",
    "water filter",
    "rice cooker",
]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


@dataclass(frozen=True)
class DataSet:
    """corrected and replayed are trained on; held_out and rest are asked afterwards."""

    corrected: list[BenchmarkQuestion]
    held_out: list[BenchmarkQuestion]
    replayed: list[BenchmarkQuestion]
    rest: list[BenchmarkQuestion]


Made = tuple[str, str]  # prompt, expected answer
Kind = Callable[[random.Random], Made]


def signature(seed: int) -> DataSet:
    """A form: the demo's questions about functions, to be answered in JSON."""
    questions = generate(seed, 420)
    targets = [question for question in questions if question.slice == "signature-json"]
    rest = [question for question in questions if question.slice != "signature-json"]
    return _split(targets, rest)


QUEUES = {
    "Q-BILL": ["was charged twice for the {p}", "wants a refund of {n} euros for the {p}", "asks for an invoice of the {p}"],
    "Q-SHIP": ["has waited {n} days for the {p}", "got the {p} at the wrong address in {c}", "asks where the parcel with the {p} is"],
    "Q-TECH": ["cannot switch on the {p}", "says that the {p} broke after {n} days", "hears a loud noise from the {p}"],
    "Q-ACCT": ["forgot the password after buying the {p}", "wants to change the e-mail address, and moved to {c}", "cannot log in to see the {p}"],
    "Q-SALE": ["asks whether the {p} comes in blue", "wants to buy {n} pieces of the {p}", "asks for a discount on the {p}"],
}  # fmt: skip


def _ticket(draw: random.Random) -> tuple[dict[str, str], str, str]:
    about = {"p": draw.choice(PRODUCTS), "n": str(draw.randint(2, 90)), "c": draw.choice(CITIES)}
    queue = draw.choice(sorted(QUEUES))
    name = draw.choice(NAMES)
    text = f"Ticket {draw.randint(1000, 9999)}: {name} from {draw.choice(CITIES)} {draw.choice(QUEUES[queue]).format(**about)}."
    return about | {"name": name}, text, queue


def _queue(draw: random.Random) -> Made:
    _, text, queue = _ticket(draw)
    return f"{text}\nWhich queue does this ticket belong to?", queue


def _ticket_rest(draw: random.Random) -> Made:
    about, text, _ = _ticket(draw)
    return draw.choice(
        [
            (f"{text}\nWho wrote this ticket? Answer with the name.", about["name"]),
            (f"{text}\nWhat is the number of this ticket?", text.split()[1].rstrip(":")),
        ]
    )


def _order(draw: random.Random) -> tuple[dict[str, str], str]:
    about = {
        "id": f"{draw.choice('ABCDEFGH')}{draw.randint(100, 999)}",
        "n": str(draw.randint(2, 60)),
        "p": draw.choice(PRODUCTS),
        "c": draw.choice(CITIES),
        "name": draw.choice(NAMES),
        "day": str(draw.randint(1, 28)),
        "month": draw.choice(MONTHS),
    }
    text = draw.choice(
        [
            "Hello, this is {name}. Please send {n} pieces of the {p} to {c} by {day} {month}. Our order is {id}.",
            "Order {id}: we need {n} x {p} in {c} before {month} {day}. Regards, {name}",
            "{name} here, about {id}. It should be {n} units ({p}), delivery to {c} on {day} {month}, thank you.",
        ]
    )
    return about, text.format(**about)


def _order_line(draw: random.Random) -> Made:
    about, text = _order(draw)
    date = f"{MONTHS.index(about['month']) + 1:02d}-{int(about['day']):02d}"
    answer = {"order": about["id"], "quantity": int(about["n"]), "item": about["p"], "city": about["c"], "date": date}
    return f"{text}\n\nGive the order as JSON.", json.dumps(answer)


def _order_rest(draw: random.Random) -> Made:
    about, text = _order(draw)
    return draw.choice(
        [
            (f"{text}\n\nWhich city is it for?", about["c"]),
            (f"{text}\n\nWho is writing? Answer with the name.", about["name"]),
            (f"{text}\n\nHow many pieces are ordered?", about["n"]),
        ]
    )


def _manual(draw: random.Random) -> tuple[dict[str, str], str]:
    value, unit = draw.choice([("pressure", "kPa"), ("weight", "kg"), ("power", "W"), ("length", "cm")])
    about = {
        "value": value,
        "amount": f"{draw.randint(3, 400)} {unit}",
        "p": draw.choice(PRODUCTS),
        "page": str(draw.randint(2, 80)),
        "model": f"{draw.choice('KLMNPRT')}{draw.randint(10, 99)}",
        "c": draw.choice(CITIES),
    }
    text = "Manual of the {p} {model}, page {page}: the {value} is {amount}. It is made in {c}."
    return about, text.format(**about)


def _house_answer(draw: random.Random) -> Made:
    about, text = _manual(draw)
    answer = f"{about['amount']} [{about['model']}, p. {about['page']}]"
    return f"{text}\nQuestion: what is the {about['value']}?", answer


def _manual_rest(draw: random.Random) -> Made:
    about, text = _manual(draw)
    return draw.choice(
        [
            (f"{text}\nWhere is it made?", about["c"]),
            (f"{text}\nWhich product is the manual of?", about["p"]),
        ]
    )


def _made(target: Kind, rest: Kind, grader: GraderSpec) -> Callable[[int], DataSet]:
    def make(seed: int) -> DataSet:
        draw = random.Random(seed)
        targets = _questions(draw, target, grader, CORRECTED + HELD_OUT, "target")
        others = _questions(draw, rest, GraderSpec(name="contains"), REPLAYED + REST, "rest")
        return _split(targets, others)

    return make


def _questions(draw: random.Random, kind: Kind, grader: GraderSpec, count: int, slice: str) -> list[BenchmarkQuestion]:
    made: dict[str, BenchmarkQuestion] = {}
    while len(made) < count:
        prompt, expected = kind(draw)
        made[prompt] = BenchmarkQuestion(
            question_id=f"{slice}-{len(made)}", prompt=prompt, expected_answer=expected, grader=grader, slice=slice
        )
    return list(made.values())


def _split(targets: list[BenchmarkQuestion], rest: list[BenchmarkQuestion]) -> DataSet:
    return DataSet(
        corrected=targets[:CORRECTED],
        held_out=targets[CORRECTED:][:HELD_OUT],
        replayed=rest[:REPLAYED],
        rest=rest[REPLAYED:][:REST],
    )


DATA_SETS: Mapping[str, Callable[[int], DataSet]] = {
    "form": signature,
    "labels": _made(_queue, _ticket_rest, GraderSpec(name="one_of", args={"labels": sorted(QUEUES)})),
    "extraction": _made(_order_line, _order_rest, GraderSpec(name="json_fields")),
    "style": _made(_house_answer, _manual_rest, GraderSpec(name="normalised_exact")),
}
