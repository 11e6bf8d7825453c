import re
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.base.errors import GateError, UserError
from pipeline.filter import stage
from pipeline.filter.whatif import what_if
from pipeline.run.context import Context, NeedsWork
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS, SIGNALS, VERDICTS
from pipeline.tokens import stage as tokens_stage
from tests.pipeline.filter.helpers import GOOD, HerePool, make_run, run_filter

SHORT = "Too short to keep."


def verdicts(context: Context, shard: str = "00000") -> list[dict]:
    return read_table(context.run.local(f"verdicts/filter/{shard}.arrow"), VERDICTS).to_pylist()


def test_signals_and_verdicts_are_row_aligned_with_documents(tmp_path: Path) -> None:
    rows = [{"text": f"{n} {GOOD}" if n % 3 else f"{SHORT} {n}"} for n in range(250)]
    context = make_run(tmp_path, {"00000": rows, "00001": rows[:2]})
    summary = run_filter(context)
    ids = read_table(context.run.local("documents/00000.arrow"), DOCUMENTS)["doc_id"].to_pylist()
    assert read_table(context.run.local("signals/00000.arrow"), SIGNALS)["doc_id"].to_pylist() == ids
    assert [row["doc_id"] for row in verdicts(context)] == ids
    assert [row["keep"] for row in verdicts(context)] == [n % 3 != 0 for n in range(250)]
    assert summary["documents_in"] == 252 == summary["kept"] + summary["dropped"]
    assert summary["reasons"]["gopher_quality.min_words"] == summary["dropped"] == 85


def test_keep_is_null_where_an_earlier_stage_dropped_the_document(tmp_path: Path) -> None:
    rows = [{"text": GOOD}, {"text": SHORT}, {"text": SHORT + "!"}]
    context = make_run(tmp_path, {"00000": rows}, dedup={"00000": [True, False, True]})
    summary = run_filter(context)
    found = verdicts(context)
    assert [row["keep"] for row in found] == [True, None, False]
    assert found[1]["reasons"] == [] != found[2]["reasons"]
    assert (summary["documents_in"], summary["kept"], summary["dropped"]) == (2, 1, 1)


def test_reasons_are_also_counted_where_no_other_rule_failed(tmp_path: Path) -> None:
    rows = [{"text": GOOD}, {"text": SHORT}, {"text": GOOD + "!", "language": "de"}]
    summary = run_filter(make_run(tmp_path, {"00000": rows}, 'languages = ["en"]\nrules = ["gopher_quality", "c4"]\n'))
    assert summary["alone"] == {"language.languages": 1}
    assert summary["reasons"]["gopher_quality.min_words"] == summary["reasons"]["c4.min_sentences"] == 1


def test_gate_names_what_dropped_the_documents_and_a_lower_limit_passes_it(tmp_path: Path) -> None:
    rows = [{"text": GOOD}, {"text": SHORT}, {"text": SHORT + "!"}]
    told = r"keeps 1 of 3 documents \(33.3%\), fewer than filter.min_kept = 0.5"
    with pytest.raises(GateError, match=told) as refused:
        run_filter(make_run(tmp_path, {"00000": rows}, "min_kept = 0.5\n"))
    assert "gopher_quality.min_words 2" in str(refused.value)
    context = make_run(tmp_path, {"00000": rows}, "min_kept = 0.3\n")
    assert run_filter(context)["kept"] == 1
    assert context.shards_run == 0, "a gate makes no shard again"


def test_rules_over_document_columns(tmp_path: Path) -> None:
    (tmp_path / "block.txt").write_text("# hosts\n0.0.0.0 bad.example\n")
    rows = [
        {"text": GOOD + " 0"},
        {"text": GOOD + " 1", "language": "de"},
        {"text": GOOD + " 2", "language_score": 0.5},
        {"text": GOOD + " 3", "licence": "CC-BY-NC-4.0"},
        {"text": GOOD + " 4", "licence": "CC-BY-4.0"},
        {"text": GOOD + " 5", "opt_out": "noimageai,noai"},
        {"text": GOOD + " 6", "url": "https://www.bad.example/x"},
        {"text": GOOD + " 7", "url": "https://good.example/casino-night"},
        {"text": GOOD + " 8", "url": "https://notbad.example/casinos", "pii_email": 3},
        {"text": GOOD + " 9", "language": None, "language_score": None},
        {"text": GOOD * 30},
    ]
    options = """
languages = ["en"]
opt_out = ["noai"]
max_pii = { email = 2 }
rules = []
length = { max_characters = 5000 }
licence = { allow = ["CC-*"], deny = ["*-NC-*"] }
url = { deny_words = ["casino"], blocklist = "block.txt" }
"""
    context = make_run(tmp_path, {"00000": rows}, options)
    run_filter(context)
    assert [row["reasons"] for row in verdicts(context)] == [
        [],
        ["language.languages"],
        ["language.min_language_score"],
        ["licence.deny"],
        [],
        ["opt_out.noai"],
        ["url.domain"],
        ["url.word"],
        ["pii.max_email"],
        ["language.languages", "language.min_language_score"],
        ["length.max_characters"],
    ]


