"""The keys of a recipe: one class per section, each key with its type, bounds, default and meaning.

``pipeline/recipe/load.py`` loads a TOML file into these; docs/recipes.md is generated from them.  The keys of
[filter] are in ``filter_options``, those of [model] and [train] in ``training_options``.
"""

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from pipeline.base.words import nearest
from pipeline.recipe import depth
from pipeline.recipe.csv_options import Csv
from pipeline.recipe.filter_options import Filter
from pipeline.recipe.globs import wrong
from pipeline.recipe.minhash import LIMITS, MINHASH, THRESHOLD, MinHash
from pipeline.recipe.opt_outs import AI_AGENTS, DEFAULT_OPT_OUTS, OptOut
from pipeline.recipe.section import (
    MemorySize,
    OptionalRecipePath,
    RecipePath,
    Section,
    Share,
    SourceName,
    UrlEntry,
    allowed,
    keys_of,
)
from pipeline.recipe.stage_names import SELECTION, STAGES, StageName
from pipeline.recipe.training_options import Model, Train

FORMATS = (
    *("auto", "warc", "wet", "html", "jsonl", "json", "parquet", "arrow", "csv", "tsv", "text", "zip", "tar"),
    *("docx", "odt", "epub", "eml", "mbox", "ipynb", "pdf"),
)
URL_LISTS = ("ut1", "ut1-words")  # that datatrove ships
EXTRACTORS = ("tokenmill", "resiliparse", "trafilatura")  # of ours; any other is a datatrove class path
FIELDS = ("text", "html", "messages", "id", "url", "date", "licence", "language")


