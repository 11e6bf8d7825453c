"""The proposal as a recipe with comments, and as the lines that a person is told."""

import math
import os
import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base import storage
from pipeline.base.words import counted, largest_first, rounded
from pipeline.proposal.estimate import LANGUAGE_CHARACTERS, Estimate, Sample
from pipeline.proposal.sizes import FEWEST_TOKENS, LEAST_HELD_OUT, MOST_HELD_OUT, VALIDATION_TOKENS, Sizes
from pipeline.proposal.sources import Found, Proposed
from pipeline.recipe.load import toml_value
from pipeline.recipe.options import Clean

WEB_FORMATS = ("warc",)
CLEAN_FORMATS = frozenset({"parquet", "arrow", "jsonl", "json"})
CODE_ENDINGS = frozenset(re.findall(r"\w+", "c cc cpp cs go h hpp java jl js kt lua php pl py r rb rs sh"))
FEWEST_KEPT = 0.5  # of the sample: below, the rules take these texts for something that they are not
LANGUAGE_IS_SURE = 0.9  # of what the rules without a language keep, the rules with one keep at least so much
SURE = 0.8  # of the sample's documents that the web rules keep: then the text is of the kind they were made for
CODE_SHARE = 0.3  # of the files
MOST_SHOWN = 8
MOST_DAMAGED_SHOWN = 3
PII_TOLD = 'clean.pii = "replace" puts placeholders for mail addresses, telephone and card numbers; "off" leaves them'
WIDTH = 100  # of a comment
ABOUT = {
    "web": "pages of a crawl: the published rules of Gopher, C4 and FineWeb",
    "own": "manuals, contracts, notes, mail: duplicates and endless repetition go, short and list-like text stays",
    "code-and-docs": "code beside its documentation: as own, without a language",
    "clean": "text that was curated before: nothing is dropped but duplicates",
}


@dataclass(frozen=True)
class Proposal:
    """Everything that the recipe is written from."""

    name: str
    found: Found
    sources: Sequence[Proposed]
    tried: Estimate
    preset: str
    why: str
    sizes: Sizes
    tokens: int  # that the preset keeps of all files, by the sample


def choose_preset(found: Found, tried: Estimate) -> tuple[str, str]:
    """The preset that suits the files, and why."""
    total = sum(found.formats.values())
    if any(found.formats[kind] for kind in WEB_FORMATS):
        return "web", "there are WARC files"
    endings = Counter(file.path.rsplit(".", 1)[-1].lower() for file in found.inputs.files)
    if sum(endings[ending] for ending in CODE_ENDINGS) > CODE_SHARE * max(1, total):
        return "code-and-docs", "many of the files are source code"
    share = kept_share(tried, "web")
    if set(found.formats) <= CLEAN_FORMATS and share >= SURE:
        return "clean", f"all are data sets, and even the web rules keep {share:.0%} of the sample"
    own, without_language = kept_share(tried, "own"), kept_share(tried, "code-and-docs")
    if without_language < FEWEST_KEPT:
        return "clean", f"even the rules for one's own text would keep {without_language:.0%} of the sample"
    if own < LANGUAGE_IS_SURE * without_language:
        lost = without_language - own
        return "code-and-docs", f"the language of {lost:.0%} of the sample is not sure, as with markup or short notes"
    return "own", f"no crawl; the web rules would keep {share:.0%} of the sample"


def gate(tried: Estimate) -> float | None:
    """What ``clean.max_quarantined`` has to be for such a sample to pass; None where the default does."""
    if tried.sample.damaged_share <= Clean().max_quarantined / 2:
        return None
    return min(1.0, math.ceil(20 * (1.5 * tried.sample.damaged_share)) / 20)


def kept_share(tried: Estimate, rules: str) -> float:
    """The share of the documents that are no duplicates which a preset keeps."""
    return tried.by[rules].documents / tried.unique if rules in tried.by and tried.unique else 0.0


def source_tables(paths: Sequence[str], sources: Sequence[Proposed]) -> list[dict[str, Any]]:
    """The sources as a recipe has them, with these paths."""
    tables = []
    for source in sources:
        table: dict[str, Any] = {"name": source.name, "paths": list(paths), "format": source.format}
        table |= {key: list(value) for key in ("include", "exclude") if (value := getattr(source, key))}
        tables.append(table | ({"fields": source.fields} if source.fields else {}))
    return tables


