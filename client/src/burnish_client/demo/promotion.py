"""The demo's last step: a ship verdict lets the adapter answer to its bare name, and a rollback takes that back."""

from __future__ import annotations

from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish_client.cli.views import console
from burnish_client.cli.views.evaluation.alias_text import alias_line
from burnish_client.demo.services import Services
from burnish_client.evaluation.comparison import Evaluation

ANSWER_TOKENS = 12


def promote_and_roll_back(
    services: Services, evaluation: Evaluation, adapter: AdapterManifest, question: BenchmarkQuestion
) -> None:
    """Only if the verdict is ship; the stack is left with the alias as it was."""
    out, name, reference = console.out(), adapter.name, f"{adapter.name}@{adapter.version}"
    if (verdict := evaluation.verdict.verdict) != "ship":
        out.print(
            f"not promoted, since the verdict is {verdict}: requests for {name} are refused, and {reference} answers. With "
            f'a reason, `burnish adapters promote {reference} --override "…"` promotes it all the same',
            soft_wrap=True,
            markup=False,
        )
        return
    out.print(f"$ burnish adapters promote {reference}", soft_wrap=True, markup=False)
    out.print(alias_line(services.adapters.promote(name, adapter.version)), soft_wrap=True)
    answer = services.inference.chat(name, question.prompt_messages(), max_tokens=ANSWER_TOKENS)
    out.print(f"a request for {name} is answered by {answer.model}: {console.one_line(answer.text)} …", soft_wrap=True)
    out.print(f"$ burnish adapters rollback {name}", markup=False)
    out.print(alias_line(services.adapters.rollback(name, reason="end of the demo")), soft_wrap=True)
    out.print(f"promote it again to use it; `burnish adapters alias history {name}` has both changes", markup=False)
