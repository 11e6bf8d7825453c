"""The proposal as a recipe with comments, and as the lines that a person is told."""

import math
import os
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base import storage
from pipeline.base.words import counted, rounded
from pipeline.proposal.estimate import LANGUAGE_CHARACTERS, UNKNOWN, Estimate, Sample
from pipeline.proposal.not_written import are_source_code
from pipeline.proposal.sizes import FEWEST_TOKENS, LEAST_HELD_OUT, MOST_HELD_OUT, VALIDATION_TOKENS, Sizes
from pipeline.proposal.sources import Found, Proposed
from pipeline.recipe.load import toml_value
from pipeline.recipe.options import Clean
from pipeline.screen.kind_words import kinds_listed, tally

WEB_FORMATS = ("warc",)
WEB_SHARE = 0.5  # of the text: below, pages of a crawl lie among other things
CRAWL_ALONE = 0.95  # of the text: the rules for the web keep a third of a crawl, and that is what they are for
CLEAN_FORMATS = frozenset({"parquet", "arrow", "jsonl", "json"})
LEAST_TOLD = 0.001
MIN_KEPT = 0.3  # filter.min_kept of a recipe
NEAR = 1.4  # times as much as that: a sample may say so much too much
FAR_MORE = 1.5  # times what the other keeps
FEWEST_KEPT = 0.5  # of the sample: below, the rules take these texts for something that they are not
LANGUAGE_IS_SURE = 0.9  # of what the rules without a language keep, the rules with one keep at least so much
SURE = 0.8  # of the sample's documents that the web rules keep: then the text is of the kind they were made for
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
    if tried.why_none:
        return "own", "a guess, as nothing was sampled"
    crawled, share = _crawled(tried), kept_share(tried, "web")
    if crawled >= CRAWL_ALONE or (crawled >= WEB_SHARE and not _keeps_too_little(tried)):
        return "web", f"{crawled:.0%} of the text is of WARC files"
    chosen, why = _without_a_crawl(found, tried)
    if crawled >= WEB_SHARE:
        told = f'"web" would keep {share:.0%}, and a run of it stops below filter.min_kept = {MIN_KEPT:g}'
        return chosen, f"{crawled:.0%} of the text is of WARC files, but {told}"
    if found.formats["warc"]:
        of_it = f"{crawled:.1%}" if crawled >= LEAST_TOLD else "hardly any"
        return chosen, f"{of_it} of the text is of WARC files; {why}"
    return chosen, why


def _crawled(tried: Estimate) -> float:
    """The share of the text that comes from files of a crawl."""
    return sum(tried.by_kind[kind] for kind in WEB_FORMATS) / max(1, sum(tried.by_kind.values()))


def _keeps_too_little(tried: Estimate) -> bool:
    """Whether the web rules may keep less than a run lets pass, where the rules for one's own text keep far more."""
    web, own = kept_share(tried, "web"), kept_share(tried, "own")
    return web < NEAR * MIN_KEPT and own > FAR_MORE * web


def _without_a_crawl(found: Found, tried: Estimate) -> tuple[str, str]:
    if are_source_code(found.read):
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
    return "own", f"the web rules would keep {share:.0%} of the sample"


def gate(tried: Estimate) -> float | None:
    """What ``clean.max_quarantined`` has to be for such a sample to pass; None where the default does."""
    if tried.sample.damaged_share <= Clean().max_quarantined / 2:
        return None
    return min(1.0, math.ceil(20 * (1.5 * tried.sample.damaged_share)) / 20)


def least_kept(tried: Estimate, preset: str) -> float:
    """What ``filter.min_kept`` has to be for such a sample to pass with these rules."""
    share = kept_share(tried, preset)
    return MIN_KEPT if not tried.unique or share >= NEAR * MIN_KEPT else math.floor(50 * share) / 100


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
    common = [name for name, count in tried.languages.most_common(4) if count >= 0.02 * max(1, tried.documents)]
    main = [name for name in common if name != UNKNOWN]
    yield from ("", "[clean]", 'pii = "replace"  # e-mail and IP addresses, telephone, card, account numbers; or off')
    if (share := gate(tried)) is not None:
        told = f"of the sample {tried.sample.damaged_share:.1%} are damaged; see what, then lower it"
        yield f"max_quarantined = {share:g}  # {told}"
    yield f"language_characters = {LANGUAGE_CHARACTERS}  # to tell the language by: more than of a crawl's pages"
    yield from ("", "[filter]", f"preset = {toml_value(proposal.preset)}  # {proposal.why}")
    yield from _comment([f"{name}: {ABOUT[name]}{_kept(tried, name)}" for name in ABOUT])
    least = least_kept(tried, proposal.preset)
    low = "" if least == MIN_KEPT else f"; lower than {MIN_KEPT:g}, as this preset keeps little of the sample"
    yield f"min_kept = {least:g}  # stop rather than train on what is left, where fewer documents pass{low}"
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
    yield f"validate_every_steps = {validate_every(sizes.steps)}"


def validate_every(steps: int) -> int:
    """Steps between validations: a quarter, rounded up, so that the last part is no rest of a step or two."""
    return math.ceil(steps / 4)


def _held_out(share: float) -> str:
    if not share:
        return "one document: none can be held out"
    limit = f", but no more than {MOST_HELD_OUT:.0%}" if share >= MOST_HELD_OUT else ""
    limit = f", or {LEAST_HELD_OUT:.0%} where that is more" if share <= LEAST_HELD_OUT else limit
    return (
        f"whole documents held out by lot, about {VALIDATION_TOKENS:,} tokens{limit}; more or less where a few are long"
    )


def files_in_words(found: Found) -> list[str]:
    """The files, a line each for what is read, what nobody reads, and what cannot be opened."""
    size = f"{counted(found.files, 'file')}, {found.bytes / 1e6:,.1f} MB"
    lines = [f"{size}: {tally(found.formats) or 'nothing that is read'}"]
    if found.unsupported or found.excluded:
        lines.append(f"not read: {kinds_listed(found.unsupported + found.excluded)}")
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
    if tried.why_none:
        lines.append(f"{tried.why_none}; so preset, model and steps are guesses by the bytes of the files")
    else:
        lines.append(f"{looked_at(tried)}; languages {_shares(tried.languages) or 'unknown'}")
    lines += [f"  {kind}: {tally(counts)}" for kind, counts in _not_read(tried.sample) if counts]
    lines += [f"    {place}" for place in tried.sample.damaged_places[:MOST_DAMAGED_SHOWN]]
    if gate(tried) is not None:
        lines.append(f"  so the recipe has clean.max_quarantined = {gate(tried):g}: see what is damaged, then lower it")
    if tried.unique:
        kept = ", ".join(f"{name} {kept_share(tried, name):.0%}" for name in ABOUT)
        lines.append(f"kept by preset: {kept}; chosen: {proposal.preset} ({proposal.why})")
        if (least := least_kept(tried, proposal.preset)) < MIN_KEPT:
            lines.append(f"  so the recipe has filter.min_kept = {least:g}: with so little kept, look at other presets")
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
    minutes = (
        f", some {counted(max(1, round(sizes.seconds / 60)), 'minute')} on this machine when it is idle"
        if sizes.seconds
        else ""
    )
    model = f"a model of {sizes.weights / 1e6:.1f} million weights, {sizes.steps} steps{minutes}"
    return f"about {rounded(tokens)} tokens: {model}"


def _shares(counts: Counter[str]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{name} {count / total:.0%}" for name, count in counts.most_common(4) if count >= 0.005 * total)
