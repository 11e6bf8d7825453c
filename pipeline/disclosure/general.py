"""Section 1 of the template: who, which model, which modalities, how much, which languages."""

import datetime

from pipeline.base.words import counted
from pipeline.disclosure.answers import Answers
from pipeline.disclosure.facts import NO_LANGUAGE, Facts
from pipeline.disclosure.page import Field, Said, Section, Table, ticked
from pipeline.run.checkpoints import recorded

SIZES = ("Less than 1 billion tokens", "1 billion to 10 trillion tokens", "More than 10 trillion tokens")
SIZE_BOUNDS = (10**9, 10**13)
OFFICIAL = {  # languages of the Union
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "ga", "hr"),
    *("hu", "it", "lt", "lv", "mt", "nl", "pl", "pt", "ro", "sk", "sl", "sv"),
}
MOST_LANGUAGES = 40


def head(facts: Facts, answers: Answers, today: datetime.date) -> Section:
    """What stands above the sections."""
    fields = (
        answers.field("version", "Version of the Summary", ask="its version, with links to earlier ones"),
        answers.field("updated", "Last update", Said(f"{today:%d/%m/%Y}"), ask=""),
    )
    return Section("", 1, fields)


def general(facts: Facts, answers: Answers) -> list[Section]:
    """Sections 1.1 to 1.3."""
    provider = (
        answers.field("1.1.provider", "Provider name and contact details", ask="name, address, web page, e-mail"),
        answers.field(
            "1.1.representative",
            "Authorised representative name and contact details",
            ask="where the provider is established outside the Union (Article 54); otherwise: not applicable",
        ),
    )
    return [
        Section("1. General information", 1),
        Section("1.1. Provider identification", 2, provider),
        Section("1.2. Model identification", 2, _model(facts, answers)),
        Section("1.3. Modalities, overall training data size and other characteristics", 2, _data(facts, answers)),
    ]


def _model(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    recipe = facts.run.recipe
    built = f"Trained by the recipe {recipe.name}; checkpoint after step {facts.step:,}."
    begun = recorded(facts.run.root, facts.step)["config"].get("init")
    if begun:
        name = (recipe.model.init or "").rstrip("/").rpartition("/")[2]
        dependency = Said(f"The training went on from the weights in the folder {name or 'that the recipe names'}.")
        ask = "the name and version of that model, its provider, and a link to its own summary"
    else:
        dependency = Said("None: it was trained from random weights.")
        ask = ""
    return (
        answers.field(
            "1.2.names", "Versioned model name(s)", Said(built), ask="the name and version it is made available under"
        ),
        answers.field("1.2.dependencies", "Model dependencies", dependency, ask=ask),
        answers.field(
            "1.2.placed", "Date of placement of the model on the Union market", ask="the date, or that of each version"
        ),
    )


def _data(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    size = facts.size
    bounds = [bound for bound in SIZE_BOUNDS if size.tokens >= bound]
    how_much = (
        f"{size.tokens:,} tokens of {counted(size.documents, 'document')}, each counted once; in training "
        f"{facts.total['tokens']:,} tokens were read, some of them more than once or not at all."
    )
    formats = sorted({kind for found in facts.sources.values() for kind in found.formats})
    return (
        Field(
            "1.3.modalities",
            "Modalities",
            (ticked(("Text", "Image", "Audio", "Video", "Other"), ("Text",)), Said("Nothing but text is read.")),
        ),
        answers.field(
            "1.3.size", "Training data size (text)", ticked(SIZES, (SIZES[len(bounds)],)), Said(how_much), ask=""
        ),
        answers.field(
            "1.3.content",
            "Types of content (text)",
            *([Said(f"Read from files of the formats {', '.join(formats)}.")] if formats else []),
            ask="what it is: fiction, news, scientific or legal text, code, advertising, social media, ...",
        ),
        _latest(facts, answers),
        answers.field(
            "1.3.languages",
            "Description of the linguistic characteristics of the overall training data",
            *_languages(facts),
            ask="",
        ),
        answers.field(
            "1.3.other",
            "Other relevant characteristics of the overall training data",
            ask="such as national, regional or demographic specificities",
        ),
        answers.optional("1.3.comments", "Additional comments (optional)"),
    )


def _latest(facts: Facts, answers: Answers) -> Field:
    months = {month for found in facts.sources.values() for month in found.months}
    known = []
    if months:
        last = max(months)
        known = [Said(f"Web archives: {last[5:]}/{last[:4]}, by the dates of their records.")]
    ask = "month and year of the other sources too" if months else "month and year (MM/YYYY)"
    return answers.field(
        "1.3.latest",
        "Latest date of data acquisition/collection for model training",
        *known,
        ask=f"{ask}; and whether the model is trained on new data after that date",
    )


def _languages(facts: Facts) -> list[Table | Said]:
    by_size = sorted(facts.languages.items(), key=lambda item: (-item[1].read, item[0]))
    total = max(1, facts.total["tokens"])
    rows = tuple(
        (name, f"{size.documents:,}", f"{size.read:,}", f"{size.read / total:.2%}")
        for name, size in by_size[:MOST_LANGUAGES]
    )
    if not rows:
        return [Said("The languages of the documents are not known.")]
    known = [name for name, _ in by_size if name != NO_LANGUAGE]
    official = sorted(OFFICIAL & set(known))
    words = f"{counted(len(known), 'language')}, of which official languages of the Union: {len(official)} of 24"
    more = f" ({', '.join(official)})." if official else "."
    rest = len(by_size) - len(rows)
    how = "Languages are told by fastText, with a model of the package or the recipe, or stated by the record."
    told = [Said(f"{words}{more} {how}")]
    if rest:
        told.append(Said(f"And {counted(rest, 'language')} of which less was read."))
    return [Table(("language", "documents", "tokens read", "share"), rows, numbers=(1, 2, 3)), *told]