def relative_paths(paths: Sequence[str], folder: str) -> list[str]:
    """Paths as seen from the recipe's folder where they lie below it, else absolute."""
    shown = []
    for path in paths:
        if not storage.is_local(path):
            shown.append(path)
            continue
        whole = os.path.abspath(path)
        relative = os.path.relpath(whole, folder)
        shown.append(whole if relative.startswith("..") else relative)
    return shown


def recipe_text(proposal: Proposal, paths: Sequence[str], command: str) -> str:
    """The recipe; it loads, and says of each choice what it was made from."""
    return "\n".join(_recipe_lines(proposal, paths, command)) + "\n"


def _recipe_lines(proposal: Proposal, paths: Sequence[str], command: str) -> Iterator[str]:
    yield from _comment([f"Proposed by `{command}`; yours to change. Every key: docs/recipes.md, or any with a typo."])
    yield f"name = {toml_value(proposal.name)}"
    yield 'stages = ["clean", "dedup", "filter", "tokenize", "train", "report"]'
    yield from _comment(files_in_words(proposal.found))
    for source, table in zip(proposal.sources, source_tables(paths, proposal.sources), strict=True):
        yield ""
        yield from _comment([source.why] if source.why else [])
        yield "[[sources]]"
        yield from (f"{key} = {toml_value(value)}" for key, value in table.items())
        yield '# licence = "CC-BY-4.0"  # an SPDX name, of records that name none'
    yield from _curation_lines(proposal)
    yield from _model_lines(proposal.sizes, proposal.tokens)


