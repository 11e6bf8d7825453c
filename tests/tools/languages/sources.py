"""The packages read: pools of words or lines, by language and source.

A pool of words is drawn by frequency, so that a word stands in it as often as in a text.  Where a list is ordered by
frequency and does not give it, Zipf's law does.
"""

import gzip
import io
import re
import subprocess
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.base.errors import parse_json
from pipeline.clean.languages.letters import letters
from pipeline.recipe.language_codes import ALIASES, LABELS
from tests.tools.languages.codes import CODES, LEFT_OUT
from tests.tools.languages.word_model import word_model

WORDS = 80_000  # in a pool
# whose vowel signs are marks, which lingua's tables lack
WITHOUT_MARKS = frozenset(["bn", "gu", "hi", "mr", "pa", "ta", "te", "th"])
SHARED = 4  # languages in which a message is the same: it was not translated
Pool = tuple[str, str, list[str]]  # language, source, words or lines


def pools(folder: Path) -> Iterator[Pool]:
    """Every pool of every source; sources whose name begins with a capital letter of ``LINES`` give lines."""
    for read in (lingua, langidentify, wordfreq, mediawiki, firefox, babel):
        yield from read(folder)


def lingua(folder: Path) -> Iterator[Pool]:
    """L: words after the n-grams of lingua."""
    tables = _unpacked(folder, "lingua_language_detector-1.3.5") / "lingua" / "language-models"
    for place in sorted(tables.iterdir()):
        if (place / "fivegrams.json.br").exists() and place.name not in WITHOUT_MARKS:
            yield CODES.get(place.name, place.name), "L", word_model(place, seed=0)(WORDS)


def langidentify(folder: Path) -> Iterator[Pool]:
    """W: the words of Wikipedia, with their frequencies."""
    for path in sorted(_unpacked(folder, "langidentify_full_model").rglob("topwords-*.txt.gz")):
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
        pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        words = {word: float(np.exp(float(share))) for word, _, share in pairs if word}
        yield path.name[len("topwords-") : -len(".txt.gz")], "W", _drawn(list(words), list(words.values()))


def wordfreq(folder: Path) -> Iterator[Pool]:
    """F: words of many kinds of text, with their frequencies."""
    import msgpack

    data = _unpacked(folder, "wordfreq") / "wordfreq" / "data"
    for path in sorted(data.glob("*.msgpack.gz")):
        size, _, code = path.name.removesuffix(".msgpack.gz").partition("_")
        if size == "large" or (size == "small" and not (data / f"large_{code}.msgpack.gz").exists()):
            _, *buckets = msgpack.loads(gzip.decompress(path.read_bytes()))  # a bucket a hundredth of a power of ten
            words = {word: 10 ** (-place / 100) for place, bucket in enumerate(buckets) for word in bucket}
            yield CODES.get(code, code), "F", _drawn(list(words), list(words.values()))


def mediawiki(folder: Path) -> Iterator[Pool]:
    """M: the messages of MediaWiki and the extensions packed with it."""
    markup = r"\{\{.*?\}\}|<[^>]*>|\[\[[^|\]]*\||https?://\S+|\$\d|&[a-z]+;|%\w|\[https?:\S+|\{\{[^}]*|\S*[_/]\S*"
    found: dict[str, list[str]] = defaultdict(list)
    for name, data in debian_files(folder, "mediawiki_*.deb"):
        if "/i18n/" in name and name.endswith(".json"):
            code = Path(name).stem
            messages = parse_json(data)
            if code not in LEFT_OUT and isinstance(messages, dict):
                texts = [text for key, text in messages.items() if isinstance(text, str) and key[0] != "@"]
                found[CODES.get(code, code)] += [re.sub(markup, " ", text) for text in texts]
    yield from _translated(found, "M")


def firefox(folder: Path) -> Iterator[Pool]:
    """X: the messages of Firefox."""
    markup = r"\{[^}]*\}|<[^>]*>|%\S+|&\w+;|https?://\S+|\S*[_/=\\]\S*"
    found: dict[str, list[str]] = defaultdict(list)
    for package in sorted(folder.glob("firefox-esr-l10n-*.deb")):
        code = re.split(r"[-_]", package.name)[3]
        for name, data in debian_files(folder, package.name):
            if name.endswith(".xpi"):
                archive = zipfile.ZipFile(io.BytesIO(data))
                for one in archive.namelist():
                    if one.endswith(".ftl"):
                        texts = map(_message, archive.read(one).decode("utf-8", "replace").splitlines())
                        found[CODES.get(code, code)] += [re.sub(markup, " ", text) for text in texts if text]
    yield from _translated(found, "X")


def babel(folder: Path) -> Iterator[Pool]:
    """N: names of languages, places, months and units in the locales of CLDR that no label means."""
    import pickle

    place = _unpacked(folder, "babel") / "babel" / "locale-data"
    for path in sorted(place.glob("*.dat")):
        code = path.stem
        if code.isalpha() and code not in LEFT_OUT and CODES.get(code, code) not in LABELS | set(ALIASES):
            data = pickle.loads(path.read_bytes())
            kinds = ("languages", "territories", "date_fields", "days", "months", "quarters", "currency_names")
            texts = [text for kind in kinds for text in _texts(data.get(kind, {})) if len(text) > 3]
            yield code, "N", list(dict.fromkeys(texts))


def _texts(data: object) -> Iterator[str]:
    """The texts in a tree of mappings."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _texts(value)


def _message(line: str) -> str:
    """What a line of Fluent's format says, without its key."""
    if line.startswith("#") or "[" in line or "*" in line:
        return ""
    keyed = re.match(r"\s*[-.\w]+ *=(.*)", line)
    return (keyed[1] if keyed else line).strip()


def _translated(found: dict[str, list[str]], source: str) -> Iterator[Pool]:
    """The messages of each language without those that several languages have."""
    seen = Counter(text for texts in found.values() for text in {" ".join(letters(one).split()) for one in texts})
    for code, texts in sorted(found.items()):
        plain = dict.fromkeys(" ".join(letters(text).split()) for text in texts)
        if "-" not in code:
            yield code, source, [text for text in plain if text and (seen[text] < SHARED or code == "en")]


def _drawn(words: list[str], frequencies: object, number: int = WORDS) -> list[str]:
    """So many words, each as often as its frequency says."""
    cumulated = np.cumsum(np.asarray(frequencies, float))
    at = np.searchsorted(cumulated / cumulated[-1], np.random.default_rng(7).random(number))
    return [words[one] for one in at.clip(max=len(words) - 1)]


def _unpacked(folder: Path, name: str) -> Path:
    """A wheel's files."""
    place = folder / "unpacked" / name
    if not place.exists():
        with zipfile.ZipFile(next(folder.glob(f"{name}*.whl"))) as wheel:
            wheel.extractall(place)
    return place


def debian_files(folder: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """The regular files of a Debian package."""
    for package in sorted(folder.glob(pattern)):
        done = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)):
                    yield member.name, file.read()


def written(folder: Path, into: Path) -> None:
    """Writes every pool to ``into/LANGUAGE.SOURCE``, an item a line, as the model reads it."""
    into.mkdir(exist_ok=True)
    for language, source, items in pools(folder):
        if source in "LWF":
            lines = letters(" ".join(items)).split()
        else:
            lines = [plain for item in items if (plain := " ".join(letters(item).split()))]
        (into / f"{language}.{source}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
