"""`burnish lineage` over a real object store, curator and gateway: every step of a verdict back to its lines, and of a line on."""

from __future__ import annotations

import asyncio
import json

import pytest
from curator_thread import curator_thread
from integration.inference_api.conftest import TOKEN, standing
from lineage_making import make

from burnish_client.cli import app as cli
from burnish_client.sdk.curator import CuratorClient


@pytest.fixture
async def burnish(tmp_path, base, upstream_socket, server_socket, s3_store, monkeypatch, capsys):
    """await burnish("THING", …): (exit code, stdout, stderr) of `burnish lineage` at 80 columns; burnish.made is what there is."""
    with curator_thread(tmp_path / "curator", s3_store, TOKEN) as url:
        with CuratorClient(url, TOKEN) as client:
            made = await asyncio.to_thread(make, s3_store, client, tmp_path)
        variables = {
            "HOME": str(tmp_path / "home"), "INFERENCE_URL": server_socket.url, "CURATOR_URL": url, "TOKEN": TOKEN
        }  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(f"BURNISH_{name}", value)
        monkeypatch.setenv("COLUMNS", "80")

        async def run(*words):
            code = await asyncio.to_thread(cli.run, ["lineage", *words])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        run.made = made
        async with standing(tmp_path, base, upstream_socket, server_socket, store=s3_store):
            yield run


async def test_a_verdict_leads_to_lines_and_reviewers_and_a_line_to_the_verdict(burnish):
    made = burnish.made
    dataset, adapter = f"addresses@{made.dataset.version}", f"addresses-fixed@{made.adapter.version}"
    code, out, err = await burnish("e1", "--json")
    assert (code, err) == (0, "")
    tree = json.loads(out)
    [node] = [node for node in tree["made_from"] if node["kind"] == "adapter"]
    assert node["name"] == adapter
    [node] = [node for node in node["children"] if node["kind"] == "dataset"]
    assert node["name"] == dataset
    trained = next(group for group in node["children"] if group["name"] == "trained on")
    assert {q["name"] for q in trained["children"]} == {*made.dataset.split.train, *made.dataset.split.validation}
    question = trained["children"][0]
    assert question["says"].startswith("corrected")
    number = int(question["name"][1:])
    assert [one["name"] for one in question["children"]] == [f"{made.run_log.id}:{number + run}" for run in (1, 25)]
    assert "its row is this line's" in question["children"][0]["says"]

    code, out, _ = await burnish(question["children"][0]["name"], "--json")
    assert code == 0
    seen = json.loads(out)["seen_by"]
    assert [(node["kind"], node["name"]) for node in seen] == [("dataset", dataset), ("runlog", made.graded.id)]
    assert seen[0]["says"] == "question trained on; its row is this line's"
    [found] = seen[0]["children"]
    assert (found["name"], [child["name"] for child in found["children"]]) == (adapter, ["e1"])

    code, out, _ = await burnish("shop:question=" + made.dataset.split.held_out[0], "--json")
    assert json.loads(out)["seen_by"][0]["says"].startswith("question held out")


async def test_the_tree_fits_a_screen_and_errors_say_what_to_type(burnish):
    made = burnish.made
    code, out, _ = await burnish("addresses", "--limit", "2")
    assert (code, max(len(row) for row in out.splitlines()) <= 80) == (0, True)
    for text in ("made from", "… and", "seen by", f"adapter addresses-fixed@{made.adapter.version}"):
        assert text in out
    for words, wanted in (
        (["nothing"], "nothing is named 'nothing'"),
        (["shop:x"], "write LOG:NUMBER"),
        (["shop:999"], "has no line"),
    ):
        code, _, err = await burnish(*words)
        assert (code > 0, wanted in err) == (True, True), err
