"""The flows on a real Prefect server, over small stages."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.trees import tree

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.usefixtures("prefect_server", "small_stages", "nothing_left_open"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning"
    ),  # Prefect opens clients that it never closes (prefect/results.py, artifacts.py)
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def artifacts_of_latest(key: str) -> Any:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        return client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.UPDATED_DESC, limit=1)[0]


def outcome(root: Path) -> dict[str, bytes]:
    return tree(root, "metrics", "report", "recipe.toml")


def test_end_to_end_runs_every_stage_and_shows_funnel_progress_loss_and_report(recipe: Path, tmp_path: Path) -> None:
    from flows.end_to_end import end_to_end

    root = tmp_path / "run"
    summaries = end_to_end(str(recipe), str(root), workers=2)
    assert list(summaries) == ["clean", "dedup", "filter", "tokenize", "train", "report"]
    funnel = artifacts_of_latest("tokenmill-funnel").data
    assert '"stage": "clean"' in funnel
    assert '"in": "600"' in funnel
    assert "gopher_quality.min_words" in artifacts_of_latest("tokenmill-reasons").data
    assert artifacts_of_latest("tokenmill-clean").data == 100.0
    kind, _, picture = str(artifacts_of_latest("tokenmill-loss").data).partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert len(picture) < 200_000
    assert (root / "report/index.html").as_uri() in str(artifacts_of_latest("tokenmill-report-link").data)


def test_curate_then_pretrain_alone_make_what_end_to_end_makes(recipe: Path, tmp_path: Path) -> None:
    from flows.end_to_end import curate, end_to_end, pretrain

    apart, whole = tmp_path / "apart", tmp_path / "whole"
    curated = curate(str(recipe), str(apart), workers=2)
    assert list(curated) == ["clean", "dedup", "filter", "tokenize"]
    assert not (apart / "checkpoints").exists()
    assert list(pretrain(str(recipe), str(apart), workers=2)) == ["train"]
    end_to_end(str(recipe), str(whole), stages=["clean", "dedup", "filter", "tokenize", "train"], workers=2)
    assert outcome(apart) == outcome(whole)


def test_flow_run_of_a_killed_process_is_set_to_crashed_by_the_next_run(recipe: Path, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    from flows.end_to_end import curate
    from flows.server.dead_runs import root_tag

    root = str(tmp_path / "run")
    with get_client(sync_client=True) as client:
        dead = client.create_flow_run(curate, parameters={}, tags=[root_tag(root)], state=Running())
        other = client.create_flow_run(curate, parameters={}, tags=[root_tag(root + "-2")], state=Running())
        curate(str(recipe), root, workers=1)
        assert client.read_flow_run(dead.id).state.name == "Crashed"  # type: ignore[union-attr]
        assert client.read_flow_run(other.id).state.name == "Running", "another folder's run is none of ours"  # type: ignore[union-attr]


def test_failing_shard_fails_the_flow_without_another_try(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.end_to_end import curate

    monkeypatch.setenv("STAND_IN_FAILS", "00002")
    with pytest.raises(ValueError, match="told to fail"):
        curate(str(recipe), str(tmp_path / "run"), workers=1)


def test_error_that_may_pass_is_tried_again(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import end_to_end as module
    from flows.session import session
    from pipeline.base.errors import PassingError

    calls = []
    real = session.run_stage  # type: ignore[attr-defined]

    def sometimes(stage: str, *more: Any) -> dict[str, Any]:
        calls.append(stage)
        if len(calls) == 1:
            raise PassingError("the network was away")
        return real(stage, *more)

    monkeypatch.setattr(session, "run_stage", sometimes)
    monkeypatch.setattr(module, "stage_task", module.stage_task.with_options(retry_delay_seconds=0))
    module.curate(str(recipe), str(tmp_path / "run"), stages=["clean"], workers=1)
    assert calls == ["clean", "clean"]


@pytest.mark.parametrize(
    ("name", "parameter", "bound"),
    [
        ("end_to_end", "workers", {"minimum": 0}),
        ("curate", "recipe", {"minLength": 1}),
        ("dedup", "threshold", {"exclusiveMinimum": 0.0, "maximum": 1.0}),
        ("nightly", "day", {"pattern": r"^(\d{4}-\d\d-\d\d)?$"}),
        ("pretrain", "overrides", {"maxItems": 1000}),
        ("evaluate", "root", {"minLength": 1}),
        ("ablate", "seeds", {"minimum": 2, "maximum": 100}),
    ],
)
def test_form_of_each_flow_has_descriptions_and_bounds(name: str, parameter: str, bound: dict[str, Any]) -> None:
    from prefect.utilities.callables import parameter_schema

    from flows import alone, end_to_end, nightly

    flow = next(getattr(module, name) for module in (end_to_end, alone, nightly) if hasattr(module, name))
    schema = parameter_schema(flow.fn).model_dump()
    described = {key: values.get("description") or "$ref" in values for key, values in schema["properties"].items()}
    assert all(described.values()), described
    assert all(definition["description"] for definition in (schema["definitions"] or {}).values())
    assert bound.items() <= schema["properties"][parameter].items()


def test_value_out_of_bounds_is_refused_with_the_name_of_the_parameter(recipe: Path, tmp_path: Path) -> None:
    from prefect.exceptions import ParameterTypeError

    from flows.end_to_end import curate

    with pytest.raises(ParameterTypeError, match="workers"):
        curate(str(recipe), str(tmp_path / str(uuid4())), workers=-1)


def test_dedup_flow_deduplicates_files_and_shows_its_figures(tmp_path: Path) -> None:
    from flows.alone import dedup

    text = "the quick brown fox jumps over the lazy dog and runs away from the hunter in the wood"
    lines = [{"id": "a", "text": text}, {"id": "b", "text": text}, {"id": "c", "text": "something else altogether"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = dedup([str(tmp_path / "in.jsonl")], str(tmp_path / "out"), exact_only=True, workers=1)
    assert (summary["records_in"], summary["records_kept"], summary["records_removed_exact"]) == (3, 2, 1)
    assert (tmp_path / "out/kept/in.jsonl").read_text().count("\n") == 2
    assert '"records_kept"' in artifacts_of_latest("tokenmill-dedup").data


def test_dedup_flow_passes_every_choice_of_its_form_on(tmp_path: Path) -> None:
    from flows.alone import dedup

    text = "the quick brown fox jumps over the lazy dog and runs away from the hunter in the wood"
    for name, licence in (("a", "none"), ("b", "CC-BY-4.0"), ("c", "none")):
        record = {"id": name, "text": text, "rights": licence, "link": f"https://example.org/{name}"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(record) + "\n")
    choices: dict[str, Any] = {"prefer_licence": ["CC-*"], "licence_field": "rights", "url_field": "link"}
    choices |= {"copies": 2, "no_verify": True, "prefer_source": ["*c.jsonl"], "workers": 1}
    summary = dedup([str(tmp_path / f"{name}.jsonl") for name in "abc"], str(tmp_path / "out"), **choices)
    assert (summary["records_kept"], summary["records_removed_exact"]) == (2, 1)
    kept = {name: (tmp_path / f"out/kept/{name}.jsonl").read_text() != "" for name in "abc"}
    assert kept == {"a": False, "b": True, "c": True}, "c by its source, then b by its licence"


def test_flow_of_a_failing_command_fails_in_the_words_of_the_command(tmp_path: Path) -> None:
    from flows.alone import evaluate
    from pipeline.base.errors import UserError

    with pytest.raises(UserError, match="not a run folder"):
        evaluate(str(tmp_path))


def test_burst_of_shards_and_artifacts_loses_no_record(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import FlowRunSort

    from flows.end_to_end import end_to_end
    from flows.session.artifacts import Artifacts
    from tests.flows import stand_in

    sent: list[str] = []
    monkeypatch.setattr(stand_in, "SHARDS", 200)
    real = Artifacts.update

    def update(self: Artifacts, stage: str, share: float, text: str) -> None:
        sent.append(text)
        real(self, stage, share, text)

    monkeypatch.setattr(Artifacts, "update", update)
    end_to_end(str(recipe), str(tmp_path / "run"), stages=["clean", "dedup", "filter", "tokenize"], workers=2)
    assert len(sent) < 60, "200 shards a stage, and a few updates"
    stages = ["clean", "dedup", "filter", "tokenize"]
    with get_client(sync_client=True) as client:
        ours = [run.id for run in client.read_flow_runs(limit=2, sort=FlowRunSort.START_TIME_DESC)]
        states: dict[str, str] = {}
        deadline = time.monotonic() + 60  # the server records task runs from events, a little later
        while list(states.values()) != ["Completed"] * 4 and time.monotonic() < deadline:
            tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ours)))
            states = {task.name: str(task.state.name) for task in tasks if task.state and task.name in stages}
    assert states == dict.fromkeys(stages, "Completed")
    assert [artifacts_of_latest(f"tokenmill-{stage}").data for stage in stages] == [100.0] * 4


def test_parameters_that_the_server_refuses_are_told_in_a_sentence(recipe: Path, tmp_path: Path) -> None:
    from flows.alone import dedup
    from flows.end_to_end import curate
    from pipeline.base.errors import UserError

    many = [f"{tmp_path}/{'crawl' * 10}/{number:05}.jsonl" for number in range(10_000)]
    with pytest.raises(UserError, match="dedup: its parameters are too large for the Prefect server") as caught:
        dedup(many, str(tmp_path / "out"))
    assert len(str(caught.value)) < 500
    with pytest.raises(UserError, match=r"524,288 bytes when serialized \(got \S+ bytes\)\): give folders or globs"):
        curate(str(recipe), str(tmp_path / "run"), overrides=[f"name={'x' * 600_000}"])
    assert not (tmp_path / "run").exists()
