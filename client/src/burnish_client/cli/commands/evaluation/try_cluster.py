"""`burnish try`: whether something cheaper than training already mends a failure cluster."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

import burnish_client
from burnish.errors import InvalidInputError, NotFoundError
from burnish_client.cli.options.common import RUN_LOG_HELP, Options, file_option, grouped, option
from burnish_client.cli.options.evaluation import RESULT, SamplingOptions, token_option
from burnish_client.cli.views import console
from burnish_client.cli.views.evaluation import answers, try_text

STACK_CONTEXT_TOKENS = 2048  # what the inference service takes unless BURNISH_INFERENCE_MAX_MODEL_LEN says otherwise
TRIED, MODEL = "What is tried", "The model"
PAGE_ROWS, MOST_ROWS = 1000, 5000


class TryOptions(Options):
    """What is tried, on how many questions, and where the model is."""

    control: str = option(
        "all",
        "all, or some of few-shot, nearest-few-shot, schema, choice, prompt, evidence-last.",
        TRIED,
        "MEANS",
    )
    control_shots: int = option(4, "Examples before a question.", TRIED, "N", min=1)
    control_prompt: Path | None = file_option(None, "Text file: the stricter system prompt.", TRIED)
    questions: int = option(20, "At most so many questions of the cluster; never more than half.", None, "N", min=1)
    grader: str | None = option(None, "For lines without one of their own, as in `contains`.", None, "NAME")
    url: str | None = option(None, "OpenAI-compatible. Default: the stack's inference service.", MODEL, "URL")
    model: str | None = option(None, "Its name there. Default: the stack's base model.", MODEL, "NAME")
    token: str | None = token_option("BURNISH_BASE_TOKEN", MODEL)
    json: bool = option(False, "Print JSON alone on stdout.", RESULT, names=["--json"])


@grouped
def try_cluster(
    run_log: Annotated[str, typer.Argument(help=RUN_LOG_HELP.partition(";")[0] + ".")],
    cluster: Annotated[str, typer.Argument(help="Failure label, as `burnish diagnose` shows it.")],
    options: TryOptions,
    sampling: SamplingOptions,
) -> None:
    """Try prompts, examples and guided decoding on a sample of a failure cluster, and say whether one does it already.

    Answers are kept as they come: the same command after an interruption asks only what is missing.
    """
    import asyncio

    from burnish_client.evaluation import trying
    from burnish_client.evaluation.request import BaselineSettings, Endpoint, Sampling
    from burnish_client.sdk.curator import CuratorClient

    names, with_evidence_last = trying.arm_names(options.control)
    prompt = options.control_prompt.read_text().strip() if options.control_prompt else None
    if prompt == "":
        raise InvalidInputError(f"{options.control_prompt} is empty: write the system prompt into it")
    settings = burnish_client.ClientSettings()
    with CuratorClient.from_settings(settings) as curator:
        run_log_id = curator.find_run_log(run_log).id
        lines = _lines(curator, run_log_id, cluster)
        items = curator.export_review(run_log_id, [cluster])
    corrections = {item.question_id: item.earlier_correction for item in items if item.earlier_correction}
    sampled = trying.sample_cluster(lines, corrections, cluster, options.grader, options.questions, sampling.seed)
    if options.url:
        if not options.model:
            raise typer.BadParameter("name the model there: --model", param_hint="--url")
        endpoint, model = Endpoint(options.url, options.token), options.model
    else:
        endpoint = Endpoint.from_settings(settings)
        with burnish_client.InferenceClient.from_settings(settings) as inference:
            model = options.model or inference.base_model()
    context = None if options.url else STACK_CONTEXT_TOKENS
    means = BaselineSettings(
        names, shots=options.control_shots, prompt=prompt, context_tokens=context, seed=sampling.seed
    )
    key = hashlib.sha256(f"{cluster}\0{endpoint.public_url}\0{model}".encode()).hexdigest()[:16]
    folder = settings.home / "tries" / f"{run_log_id}-{key}"
    console.note(
        f"{len(sampled.asked):,} questions of {console.one_line(cluster)}, {len(sampled.examples):,} others to show as examples"
    )
    with answers.resumable("answers", folder) as progress:
        trial = asyncio.run(
            trying.try_means(
                sampled,
                names,
                with_evidence_last,
                means,
                endpoint,
                model,
                Sampling(sampling.max_tokens, sampling.temperature, sampling.seed),
                folder,
                sampling.concurrency,
                progress,
            )
        )
    if options.json:
        return console.print_json(try_text.as_json(trial, sampled, run_log_id, cluster, model))
    try_text.show(trial, sampled, run_log_id, cluster)


def _lines(curator: burnish_client.CuratorClient, run_log_id: str, cluster: str) -> list[burnish_client.RunLogLine]:
    """Lines with this failure label, MOST_ROWS at most."""
    found: list[burnish_client.RunLogLine] = []
    while len(found) < MOST_ROWS:
        page = curator.run_log_rows(run_log_id, offset=len(found), limit=PAGE_ROWS, label=cluster)
        found += page.rows
        if len(found) >= page.total or not page.rows:
            break
    if not found:
        raise NotFoundError(f"no line has the failure label {cluster!r}: `burnish diagnose {run_log_id}` lists them")
    return found
