"""The keys of a recipe's section [filter], and of the sections in it."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.base.words import nearest
from pipeline.recipe.language_rules import merged
from pipeline.recipe.opt_outs import OptOut
from pipeline.recipe.presets import filled
from pipeline.recipe.rule_sets import RULE_SETS, RULES, check_rule_names, check_thresholds
from pipeline.recipe.section import (
    ColumnName,
    LanguageCode,
    OptionalRecipePath,
    RecipePath,
    Section,
    Share,
    allowed,
    keys_of,
)

NOT_IN_THE_BYTES = ("preset", "min_kept")  # what a preset sets stands in the other keys; a gate makes no shard again
NO_LIMIT = 2**31 - 1  # of a count that fits 32 bits
SHORT = 20  # characters: what is shorter says too little of its language, which is another reason than doubt


class LengthRules(Section):
    """Limits of a document's length."""

    min_characters: int = Field(0, ge=0, description="fewer are dropped")
    max_characters: int = Field(NO_LIMIT, ge=0, description="more are dropped")
    min_bytes: int = Field(0, ge=0, description="fewer UTF-8 bytes are dropped")
    max_bytes: int = Field(NO_LIMIT, ge=0, description="more UTF-8 bytes are dropped")


class LicenceRules(Section):
    """Licences wanted and not wanted, as patterns with * and ?, in either letter case."""

    allow: list[str] = Field(default_factory=list, description="licences kept; empty: all")
    deny: list[str] = Field(default_factory=list, description="licences dropped, also where allow has them")
    keep_unknown: bool = Field(True, description="keep documents whose licence is not known")


class UrlRules(Section):
    """URLs not wanted."""

    deny_domains: list[str] = Field(default_factory=list, description="domains dropped, with all below them")
    deny_words: list[str] = Field(default_factory=list, description="words that a URL must not contain")
    blocklist: OptionalRecipePath = Field(None, description="list of domains, URLs, hosts or Adblock rules to drop")


class EvaluationSet(Section):
    """One evaluation set that the training text must not contain."""

    name: ColumnName = Field(description="name; part of its columns")
    path: RecipePath = Field(description="JSONL, Parquet or text file, or a folder of lm-eval tasks")
    fields: list[str] = Field(default_factory=list, description="fields with text; empty: the usual names")
    id_field: str | None = Field(None, description="field with the item's id; without it, its number")


class Decontamination(Section):
    """Text that overlaps with evaluation sets."""

    sets: list[EvaluationSet] = Field(default_factory=list, description="the evaluation sets")
    ngram: int = Field(13, ge=4, le=50, description="words that must be the same in a row")
    max_overlap: Share = Field(0.0, description="share of an item's n-grams beyond which a document is dropped")
    action: Literal["drop", "cut", "report"] = Field(
        "drop", description="drop the document, cut the shared text out of it, or only report the overlap"
    )


class Classifier(Section):
    """A fastText classifier whose probability is a signal: a model file, or trained from the run's documents."""

    path: OptionalRecipePath = Field(None, description="model file, as `tokenmill classifier train` writes it")
    label: str = Field("__label__positive", description="label whose probability is the signal")
    min_score: float = Field(0.0, ge=0.0, le=1.0, description="probability below which a document is dropped")
    positive: list[str] = Field(
        default_factory=list,
        description="without path: documents of this run that are wanted, such as source=wiki&language=en",
    )
    negative: list[str] = Field(default_factory=list, description="without path: documents of this run not wanted")
    max_texts: int = Field(100_000, ge=1, description="documents of each kind to train on, at most; chosen by doc_id")
    epochs: int = Field(5, ge=1, description="passes over them")
    learning_rate: float = Field(0.1, gt=0.0, le=10.0, description="of fastText")
    dimension: int = Field(100, ge=1, le=1000, description="size of a word vector")
    word_ngrams: int = Field(2, ge=1, le=5, description="longest run of words that has a vector")
    buckets: int = Field(200_000, ge=1, le=50_000_000, description="vectors of runs of words, by hash")
    seed: int = Field(1, ge=0, lt=2**31, description="seed of the weights and of what is held out")

    @model_validator(mode="after")
    def _is_given_or_trained(self) -> "Classifier":
        trained = bool(self.positive and self.negative)
        if bool(self.path) == trained or bool(self.positive) != bool(self.negative):
            raise ValueError("a classifier needs either path (a model file), or both positive and negative")
        return self


def _thresholds(rule_set: str) -> Any:
    keys = keys_of(RULES[rule_set])
    return Field(default_factory=dict, description="thresholds of the rule set", json_schema_extra=keys)