def test_a_language_has_its_own_thresholds(tmp_path: Path) -> None:
    rows = [{"text": SHORT}, {"text": SHORT + " ", "language": "de"}]
    options = 'rules = ["gopher_quality"]\nper_language.de.gopher_quality = { min_words = 2, min_stop_words = 0 }'
    context = make_run(tmp_path, {"00000": rows}, options)
    run_filter(context)
    assert [row["keep"] for row in verdicts(context)] == [False, True]


def test_a_language_has_its_own_score(tmp_path: Path) -> None:
    found = [("en", 0.6), ("de", 0.4), ("de", 0.39), ("en", 0.7), ("fr", 0.0)]
    rows = [{"text": f"{GOOD} {n}", "language": name, "language_score": score} for n, (name, score) in enumerate(found)]
    options = "rules = []\nmin_language_scores = { deu = 0.4, fr = 0 }"
    context = make_run(tmp_path, {"00000": rows}, options)
    run_filter(context)
    assert [row["keep"] for row in verdicts(context)] == [False, True, False, True, True]
    assert verdicts(context)[2]["reasons"] == ["language.min_language_score"]


def test_a_short_text_in_doubt_goes_for_its_length(tmp_path: Path) -> None:
    found = [
        ("Buy milk.", "en", 0.3),
        ("Buy bread.", "en", 0.7),
        ("Twenty characters go", "en", 0.3),
        ("Brot.", None, None),
    ]
    rows = [{"text": text, "language": name, "language_score": score} for text, name, score in found]
    context = make_run(tmp_path, {"00000": rows}, "rules = []")
    run_filter(context)
    assert [row["reasons"] for row in verdicts(context)] == [
        ["language.too_short"],
        [],
        ["language.min_language_score"],
        ["language.too_short"],
    ]


def test_a_language_that_the_record_states_is_sure(tmp_path: Path) -> None:
    found = [("en", None), ("de", None), (None, None), ("en", 0.6)]
    rows = [{"text": f"{GOOD} {n}", "language": name, "language_score": score} for n, (name, score) in enumerate(found)]
    context = make_run(tmp_path, {"00000": rows}, 'rules = []\nlanguages = ["en"]')
    run_filter(context)
    assert [row["reasons"] for row in verdicts(context)] == [
        [],
        ["language.languages"],
        ["language.languages", "language.min_language_score"],
        ["language.min_language_score"],
    ]


def test_changed_threshold_judges_again_but_does_not_measure_again(tmp_path: Path) -> None:
    context = make_run(tmp_path, {"00000": [{"text": SHORT}]})
    run_filter(context)
    before = context.manifests("filter.signals")["00000"]
    changed = make_run(tmp_path, {"00000": [{"text": SHORT}]}, "gopher_quality = { min_words = 1 }")
    dry = Context(Run(changed.root, changed.run.recipe), dry=True)
    with pytest.raises(NeedsWork) as work:
        stage.run(dry)
    assert work.value.step == "filter"
    assert "gopher_quality.min_words" in str(work.value.reasons)
    assert dry.manifests("filter.signals")["00000"] == before


def test_a_datatrove_filter_by_name_gives_verdict_and_reason(tmp_path: Path) -> None:
    path = "datatrove.pipeline.filters.C4ParagraphFilter"
    context = make_run(tmp_path, {"00000": [{"text": GOOD}]}, f'rules = ["{path}"]')
    summary = run_filter(context)
    assert verdicts(context)[0]["reasons"] == ["C4ParagraphFilter.< 3 paragraphs"]
    assert summary["reasons"] == {"C4ParagraphFilter.< 3 paragraphs": 1}


