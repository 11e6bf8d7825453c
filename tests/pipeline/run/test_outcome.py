"""The line that a stage ends with."""

from pipeline.run.outcome import outcome_lines


def test_model_is_told_beside_one_that_only_counts() -> None:
    (line,) = outcome_lines("train", {"bits_per_byte": 3.668, "unigram_bits_per_byte": 3.407})
    assert line.startswith("warning: the model needs 3.668 bits per byte")
    assert "a unigram model 3.407" in line
    assert "train.steps" in line
    (line,) = outcome_lines("train", {"bits_per_byte": 1.7, "unigram_bits_per_byte": 3.4})
    assert line == "train: 1.700 bits per byte of validation text, 50% below a unigram model (3.400)"
    assert list(outcome_lines("train", {"bits_per_byte": None, "unigram_bits_per_byte": 3.4})) == []


def test_stage_that_passes_no_documents_on_has_no_line() -> None:
    assert list(outcome_lines("train", {"steps": 20, "loss": 3.1})) == []


def test_reasons_come_largest_first_and_the_rest_is_counted() -> None:
    reasons = {f"rule_{number}": number for number in range(1, 8)}
    summary = {"documents_in": 100, "kept": 72, "reasons": reasons, "alone": {"rule_7": 5}}
    (line,) = outcome_lines("filter", summary)
    assert line.startswith("filter: 72 of 100 documents kept; rule_7 7 (5 alone), rule_6 6 (0 alone)")
    assert line.endswith(", 2 more")


def test_clean_and_dedup_say_why_in_their_own_words() -> None:
    clean = {"records_in": 10, "documents": 8, "excluded_reasons": {"http_status": 1}, "quarantined_reasons": {"x": 1}}
    assert list(outcome_lines("clean", clean)) == [
        "clean: 8 of 10 records became documents; http_status 1, x 1",
        "clean: 1 record is damaged; `tokenmill inspect` of quarantine/ in the run folder says which",
    ]
    dedup = {"documents_in": 8, "kept": 7, "dropped": 1, "dropped_exact": 1, "dropped_near": 0}
    assert list(outcome_lines("dedup", dedup)) == ["dedup: 7 of 8 documents kept; exact 1"]


def test_few_that_are_kept_are_warned_of() -> None:
    _, warning = outcome_lines("filter", {"documents_in": 694, "kept": 1, "reasons": {"a": 693}})
    assert warning.startswith("warning: filter keeps 0.1%")
    assert "filter.preset" in warning


def test_stage_without_documents_has_no_warning() -> None:
    assert list(outcome_lines("filter", {"documents_in": 0, "kept": 0})) == ["filter: 0 of 0 documents kept"]


def test_kinds_of_files_that_are_not_read_are_told_in_words() -> None:
    clean = {"records_in": 10, "documents": 7, "excluded_reasons": {"unsupported: image/jpeg": 2, "empty": 1}}
    assert list(outcome_lines("clean", clean)) == [
        "clean: 7 of 10 records became documents; 2 JPEG pictures not read, empty 1"
    ]
