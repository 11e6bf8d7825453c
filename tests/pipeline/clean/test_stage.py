"""The stage as a whole: same bytes however it runs, skipped when nothing changed, stopped by its gate."""

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import storage
from pipeline.base.errors import GateError, RunError, UserError
from pipeline.base.pool import InProcess, Pool
from pipeline.clean import stage
from pipeline.clean.languages.identify import detect
from pipeline.clean.languages.sample import sample
from pipeline.inspection.describe import describe
from pipeline.recipe.language_codes import language_label
from pipeline.recipe.options import Recipe
from pipeline.report.figures import Figures
from pipeline.report.records import collect_records
from pipeline.report.summary import remarks
from pipeline.run.context import Context, NeedsWork
from pipeline.run.folder import Run


@pytest.fixture(scope="module")
def pool() -> Any:
    with Pool(1) as started:
        yield started


def recipe(folder: Path, **clean: Any) -> Recipe:
    return Recipe.model_validate({"sources": [{"name": "s", "paths": [str(folder)]}], "clean": clean})


def write(folder: Path, name: str, texts: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def run(root: Path, made: Recipe, pool: Any = None, dry: bool = False) -> tuple[dict[str, Any], Context]:
    context = Context(Run(str(root), made), pool, dry=dry)
    return stage.run(context), context


def files(root: Path) -> dict[str, bytes]:
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith(("logs/", ".scratch"))}


def test_empty_files_are_named_and_broken_links_are_none(tmp_path: Path, pool: Any) -> None:
    write(tmp_path / "in", "a.jsonl", ["one", "two"])
    (tmp_path / "in" / "nothing.txt").touch()
    (tmp_path / "in" / "link").symlink_to("nowhere")
    summary, context = run(tmp_path / "run", recipe(tmp_path / "in"), pool)
    assert summary["notes"] == ["1 file is empty, nothing.txt; that is no record"]
    figures = Figures()
    collect_records(context.run, figures)
    assert figures.empty_files == ["nothing.txt"]
    assert "1 file is empty, nothing.txt" in [remark.words for remark in remarks(figures)]


def test_second_run_does_nothing_and_a_changed_input_is_noticed(tmp_path: Path, pool: Any) -> None:
    write(tmp_path / "in", "a.jsonl", ["one", "two"])
    made, root = recipe(tmp_path / "in"), tmp_path / "run"
    summary, first = run(root, made, pool)
    assert (summary["records_in"], summary["documents"], first.shards_run) == (2, 2, 1)
    assert run(root, made)[1].shards_skipped == 1

    os.utime(tmp_path / "in" / "a.jsonl", (1, 1))  # touched, not changed: its digest is what the manifest recorded
    assert run(root, made)[1].shards_skipped == 1

    write(tmp_path / "in", "a.jsonl", ["one", "TWO"])
    os.utime(tmp_path / "in" / "a.jsonl", (2, 2))
    with pytest.raises(NeedsWork) as caught:
        run(root, made, dry=True)
    assert caught.value.reasons == {"00000": "its input changed: a.jsonl"}


def test_lost_log_of_inputs_costs_digests_not_work(tmp_path: Path, pool: Any) -> None:
    write(tmp_path / "in", "a.jsonl", ["one", "two"])
    made, root = recipe(tmp_path / "in"), tmp_path / "run"
    run(root, made, pool)
    (root / "logs" / "inputs.json").unlink()
    assert run(root, made)[1].shards_skipped == 1


def test_same_inputs_in_another_folder_give_the_same_bytes(tmp_path: Path, pool: Any) -> None:
    for place in ("x", "deeper/in/y"):
        (tmp_path / place).mkdir(parents=True)
        write(tmp_path / place, "a.jsonl", [f"text {n}" for n in range(50)])
        (tmp_path / place / "b.txt").write_text("plain")
        run(tmp_path / f"run-{place[-1]}", recipe(tmp_path / place), pool)
    assert files(tmp_path / "run-x") == files(tmp_path / "run-y")
    assert str(tmp_path).encode() not in b"".join(files(tmp_path / "run-x").values())


def test_gate_names_the_top_reasons_and_its_share_makes_nothing_again(tmp_path: Path, pool: Any) -> None:
    folder = tmp_path / "in"
    write(folder, "a.jsonl", ["one", "two"])
    with open(folder / "a.jsonl", "a", encoding="utf-8") as file:
        file.write("half\n[1]\n[2]\n")
    with pytest.raises(GateError, match=r"3 of 5 records .*json_not_object 2, json_invalid 1") as caught:
        run(tmp_path / "run", recipe(folder, max_quarantined=0.5), pool)
    assert caught.value.exit_code == 3
    summary, context = run(tmp_path / "run", recipe(folder, max_quarantined=0.6))
    assert (summary["quarantined"], context.shards_skipped) == (3, 1)


def test_gate_names_the_command_that_shows_the_damage(tmp_path: Path, pool: Any) -> None:
    write(tmp_path / "in", "a.jsonl", ["one"])
    (tmp_path / "in" / "b.jsonl").write_bytes(b'{"text": "one"}\n{"text": "half\xff of a line')
    sources = [{"name": name, "paths": [str(tmp_path / "in" / f"{name}.jsonl")]} for name in ("a", "b")]
    with pytest.raises(GateError) as caught:
        run(tmp_path / "run", Recipe.model_validate({"sources": sources}), pool)
    (shown,) = re.findall("`tokenmill inspect ([^`]*)`", str(caught.value))
    found = describe(shown, 5)
    assert found["rows"] == 1
    assert "path = b.jsonl" in found["text"]
    assert r'head = {"text": "half\xff of a line' in found["text"]


def test_missing_input_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file at"):
        run(tmp_path / "run", recipe(tmp_path / "absent"))
    assert not (tmp_path / "run").exists()


