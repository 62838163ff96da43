"""`burnish clusters name`: a model proposes, over real sockets; a person accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cluster_making import planted
from curator_thread import TOKEN, curator_thread
from integration.evaluation.chat_server import ChatServer
from runlog_making import jsonl, run

from burnish_client.cli import app as cli
from burnish_client.sdk.curator import CuratorClient

LABELS = ["speaks_like_a_pirate", "speaks_like_a_pirate", "Not A Label", "old_label"]


def test_a_model_proposes_names_and_a_person_accepts_one(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    asked: list[str] = []

    def say(model: str, prompt: Any) -> str:
        asked.append(json.dumps(prompt))
        label = LABELS[min(len(asked), len(LABELS)) - 1]
        return json.dumps({"label": label, "sentence": "The answers do this."})

    server.say = say
    lines = [
        run(f"q{n}", question=each.question, answer=each.answer, failure_label=None)
        for n, each in enumerate(planted("held", 150, seed=2))
    ]
    lines.append(run("old", failure_label="old_label"))
    (tmp_path / "log.jsonl").write_bytes(jsonl(lines))
    with curator_thread(tmp_path) as url, CuratorClient(url, TOKEN) as client:
        for name, value in (("HOME", str(tmp_path / "home")), ("CURATOR_URL", url), ("TOKEN", TOKEN)):
            monkeypatch.setenv(f"BURNISH_{name}", value)
        log = client.import_run_log(tmp_path / "log.jsonl", "log").manifest.id
        assert cli.run(["clusters", "find", "log"]) == 0
        before = client.clustering(log)
        capsys.readouterr()
        model = f"{server.url}#namer"

        def name(*words: str) -> tuple[str, str]:
            code = cli.run(["clusters", "name", "log", *words])
            said = capsys.readouterr()
            assert code == 0, said.err
            return said.out, said.err

        assert cli.run(["clusters", "name", "log"]) == 2
        assert "--model URL#NAME" in capsys.readouterr().err
        assert cli.run(["clusters", "name", "log", "--accept", before.clusters[0].name]) == 1
        assert "no name was proposed" in capsys.readouterr().err

        done = json.loads(name("--model", model, "--most", "4", "--json")[0])
        assert len(asked) == 4
        names = [cluster.name for cluster in before.clusters]
        after = client.clustering(log)
        assert after.version == done["clustering"] != before.version
        assert [cluster.name for cluster in after.clusters] == names
        proposed = {cluster.name: cluster.proposed.label for cluster in after.clusters if cluster.proposed}
        assert list(proposed.values()) == ["speaks_like_a_pirate"]
        assert {name: one["label"] for name, one in done["proposed"].items()} == proposed
        reasons = " ".join(done["refused"].values())
        assert "'speaks_like_a_pirate' is taken, by a proposal" in reasons
        assert "lower-case words" in reasons
        assert "'old_label' is taken, by lines that were logged" in reasons
        assert list((tmp_path / "home" / "naming").iterdir()) == []

        (accepted,) = proposed
        assert cli.run(["clusters", "show", "log"]) == 0
        assert "speaks_like_a_pirate" in capsys.readouterr().out
        name("--accept", accepted)
        assert client.run_log_rows(log, label="speaks_like_a_pirate").total == next(
            cluster.size for cluster in before.clusters if cluster.name == accepted
        )
        assert all(cluster.proposed is None for cluster in client.clustering(log).clusters)
        server.say = lambda *_: "no"
        assert "no name for" in name("--model", model, "--most", "1")[1]
