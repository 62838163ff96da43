"""`burnish diagnose`: which failures are the model's, and which of them repeat."""

from __future__ import annotations

import shlex

import burnish_client
from burnish_client.cli.options.common import RunLog, SliceOption
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.data import data_text


def diagnose(run_log: RunLog = None, slice: SliceOption = None, json: JsonFlag = False) -> None:
    """Find the failures that are the model's and repeat.

    Grouped by label: which repeat enough to train on, and why the others do not.
    """
    with burnish_client.CuratorClient.from_settings() as client, console.working("counting failures"):
        found = client.diagnosis(client.find_run_log(run_log).id, slice or [])
    if json:
        return console.print_json(found)
    data_text.show_diagnosis(found)
    data_text.show_advice(found)
    if found.unlabelled:
        console.next_step(f"burnish clusters find {found.run_log_id}")
    candidates = [cluster for cluster in found.clusters if cluster.candidate]
    if candidates:
        chosen = "".join(f" --slice {shlex.quote(name)}" for name in slice or [])
        console.next_step(
            f"burnish review export {found.run_log_id} --label {candidates[0].label}{chosen} --out review.jsonl"
        )
