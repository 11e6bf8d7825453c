import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.base.errors import FormatError, RunError, UserError
from pipeline.dedup.index import writer as index_write
from pipeline.dedup.index.blocks import BLOCK, IndexDamageError
from pipeline.dedup.index.query import query
from pipeline.dedup.index.reader import open_index
from pipeline.dedup.index.state import Corpus, writing
from pipeline.dedup.index.writer import Batch, add_all, build_index, remove_documents
from pipeline.dedup.rule.definition import shingle_hash64, shingles
from pipeline.recipe.minhash import MinHash
from tests.pipeline.dedup.reference import candidate_buckets, random_corpus, shingle_set

BASE = " ".join(f"word{number}" for number in range(200))
NEAR = BASE + " and a few more words at the end of it"


def batch(texts: list[str], name: str = "d") -> Batch:
    return Batch([f"{name}{number}" for number in range(len(texts))], pa.array(texts, pa.large_string()))


def build(root: Path, texts: list[str], definition: MinHash = MinHash()) -> Path:  # noqa: B008
    build_index(root, definition, [(Corpus("old"), [batch(texts)])])
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def answers(root: Path, texts: list[str], threshold: float = 0.5) -> list[list[tuple[str, float]]]:
    with open_index(root) as index:
        return [[(match.id, match.similarity) for match in found] for found in query(index, texts, threshold)]


def expected(old: list[str], texts: list[str], threshold: float) -> list[list[tuple[str, float]]]:
    """The oldest of each earlier text that shares a band or the text, with its similarity, by brute force."""
    found = []
    buckets = [set(members) for members in candidate_buckets([*old, *texts], 14, 8, 5, 1)]
    for number, text in enumerate(texts, start=len(old)):
        near = set().union(*(members for members in buckets if number in members))
        matches = {}
        for place, other in enumerate(old):
            mine, theirs = shingle_set(text), shingle_set(other)
            similarity = 1.0 if other == text else len(mine & theirs) / max(1, len(mine | theirs))
            if (other == text or place in near) and similarity >= threshold:
                matches.setdefault(other, (f"d{place}", similarity))
        found.append(sorted(matches.values(), key=lambda match: (-match[1], int(match[0][1:]))))
    return found


