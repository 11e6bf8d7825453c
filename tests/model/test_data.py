"""The loader: the order, what is read, and what is refused."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from model.data.batches import BatchReader, TokenDataset
from model.network.loss import NOT_SCORED
from pipeline.base.errors import FormatError, UserError
from pipeline.tokens.shards.token_shard import TokenFormat, write_token_shard
from tests.pipeline.tokens.shards import FORMAT, doc_id, make_shard

T = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sources over three shards; documents from 2 to 300 tokens."""
    rng = np.random.default_rng(5)
    folder = tmp_path / "run" / "tokens" / "train"
    make_shard(folder, "00000", "web", rng.integers(2, 300, 40).tolist())
    make_shard(folder, "00001", "web", rng.integers(2, 60, 30).tolist())
    make_shard(folder, "00002", "books", rng.integers(2, 100, 20).tolist())
    make_shard(folder, "00003", "web", [])
    return folder


def streams(folder: Path) -> dict[str, list[int]]:
    """The tokens by source, read the slow and obvious way."""
    import pyarrow as pa

    found: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.arrow")):
        table = pa.ipc.open_file(str(path)).read_all()
        tokens = [token for row in table["tokens"].to_pylist() for token in row]
        found.setdefault(table.schema.metadata[b"tokenmill.source"].decode(), []).extend(tokens)
    return found


def expected_windows(folder: Path) -> Counter[tuple[int, ...]]:
    return Counter(
        tuple(tokens[start : start + T + 1])
        for tokens in streams(folder).values()
        for start in range(0, len(tokens) - T, T)
    )