class Filter(Section):
    """Rules over signals."""

    preset: Literal["web", "own", "code-and-docs", "clean"] | None = Field(
        None,
        description="rules for a kind of text, where the keys are not given: web pages; own manuals, contracts, notes; "
        "code and its documentation; text that is clean already",
    )
    min_kept: Share = Field(0.0, description="share of kept documents below which the stage fails, exit 3")
    languages: list[LanguageCode] = Field(
        default_factory=list, description="languages kept, as en, eng, en-US or English; empty: all"
    )
    min_language_score: Share = Field(0.65, description="probability of the language label below which it is dropped")
    min_language_scores: dict[LanguageCode, Share] = Field(
        default_factory=dict, description="language -> the probability that counts for it instead"
    )
    max_replaced_share: Share = Field(
        1.0, description="share of characters that are U+FFFD (broken bytes) above which a document is dropped; 1: off"
    )
    max_bad_words: int | None = Field(
        None,
        ge=0,
        description="C4's bad words of its language above which a document is dropped; C4's own is 0; not given: off",
    )
    min_extraction_score: Share = Field(
        0.0, description="extraction_score of a page below which a document is dropped; 0: off"
    )
    rules: list[str] = Field(
        default_factory=lambda: ["gopher_quality", "gopher_repetition", "c4", "fineweb"],
        description="rule sets applied, and class paths of datatrove filters",
        json_schema_extra=allowed(*RULE_SETS, "a datatrove filter's class path"),
    )
    gopher_quality: dict[str, float] = _thresholds("gopher_quality")
    gopher_repetition: dict[str, float] = _thresholds("gopher_repetition")
    c4: dict[str, float] = _thresholds("c4")
    fineweb: dict[str, float] = _thresholds("fineweb")
    per_language: dict[str, dict[str, dict[str, float]]] = Field(
        default_factory=dict, description="language -> rule set -> thresholds of its documents"
    )
    language_rules: bool = Field(
        True,
        description="where the keys above say nothing, thresholds of the language, after FineWeb-2's; never stricter",
    )
    length: LengthRules = Field(default_factory=LengthRules)
    licence: LicenceRules = Field(default_factory=LicenceRules)
    opt_out: list[OptOut] = Field(default_factory=list, description="opt-out signals that drop a document")
    url: UrlRules = Field(default_factory=UrlRules)
    max_pii: dict[Literal["email", "ip", "phone", "iban", "card", "secret", "national_id"], int] = Field(
        default_factory=dict, description="most personal data of a kind in a document"
    )
    classifiers: dict[ColumnName, Classifier] = Field(
        default_factory=dict, description="quality classifiers; the one named quality makes the signal quality_score"
    )
    decontamination: Decontamination = Field(default_factory=Decontamination)
    datatrove: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="arguments of the datatrove filters in rules, by class path"
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_sets_what_is_not_given(cls, data: Any) -> Any:
        return filled(data) if isinstance(data, dict) else data

    def thresholds(self) -> dict[str, dict[str, float]]:
        """Thresholds that differ from the published ones, by rule set."""
        return {name: getattr(self, name) for name in RULE_SETS}

    def by_language(self) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        """Thresholds by language and rule set: the recipe's, and those of the table."""
        return merged(self.thresholds(), self.per_language) if self.language_rules else self.per_language

    @model_validator(mode="after")
    def _rules_and_thresholds_exist(self) -> "Filter":
        problems = [f"rules: {problem}" for problem in check_rule_names(self.rules)]
        for name, values in self.thresholds().items():
            problems += check_thresholds(name, values)
        for language, rule_sets in self.per_language.items():
            for name, values in rule_sets.items():
                if name not in RULE_SETS:
                    problems.append(
                        f"per_language.{language}.{name}: unknown rule set{nearest(name, RULE_SETS)}; "
                        f"there are {', '.join(RULE_SETS)}"
                    )
                else:
                    merged = {**self.thresholds()[name], **values}
                    problems += [f"per_language.{language}.{problem}" for problem in check_thresholds(name, merged)]
        for unit in ("characters", "bytes"):
            low, high = getattr(self.length, f"min_{unit}"), getattr(self.length, f"max_{unit}")
            if low > high:
                problems.append(
                    f"length.min_{unit} = {low} is above length.max_{unit} = {high}: no document could pass"
                )
        problems += [f"datatrove.{path}: not named in rules" for path in self.datatrove if path not in self.rules]
        names = [evaluation.name for evaluation in self.decontamination.sets]
        if len(set(names)) != len(names):
            problems.append("decontamination.sets: two sets have the same name")
        if problems:
            raise ValueError("\n".join(f"filter.{problem}" for problem in problems))
        return self
