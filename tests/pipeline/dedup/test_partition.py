"""The join of a run by many tasks gives what one process gives, to the byte, whatever disturbs it."""

import json
import resource
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from flows.session.stages import run_stage
from pipeline.base import storage
from pipeline.base.errors import RunError
from pipeline.base.pool import InProcess
from pipeline.dedup.index.runs import build_run_index, opened_against
from pipeline.dedup.index.state import Corpus
from pipeline.dedup.index.writer import Batch, build_index
from pipeline.dedup.stage import shuffle
from pipeline.dedup.stage.keys import connected, partition_edges
from pipeline.dedup.stage.links import document_bounds
from pipeline.dedup.stage.plan import run as run_dedup
from pipeline.inspection.verify import verify_run
from pipeline.readers.parts import partition
from pipeline.recipe.minhash import MinHash
from pipeline.recipe.options import Recipe
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Step
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, load_manifests
from pipeline.run.table_files import RangeReader, Table, read_range, read_table
from pipeline.run.tables import CLUSTERS, COMPONENTS, DOCUMENTS, KEYS, LINKS, SETS, SURVIVORS
from pipeline.takedown import BLANK
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from tests.pipeline.dedup.one_process import joined
from tests.pipeline.dedup.reference import random_corpus

TABLES = ("clusters/evidence.arrow", "clusters/survivors.arrow")


def make(root: Path, path: Path, dedup: dict[str, Any], context: type[Context] = Context) -> Run:
    recipe = {"sources": [{"name": "s", "paths": [str(path)]}], "stages": ["clean", "dedup"], "dedup": dedup}
    run = Run(str(root), Recipe.model_validate(recipe))
    with pytest.MonkeyPatch.context() as patch, run.lock():
        patch.setattr(partition, "MIN_PARTITION_BYTES", 2000)
        run.write_recipe()
        run_stage("clean", Context(run, InProcess()))
        run_dedup(context(run, InProcess()))
    return run


def results(run: Run) -> dict[str, Any]:
    root = Path(run.root)
    verdicts = sorted(root.glob("verdicts/dedup/*.arrow"))
    counts = load_manifests(run.root, "dedup.clusters")["all"].counts
    return {**{str(path.relative_to(root)): path.read_bytes() for path in (*verdicts, *map(root.joinpath, TABLES))},
            "counts": counts}  # fmt: skip


def write_records(path: Path, seed: int, skew: float = 0.0) -> None:
    """Families of similar texts; a share ``skew`` of all have one text, one URL, or both."""
    generator = np.random.default_rng(seed)
    texts = random_corpus(generator, 8, 6, 60)
    same = [texts[0]] * int(skew * len(texts)) + [f"{texts[0]} {n}" for n in range(int(skew * len(texts)))]
    texts = [texts[n] for n in generator.permutation(len(texts))] if not same else [*texts, *same]
    rows = [
        {
            "text": text,
            "url": f"http://example.org/{generator.integers(len(texts)) if generator.random() > skew else 0}",
            "score": float(score) if score else "none",
        }
        for text, score in zip(texts, generator.integers(0, 4, len(texts)).tolist(), strict=True)
    ]
    order = generator.permutation(len(rows)).tolist()
    path.write_text("".join(json.dumps(rows[n]) + "\n" for n in order), encoding="utf-8")