@pytest.mark.parametrize("segments", [1, 3])
def test_matches_equal_brute_force_and_name_the_earlier_document(tmp_path: Path, segments: int) -> None:
    corpus = random_corpus(np.random.default_rng(5), 20, 5, 40)
    old, new = corpus[: len(corpus) // 2], corpus[len(corpus) // 2 :]
    pieces = np.array_split(np.arange(len(old)), segments)
    build_index(tmp_path / "index", MinHash(), [])
    for piece in pieces:
        part = Batch([f"d{i}" for i in piece], pa.array([old[i] for i in piece], pa.large_string()))
        add_all(tmp_path / "index", Corpus("old"), [part])
    found = answers(tmp_path / "index", new)
    assert found == expected(old, new, 0.5)
    assert sum(map(len, found)) > 10


def test_match_has_id_corpus_similarity_and_rule(tmp_path: Path) -> None:
    with open_index(build(tmp_path / "index", ["something else entirely", BASE])) as index:
        ((near,), (exact,), nothing) = query(index, [NEAR, BASE, "no such text was seen before, anywhere"])
        assert query(index, []) == []
    assert (near.id, near.corpus, near.rule, near.root) == ("d1", "old", "near", None)
    assert near.similarity == near.intersection / near.union == 196 / 206
    assert (exact.id, exact.rule, exact.similarity, exact.intersection) == ("d1", "exact", 1.0, 196)
    assert nothing == []


def test_many_small_additions_are_merged_and_answer_as_one_build(tmp_path: Path) -> None:
    corpus = random_corpus(np.random.default_rng(2), 20, 4, 40)[:70]
    build(tmp_path / "one", corpus)
    build_index(tmp_path / "many", MinHash(), [])
    for number, text in enumerate(corpus):
        add_all(tmp_path / "many", Corpus("old"), [Batch([f"d{number}"], pa.array([text], pa.large_string()))])
    with open_index(tmp_path / "one") as one, open_index(tmp_path / "many") as many:
        assert len(many.state.segments) < 16
        assert many.state.corpora == one.state.corpora
        many.verify()
    assert answers(tmp_path / "many", corpus) == answers(tmp_path / "one", corpus)


def test_adding_the_same_documents_again_changes_nothing(tmp_path: Path) -> None:
    root = build(tmp_path / "index", [BASE, "short", ""])
    assert add_all(root, Corpus("old"), [batch([BASE, "short", ""])]) == 0
    assert add_all(root, Corpus("new"), [batch([BASE])]) == 1
    with open_index(root) as index:
        assert [(c.name, c.documents) for c in index.state.corpora] == [("old", 3), ("new", 1)]


def test_removed_document_is_forgotten_and_its_hashes_leave_the_disk(tmp_path: Path) -> None:
    secret = " ".join(f"secret{number}" for number in range(50))
    root = build(tmp_path / "index", [BASE, secret, "kept text of some other document"])
    traces = [shingle_hash64(piece.encode()).to_bytes(8, "little") for piece in shingles(secret)] + [b"d1"]
    assert all(any(trace in data for data in files(root).values()) for trace in traces)
    assert remove_documents(root, ["d1", "never seen"]) == 1
    with open_index(root) as index:
        assert query(index, [secret]) == [[]]
        assert query(index, [BASE])[0][0].id == "d0"
        index.verify()
    assert not any(trace in data for trace in traces for name, data in files(root).items() if name != ".lock")
    with open_index(root) as index:
        assert index.documents == index.state.corpora[0].documents == 2


def test_equal_text_takes_the_place_of_a_removed_one(tmp_path: Path) -> None:
    root = build(tmp_path / "index", [BASE, "other", BASE, BASE])
    for removed, named in (("d0", "d2"), ("d2", "d3")):
        remove_documents(root, [removed])
        assert answers(root, [NEAR, BASE], 0.8) == [[(named, 196 / 206)], [(named, 1.0)]]
    remove_documents(root, ["d3"])
    assert answers(root, [NEAR, BASE], 0.8) == [[], []]
    remove_documents(root, ["d1"])
    with open_index(root) as index:
        assert (index.documents, index.state.segments, int(index.state.corpora[0].digest, 16)) == (0, (), 0)


def test_removal_and_merging_leave_the_answers_of_a_fresh_index(tmp_path: Path) -> None:
    corpus = random_corpus(np.random.default_rng(3), 20, 4, 60)[:60]
    build_index(tmp_path / "index", MinHash(), [])
    for start in range(0, 60, 6):
        ids = [f"d{i}" for i in range(start, start + 6)]
        add_all(tmp_path / "index", Corpus("old"), [Batch(ids, pa.array(corpus[start : start + 6], pa.large_string()))])
        remove_documents(tmp_path / "index", [f"d{start + 2}", f"d{start // 2}"])
    gone = {f"d{start + 2}" for start in range(0, 60, 6)} | {f"d{start // 2}" for start in range(0, 60, 6)}
    left = [number for number in range(60) if f"d{number}" not in gone]
    fresh = Batch([f"d{i}" for i in left], pa.array([corpus[i] for i in left], pa.large_string()))
    build_index(tmp_path / "fresh", MinHash(), [(Corpus("old"), [fresh])])
    assert answers(tmp_path / "index", corpus) == answers(tmp_path / "fresh", corpus)
    with open_index(tmp_path / "index") as index, open_index(tmp_path / "fresh") as other:
        assert index.state.corpora == other.state.corpora
        index.verify()


def test_opened_index_stays_as_it_was_while_another_writes(tmp_path: Path) -> None:
    root = build(tmp_path / "index", [BASE])
    with open_index(root) as before:
        remove_documents(root, ["d0"])
        assert [match.id for match in query(before, [NEAR])[0]] == ["d0"]
    assert answers(root, [NEAR]) == [[]]


@pytest.mark.parametrize("other", [{"ngram": 4}, {"seed": 2}, {"bands": 7, "rows": 16}])
def test_index_of_another_definition_is_refused_and_both_are_named(tmp_path: Path, other: dict[str, int]) -> None:
    root = build(tmp_path / "index", [BASE], MinHash(**other))
    with pytest.raises(UserError) as error:
        open_index(root, MinHash())
    for name, value in other.items():
        assert f"{name}: the index has {value}, asked for is {getattr(MinHash(), name)}" in str(error.value)


def test_index_of_another_unicode_version_is_refused(tmp_path: Path) -> None:
    root = build(tmp_path / "index", [BASE])
    record = json.loads((root / "index.json").read_text())
    record["definition"]["unicode"] = "9.0.0"
    (root / "index.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=re.escape("unicode: the index has '9.0.0', asked for is '")):
        open_index(root)


def test_every_damaged_block_is_found_before_an_answer_rests_on_it(tmp_path: Path) -> None:
    corpus = random_corpus(np.random.default_rng(7), 60, 4, 80)
    root = build(tmp_path / "index", corpus)
    right = answers(root, corpus)
    noticed = 0
    for path in sorted(path for path in root.rglob("0*") if path.is_file()):
        data = path.read_bytes()
        for place in range(BLOCK // 2, len(data), BLOCK):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(IndexDamageError, match=re.escape(str(path))), open_index(root) as index:
                index.verify()
            try:
                assert answers(root, corpus) == right
            except IndexDamageError:
                noticed += 1
        path.write_bytes(data[:-1])
        with pytest.raises(IndexDamageError, match="bytes and was written with"):
            open_index(root)
        path.write_bytes(data)
    assert noticed > 5
    assert answers(root, corpus) == right


def test_missing_and_strange_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a dedup index"):
        open_index(tmp_path)
    root = build(tmp_path / "index", [BASE])
    with pytest.raises(UserError, match="there is an index"):
        build(root, [BASE])
    (name,) = (root / "segments").iterdir()
    name.unlink()
    with pytest.raises(IndexDamageError, match="it is missing"):
        open_index(root)
    (root / "index.json").write_text("{")
    with pytest.raises(FormatError, match="damaged"):
        open_index(root)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not empty, and no index \(notes.txt\)"):
        build(tmp_path / "other", [BASE])
    with pytest.raises(UserError, match="memory-mapped"):
        open_index("s3://bucket/index")


def test_second_writer_is_refused_and_the_first_named(tmp_path: Path) -> None:
    root = build(tmp_path / "index", [BASE])
    with writing(root), pytest.raises(RunError, match=f'another process is writing.*"pid": {os.getpid()}'):
        remove_documents(root, ["d0"])
    assert remove_documents(root, ["d0"]) == 1


def test_full_disk_leaves_the_index_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = build(tmp_path / "index", [BASE])
    before = files(root)
    for name in ("write_sets", "publish_state"):

        def full(*arguments: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(index_write, name, full)
            with pytest.raises(RunError, match=r"no space left on the disk; .*; it is as it was before"):
                add_all(root, Corpus("new"), [batch([NEAR])])
        assert {name: data for name, data in files(root).items() if name != ".lock"} == {
            name: data for name, data in before.items() if name != ".lock"
        }


KILLED = """
import os, signal, sys
import pyarrow as pa
from pipeline.dedup.index import writer as index_write
from pipeline.dedup.index.state import Corpus
published = index_write.publish_state
def publish(root, state):
    if sys.argv[2] == "after":
        published(root, state)
    os.kill(os.getpid(), signal.SIGKILL)
index_write.publish_state = publish
batch = index_write.Batch(["new"], pa.array([sys.argv[3]], pa.large_string()))
index_write.add_all(sys.argv[1], Corpus("new"), [batch])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_adding_the_index_is_the_old_or_the_new_one(tmp_path: Path, when: str) -> None:
    root = build(tmp_path / "index", [BASE])
    other = " ".join(f"other{number}" for number in range(50))
    ended = subprocess.run([sys.executable, "-c", KILLED, str(root), when, other], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert answers(root, [BASE, other]) == [[("d0", 1.0)], [("new", 1.0)] if when == "after" else []]
    assert add_all(root, Corpus("new"), [Batch(["new"], pa.array([other], pa.large_string()))]) == (when == "before")
    assert answers(root, [other]) == [[("new", 1.0)]]
    with open_index(root) as index:
        known = {entry.name for segment in index.state.segments for entry in segment.files()}
    assert {name for name in files(root) if "/" in name} == known
