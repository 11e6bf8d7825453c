"""html5lib's tests: markup of every oddity as pages and in fields, and the encodings that pages declare."""

import json
import re
from collections.abc import Iterator

from tests.conformance.cases import TEXT, Case, Check, Rows, Settings, exactly
from tests.conformance.clones import Clone
from tests.conformance.suites import suite

IN_A_FIELD = Settings("jsonl", (("html", "body"),))
SAMPLES = {
    **{"windows-1252": "garçon déjà", "iso-8859-2": "žluťoučký kůň", "utf-8": "žluťoučký 日本語"},
    **{"shift_jis": "日本語の文", "euc-jp": "日本語の文", "iso-2022-jp": "日本語の文", "gb18030": "中文句子"},
    **{"big5": "中文句子", "windows-1251": "две строки"},
}


@suite("html5lib-tests", "html5lib/html5lib-tests")
def html5lib(clone: Clone) -> Iterator[Case]:
    """Markup of the tokenizer's and the tree's tests, bare and between two paragraphs; and the encodings."""
    inputs = [*_tokenizer(clone), *_trees(clone)]
    for group, form in (("bare", "{}"), ("framed", f"<main><p>{TEXT.format(1)}</p>{{}}<p>{TEXT.format(2)}</p></main>")):
        bodies = (form.replace("{}", text) for text in inputs)
        rows = b"".join(json.dumps({"id": str(n), "body": body}).encode() + b"\n" for n, body in enumerate(bodies))
        yield Case(group, "pages.jsonl", rows, IN_A_FIELD, exactly(len(inputs)))
    for number, text in enumerate(inputs):
        data = text.encode("utf-8", "surrogatepass")
        if data:
            yield Case("pages", f"{number:05d}.html", data, Settings(), exactly(1))
    yield from _encodings(clone)


def _tokenizer(clone: Clone) -> Iterator[str]:
    for _, data in clone.files("tokenizer/"):
        if not data.lstrip().startswith(b"{"):
            continue
        loaded = json.loads(data)
        for test in loaded.get("tests", loaded.get("xmlViolationTests", [])):
            text: str = test["input"]
            twice = test.get("doubleEscaped")
            yield re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m.group(1), 16)), text) if twice else text


def _trees(clone: Clone) -> Iterator[str]:
    """Of the last commit that had them, where the clone goes back that far."""
    found = [*clone.files("tree-construction/"), *_of_the_parent(clone)]
    for path, data in found:
        if path.endswith(".dat"):
            for block in re.split(r"(?:^|\n)#data\n", data.decode("utf-8", "surrogateescape"))[1:]:
                yield block.partition("\n#errors")[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _of_the_parent(clone: Clone) -> list[tuple[str, bytes]]:
    try:
        return list(clone.files("tree-construction/", parent=True))
    except OSError:
        return []
    except Exception:  # noqa: BLE001  git says no: there is no such commit
        return []


def _encodings(clone: Clone) -> Iterator[Case]:
    for path, data in clone.files("encoding/"):
        if not path.endswith(".dat") or "scripted" in path:
            continue
        for number, block in enumerate(re.split(rb"(?:^|\n)#data\n", data)[1:]):
            page, _, rest = block.partition(b"\n#encoding\n")
            label = rest.strip().split(b"\n")[0].decode().lower()
            if label in SAMPLES:
                words = f"\n<body><main><p>{TEXT.format(number)} ".encode() + SAMPLES[label].encode(label)
                name = f"{path.rpartition('/')[2][:-4]}-{number:03d}.html"
                yield Case("encoding", name, page + words + b"</p></main></body>", Settings(), _declared(label, page))


def _declared(label: str, page: bytes) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        yield from exactly(1)(rows)
        text = rows.documents[0]["text"] if rows.documents else ""
        if "oranges" in text and SAMPLES[label] not in text:
            yield "VALUE", f"{label}: {text[-20:]!r} for {SAMPLES[label]!r}; the page begins {page[:70]!r}", 0

    return check
