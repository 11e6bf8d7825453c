"""The keys of a recipe: one class a section, each key with its type, bounds, default and meaning.

``pipeline/recipe/load.py`` loads a TOML file into these; docs/recipes.md is generated from them.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pipeline.base.words import nearest
from pipeline.recipe import depth
from pipeline.recipe.language_codes import language_label
from pipeline.recipe.minhash import LIMITS, MINHASH, THRESHOLD, MinHash
from pipeline.recipe.rule_sets import RULE_SETS, check_rule_names, check_thresholds
from pipeline.recipe.stage_names import SELECTION, STAGES, StageName

Share = Annotated[float, Field(ge=0.0, le=1.0)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
ColumnName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
LanguageCode = Annotated[str, AfterValidator(language_label)]  # becomes the label of lid.176
MemorySize = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?\s*(B|[KMGT]i?B)$")]

FORMATS = ("auto", "warc", "wet", "html", "jsonl", "json", "parquet", "arrow", "csv", "tsv", "text", "zip", "tar")
URL_LISTS = ("ut1", "ut1-words")  # that datatrove ships
FIELDS = ("text", "html", "id", "url", "date", "licence")


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Source(Section):
    """One source of raw records."""

    name: SourceName = Field(description="name of the source; part of every doc_id")
    paths: list[str] = Field(
        min_length=1, description="files, globs, folders, archives or fsspec URLs, relative to the recipe's folder"
    )
    format: str = Field(
        "auto",
        description=f"{' | '.join(FORMATS)} | a datatrove reader's class path",
    )
    licence: str | None = Field(None, description="licence of records that name none")
    weight: float = Field(1.0, ge=0.0, description="share in training, relative to its size")
    max_epochs: float | None = Field(None, gt=0.0, description="passes over it in training, at most")
    fields: dict[str, str] = Field(
        default_factory=dict, description="which field of a record holds text, id, url, date, licence (or html)"
    )
    separator: str | None = Field(None, min_length=1, description="text files: what stands between two records")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of a datatrove reader")
    encoding: str | None = Field(None, description="of files that declare none; default: UTF-8, else detected")

    @model_validator(mode="after")
    def _format_fields_and_encoding_exist(self) -> "Source":
        problems = []
        if self.format not in FORMATS and "." not in self.format:
            problems.append(
                f"format = {self.format!r}: unknown{nearest(self.format, FORMATS)}; {self._allowed(FORMATS)}"
            )
        for name in sorted(set(self.fields) - set(FIELDS)):
            problems.append(f"fields.{name}: unknown{nearest(name, FIELDS)}; {self._allowed(FIELDS)}")
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            problems.append(f"encoding = {self.encoding!r}: not one that Python knows, such as utf-16 or windows-1252")
        if self.options and "." not in self.format:
            problems.append(f"options: arguments of a datatrove reader, but format = {self.format!r} is none")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @staticmethod
    def _allowed(names: tuple[str, ...]) -> str:
        return f"allowed: {', '.join(names)}"


def _is_text_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except LookupError:  # unknown, or no text encoding, such as base64
        return False
    return True


class Clean(Section):
    """Raw records to documents."""

    extractor: str = Field("resiliparse", description="resiliparse | trafilatura | a datatrove class path")
    pii: Literal["replace", "count", "off"] = Field("replace", description="what to do with personal data found")
    max_quarantined: Share = Field(0.05, description="share of damaged records beyond which the stage fails, exit 3")
    opt_outs: list[Literal["noai", "noimageai", "tdm-reservation"]] = Field(
        ["noai", "tdm-reservation"], description="rights marks that exclude a page; empty: none"
    )
    url_block: list[str] = Field(
        default_factory=list, description="domains, URL patterns with *, @FILE, ut1, ut1-words: records not wanted"
    )
    url_allow: list[str] = Field(default_factory=list, description="entries of the same kinds that are never blocked")
    url_only_allowed: bool = Field(False, description="exclude every record that url_allow does not name")
    clean_lines: list[Literal["terminal", "short", "javascript", "policy", "citations"]] = Field(
        default_factory=list, description="C4-like cleaning of lines within a document; empty: none"
    )
    fix_mojibake: bool = Field(True, description="repair UTF-8 that was read as a one-byte encoding, where it shows")
    language_characters: int = Field(300, ge=50, le=100_000, description="size of the sample that language is told by")
    http_statuses: list[int] = Field(default_factory=lambda: [200], description="WARC responses that become documents")
    max_record_bytes: int = Field(256 << 20, ge=1024, le=256 << 20, description="a larger record is quarantined")
    max_html_bytes: int = Field(16 << 20, ge=1024, description="a larger page is quarantined")
    max_html_tags: int = Field(500_000, ge=100, description="a page with more tags is quarantined before parsing")
    max_html_depth: int = Field(1_000, ge=10, le=3_000, description="a page nested deeper is quarantined unparsed")
    max_decompression_ratio: float = Field(500.0, ge=2.0, description="beyond it, and 64 MiB, a file is a bomb")
    max_decompressed_bytes: int = Field(1 << 40, ge=1 << 20, description="a file that becomes larger is a bomb")

    @model_validator(mode="after")
    def _url_entries_name_something(self) -> "Clean":
        problems = [
            f"{key}: {entry!r} is no domain, pattern, @FILE or bundled list ({', '.join(URL_LISTS)})"
            f"{nearest(entry, URL_LISTS)}; a host without a dot is named like localhost/*"
            for key in ("url_block", "url_allow")
            for entry in getattr(self, key)
            if entry not in URL_LISTS and not entry.startswith("@") and not set(entry) & set(".*/:")
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


class Dedup(Section):
    """Exact and near-duplicate removal."""

    ngram: int = Field(MINHASH.ngram, ge=1, le=LIMITS.ngram, description="words in a shingle")
    bands: int = Field(MINHASH.bands, ge=1, le=LIMITS.bands, description="bands of the signature")
    rows: int = Field(MINHASH.rows, ge=1, le=LIMITS.rows, description="min-hash values in a band")
    threshold: float = Field(
        THRESHOLD, gt=0.0, le=1.0, description="exact Jaccard similarity from which a pair is duplicate"
    )
    keep: str = Field("longest", description="first | longest | a column, highest first")
    memory: MemorySize = Field("2GB", description="memory of the join")
    partitions: int = Field(
        1, ge=1, le=10_000, description="tasks of the join; above 1 no process holds the whole corpus"
    )
    seed: int = Field(MINHASH.seed, ge=0, lt=LIMITS.seeds, description="seed of the permutations")
    against: list[str] = Field(
        default_factory=list, description="earlier runs and dedup indexes whose documents are not to come again"
    )
    prefer_sources: list[str] = Field(
        default_factory=list, description="sources from best to worst, with * and ?; they decide before keep"
    )
    prefer_licences: list[str] = Field(
        default_factory=list, description="licences from best to worst, with * and ?; they decide after prefer_sources"
    )
    copies: int = Field(1, ge=1, le=1_000_000, description="similar documents that may be kept; 1 removes all but one")
    same_url: bool = Field(False, description="of documents of one (canonical) URL only one is kept")

    @model_validator(mode="after")
    def _signature_has_a_sane_width(self) -> "Dedup":
        if self.bands * self.rows > LIMITS.permutations:
            raise ValueError(
                f"bands x rows = {self.bands} x {self.rows} = {self.bands * self.rows:,} permutations; "
                f"at most {LIMITS.permutations:,}"
            )
        return self

    @property
    def minhash(self) -> MinHash:
        """What similarity means in this recipe."""
        return MinHash(self.ngram, self.bands, self.rows, self.seed)

    @model_validator(mode="after")
    def _earlier_documents_are_looked_up_by_one_process(self) -> "Dedup":
        if self.partitions > 1 and self.against:
            raise ValueError(
                f"partitions = {self.partitions} with against: a batch is compared with earlier documents by one "
                "process, which holds the batch alone; give one of them"
            )
        return self


class LengthRules(Section):
    """Limits of a document's length."""

    min_characters: int = Field(0, ge=0, description="fewer are dropped")
    max_characters: int = Field(2**31 - 1, ge=0, description="more are dropped")
    min_bytes: int = Field(0, ge=0, description="fewer UTF-8 bytes are dropped")
    max_bytes: int = Field(2**31 - 1, ge=0, description="more UTF-8 bytes are dropped")


