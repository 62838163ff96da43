"""`burnish review suggest`: ask a teacher for each open item of a review."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import burnish_client
from burnish_client.cli.options.common import RUN_LOG_HELP, Options, SliceOption, grouped, option
from burnish_client.cli.options.evaluation import PRICE_HELP, RESULT, SamplingOptions, read_price, token_option
from burnish_client.cli.views import console
from burnish_client.cli.views.data import suggest_text
from burnish_client.cli.views.evaluation import answers

if TYPE_CHECKING:
    from burnish_client.evaluation.request import Endpoint

ASKED, TEACHER, BUDGET = "What is asked", "The teacher", "The budget"


class SuggestOptions(Options):
    """What is asked, of whom, and how much of it."""

    label: list[str] | None = option(None, "Only this failure label; repeat for more.", ASKED)
    slice: SliceOption = None
    again: bool = option(
        False, "Also what this teacher has answered: the new answer replaces it.", ASKED, names=["--again"]
    )
    grader: str | None = option(
        None, "For lines without a grader of their own that have an expected answer, as in `contains`.", ASKED, "NAME"
    )
    benchmark: str | None = option(None, "Benchmark whose graders go before the run log's.", ASKED, "NAME[@VERSION]")
    model: str = option(..., "OpenAI-compatible; a name alone is a model of the stack.", TEACHER, "URL#NAME")
    token: str | None = token_option("BURNISH_TEACHER_TOKEN", TEACHER)
    without: list[str] | None = option(
        None, "Request parameter that the endpoint does not take; repeat for more.", TEACHER, "NAME"
    )
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = option(
        "max_tokens", "What the endpoint calls it.", TEACHER
    )
    limit: int = option(1000, "Most items to ask.", BUDGET, "N", min=1, max=1_000_000)
    most_tokens: int | None = option(
        None, "Ask no more items than surely fit into so many tokens, in and out.", BUDGET, "N", min=1
    )
    price: str | None = option(None, PRICE_HELP, BUDGET, "PRICE")
    dry_run: bool = option(False, "Say what would be asked, and ask nothing.", BUDGET, names=["--dry-run"])
    json: bool = option(False, "Print JSON alone on stdout.", RESULT, names=["--json"])


@grouped
def suggest(
    options: SuggestOptions,
    sampling: SamplingOptions,
    run_log: Annotated[str | None, typer.Argument(help=RUN_LOG_HELP)] = None,
) -> None:
    """Ask another model for the right answer to each open item. Its answers are graded and kept as suggestions: a person decides.

    The most telling items come first, as on the review page. A call that was cut short goes on when it is called again.
    """
    import asyncio

    from burnish_client.evaluation import suggesting
    from burnish_client.evaluation.request import Sampling

    settings = burnish_client.ClientSettings()
    endpoint, model = _teacher(options, settings)
    price = read_price(options.price, "--price") if options.price else None
    teacher = suggesting.Teacher(endpoint, model, Sampling(sampling.max_tokens, sampling.temperature, sampling.seed))
    with burnish_client.CuratorClient.from_settings(settings) as curator:
        run_log_id = curator.find_run_log(run_log).id
        guarded = curator.benchmark(*console.name_and_version(options.benchmark)) if options.benchmark else None
        benchmark = f"{guarded.name}/{guarded.version}" if guarded else None
        labels, slices = options.label or [], options.slice or []
        prompts = curator.review_prompts(
            run_log_id, labels, slices, model=model, host=teacher.host, again=options.again, limit=options.limit
        )
        replies = suggesting.replies_file(settings.home, run_log_id, teacher.host, model)
        planned = suggesting.plan(prompts, teacher, replies, options.most_tokens)
        suggest_text.show_plan(planned, teacher, price)
        if options.dry_run:
            return console.print_json(suggest_text.plan_json(planned, teacher)) if options.json else None
        replies.parent.mkdir(parents=True, exist_ok=True)
        with answers.resumable("suggestions", replies) as progress:
            done = asyncio.run(
                suggesting.ask_teacher(
                    planned,
                    teacher,
                    replies,
                    lambda given: curator.suggest(run_log_id, given, benchmark=benchmark, grader=options.grader),
                    sampling.concurrency,
                    progress,
                )
            )
        replies.unlink()  # the curator has what it says
        page = curator.review_page_url(run_log_id, labels, slices)
    if options.json:
        return console.print_json(suggest_text.as_json(done, planned, run_log_id, teacher))
    suggest_text.show(done, planned, run_log_id, page, price)


def _teacher(options: SuggestOptions, settings: burnish_client.ClientSettings) -> tuple[Endpoint, str]:
    from burnish_client.evaluation.request import Endpoint, endpoint_and_model

    if "#" in options.model or "://" in options.model:
        endpoint, model = endpoint_and_model(options.model, options.token, "model")
    else:
        endpoint, model = Endpoint.from_settings(settings), options.model
    without = frozenset(options.without or [])
    return replace(endpoint, without=without, max_tokens_name=options.max_tokens_name), model
