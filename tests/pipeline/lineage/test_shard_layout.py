from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.base.errors import FormatError
from pipeline.lineage.training import Training
from pipeline.lookup.locate import DocIndex
from pipeline.run.folder import Run
from pipeline.run.table_files import open_table
from pipeline.run.tables import DOCUMENTS
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from pipeline.tokens.shards.shard_facts import known_shards
from pipeline.tokens.shards.token_shard import ShardBatches, TokenFormat, open_folder, write_token_shard


@pytest.mark.parametrize("vocabulary", [300, 100_000])
def test_batches_placed_by_the_footer_are_those_that_pyarrow_reads(tmp_path: Path, vocabulary: int) -> None:
    generator = np.random.default_rng(1)
    documents = [
        (generator.bytes(16), generator.integers(0, 300, int(generator.integers(0, 60)))) for _ in range(70_000)
    ]
    path = tmp_path / "shard.arrow"
    write_token_shard(path, TokenFormat("digest", vocabulary, 0), "web", documents)
    reader, found = pa.ipc.open_file(path), ShardBatches(path, sparse=True)
    assert len(found) == reader.num_record_batches == 2
    for ours, theirs in zip(found, map(reader.get_batch, range(2)), strict=True):
        tokens = theirs["tokens"]
        assert ours.tokens.dtype == tokens.values.to_numpy().dtype
        assert np.array_equal(ours.tokens, tokens.values.to_numpy())
        assert np.array_equal(ours.offsets, tokens.offsets.to_numpy())
        assert [row.tobytes() for row in ours.doc_ids] == theirs["doc_id"].to_pylist()


def test_empty_shard_has_no_batches(tmp_path: Path) -> None:
    write_token_shard(tmp_path / "shard.arrow", TokenFormat("digest", 300, 0), "web", [])
    assert list(ShardBatches(tmp_path / "shard.arrow")) == []


def test_cut_or_foreign_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "shard.arrow"
    write_token_shard(path, TokenFormat("digest", 300, 0), "web", [(b"0" * 16, [1, 2])])
    data = path.read_bytes()
    for damaged in (b"", b"ARROW1", data[:-40], data[:-12] + b"\xff\xff\xff\x7f" + data[-8:]):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"shard\.arrow"):
            list(ShardBatches(path))


def test_manifests_describe_the_shards_as_they_are(run: Run) -> None:
    for split in ("train", "validation"):
        folder = Path(run.root) / "tokens" / split
        known = known_shards(run, folder, split)
        assert len(known) == 2
        assert [known[shard.path.name] for shard in open_folder(folder)] == open_folder(folder)


def test_shard_of_another_size_is_opened(run: Run) -> None:
    folder = Path(run.root) / "tokens/train"
    path = next(folder.glob("*.arrow"))
    path.write_bytes(path.read_bytes() + b"\0")
    assert path.name not in known_shards(run, folder)


def test_shard_that_a_takedown_changed_is_opened_and_says_so(run: Run) -> None:
    training = Training(run)
    doc_id = training.dataset.documents(3, training.sequences)[0]
    take_down(run, Choice(ids=(doc_id,)))
    assert Training(run).dataset.data.has_withdrawn


def test_index_knows_the_batches_of_every_document_shard(run: Run) -> None:
    index = DocIndex(run)
    for shard in index.shards:
        reader = open_table(run.local(f"documents/{shard}.arrow"), DOCUMENTS)
        rows = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
        assert index.edges(shard) == [0, *np.cumsum(rows).tolist()]


def test_lookups_load_neither_pandas_nor_torch(run: Run) -> None:
    import subprocess
    import sys

    doc_id = Training(run).dataset.documents(3, Training(run).sequences)[0]
    code = "import sys; from flows.cli.app import _Interrupts, _run; "
    code += "codes = [_run(a.split('|'), True, _Interrupts()) for a in sys.argv[1:]]; "
    code += "print([m for m in ('pandas', 'pyarrow.compute', 'torch', 'prefect', 'numba') if m in sys.modules], codes)"
    asked = [f"explain|{run.root}|{doc_id}", f"explain|{run.root}|--id|record 7", f"trace|{run.root}|--step|3"]
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] [0, 0, 0]"


def test_token_batches_are_read_as_pyarrow_reads_them_in_a_run(run: Run) -> None:
    path = next((Path(run.root) / "tokens/train").glob("*.arrow"))
    table = pa.ipc.open_file(path).read_all()
    flat = np.concatenate([batch.tokens for batch in ShardBatches(path)])
    assert np.array_equal(flat, np.concatenate([np.array(tokens) for tokens in table["tokens"].to_pylist()]))
