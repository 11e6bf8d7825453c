"""Dates of pages: htmldate's own evaluation, pages whose day of publication is known."""

import json
from collections import Counter
from collections.abc import Iterator

from pipeline.base.errors import UserError
from pipeline.page.extract import extract_record, page_options
from pipeline.readers.records import Record
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure

FOLDERS = ("tests/cache/", "tests/eval/", "tests/test_set/")
LISTS = ("tests/eval_default.json", "tests/eval_mediacloud_2020.json")


@measure("htmldate", Repository("adbar", "htmldate"))
def dates(clone: Clone) -> Iterator[Figure]:
    """Days that are found and right, and pages that have one of which it is found."""
    files = dict(clone.files(*FOLDERS, *LISTS))
    told: Counter[str] = Counter()
    for listed in LISTS:
        for url, page in json.loads(files[listed]).items():
            if isinstance(page["date"], str):  # one page has none
                told[_told(files, url, page["file"], page["date"])] += 1
    right, wrong, none = told["right"], told["wrong"], told["none"]
    yield Figure("day of publication: of those told, right", right, right + wrong)
    yield Figure("day of publication: of all pages, right", right, right + wrong + none)


def _told(files: dict[str, bytes], url: str, name: str, date: str) -> str:
    body = next(files[folder + name] for folder in FOLDERS if folder + name in files)
    record = Record(name, 0, url=url, body=body, body_type="html")
    try:
        found = extract_record(record, page_options("resiliparse", "plain")).date
    except UserError:  # a page without text makes no document
        return "none"
    if not found:
        return "none"
    return "right" if found[:10] == date else "wrong"