def test_shard_of_too_much_text_is_continued(tmp_path: Path, pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.clean import shard
    from pipeline.clean.worker import clean_partition
    from pipeline.run.engine import Outputs

    monkeypatch.setattr(shard, "SHARD_TEXT_BYTES", 1000)
    write(tmp_path / "in", "a.jsonl", ["x" * 300] * 10)
    (job,) = stage.plan_jobs(recipe(tmp_path / "in"))
    outputs = Outputs(str(tmp_path / "run"), job)
    clean_partition(job, outputs)
    rows = {output.path: output.rows for output in outputs.publish() if output.path.startswith("documents/")}
    assert rows == {"documents/00000.arrow": 3, "documents/00000-1.arrow": 3, "documents/00000-2.arrow": 3} | {
        "documents/00000-3.arrow": 1
    }


def test_files_behind_a_url_are_read(tmp_path: Path, pool: Any) -> None:
    write(tmp_path / "in", "a.jsonl", ["one"])
    made = recipe(tmp_path / "in")
    url = made.model_copy(update={"sources": [made.sources[0].model_copy(update={"paths": [f"file://{tmp_path}/in"]})]})
    assert run(tmp_path / "run", url, pool)[0]["documents"] == 1


@pytest.mark.usefixtures("nothing_left_open")
def test_files_of_an_object_store_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto")
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("TOKENMILL_CACHE", str(tmp_path / "cache"))
    server = ThreadedMotoServer(port=0, verbose=False)
    import s3fs

    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3fs.S3FileSystem.clear_instance_cache()
        store = s3fs.S3FileSystem()
        store.mkdir("bucket")
        store.pipe_file("bucket/in/a.jsonl.gz", gzip.compress(b'{"text": "one"}\n{"text": "two"}\n'))
        store.pipe_file("bucket/in/b.txt", b"three")
        made = Recipe.model_validate({"sources": [{"name": "s", "paths": ["s3://bucket/in"]}]})
        from pipeline.clean.worker import clean_partition
        from pipeline.run.engine import Outputs

        (job,) = stage.plan_jobs(made)
        outputs = Outputs(str(tmp_path / "run"), job)
        clean_partition(job, outputs)
        assert outputs.counts["documents"] == 3
        assert sorted(outputs.read) == ["a.jsonl.gz@0-" + str(store.size("bucket/in/a.jsonl.gz")), "b.txt@0-5"]
        for pattern, files in (("s3://bucket/in/*.txt", 1), ("s3://bucket/i*", 2)):
            globbed = Recipe.model_validate({"sources": [{"name": "s", "paths": [pattern]}]})
            assert len(stage.plan_jobs(globbed)[0].config["parts"]) == files
        with pytest.raises(UserError, match="source s: no file at s3://no-bucket/in"):
            stage.plan_jobs(Recipe.model_validate({"sources": [{"name": "s", "paths": ["s3://no-bucket/in"]}]}))
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


def test_language_is_told_from_a_bounded_sample() -> None:
    english = "The quick brown fox jumps over the lazy dog and runs away into the forest. "
    french = "Le renard brun saute par-dessus le chien paresseux et s'enfuit dans la forêt. "
    labels, scores = detect([english, french * 500, "", "1234"], 500)
    assert labels[:2] == ["en", "fr"]
    assert all(score is None or 0 <= score <= 1 for score in scores)
    assert len(sample(french * 500, 500)) <= 502
    assert "\n" not in sample("a\nb\n" * 1000, 500)


def test_language_of_a_text_does_not_depend_on_its_neighbours() -> None:
    texts = ["Guten Morgen, wie geht es Ihnen heute?", "Buenos días, ¿cómo está usted?", "xx"]
    together = detect(texts, 500)
    assert ([detect([t], 500)[0][0] for t in texts], [detect([t], 500)[1][0] for t in texts]) == together


def test_language_codes_are_understood_or_refused() -> None:
    assert [language_label(code) for code in ("en", "eng", "EN-gb", "English", "zho_Hans", "cmn")] == ["en"] * 4 + [
        "zh"
    ] * 2
    with pytest.raises(UserError, match="did you mean"):
        language_label("englisch")
    with pytest.raises(UserError, match="not one that clean can tell"):
        language_label("q1")


def test_recipe_takes_language_codes_as_people_write_them() -> None:
    sources = [{"name": "s", "paths": ["."]}]
    made = Recipe.model_validate({"sources": sources, "filter": {"languages": ["eng", "fr-CA", "German"]}})
    assert made.filter.languages == ["en", "fr", "de"]
    with pytest.raises(ValueError, match="not one that clean can tell"):
        Recipe.model_validate({"sources": sources, "filter": {"languages": ["klingon"]}})


def test_input_that_could_not_be_read_is_looked_at_again_and_one_that_was_read_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        write(tmp_path / "in", f"{name}.jsonl", [f"the text of {name}"])
    made, root = recipe(tmp_path / "in", max_quarantined=1.0), tmp_path / "run"
    refused: set[str] = set()
    true = storage.open_local

    def open_local(url: str) -> Path:
        if Path(url).name in refused:
            raise PermissionError(13, "Permission denied", url)
        return true(url)

    monkeypatch.setattr(storage, "open_local", open_local)

    def documents() -> int:
        return int(run(root, made, InProcess())[0]["documents"])

    refused.add("b.jsonl")
    assert documents() == 1
    refused.clear()
    assert documents() == 2, "it can be read by now"
    refused.add("b.jsonl")
    os.utime(tmp_path / "in" / "b.jsonl", (1, 1))
    with pytest.raises(RunError, match=r"b\.jsonl: cannot be read, as it was when its documents were made"):
        documents()
    refused.clear()
    assert documents() == 2
