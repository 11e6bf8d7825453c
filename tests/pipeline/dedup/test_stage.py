import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from flows.session.stages import run_stage
from pipeline.base.errors import TokenmillError
from pipeline.base.pool import Pool
from pipeline.dedup.stage.plan import run as run_dedup
from pipeline.recipe.options import Recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests
from pipeline.run.table_files import read_table
from pipeline.run.tables import CLUSTERS, DOCUMENTS, SIGNATURES, VERDICTS

BASE = " ".join(f"word{number}" for number in range(200))
TEXTS = [
    BASE,
    BASE + " and a few more words at the end of it",
    "A short and quite different text about nothing at all, really.",
    BASE,
    "東京は日本の首都であり、世界最大級の都市の一つである。" * 4,
    "東京は日本の首都であり、世界最大級の都市の一つである。" * 4 + "終",
    "A short and quite different text about nothing at all, really.",
]


@pytest.fixture
def make_run(tmp_path: Path):  # type: ignore[no-untyped-def]
    def make(name: str = "run", **dedup: object) -> Run:
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        for part, texts in enumerate((TEXTS[:3], TEXTS[3:])):
            lines = [json.dumps({"text": text, "id": f"{part}-{i}", "score": i}) for i, text in enumerate(texts)]
            (raw / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
        sources = [{"name": f"s{part}", "paths": [str(raw / f"{part}.jsonl")]} for part in range(2)]
        recipe = Recipe.model_validate({"sources": sources, "stages": ["clean", "dedup"], "dedup": dedup})
        return Run(str(tmp_path / name), recipe)

    return make


def do(run: Run, workers: int = 1) -> dict[str, object]:
    with run.lock(), Pool(workers) as pool:
        context = Context(run, pool)
        run_stage("clean", context)
        return run_dedup(context)


def evidence(run: Run) -> list[dict[str, object]]:
    return read_table(run.local("clusters/evidence.arrow"), CLUSTERS).to_pylist()


def documents(run: Run) -> dict[bytes, str]:
    rows = [row for shard in run_shards(run) for row in read_table(shard, DOCUMENTS).to_pylist()]
    return {row["doc_id"]: row["text"] for row in rows}


def run_shards(run: Run) -> list[Path]:
    return sorted((Path(run.root) / "documents").glob("*.arrow"))


def test_stage_writes_signatures_evidence_and_verdicts(make_run) -> None:  # type: ignore[no-untyped-def]
    run = make_run()
    summary = do(run)
    assert summary["documents_in"] == 7
    assert (summary["kept"], summary["dropped"]) == (3, 4)
    assert (summary["dropped_exact"], summary["dropped_near"]) == (1, 3)
    texts = documents(run)
    rows = {(texts[row["doc_id"]], texts[row["kept_id"]]): row for row in evidence(run)}
    near = rows[BASE, TEXTS[1]]
    assert near["rule"] == "near"
    assert near["similarity"] == near["intersection"] / near["union"] == 196 / 206
    for shard in run_shards(run):
        verdicts = read_table(Path(run.root) / "verdicts/dedup" / shard.name, VERDICTS)
        signed = read_table(Path(run.root) / "signatures" / shard.name, SIGNATURES)
        rows_of_shard = read_table(shard, DOCUMENTS)
        assert verdicts.column("doc_id") == signed.column("doc_id") == rows_of_shard.column("doc_id")
        for row in verdicts.to_pylist():
            assert row["keep"] == (row["reasons"] == [])


def test_second_run_has_nothing_to_do_and_another_threshold_keeps_the_signatures(make_run) -> None:  # type: ignore[no-untyped-def]
    run = make_run()
    do(run)
    before = {path: path.read_bytes() for path in sorted(Path(run.root).rglob("*.arrow"))}
    context = Context(run, dry=True)
    assert run_dedup(context)["kept"] == 3
    other = make_run(threshold=1.0)
    assert do(other)["kept"] == 5
    for path, data in before.items():
        if path.parent.name == "signatures":
            assert path.read_bytes() == data


def test_worker_count_does_not_change_a_byte(make_run) -> None:  # type: ignore[no-untyped-def]
    one, two = make_run("one"), make_run("two", memory="1MB")
    do(one, 1)
    do(two, 2)
    for path in sorted(Path(one.root).rglob("*.arrow")):
        assert path.read_bytes() == (Path(two.root) / path.relative_to(one.root)).read_bytes(), path


def test_keep_first_and_keep_by_a_field_of_the_records(make_run) -> None:  # type: ignore[no-untyped-def]
    first = make_run("first", keep="first")
    do(first)
    texts = documents(first)
    assert (TEXTS[1], BASE) in [(texts[row["doc_id"]], texts[row["kept_id"]]) for row in evidence(first)]
    scored = make_run("scored", keep="score")
    do(scored)
    texts = documents(scored)
    assert (BASE, TEXTS[1]) in [(texts[row["doc_id"]], texts[row["kept_id"]]) for row in evidence(scored)]


def test_keep_by_a_field_that_no_record_has_is_refused(make_run) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TokenmillError, match="no document has it"):
        do(make_run(keep="nonsense"))