class Source(Section):
    """One source of raw records."""

    name: SourceName = Field(description="name of the source; part of every doc_id")
    paths: list[RecipePath] = Field(
        min_length=1, description="files, globs, folders, archives or fsspec URLs, relative to the recipe's folder"
    )
    include: list[str] = Field(
        default_factory=list,
        description="globs of files, or of members (`*.zip/*.md`), that are read, below the paths' folder; empty: all",
    )
    exclude: list[str] = Field(
        default_factory=list,
        description="globs of files, folders and members of archives (`*.zip/**/*.csv`) that are not read",
    )
    follow_links: bool = Field(False, description="follow symbolic links that lead out of the paths' folder")
    format: str = Field(
        "auto",
        description="of the files; auto: by what each one holds",
        json_schema_extra=allowed(*FORMATS, "a datatrove reader's class path"),
    )
    licence: str | None = Field(None, description="licence of records that name none")
    weight: float = Field(1.0, ge=0.0, description="share in training, relative to its size")
    max_epochs: float | None = Field(None, gt=0.0, description="passes over it in training, at most")
    fields: dict[str, str] = Field(
        default_factory=dict,
        description="which field holds the text of a record (or html, or messages of a chat), id, url, date, …",
        json_schema_extra=keys_of(FIELDS),
    )
    metadata: list[str] | None = Field(
        None,
        description="fields of a record that are kept as metadata, of others nothing; none given: all that is left",
    )
    separator: str | None = Field(None, min_length=1, description="text files: what stands between two records")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of a datatrove reader")
    encoding: str | None = Field(None, description="of files that declare none; default: UTF-8, else detected")
    csv: Csv | None = Field(None, description="dialect of CSV and TSV files; what it leaves out is told from each file")

    @model_validator(mode="after")
    def _format_fields_and_encoding_exist(self) -> "Source":
        problems = []
        if self.format not in FORMATS and "." not in self.format:
            problems.append(
                f"format = {self.format!r}: unknown{nearest(self.format, FORMATS)}; {self._allowed(FORMATS)}"
            )
        for name in sorted(set(self.fields) - set(FIELDS)):
            problems.append(f"fields.{name}: unknown{nearest(name, FIELDS)}; {self._allowed(FIELDS)}")
        if len(texts := {"text", "html", "messages"} & set(self.fields)) > 1 and "messages" in texts:
            problems.append(f"fields: {' and '.join(sorted(texts))}; a record's text is in one of them")
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            problems.append(f"encoding = {self.encoding!r}: not one that Python knows, such as utf-16 or windows-1252")
        if self.options and "." not in self.format:
            problems.append(f"options: arguments of a datatrove reader, but format = {self.format!r} is none")
        for key in ("include", "exclude"):
            problems += [f"{key}: {reason}" for glob in getattr(self, key) if (reason := wrong(glob)) is not None]
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
    """From raw records to documents."""

    extractor: str = Field(
        "tokenmill",
        description="what takes the main text out of a page",
        json_schema_extra=allowed("tokenmill", "resiliparse", "trafilatura", "a datatrove extractor's class path"),
    )
    extractors: list[str] = Field(
        default_factory=list,
        description="several in place of `extractor`, the most trusted first; their texts become one by `choose`",
        json_schema_extra=allowed("what extractor may be"),
    )
    choose: Literal["longest", "agreement", "union"] = Field(
        "longest", description="of several texts: the longest, the first's lines that another has too, or all lines"
    )
    markup: Literal["plain", "markdown"] = Field(
        "plain", description='how the text of a page is written; markdown needs extractor = "tokenmill"'
    )
    pii: Literal["replace", "count", "off"] = Field("replace", description="what to do with personal data found")
    national_ids: list[Literal["br", "ch", "cn", "de", "fr", "in", "nl", "pl", "se", "za"]] = Field(
        default_factory=list, description="countries whose identity numbers are personal data, too; empty: none"
    )
    max_quarantined: Share = Field(0.05, description="share of damaged records beyond which the stage fails, exit 3")
    opt_outs: list[OptOut] = Field(
        list(DEFAULT_OPT_OUTS), description="rights marks that exclude a page (docs/rights.md); empty: none"
    )
    robots: OptionalRecipePath = Field(
        None, description="folder of robots.txt files, HOST/robots.txt or HOST.txt, that pages are judged by, too"
    )
    robots_agents: list[str] = Field(
        list(AI_AGENTS), description="robots for which robots.txt must allow a page, where opt_outs has `robots`"
    )
    url_block: list[UrlEntry] = Field(
        default_factory=list, description="domains, URL patterns with *, @FILE, ut1, ut1-words: records not wanted"
    )
    url_allow: list[UrlEntry] = Field(
        default_factory=list, description="entries of the same kinds that are never blocked"
    )
    url_only_allowed: bool = Field(False, description="exclude every record that url_allow does not name")
    clean_lines: list[Literal["terminal", "short", "javascript", "policy", "citations"]] = Field(
        default_factory=list, description="C4-like cleaning of lines within a document; empty: none"
    )
    fix_mojibake: bool = Field(True, description="repair UTF-8 that was read as a one-byte encoding, where it shows")
    language_characters: int = Field(
        240, ge=50, le=100_000, description="characters of the sample by which the language is told"
    )
    language_model: OptionalRecipePath = Field(
        None, description="another fastText model than the package's, such as GlotLID's, OpenLID's or lid.176.bin"
    )
    language_labels: dict[str, str] = Field(
        default_factory=dict, description="label of that model -> language, where its name is no language code"
    )
    http_statuses: list[int] = Field(default_factory=lambda: [200], description="WARC responses that become documents")
    max_record_bytes: int = Field(256 << 20, ge=1024, le=256 << 20, description="a larger record is quarantined")
    max_html_bytes: int = Field(16 << 20, ge=1024, description="a larger page is quarantined")
    max_html_tags: int = Field(500_000, ge=100, description="a page with more tags is quarantined before parsing")
    max_html_depth: int = Field(1_000, ge=10, le=3_000, description="a page nested deeper is quarantined unparsed")
    max_decompression_ratio: float = Field(500.0, ge=2.0, description="beyond it, and 64 MiB, a file is a bomb")
    max_decompressed_bytes: int = Field(1 << 40, ge=1 << 20, description="a file that becomes larger is a bomb")

    @property
    def all_extractors(self) -> list[str]:
        """What takes the text out of a page: one, or several."""
        return self.extractors or [self.extractor]

    @model_validator(mode="after")
    def _several_extractors_are_chosen_from(self) -> "Clean":
        given = self.model_fields_set
        if self.extractors and "extractor" in given and self.extractor != self.extractors[0]:
            raise ValueError("extractor and extractors are both given; give one of them")
        if len(self.extractors) == 1 or len(set(self.extractors)) < len(self.extractors):
            raise ValueError(f"extractors = {self.extractors}: give two or more different ones, or extractor")
        if "choose" in given and not self.extractors and self.choose != "longest":
            raise ValueError(
                f'choose = "{self.choose}" chooses among several: extractors = ["tokenmill", "trafilatura"]'
            )
        return self

    @model_validator(mode="after")
    def _only_our_extractor_writes_markdown(self) -> "Clean":
        others = [name for name in self.all_extractors if name != "tokenmill"]
        if self.markup != "plain" and others:
            raise ValueError(
                f'markup = {self.markup!r} needs extractor = "tokenmill"; {others[0]} writes plain text only'
            )
        return self

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
    keep: str = Field(
        "longest",
        description="which of similar documents stays: the first, the longest, or the highest in a column",
        json_schema_extra=allowed("first", "longest", "a column of documents, a field of the records, or a signal"),
    )
    memory: MemorySize = Field("2GB", description="memory of the join")
    partitions: int = Field(
        0, ge=0, le=10_000, description="parts of the join, each held by one task; 0: by the number of documents"
    )
    seed: int = Field(MINHASH.seed, ge=0, lt=LIMITS.seeds, description="seed of the permutations")
    against: list[RecipePath] = Field(
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


class Tokenize(Section):
    """The tokenizer and the token shards."""

    vocabulary_size: int = Field(
        4096, ge=257, le=2**24, description="entries of the vocabulary, special tokens included"
    )
    validation_share: float = Field(0.02, ge=0.0, lt=1.0, description="share of kept documents held out")
    tokenizer: OptionalRecipePath = Field(
        None, description="a tokenizer.json or .tiktoken file to use instead of training one, relative to the recipe"
    )
    pretokenizer: Literal["gpt2", "cl100k", "qwen2"] = Field(
        "gpt2", description="how text is split before byte pairs are merged; also that of a .tiktoken file"
    )
    end_of_text: str = Field("<|endoftext|>", min_length=1, description="the special token after each document")
    begin_of_text: str = Field(
        "", description="a special token before each document, such as Llama's <|begin_of_text|>; empty: none"
    )
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
    held_out: OptionalRecipePath = Field(
        None, description="a signatures table; neither its documents nor what is near them train (tokenmill ablate)"
    )
    engine: Literal["auto", "tokenizers"] = Field(
        "auto", description="auto: gigatoken where its ids are proven equal to those of tokenizers"
    )
    seed: int = Field(1, ge=0, lt=2**32, description="seed of the split, the order in a shard and the samples")

    @model_validator(mode="after")
    def _vocabulary_holds_bytes_and_special_tokens(self) -> "Tokenize":
        special = [self.end_of_text, *filter(None, [self.begin_of_text]), *self.special_tokens]
        if len(set(special)) != len(special) or "" in special:
            raise ValueError(f"special tokens must differ and not be empty; found {special}")
        if self.vocabulary_size < 256 + len(special):
            raise ValueError(
                f"vocabulary_size = {self.vocabulary_size} cannot hold 256 bytes and {len(special)} special tokens; "
                f"it must be at least {256 + len(special)}"
            )
        return self


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
