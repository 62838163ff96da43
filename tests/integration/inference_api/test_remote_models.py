"""Remote models at the gateway: listed and removed like adapter versions, and never served."""

from __future__ import annotations

from unit.trainer.made import job_spec, put_dataset, sft_rows

from burnish.registry import remote_models
from burnish.schemas.training.hosted import RemoteModel

HOSTED = {"provider": "openai", "model": "gpt-4.1-nano", "spend_limit_usd": 1}
REMOTE = RemoteModel(provider="openai", endpoint="http://there/v1", model="ft:1", base_model="gpt-4.1-nano")


async def test_it_is_listed_and_removed_and_not_promoted(stand):
    ref = remote_models.record(
        stand.store, "job-1", job_spec(put_dataset(stand.store, sft_rows(12)), hosted=HOSTED), REMOTE
    )
    listed = (await stand.http.get("/v1/remote-models", params={"name": ref.name})).json()
    assert [each["version"] for each in listed["remote_models"]] == [ref.version]
    for version in ("latest", ref.version):
        one = (await stand.http.get(f"/v1/remote-models/{ref.name}/{version}")).json()
        assert one["remote"]["model"] == "ft:1"
    body = {"by": "ada@laptop", "version": ref.version, "override": "test"}
    refused = await stand.http.post(f"/v1/aliases/{ref.name}/production/promote", json=body)
    assert refused.status_code == 400
    assert "answers at openai (http://there/v1) as ft:1" in refused.json()["error"]["message"]
    assert (await stand.chat(f"{ref.name}@{ref.version}")).status_code == 404
    assert (await stand.http.delete(f"/v1/remote-models/{ref.name}/{ref.version}")).status_code == 204
    assert (await stand.http.get("/v1/remote-models")).json()["remote_models"] == []
    assert (await stand.http.get(f"/v1/remote-models/{ref.name}/{ref.version}")).status_code == 404