def _comment(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield from textwrap.wrap(line, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)


def _curation_lines(proposal: Proposal) -> Iterator[str]:
    tried = proposal.tried
    main = [name for name, count in tried.languages.most_common(4) if count >= 0.02 * max(1, tried.documents)]
    yield from ("", "[clean]", 'pii = "replace"  # e-mail and IP addresses, telephone, card, account numbers; or off')
    if (share := gate(tried)) is not None:
        told = f"of the sample {tried.sample.damaged_share:.1%} are damaged; see what, then lower it"
        yield f"max_quarantined = {share:g}  # {told}"
    yield f"language_characters = {LANGUAGE_CHARACTERS}  # to tell the language by: more than of a crawl's pages"
    yield from ("", "[filter]", f"preset = {toml_value(proposal.preset)}  # {proposal.why}")
    yield from _comment([f"{name}: {ABOUT[name]}{_kept(tried, name)}" for name in ABOUT])
    yield "min_kept = 0.3  # stop rather than train on what is left, where fewer documents pass"
    yield from _comment([f"languages, by the sample: {_shares(tried.languages) or 'unknown'}; to keep some alone:"])
    yield f"# languages = {toml_value(main)}"


def _kept(tried: Estimate, preset: str) -> str:
    return f"; keeps {kept_share(tried, preset):.0%} of the sample" if tried.unique else ""


def _model_lines(sizes: Sizes, tokens: int) -> Iterator[str]:
    yield from ("", "[tokenize]", f"vocabulary_size = {sizes.vocabulary_size}")
    told = _held_out(sizes.validation_share)
    yield f"validation_share = {sizes.validation_share:g}  # {told}"
    yield from ("", "[model]", f"depth = {sizes.depth}  # layers = heads = {sizes.depth}, width = {64 * sizes.depth}")
    yield f"context_length = {sizes.context_length}"
    trained = sizes.steps * sizes.global_batch_tokens
    yield from ("", "[train]", f"steps = {sizes.steps}  # {trained:,} tokens, {trained / max(1, tokens):.1f} passes")
    yield f"global_batch_tokens = {sizes.global_batch_tokens}"
    yield f"validate_every_steps = {max(1, sizes.steps // 4)}"


def _held_out(share: float) -> str:
    if not share:
        return "one document: none can be held out"
    limit = f", but no more than {MOST_HELD_OUT:.0%}" if share >= MOST_HELD_OUT else ""
    limit = f", or {LEAST_HELD_OUT:.0%} where that is more" if share <= LEAST_HELD_OUT else limit
    return f"whole documents held out, about {VALIDATION_TOKENS:,} tokens to measure the model with{limit}"


def files_in_words(found: Found) -> list[str]:
    """The files, a line each for what is read, what nobody reads, and what cannot be opened."""
    lines = [f"{counted(found.files, 'file')}, {found.bytes / 1e6:,.1f} MB: {_listed(found.formats)}"]
    if found.unsupported or found.excluded:
        lines.append(f"not read: {_listed(found.unsupported + found.excluded)}")
    if found.unreadable:
        shown = ", ".join(found.unreadable[:3])
        lines.append(f"cannot be read: {counted(len(found.unreadable), 'file')}, such as {shown}")
    return lines


def told(proposal: Proposal, recipe: str) -> str:
    """What a person is told: files, sample, presets, size, and what to do next."""
    tried = proposal.tried
    lines = files_in_words(proposal.found)
    told = [source for source in proposal.sources if source.why]
    lines += [f"source {source.name}: {source.why}{_fields(source.fields)}" for source in told]
    lines.append(f"{looked_at(tried)}; languages {_shares(tried.languages) or 'unknown'}")
    lines += [f"  {kind}: {_listed(counts)}" for kind, counts in _not_read(tried.sample) if counts]
    lines += [f"    {place}" for place in tried.sample.damaged_places[:MOST_DAMAGED_SHOWN]]
    if gate(tried) is not None:
        lines.append(f"  so the recipe has clean.max_quarantined = {gate(tried):g}: see what is damaged, then lower it")
    if tried.unique:
        kept = ", ".join(f"{name} {kept_share(tried, name):.0%}" for name in ABOUT)
        lines.append(f"kept by preset: {kept}; chosen: {proposal.preset} ({proposal.why})")
    lines.append(f"private data: {PII_TOLD}")
    lines.append(_size_in_words(proposal))
    if recipe != "-":
        run = f"tokenmill run {shlex.quote(recipe)}"
        lines += [f"written: {recipe}", f"next: {run} --dry-run, then without --dry-run"]
    return "\n".join(lines)


def looked_at(tried: Estimate) -> str:
    """How much was looked at, and how many documents there are by that."""
    sample = tried.sample
    twins = sample.documents - sample.unique
    same = f", {twins:,} of them the same as others" if twins else ""
    found = f"{counted(sample.documents, 'document')} of {counted(sample.records, 'record')}{same}"
    if tried.whole:
        return f"all of it looked at: {found}"
    share, documents = f"{min(tried.share, 0.999):.1%}", counted(round(tried.documents), "document")
    return f"sample of {share} of the bytes: {found}; about {documents} in all"


def _not_read(tried: Sample) -> Iterator[tuple[str, Mapping[str, int]]]:
    yield "excluded", tried.excluded
    yield "damaged", tried.quarantined


def _fields(fields: Mapping[str, str]) -> str:
    return f"; fields = {toml_value(dict(fields))}" if fields else ""


def _size_in_words(proposal: Proposal) -> str:
    sizes, tokens = proposal.sizes, proposal.tokens
    if tokens < FEWEST_TOKENS:
        return (
            f"about {rounded(tokens)} tokens: too few to train a language model from nothing; the recipe makes a very "
            "small one, and model.init would go on from an open model instead (docs/model.md)"
        )
    minutes = f", some {counted(max(1, round(sizes.seconds / 60)), 'minute')} on this machine" if sizes.seconds else ""
    model = f"a model of {sizes.weights / 1e6:.1f} million weights, {sizes.steps} steps{minutes}"
    return f"about {rounded(tokens)} tokens: {model}"


def _shares(counts: Counter[str]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{name} {count / total:.0%}" for name, count in counts.most_common(4) if count >= 0.005 * total)


def _listed(counts: Mapping[str, int]) -> str:
    ordered = largest_first(counts)
    shown = ", ".join(f"{name} {count:,}" for name, count in ordered[:MOST_SHOWN])
    more = len(ordered) - MOST_SHOWN
    return (shown or "nothing") + (f", and {counted(more, 'more kind')}" if more > 0 else "")
