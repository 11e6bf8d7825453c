"""A model whose file the disk does not give: a sentence with the file and a remedy, or the model, and nothing between.

Under the preloaded library each read and each open of the file fails once with EIO; a library that reads a file itself
goes on with what it got, and answers from a model that was never trained.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.clean.languages.identify import MODEL
from pipeline.filter.classifier.train import Options, train
from tests.campaign import shim
from tests.conftest import REPOSITORY
from tests.model.runs import make_run

pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="no C compiler")
# forks for each operation: what the opener gives, or the sentence of the command line
PROGRAM = """
import errno, json, os, sys
from pathlib import Path
from flows.cli.app import failure_of
from tests.campaign.shim import Action, Kind, Shim
{opener}
control, path = Shim(), Path(sys.argv[1])
kinds = Kind.OPEN | Kind.READ
control.arm(path.parent, kinds=kinds)
right = opened(path)
most, _ = control.disarm()
found = []
for target in range(most):
    receive, send = os.pipe()
    if os.fork() == 0:
        forget()
        control.arm(path.parent, Action.FAIL, target, kinds=kinds, error=errno.EIO)
        try:
            said = [None, opened(path)]
        except Exception as error:
            control.disarm()
            said = [str((failure_of(error) or [repr(error)])[0]), None]
        os.write(send, json.dumps(said).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as answer:
        found.append(json.loads(answer.read() or b'["died", null]'))
    os.wait()
print(json.dumps([right, found]))
"""
LANGUAGE = """
from pipeline.clean.languages import identify as language
def opened(path):
    language.MODEL = path
    language.model.cache_clear()
    return language.detect(["Ceci est une phrase."], 300)[0][0]
def forget(): language.model.cache_clear()
"""
ANOTHER_MODEL = """
from pipeline.clean.languages import identify as language
def opened(path): return language.detect(["Ceci est une phrase."], 300, str(path))[0][0]
def forget(): language.model_of.cache_clear()
language.model()
"""
CLASSIFIER = """
from pipeline.filter.classifier.scorer import Scorer
def opened(path): return round(Scorer(path).scores(["good words"]).to_pylist()[0], 3)
def forget(): pass
"""
TOKENIZER = """
from pipeline.run.tokenizer import Tokenizer
def opened(path): return Tokenizer.open(path).ids("Ada wrote to Grace")
def forget(): pass
"""


OPENERS = {"language": LANGUAGE, "another model": ANOTHER_MODEL, "classifier": CLASSIFIER, "tokenizer": TOKENIZER}


def classifier(folder: Path) -> Path:
    for name, words in (("good", "river valley council museum"), ("bad", "cheap pills click now")):
        lines = [json.dumps({"text": f"{words} number {n} " * 5}) for n in range(120)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = Options(dimension=8, epochs=4, buckets=1000, keep_rate=0.4)
    train([str(folder / "good.jsonl")], [str(folder / "bad.jsonl")], folder / "model", options)
    return folder / "model" / "model.bin"


@pytest.mark.parametrize("kind", OPENERS)
def test_model_that_cannot_be_read_is_told_with_its_file(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    if kind == "tokenizer":
        path = Path(make_run(tmp_path).root) / "tokenizer/tokenizer.json"
    elif kind == "classifier":
        path = classifier(folder)
    else:
        path = Path(shutil.copy(MODEL, folder / "model.ftz"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{opener}", OPENERS[kind]), str(path)],
        cwd=REPOSITORY, env={**os.environ, **shim.build(tmp_path)}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    right, found = json.loads(done.stdout)
    assert len(found) >= 2
    for said, answer in found:
        if said is None:
            assert answer == right
        else:
            assert f"{path}: the disk reports an error; look into the system's log" in said
    assert sum(said is not None for said, _ in found) >= 2