@settings(max_examples=8, deadline=None)
@example(seed=968, keep="first", copies=1, same_url=True, partitions=2, skew=0.0)
@example(seed=5, keep="longest", copies=2, same_url=True, partitions=7, skew=0.5)
@given(
    seed=st.integers(0, 10_000),
    keep=st.sampled_from(["first", "longest", "score"]),
    copies=st.sampled_from([1, 2]),
    same_url=st.booleans(),
    partitions=st.integers(0, 9),
    skew=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_many_tasks_give_what_one_process_gives(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    keep: str,
    copies: int,
    same_url: bool,
    partitions: int,
    skew: float,
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    write_records(folder / "records.jsonl", seed, skew)
    dedup = {"keep": keep, "copies": copies, "same_url": same_url, "threshold": 0.6, "partitions": partitions}
    run = make(folder / "run", folder / "records.jsonl", dedup)
    evidence, survivors, counts = joined(Path(run.root), run.recipe.dedup)
    assume(counts["removed_near"])  # rarely, copies and URLs decide everything
    assert len(list(Path(run.root).glob("documents/*.arrow"))) > 2
    assert read_table(Path(run.local(layout.EVIDENCE)), CLUSTERS).equals(evidence)
    assert read_table(Path(run.local(layout.SURVIVORS)), SURVIVORS).equals(survivors)
    assert results(run)["counts"] == counts


@settings(max_examples=4, deadline=None)
@example(seed=3, copies=2, same_url=True, partitions=3)
@given(
    seed=st.integers(0, 10_000), copies=st.sampled_from([1, 2]), same_url=st.booleans(), partitions=st.integers(1, 5)
)
def test_many_tasks_compare_with_earlier_documents_as_one_process_does(
    tmp_path_factory: pytest.TempPathFactory, seed: int, copies: int, same_url: bool, partitions: int
) -> None:
    """Against an index, a run that has one, and one that has none: documents share clusters through these too."""
    folder = tmp_path_factory.mktemp("against")
    write_records(folder / "all.jsonl", seed)
    lines = (folder / "all.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for number, name in enumerate(("indexed", "plain", "listed")):
        (folder / f"{name}.jsonl").write_text("".join(lines[number::9]), encoding="utf-8")
    (folder / "new.jsonl").write_text("".join(lines[3:]), encoding="utf-8")
    dedup = {"threshold": 0.6, "copies": copies, "same_url": same_url}
    for name in ("indexed", "plain"):
        make(folder / name, folder / f"{name}.jsonl", dedup)
    build_run_index(str(folder / "indexed"))
    texts = pa.array([json.loads(line)["text"] for line in lines[2::9]])
    listed = [Batch([f"b{number}" for number in range(len(texts))], texts)]
    build_index(folder / "index", MinHash(), [(Corpus("books"), listed)])
    against = [str(folder / name) for name in ("index", "indexed", "plain")]
    run = make(folder / "run", folder / "new.jsonl", {**dedup, "against": against, "partitions": partitions})
    with opened_against(against, MinHash(), folder / "scratch") as indexes:
        evidence, survivors, counts = joined(Path(run.root), run.recipe.dedup, indexes)
    assert counts["removed_earlier"] > 5
    assert read_table(Path(run.local(layout.EVIDENCE)), CLUSTERS).equals(evidence)
    assert read_table(Path(run.local(layout.SURVIVORS)), SURVIVORS).equals(survivors)
    assert results(run)["counts"] == counts
    assert not list(Path(run.root).glob("clusters/earlier/**/*.json"))


def test_the_number_of_partitions_leaves_no_trace(tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", 5)
    runs = [
        make(tmp_path / f"run{n}", tmp_path / "records.jsonl", {"threshold": 0.6, "partitions": n}) for n in (0, 1, 4)
    ]
    assert results(runs[0]) == results(runs[1]) == results(runs[2])
    for run in runs:
        assert sorted(path.name for path in Path(run.root).glob("clusters/**/*.arrow")) == [
            "evidence.arrow",
            "survivors.arrow",
        ]
        assert sorted(path.name for path in Path(run.root).glob("manifests/dedup*.json")) == [
            "dedup.clusters.json",
            "dedup.json",
            "dedup.signatures.json",
        ]
    again = Run(runs[2].root, runs[0].recipe)
    assert run_dedup(Context(again, dry=True))["dropped"] > 0  # nothing is to be made again


class Watched(Context):
    """A context whose steps are followed by something else."""

    after: Callable[[Run, str], None]

    def run_step(self, step: Step, jobs: Any) -> dict[str, Manifest]:
        found = super().run_step(step, jobs)
        type(self).after(self.run, step.name)
        return found


def watched(after: Callable[[Run, str], None]) -> type[Context]:
    return type("WatchedNow", (Watched,), {"after": staticmethod(after)})


def test_a_task_reads_only_the_ranges_that_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_records(tmp_path / "records.jsonl", 3)
    read: list[tuple[str, int]] = []
    whole = RangeReader.read

    def reading(reader: RangeReader, number: int, checksum: str = "") -> Any:
        read.append((reader._url.split("/clusters/")[1], number))
        return whole(reader, number, checksum)

    monkeypatch.setattr(RangeReader, "read", reading)
    run = make(tmp_path / "run", tmp_path / "records.jsonl", {"threshold": 0.6, "partitions": 3})
    shards = [path.stem for path in sorted(Path(run.root).glob("documents/*.arrow"))]
    for folder in ("keys", "sets"):
        assert sorted(pair for pair in read if pair[0].startswith(folder)) == sorted(
            (f"{folder}/{shard}.arrow", part) for shard in shards for part in range(3)
        )
    for file in ("components.arrow", "evidence.arrow"):
        assert [pair for pair in read if pair[0] == file] == [(file, number) for number in range(len(shards))]


def test_a_key_that_many_documents_have_is_a_row_of_each_shard(tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", 3, skew=0.5)
    rows: list[int] = []

    def after(run: Run, step: str) -> None:
        if step == "dedup.keys":
            for path in sorted(Path(run.root).glob("clusters/keys/*.arrow")):
                with RangeReader(str(path), KEYS) as reader:
                    keys = np.concatenate([reader.read(n).column("key").to_numpy() for n in range(reader.ranges)])
                rows.append(len(keys))
                assert len(np.unique(keys)) == len(keys)

    run = make(tmp_path / "run", tmp_path / "records.jsonl", {"threshold": 0.6, "partitions": 3}, watched(after))
    assert len(rows) > 2
    assert load_manifests(run.root, "dedup.clusters")["all"].counts["removed_exact"] > 20


def test_connected_documents_are_in_one_part(tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", 3)
    part_of: dict[int, int] = {}
    links: list[tuple[int, int]] = []

    def after(run: Run, step: str) -> None:
        root = Path(run.root)
        if step == "dedup.links":
            for path in root.glob("clusters/links/*.arrow"):
                with RangeReader(str(path), LINKS) as reader:
                    rows = [row for n in range(reader.ranges) for row in reader.read(n).to_pylist()]
                links.extend((row["document"], row["linked"]) for row in rows)
        if step == "dedup.sets":
            for path in root.glob("clusters/sets/*.arrow"):
                for part in range(3):
                    part_of.update(dict.fromkeys(read_range(str(path), SETS, part)["document"].to_pylist(), part))

    make(tmp_path / "run", tmp_path / "records.jsonl", {"threshold": 0.6, "partitions": 3}, watched(after))
    assert links
    assert all(part_of[document] == part_of[linked] and linked < document for document, linked in links)


class Killed(BaseException):
    pass


def test_a_run_killed_at_any_file_of_the_join_comes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(tmp_path / "records.jsonl", 5)
    settings = {"threshold": 0.6, "partitions": 2}
    expected = results(make(tmp_path / "whole", tmp_path / "records.jsonl", settings))
    publish, delete = storage.publish, storage.delete
    left = killed = 0

    def counting(action: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if "/clusters/" in str(arguments[-1]) or "/dedup." in str(arguments[-1]):
                left -= 1
                if left == 0:
                    raise Killed
            return action(*arguments, **options)

        return counted

    monkeypatch.setattr(storage, "publish", counting(publish))
    monkeypatch.setattr(storage, "delete", counting(delete))
    run = make(tmp_path / "run", tmp_path / "records.jsonl", settings)
    for at in range(1, 200, 3):
        for path in Path(run.root).glob("manifests/dedup.clusters*"):
            (path / "all.json" if path.is_dir() else path).unlink(missing_ok=True)
        left = at
        try:
            make(tmp_path / "run", tmp_path / "records.jsonl", settings)
            break
        except Killed:
            killed += 1
        left = 0
        assert results(make(tmp_path / "run", tmp_path / "records.jsonl", settings)) == expected
    assert killed > 15
    assert sorted(path.name for path in Path(run.root).glob("clusters/**/*.arrow")) == [
        "evidence.arrow",
        "survivors.arrow",
    ]


@pytest.mark.parametrize("lost", ["clusters/**/*.arrow", "manifests/dedup.*/*.json", "manifests/dedup.*.json"])
def test_what_a_power_cut_takes_of_the_join_is_made_again(tmp_path: Path, lost: str) -> None:
    write_records(tmp_path / "records.jsonl", 5)
    settings = {"threshold": 0.6, "partitions": 2}
    expected = results(make(tmp_path / "whole", tmp_path / "records.jsonl", settings))

    def after(run: Run, step: str) -> None:
        if step == "dedup.select":
            raise Killed

    with pytest.raises(Killed):
        make(tmp_path / "run", tmp_path / "records.jsonl", settings, watched(after))
    emptied = [path for path in (tmp_path / "run").glob(lost) if "signatures" not in str(path)]
    assert len(emptied) >= 4
    for path in emptied:  # what was not flushed has its name, and no byte
        path.write_bytes(b"")
    assert results(make(tmp_path / "run", tmp_path / "records.jsonl", settings)) == expected


def test_a_takedown_in_the_middle_of_the_join_leaves_none_of_its_files(tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", 5)

    def after(run: Run, step: str) -> None:
        if step == "dedup.select":
            raise Killed

    with pytest.raises(Killed):
        make(tmp_path / "run", tmp_path / "records.jsonl", {"threshold": 0.6}, watched(after))
    run = Run.open(tmp_path / "run")
    assert list((tmp_path / "run").glob("clusters/sets/*.arrow"))
    gone = read_table(next((tmp_path / "run").glob("documents/*.arrow")), DOCUMENTS)["doc_id"][0].as_py()
    assert take_down(run, Choice(ids=(gone.hex(),)))["status"] == "done"
    assert not list((tmp_path / "run").glob("clusters/**/*.arrow"))
    with run.lock():
        summary = run_dedup(Context(run, InProcess(), before_publish=BLANK))
    evidence = read_table(Path(run.local(layout.EVIDENCE)), CLUSTERS)
    assert summary["dropped_near"] > 0
    assert gone not in {*evidence["doc_id"].to_pylist(), *evidence["kept_id"].to_pylist()}


def test_a_full_disk_leaves_nothing_and_says_what_was_needed(
    tmp_path: Path,
) -> None:
    """Wherever a file of the join is written: a limit on the size of a file stands in for a full disk."""
    write_records(tmp_path / "records.jsonl", 5)
    expected = results(make(tmp_path / "whole", tmp_path / "records.jsonl", {"threshold": 0.6}))
    told = set()
    for step in ("dedup.keys", "dedup.sets", "dedup.select"):

        def before(run: Run, name: str, step: str = step) -> None:
            if name == {"dedup.keys": "dedup.signatures", "dedup.sets": "dedup.components"}.get(step, "dedup.sets"):
                resource.setrlimit(resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            with pytest.raises(RunError, match="bytes are needed") as error:
                make(tmp_path / step, tmp_path / "records.jsonl", {"threshold": 0.6}, watched(before))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        told.add(str(error.value).split(" ")[0])
        assert not [path for path in (tmp_path / step / ".scratch").rglob("*") if path.is_file()]
        run = make(tmp_path / step, tmp_path / "records.jsonl", {"threshold": 0.6})
        assert results(run) == expected
    assert told == {"dedup.keys", "dedup.sets", "dedup.select"}


DAMAGED = {
    "dedup.keys": ("clusters/keys/00001.arrow", KEYS),
    "dedup.links": ("clusters/links/00001.arrow", LINKS),
    "dedup.components": ("clusters/components.arrow", COMPONENTS),
    "dedup.sets": ("clusters/sets/00001.arrow", SETS),
    "dedup.select": ("clusters/pieces/00000.arrow", None),
}


@pytest.mark.parametrize("step", DAMAGED)
@pytest.mark.parametrize("how", ["flipped", "short", "missing"])
def test_a_file_of_the_join_that_is_damaged_is_named_and_made_again(tmp_path: Path, step: str, how: str) -> None:
    write_records(tmp_path / "records.jsonl", 5)
    settings = {"threshold": 0.6, "partitions": 2}
    expected = results(make(tmp_path / "whole", tmp_path / "records.jsonl", settings))
    name, table = DAMAGED[step]

    def after(run: Run, done: str) -> None:
        path = Path(run.root, name)
        if done == step and how == "missing":
            path.unlink()
        elif done == step:
            data = path.read_bytes()
            at = _a_byte_of(path, table, data)
            path.write_bytes(
                data[: len(data) // 2] if how == "short" else data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            )

    with pytest.raises((RunError, OSError), match=name) as told:
        make(tmp_path / "run", tmp_path / "records.jsonl", settings, watched(after))
    assert how == "missing" or "tokenmill verify RUN" in str(told.value)
    if how == "flipped":
        damaged, _ = verify_run(str(tmp_path / "run"), delete=True)
        assert damaged
    assert results(make(tmp_path / "run", tmp_path / "records.jsonl", settings)) == expected


def _a_byte_of(path: Path, table: Table | None, data: bytes) -> int:
    """Where a value of the first column of a range with rows stands."""
    if table is None:
        return len(data) // 2
    with RangeReader(str(path), table) as reader:
        batch = next(found for n in range(reader.ranges) if (found := reader.read(n)).num_rows)
    return data.index(batch.column(0).to_numpy().tobytes())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60), st.integers(1, 9), st.integers(1, 60))
def test_components_over_partitions_are_those_of_all_edges(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], pieces: int, shards: int
) -> None:
    from pipeline.dedup.stage.components import components

    ordered = sorted({(max(pair), min(pair)) for pair in pairs if pair[0] != pair[1]})
    edges = np.array(ordered, np.int64).reshape(-1, 2)

    class Held:
        bounds = document_bounds([41 // shards + (n < 41 % shards) for n in range(shards)], pieces)

        def read(self, number: int) -> Any:
            mine = (edges[:, 0] >= self.bounds[number]) & (edges[:, 0] < self.bounds[number + 1])
            return edges[mine, 0], edges[mine, 1]

    found = list(components(Held(), tmp_path_factory.mktemp("pairs")))  # type: ignore[arg-type]
    documents, firsts = connected(edges[:, 0], edges[:, 1])
    assert np.concatenate([documents for _, documents, _ in found]).tolist() == documents.tolist()
    assert np.concatenate([first for _, _, first in found]).tolist() == firsts.tolist()
    assert [end for end, _, _ in found] == Held.bounds[1:].tolist()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=50))
def test_connected_names_the_first_of_each_component(pairs: list[tuple[int, int]]) -> None:
    first = {node: node for pair in pairs for node in pair}
    for _ in first:
        for a, b in pairs:
            first[a] = first[b] = min(first[a], first[b])
    left, right = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    documents, firsts = connected(left, right)
    assert dict(zip(documents.tolist(), firsts.tolist(), strict=True)) == first


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50), st.integers(1, 20))
def test_each_key_is_in_one_partition(keys: list[int], partitions: int) -> None:
    edges = partition_edges(np.sort(np.array(keys, np.uint64)), partitions)
    assert edges == sorted(edges)
    assert (edges[0], edges[-1], len(edges)) == (0, len(keys), partitions + 1)
    for number, (start, end) in enumerate(pairwise(edges)):
        assert all(key * partitions // 2**64 == number for key in sorted(keys)[start:end])


def test_partitions_grow_with_the_root_of_the_documents_and_beyond_it_as_the_memory_needs() -> None:
    def partitions(documents: int, **dedup: Any) -> int:
        recipe = Recipe.model_validate({"sources": [{"name": "s", "paths": ["x"]}], "dedup": dedup})
        return shuffle.partitions_of(type("C", (), {"recipe": recipe})(), documents)

    assert partitions(0) == partitions(20_000) == 1
    assert [partitions(10**exponent) for exponent in (5, 6, 7, 8)] == [2, 7, 20, 62]
    assert partitions(10**9, memory="16GB") == 64  # 58 would fit
    assert partitions(10**9, memory="2GB") == 458
    assert partitions(10, partitions=9) == 9


def test_a_job_of_the_join_does_not_name_what_others_read() -> None:
    """A task's manifest must not grow with the number of shards."""
    whole = Job("all", {"shards": ["00000"], "ngram": 5}, {}, {})
    assert "shards" not in shuffle._selection(whole, 2, "digest")