class LicenceRules(Section):
    """Licences wanted and not wanted, as patterns with * and ?, in either letter case."""

    allow: list[str] = Field(default_factory=list, description="licences kept; empty: all")
    deny: list[str] = Field(default_factory=list, description="licences dropped, also where allow has them")
    keep_unknown: bool = Field(True, description="keep documents whose licence is not known")


class UrlRules(Section):
    """URLs not wanted."""

    deny_domains: list[str] = Field(default_factory=list, description="domains dropped, with all below them")
    deny_words: list[str] = Field(default_factory=list, description="words that a URL must not contain")
    blocklist: str | None = Field(None, description="text file with a domain to drop on each line")


class EvaluationSet(Section):
    """One evaluation set that the training text must not contain."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="name; part of its columns"
    )
    path: str = Field(description="JSONL, Parquet or text file, or a folder of lm-eval tasks")
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

    path: str | None = Field(None, description="model file, as `tokenmill classifier train` writes it")
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


class Filter(Section):
    """Rules over signals."""

    languages: list[LanguageCode] = Field(
        default_factory=list, description="languages kept, as en, eng, en-US or English; empty: all"
    )
    min_language_score: Share = Field(0.65, description="probability of the language label below which it is dropped")
    min_language_scores: dict[LanguageCode, Share] = Field(
        default_factory=dict, description="language -> the probability that counts for it instead"
    )
    rules: list[str] = Field(
        default_factory=lambda: ["gopher_quality", "gopher_repetition", "c4", "fineweb"],
        description="rule sets applied, and class paths of datatrove filters",
    )
    gopher_quality: dict[str, float] = Field(default_factory=dict, description="thresholds of the rule set")
    gopher_repetition: dict[str, float] = Field(default_factory=dict, description="thresholds of the rule set")
    c4: dict[str, float] = Field(default_factory=dict, description="thresholds of the rule set")
    fineweb: dict[str, float] = Field(default_factory=dict, description="thresholds of the rule set")
    per_language: dict[str, dict[str, dict[str, float]]] = Field(
        default_factory=dict, description="language -> rule set -> thresholds of its documents"
    )
    length: LengthRules = Field(default_factory=LengthRules)
    licence: LicenceRules = Field(default_factory=LicenceRules)
    opt_out: list[str] = Field(
        default_factory=list, description="opt-out signals that drop a document: noai, noimageai, tdm-reservation"
    )
    url: UrlRules = Field(default_factory=UrlRules)
    max_pii: dict[Literal["email", "ip", "phone", "iban", "card", "secret"], int] = Field(
        default_factory=dict, description="most personal data of a kind in a document"
    )
    classifiers: dict[ColumnName, Classifier] = Field(
        default_factory=dict, description="quality classifiers; the one named quality makes the signal quality_score"
    )
    decontamination: Decontamination = Field(default_factory=Decontamination)
    datatrove: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="arguments of the datatrove filters in rules, by class path"
    )

    def thresholds(self) -> dict[str, dict[str, float]]:
        """Thresholds that differ from the published ones, by rule set."""
        return {name: getattr(self, name) for name in RULE_SETS}

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


class Tokenize(Section):
    """The tokenizer and the token shards."""

    vocabulary_size: int = Field(
        4096, ge=257, le=2**24, description="entries of the vocabulary, special tokens included"
    )
    validation_share: float = Field(0.02, ge=0.0, lt=1.0, description="share of kept documents held out")
    tokenizer: str | None = Field(
        None, description="a tokenizer.json or .tiktoken file to use instead of training one, relative to the recipe"
    )
    pretokenizer: Literal["gpt2", "cl100k", "qwen2"] = Field(
        "gpt2", description="how text is split before byte pairs are merged; also that of a .tiktoken file"
    )
    end_of_text: str = Field("<|endoftext|>", min_length=1, description="the special token after each document")
    special_tokens: list[str] = Field(default_factory=list, description="further special tokens, reserved for later")
    training_sample: MemorySize = Field("100MB", description="text that the tokenizer is trained on, at most")
    tokenizer_weights: dict[str, float] = Field(
        default_factory=dict, description="weight of a source in that sample; by default its weight in training"
    )
    exclude_near_validation: bool = Field(
        True, description="drop training documents that are near a validation document"
    )
    train_exclusion_similarity: float = Field(
        0.6, gt=0.0, le=1.0, description="estimated similarity from which they are near"
    )
    held_out: str | None = Field(
        None, description="a signatures table; neither its documents nor what is near them train (tokenmill ablate)"
    )
    engine: Literal["auto", "tokenizers"] = Field(
        "auto", description="auto: gigatoken where its ids are proven equal to those of tokenizers"
    )
    seed: int = Field(1, ge=0, lt=2**32, description="seed of the split, the order in a shard and the samples")

    @model_validator(mode="after")
    def _vocabulary_holds_bytes_and_special_tokens(self) -> "Tokenize":
        special = [self.end_of_text, *self.special_tokens]
        if len(set(special)) != len(special) or "" in special:
            raise ValueError(f"special tokens must differ and not be empty; found {special}")
        if self.vocabulary_size < 256 + len(special):
            raise ValueError(
                f"vocabulary_size = {self.vocabulary_size} cannot hold 256 bytes and {len(special)} special tokens; "
                f"it must be at least {256 + len(special)}"
            )
        return self


class Model(Section):
    """The transformer."""

    architecture: Literal["gpt2", "qwen3"] = Field("gpt2", description="gpt2 | qwen3")
    depth: int = Field(
        0,
        ge=0,
        description="one dial for layers, heads and width and for [train] learning_rate, muon_learning_rate, "
        "global_batch_tokens and steps, each unless it is given (docs/model.md); 0: off",
    )
    layers: int = Field(4, ge=1, description="transformer blocks")
    heads: int = Field(4, ge=1, description="attention heads")
    width: int = Field(256, ge=1, description="size of the residual stream")
    context_length: int = Field(256, ge=1, description="tokens the model attends over")
    key_value_heads: int = Field(0, ge=0, description="qwen3: heads of keys and values; 0: as many as heads")
    head_width: int = Field(0, ge=0, description="size of a head; 0: width / heads")
    feed_forward_width: int = Field(0, ge=0, description="hidden size; 0: 4 * width (gpt2), 8/3 * width (qwen3)")
    tied_embeddings: bool = Field(True, description="the head is the token embedding")
    qk_norm: bool = Field(True, description="qwen3: normalise queries and keys; false: the Llama form")
    rotary_base: float = Field(10_000.0, gt=1.0, description="qwen3: base of the rotary frequencies")
    init: str | None = Field(
        None, description="a Hugging Face folder to continue from, relative to the recipe; it then defines the shape"
    )

    @model_validator(mode="before")
    @classmethod
    def _depth_sets_the_shape(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("depth"), int) or data["depth"] < 1:
            return data
        if data.get("init") is not None:
            raise ValueError("depth and init: the folder of init defines the shape; leave depth out")
        return {**depth.shape(data["depth"]), **data}


class Train(Section):
    """Training of the model."""

    runs: list[str] = Field(default_factory=list, description="other finished runs whose tokens are mixed in")
    weights: dict[str, float] = Field(
        default_factory=dict, description="weight of a source, or run/source with runs, over that of its recipe"
    )
    steps: int = Field(200, ge=0, description="optimizer steps")
    global_batch_tokens: int = Field(4096, ge=1, description="tokens of one optimizer step")
    micro_batch_sequences: int = Field(16, ge=1, description="sequences of one forward pass on one device")
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="adamw | muon (hidden matrices; AdamW the rest)")
    learning_rate: float = Field(1e-3, gt=0.0, description="peak learning rate of AdamW")
    muon_learning_rate: float = Field(0.02, gt=0.0, description="peak learning rate of Muon")
    schedule: Literal["cosine", "wsd"] = Field("cosine", description="cosine | wsd (warm-up, stable, linear decay)")
    warmup_steps: int | None = Field(None, ge=0, description="steps of warm-up; by default a twentieth, at most 2,000")
    decay_share: Share = Field(0.5, description="wsd: share of the steps in which the rate falls")
    final_learning_rate_ratio: Share = Field(0.1, description="rate at the end, relative to the peak")
    weight_decay: float = Field(0.1, ge=0.0, description="decay of weight matrices")
    beta1: Share = Field(0.9, description="AdamW: decay of the mean of gradients")
    beta2: Share = Field(0.95, description="AdamW: decay of the mean of squared gradients")
    momentum: Share = Field(0.95, description="Muon: momentum")
    clip_norm: float = Field(1.0, gt=0.0, description="gradient norm above which gradients are scaled down")
    clip: bool = Field(True, description="gradient clipping")
    z_loss: float = Field(0.0, ge=0.0, description="weight of the squared log-partition")
    mask_documents: bool = Field(False, description="attention stays in its document, whose positions start at 0")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of matrix products; auto: bfloat16 where the processor has it"
    )
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile; auto: on a GPU only")
    activation_checkpointing: bool = Field(False, description="recompute activations in the backward pass")
    parallel: Literal["ddp", "fsdp"] = Field("ddp", description="several processes: ddp | fsdp (sharded weights)")
    processes: int = Field(1, ge=1, description="training processes on this machine, started by torchrun")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one")
    threads: int = Field(0, ge=0, description="compute threads on the CPU; 0: one for each processor")
    log_every_steps: int = Field(10, ge=1, description="steps between two lines of metrics")
    validate_every_steps: int = Field(0, ge=0, description="steps between two validations; 0: only after the last")
    max_validation_tokens: int = Field(1_000_000, ge=0, description="tokens of a validation; 0: all")
    checkpoint_every_steps: int = Field(500, ge=0, description="steps between two checkpoints; 0: only the last")
    keep_last: int = Field(2, ge=1, description="checkpoints kept: the last ones,")
    keep_every_steps: int = Field(0, ge=0, description="those at multiples of this (0: none),")
    keep_best: bool = Field(False, description="and the one of the lowest validation loss")
    disk_full: Literal["stop", "continue"] = Field("stop", description="when a checkpoint finds no space")
    spike_sigmas: float = Field(
        8.0, gt=0.0, description="a loss or gradient norm so many deviations above the last 128 skips the step"
    )
    max_skipped_steps: int = Field(20, ge=0, description="skipped steps after which training stops")
    seed: int = Field(1, ge=0, lt=2**32, description="seed of the weights and of the data order")


class Report(Section):
    """The report page."""

    examples: int = Field(5, ge=0, le=100, description="examples shown for each reason")


class Recipe(Section):
    """A whole recipe; every key has a default but ``sources``."""

    name: str = Field("run", min_length=1, description="name of the run; its default folder is runs/<name>")
    stages: list[StageName] = Field(
        default_factory=lambda: list(STAGES),
        min_length=1,
        description="stages in their order",
    )
    sources: list[Source] = Field(min_length=1, description="where the raw records come from")
    clean: Clean = Field(default_factory=Clean)
    dedup: Dedup = Field(default_factory=Dedup)
    filter: Filter = Field(default_factory=Filter)
    tokenize: Tokenize = Field(default_factory=Tokenize)
    model: Model = Field(default_factory=Model)
    train: Train = Field(default_factory=Train)
    report: Report = Field(default_factory=Report)

    @model_validator(mode="before")
    @classmethod
    def _depth_sets_the_training(cls, data: Any) -> Any:
        model, train = (data.get(key, {}) for key in ("model", "train")) if isinstance(data, dict) else (None, None)
        if not isinstance(model, dict) or not isinstance(train, dict):
            return data
        try:
            made, given = Model.model_validate(model), Train.model_validate(train)
        except ValidationError:  # every problem is told once, where it stands
            return data
        if not made.depth:
            return data
        batch = train.get("global_batch_tokens")
        rules = depth.training(made.layers, made.width, made.context_length, given.optimizer, batch)
        return {**data, "train": {**rules, **train}}

    @model_validator(mode="after")
    def _stages_and_names_are_consistent(self) -> "Recipe":
        problems = []
        if len(set(self.stages)) != len(self.stages):
            problems.append(f"stages names a stage twice: {self.stages}")
        fixed = [stage for stage in self.stages if stage not in SELECTION]
        order = [stage for stage in STAGES if stage in fixed]
        last_curation = max((self.stages.index(s) for s in SELECTION if s in self.stages), default=-1)
        curation_late = "tokenize" in self.stages and last_curation > self.stages.index("tokenize")
        if fixed != order or self.stages[0] != STAGES[0] or curation_late:
            problems.append(
                f"stages must begin with clean, then dedup and filter in either order, then tokenize, train, report; "
                f"found {self.stages}"
            )
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            problems.append(f"two sources have the same name: {sorted(n for n in set(names) if names.count(n) > 1)}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def selection_before(self, stage: str) -> list[str]:
        """Stages of this recipe that have judged documents before ``stage`` does, or all where it is not in it."""
        end = self.stages.index(stage) if stage in self.stages else len(self.stages)
        return [name for name in self.stages[:end] if name in SELECTION]