def test_an_epoch_yields_every_window_exactly_once_and_the_next_one_in_another_order(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    expected = expected_windows(folder)
    epochs = [[tuple(dataset.window(e * len(dataset) + i).tolist()) for i in range(len(dataset))] for e in range(3)]
    assert len(dataset) == expected.total() > 300
    assert [Counter(epoch) for epoch in epochs] == [expected] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_windows_overlap_by_one_token_and_the_tail_is_counted(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    for row in dataset.budget(0):
        tokens = len(streams(folder)[row["source"]])
        windows = (tokens - 1) // T
        assert row["dropped_tail_tokens"] == tokens - windows * T - 1
        assert row["tokens_available"] == tokens
    inputs, targets = dataset.in_order(0, dataset.num_windows)
    assert (inputs[0, 1:] == targets[0, :-1]).all()
    assert targets[0, -1] == inputs[1, 0]


def test_batch_is_the_windows_of_its_step_as_int64_inputs_and_targets(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    inputs, targets = dataset.batch(3, 8)
    windows = np.stack([dataset.window(3 * 8 + i) for i in range(8)]).astype(np.int64)
    assert str(inputs.dtype) == str(targets.dtype) == "torch.int64"
    assert inputs.is_contiguous()
    assert targets.is_contiguous()
    np.testing.assert_array_equal(inputs.numpy(), windows[:, :-1])
    np.testing.assert_array_equal(targets.numpy(), windows[:, 1:])


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
def test_ranks_together_read_the_one_global_order(folder: Path, world_size: int) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    for step in (0, 5, 40):
        whole = dataset.batch(step, 24)[0].numpy()
        parts = [dataset.batch(step, 24, rank, world_size)[0].numpy() for rank in range(world_size)]
        assert {len(part) for part in parts} == {24 // world_size}
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_order_does_not_depend_on_what_was_read_before(folder: Path) -> None:
    first, second = TokenDataset(folder, T, seed=1), TokenDataset(folder, T, seed=1)
    for step in range(60):
        first.batch(step, 8)
    np.testing.assert_array_equal(first.batch(60, 8)[0], second.batch(60, 8)[0])
    assert first.fingerprint == second.fingerprint


def test_seed_changes_the_order_and_the_fingerprint(folder: Path) -> None:
    first, second = TokenDataset(folder, T, seed=1), TokenDataset(folder, T, seed=2)
    assert first.fingerprint != second.fingerprint
    assert any((first.window(i) != second.window(i)).any() for i in range(10))


def test_order_and_fingerprint_do_not_depend_on_where_the_run_lies(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "tokens" / "train"
    moved.parent.mkdir(parents=True)
    before = TokenDataset(folder, T, seed=1)
    expected, fingerprint = [before.window(i).tolist() for i in range(50)], before.fingerprint
    folder.rename(moved)
    after = TokenDataset(moved, T, seed=1)
    assert [after.window(i).tolist() for i in range(50)] == expected
    assert after.fingerprint == fingerprint


def test_weight_sets_a_sources_share_and_every_window_still_comes_equally_often(folder: Path) -> None:
    plain = TokenDataset(folder, T, seed=1)
    dataset = TokenDataset(folder, T, seed=1, weights={"books": 3.0, "web": 0.5})
    books, web = plain.windows  # sources in name order
    assert dataset.mixture.quotas[0].per_epoch == 3 * books
    assert dataset.mixture.quotas[1].per_epoch == round(web / 2)
    two_epochs = Counter(tuple(dataset.window(i).tolist()) for i in range(2 * len(dataset)))
    counts = {stream.name: set() for stream in dataset.streams}
    tokens = streams(folder)
    for name, values in tokens.items():
        for start in range(0, len(values) - T, T):
            counts[name].add(two_epochs[tuple(values[start : start + T + 1])])
    assert counts["books"] == {6}
    assert counts["web"] <= {1, 2, 0}  # an odd number of windows: half of them is rounded
    assert web % 2 == 1 or counts["web"] == {1}


def test_every_stretch_of_the_order_holds_each_sources_share(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    share = dataset.windows[0] / dataset.num_windows
    for sequences in range(1, 200, 7):
        given = dataset.mixture.counts(sequences)[0]
        assert abs(given - share * sequences) <= 1


def test_capped_source_stops_after_its_epochs_and_the_order_ends_when_all_are_capped(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1, max_epochs={"books": 1, "web": 2})
    books, web = dataset.windows
    total = books + 2 * web
    assert dataset.mixture.total == total
    seen = Counter(tuple(dataset.window(i).tolist()) for i in range(total))
    assert seen.total() == total
    assert set(seen.values()) == {1, 2}
    with pytest.raises(IndexError, match=f"max_epochs of the sources allow {total}"):
        dataset.window(total)
    with pytest.raises(IndexError, match="max_epochs"):
        dataset.sequences(total - 3, 8)
    assert [row["epochs"] for row in dataset.budget(10**6)] == [1.0, 2.0]


def test_documents_names_every_document_of_the_batch(folder: Path) -> None:
    import pyarrow as pa

    dataset = TokenDataset(folder, T, seed=1)
    owner: dict[tuple[int, ...], set[str]] = {}
    for source in ("web", "books"):
        tokens: list[int] = []
        ids: list[str] = []
        for path in sorted(folder.glob("*.arrow")):
            table = pa.ipc.open_file(str(path)).read_all()
            if table.schema.metadata[b"tokenmill.source"].decode() == source:
                for row in table.to_pylist():
                    tokens += row["tokens"]
                    ids += [row["doc_id"].hex()] * len(row["tokens"])
        for start in range(0, len(tokens) - T, T):
            owner[tuple(tokens[start : start + T + 1])] = set(ids[start : start + T + 1])
    for step in range(30):
        windows = [tuple(dataset.window(step * 8 + i).tolist()) for i in range(8)]
        found = dataset.documents(step, 8)
        assert set(found) == set().union(*(owner[window] for window in windows))
        assert len(found) == len(set(found)) > 3


def test_steps_of_a_document_are_those_whose_documents_name_it(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1, weights={"books": 2.0}, max_epochs={"web": 1.5})
    steps = 120
    seen: dict[str, list[int]] = {}
    for step in range(steps):
        for found in dataset.documents(step, 8):
            seen.setdefault(found, []).append(step)
    assert len(seen) > 80
    for found, expected in seen.items():
        assert dataset.steps_of(found, 8, steps) == expected
    assert dataset.steps_of("00" * 16, 8, steps) == []


def test_masked_batch_separates_documents_and_does_not_score_their_first_token(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    inputs, targets = (tensor.numpy() for tensor in dataset.batch(2, 16))
    masked = dataset.masked_batch(2, 16)
    np.testing.assert_array_equal(masked.inputs.numpy(), inputs)
    ends = inputs == FORMAT.end_of_text
    assert ends.sum() >= 3
    np.testing.assert_array_equal(masked.targets.numpy(), np.where(ends, NOT_SCORED, targets))
    after_end = np.concatenate([np.zeros((16, 1), bool), ends[:, :-1]], axis=1)
    np.testing.assert_array_equal(masked.documents.numpy(), np.cumsum(after_end, axis=1))
    for row in range(16):
        position = 0
        for column in range(T):
            position = 0 if after_end[row, column] else position + (column > 0)
            assert masked.positions[row, column] == position


def test_window_within_a_batch_is_read_without_a_copy(folder: Path) -> None:
    window = TokenDataset(folder, T, seed=1).window(0)
    assert window.dtype == np.uint16
    assert window.base is not None
    assert not window.flags.owndata
    assert not window.flags.writeable


def test_two_runs_are_mixed_and_one_tokenizer_is_required(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "tokens" / "train"
    make_shard(other, "00000", "web", [50] * 20)
    dataset = TokenDataset([folder, other], T, seed=1, weights={"other/web": 2.0})
    assert [stream.name for stream in dataset.streams] == ["run/books", "run/web", "other/web"]
    assert dataset.mixture.quotas[2].per_epoch == 2 * dataset.windows[2]
    assert dataset.mixture.quotas[1].per_epoch == dataset.windows[1]
    make_shard(other, "00001", "web", [50] * 20, TokenFormat("b" * 32, 1000, 0))
    with pytest.raises(FormatError, match="two tokenizers") as caught:
        TokenDataset([folder, other], T, seed=1)
    assert "a" * 32 in str(caught.value)
    assert "b" * 32 in str(caught.value)


def test_context_longer_than_the_validation_set_is_refused_with_both_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "tokens" / "validation"
    make_shard(folder, "00000", "web", [40, 50])
    with pytest.raises(UserError, match=r"context_length \+ 1 = 1,025 tokens; tokens by source: web 90"):
        TokenDataset(folder, 1024, seed=1)


def test_folder_without_shards_is_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--stages tokenize"):
        TokenDataset(tmp_path, T, seed=1)


def test_truncated_shard_is_named_with_the_command_that_rebuilds_it(folder: Path) -> None:
    path = folder / "00001.arrow"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match=r"00001\.arrow.*tokenmill verify"):
        TokenDataset(folder, T, seed=1)


def test_id_beyond_the_vocabulary_names_its_shard(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "tokens" / "train"
    folder.mkdir(parents=True)
    write_token_shard(folder / "00000.arrow", FORMAT, "web", [(doc_id("x"), [5, 6, 2000] * 20)])
    with pytest.raises(FormatError, match=r"00000\.arrow.*beyond its vocabulary of 1,000.*tokenmill verify"):
        TokenDataset(folder, T, seed=1).batch(0, 2)


def test_sequences_that_ranks_cannot_share_are_refused(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    with pytest.raises(ValueError, match="10 sequences cannot be divided among 4 ranks"):
        dataset.batch(0, 10, 0, 4)
    with pytest.raises(ValueError, match="rank 4 of world_size 4"):
        dataset.batch(0, 8, 4, 4)


def test_reader_yields_the_same_batches_one_ahead_and_passes_errors_on(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    asked: list[int] = []

    def read(step: int) -> object:
        asked.append(step)
        if step == 9:
            raise FormatError("damaged")
        return dataset.batch(step, 8)

    with BatchReader(read, first_step=4) as reader:
        batches = iter(reader)
        for expected in range(4, 9):
            step, (inputs, _) = next(batches)
            assert step == expected
            assert max(asked) <= step + 1
            np.testing.assert_array_equal(inputs, dataset.batch(step, 8)[0])
        with pytest.raises(FormatError, match="damaged"):
            next(batches)
    assert asked == [4, 5, 6, 7, 8, 9]


def test_reader_stops_after_the_steps_it_was_given(folder: Path) -> None:
    dataset = TokenDataset(folder, T, seed=1)
    with BatchReader(lambda step: dataset.batch(step, 8), first_step=2, steps=3) as reader:
        assert [step for step, _ in reader] == [2, 3, 4]


def test_vocabulary_above_65536_is_stored_in_32_bits(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "tokens" / "train"
    folder.mkdir(parents=True)
    large = TokenFormat("c" * 32, 100_000, 99_999)
    write_token_shard(folder / "00000.arrow", large, "web", [(doc_id("x"), [70_000] * 40 + [99_999])])
    window = TokenDataset(folder, T, seed=1).window(0)
    assert window.dtype == np.uint32
    assert int(window[0]) == 70_000