def test_what_if_equals_what_the_run_then_does_and_writes_nothing(tmp_path: Path) -> None:
    rows = [
        {"text": f"{n} {GOOD}" if n % 3 else f"{SHORT} The dog {n} was with that cat and slept well there."}
        for n in range(30)
    ]
    context = make_run(tmp_path, {"00000": rows, "00001": rows[:5]})
    now = run_filter(context)
    files = {p: p.read_bytes() for p in Path(context.root).rglob("*") if p.is_file()}
    overrides = [
        "filter.gopher_quality.min_words=5",
        "filter.c4.min_sentences=1",
        "filter.gopher_quality.min_stop_words=0",
    ]
    overrides += [
        "filter.gopher_repetition.max_top_4gram_char_ratio=1",
        "filter.gopher_repetition.max_top_3gram_char_ratio=1",
    ]
    overrides += ["filter.gopher_repetition.max_top_2gram_char_ratio=1"]
    found = what_if(context.root, overrides)
    assert {p: p.read_bytes() for p in Path(context.root).rglob("*") if p.is_file()} == files
    assert {key: found["before"][key] for key in now} == now
    assert found["after"]["kept"] == 35 > found["before"]["kept"]
    assert found["come_in"]["documents"] == 12
    assert found["go_out"]["documents"] == 0
    assert found["come_in"]["examples"][0]["reasons"]
    assert found["after"]["sources"] == {"web": 35}
    changed = make_run(tmp_path, {"00000": rows, "00001": rows[:5]}, _toml(overrides))
    assert run_filter(changed) == {key: found["after"][key] for key in now}


def test_what_if_says_which_rules_still_fail_what_a_lower_threshold_lets_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.cli.questions.filter import filter_run

    rows = [{"text": f"{SHORT} {n}"} for n in range(4)] + [{"text": GOOD}]
    context = make_run(tmp_path, {"00000": rows[:3], "00001": rows[3:]}, 'rules = ["gopher_quality", "c4"]')
    run_filter(context)
    override = "filter.gopher_quality.min_words=5"
    found = what_if(context.root, [override])
    assert found["come_in"]["documents"] == 0
    held = found["still_failing"]["gopher_quality.min_words"]
    assert (held["would_pass"], held["still_failing"], held["by"]["c4.min_sentences"]) == (4, 4, 4)
    assert "gopher_quality.min_words" not in held["by"]
    filter_run(context.root, set=[override])
    told = capsys.readouterr().out
    assert "of 4 documents that would pass gopher_quality.min_words, all still fail others: c4." in told
    assert what_if(context.root, [override, "filter.rules=['gopher_quality']"])["still_failing"].keys() <= {
        "gopher_quality.min_words",
        "c4.min_sentences",
    }