@pytest.mark.parametrize("policy", [{}, {"prefer_sources": ["*"]}, {"prefer_licences": ["*"]}])
def test_document_that_an_earlier_stage_dropped_takes_no_part(make_run, policy) -> None:  # type: ignore[no-untyped-def]
    run = make_run(**policy)
    recipe = run.recipe.model_copy(update={"stages": ["clean", "filter", "dedup"]})
    run = Run(run.root, recipe)
    with run.lock(), Pool(1) as pool:
        context = Context(run, pool)
        run_stage("clean", context)
        drop_longest(context)
        summary = run_dedup(context)
    assert (summary["documents_in"], summary["kept"]) == (6, 3)
    verdicts = pa.concat_tables(
        [read_table(Path(run.root) / "verdicts/dedup" / shard.name, VERDICTS) for shard in run_shards(run)]
    )
    assert verdicts.column("keep").null_count == 1


def drop_longest(context: Context) -> None:
    """Stands in for the filter stage: drops the document with the extra words."""
    from pipeline.run.engine import Job, Step

    step = Step("filter", 1, "tests.pipeline.dedup.test_stage:drop_shard")
    jobs = [Job(shard, {}, {f"documents/{shard}.arrow": digest}) for shard, digest in context.document_shards().items()]
    context.run_step(step, jobs)


def drop_shard(job, outputs) -> None:  # type: ignore[no-untyped-def]
    (path,) = job.inputs
    table = read_table(outputs.run_path(path), DOCUMENTS)
    keep = pa.array([text != TEXTS[1] for text in table.column("text").to_pylist()])
    reasons = pa.array([[] if kept.as_py() else ["filter.test"] for kept in keep], pa.list_(pa.string()))
    with outputs.table(path.replace("documents/", "verdicts/filter/"), VERDICTS) as writer:
        ids = table.column("doc_id").combine_chunks()
        writer.write(pa.Table.from_arrays([ids, keep, reasons], schema=VERDICTS.schema))


def test_every_reason_of_the_verdicts_is_counted(tmp_path: Path) -> None:
    page = " ".join(f"word{number}" for number in range(200))
    texts = [page, page[:900], "Another page altogether, about mills, water and grain.", page]
    lines = [{"text": text, "id": str(i), "url": f"https://example.org/{i // 2 * i}"} for i, text in enumerate(texts)]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = {
        "sources": [{"name": "pages", "paths": [str(tmp_path / "pages.jsonl")]}],
        "stages": ["clean", "dedup"],
        "dedup": {"same_url": True, "threshold": 0.95},
    }
    run = Run(str(tmp_path / "run"), Recipe.model_validate(recipe))
    do(run)
    (manifest,) = load_manifests(run.root, "dedup").values()
    found = [row["reasons"] for row in read_table(run.local("verdicts/dedup/00000.arrow"), VERDICTS).to_pylist()]
    told = Counter(reason for reasons in found for reason in reasons)
    assert told["dedup.url"] == told["dedup.exact"] == 1
    assert manifest.counts["reasons"] == told