def test_what_if_is_aligned_and_silent_about_what_stays_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns hold the longest name (it has 50 letters and more), and no rule that drops as many as before is shown."""
    from flows.cli.questions.filter import filter_run

    rows = [{"text": f"{SHORT} {n}"} for n in range(4)] + [{"text": GOOD}, {"text": "word again " * 400}]
    context = make_run(tmp_path, {"00000": rows}, 'rules = ["gopher_quality", "gopher_repetition", "c4"]')
    run_filter(context)
    filter_run(context.root)
    as_it_is = capsys.readouterr().out
    assert "now" not in as_it_is, "one column where nothing is compared"
    assert "would come in" not in as_it_is
    assert re.search(r"^ +drops +alone$", as_it_is, re.MULTILINE)
    assert re.search(r"^gopher_repetition.max_duplicate_10gram_char_ratio +1 +0$", as_it_is, re.MULTILINE)
    filter_run(context.root, set=["filter.gopher_quality.min_words=5"])
    compared = capsys.readouterr().out
    assert "gopher_repetition" not in compared.split("would")[0]
    tables = [
        [line for line in part.splitlines() if re.search(r"\d +[+-]\d+$", line)] for part in compared.split("\n\n")
    ]
    assert sum(map(bool, tables)) == 2, "the head, and the rules of which other numbers are dropped"
    assert [len({len(line) for line in table}) for table in tables if table] == [1, 1]
    assert "dropped for (" in compared, "how many are the same"


def test_what_if_of_many_documents_fits_a_terminal() -> None:
    from flows.cli.questions.funnel import lines

    name = "gopher_repetition.max_duplicate_paragraph_char_ratio"
    head = {"documents_in": 9_876_543, "kept": 8_000_000, "cut": 0, "dropped": 1_876_543, "tokens_estimated": 10**10}
    now = {**head, "reasons": {name: 17_654}, "alone": {name: 9_321}, "sources": {"files": 8_000_000}}
    then = {**head, "reasons": {name: 99}, "alone": {}, "sources": {"files": 9_000_000}}
    none = {"documents": 0, "examples": []}
    result = {"overrides": ["x=1"], "before": now, "after": then, "still_failing": {}, "without_effect": []}
    for asked in (result, {"overrides": [], "before": now}):
        shown = "\n".join(lines({**asked, "come_in": none, "go_out": none, "applied": False})).splitlines()
        assert any(name in line for line in shown)
        assert [line for line in shown if len(line) > 80] == []


def test_what_if_says_that_a_threshold_belongs_to_no_rule_set_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.cli.questions.filter import filter_run

    context = make_run(tmp_path, {"00000": [{"text": f"{SHORT} {n}"} for n in range(4)]}, 'rules = ["c4"]')
    run_filter(context)
    filter_run(context.root, set=["filter.gopher_quality.min_words=5"])
    told = capsys.readouterr().out
    (advice,) = re.findall(r"gopher_quality is none of the rule sets of this run \(c4\); --set '(.*)' adds it", told)
    filter_run(context.root, set=[advice], show=1)
    told = capsys.readouterr().out
    assert "none of the rule sets" not in told
    assert "gopher_quality.min_words" in told


def _toml(overrides: list[str]) -> str:
    return "\n".join(override.removeprefix("filter.") for override in overrides)


def test_what_if_refuses_what_it_cannot_tell(tmp_path: Path) -> None:
    context = make_run(tmp_path, {"00000": [{"text": GOOD}]})
    with pytest.raises(UserError, match="has no signals yet"):
        what_if(context.root, ["filter.c4.min_sentences=1"])
    run_filter(context)
    with pytest.raises(UserError, match=r"only filter\.\*"):
        what_if(context.root, ["dedup.threshold=0.5"])
    with pytest.raises(UserError, match="needs signals that the run does not have"):
        what_if(context.root, ['filter.rules=["datatrove.pipeline.filters.C4ParagraphFilter"]'])
    with pytest.raises(UserError, match="did you mean min_words"):
        what_if(context.root, ["filter.gopher_quality.min_word=1"])


def test_filter_apply_writes_the_verdicts_and_the_recipe(tmp_path: Path) -> None:
    from flows.cli.questions.filter import filter_run

    context = make_run(tmp_path, {"00000": [{"text": SHORT}]}, 'rules = ["gopher_quality"]')
    run_filter(context)
    options = ["filter.gopher_quality.min_words=1", "filter.gopher_quality.min_stop_words=0"]
    assert filter_run(context.root, set=options, apply=True, workers=1, json=True) == 0
    assert verdicts(context)[0]["keep"] is True
    assert Run.open(context.root).recipe.filter.gopher_quality["min_words"] == 1


def test_after_apply_the_later_stages_have_work_and_then_hold_the_new_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.cli.questions.filter import filter_run

    rows = [{"text": GOOD}, {"text": f"{SHORT} But the dog was with that cat."}]
    small = "[tokenize]\nvocabulary_size = 300\nvalidation_share = 0.0"
    context = make_run(tmp_path, {"00000": rows}, 'rules = ["gopher_quality"]', tokenize=small)
    run_filter(context)
    assert tokens_stage.run(context)["documents"] == 1
    filter_run(context.root, set=["filter.gopher_quality.min_words=5"], apply=True, workers=1)
    told = capsys.readouterr()
    assert "brings tokenize up to date" in told.err
    assert "applied" in told.out
    with pytest.raises(NeedsWork) as work:
        tokens_stage.run(Context(Run.open(context.root), dry=True))
    assert work.value.step == "tokenize.split"
    assert tokens_stage.run(Context(Run.open(context.root), HerePool()))["documents"] == 2


def test_empty_shard_passes_through(tmp_path: Path) -> None:
    context = make_run(tmp_path, {"00000": []})
    assert run_filter(context)["documents_in"] == 0
    assert read_table(context.run.local("signals/00000.arrow"), SIGNALS).num_rows == 0
    assert pa.types.is_boolean(read_table(context.run.local("verdicts/filter/00000.arrow"), VERDICTS)["keep"].type)
