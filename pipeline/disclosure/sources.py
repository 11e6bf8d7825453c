"""Section 2 of the template: the sources, as far as the run and the person who knows them say what each is."""

from collections.abc import Iterable

from pipeline.base.words import counted
from pipeline.disclosure.answers import KINDS, NOT_APPLICABLE, Answers
from pipeline.disclosure.crawlers import Crawler
from pipeline.disclosure.domains import SHARE, SME_MOST, SME_SHARE, must_be_named
from pipeline.disclosure.facts import Facts, Size, SourceFacts
from pipeline.disclosure.page import Block, Field, Open, Said, Section, Table, ticked

LARGE = 0.03  # of all public datasets of a modality: those are listed by name
MODALITIES = ("Text", "Image", "Video", "Audio", "Other")
SHOWN_DOMAINS = 20  # with figures


def sources(facts: Facts, answers: Answers, *, sme: bool) -> list[Section]:
    """Sections 2.1 to 2.6."""
    return [
        Section("2. List of data sources", 1, _overview(facts, answers)),
        Section("2.1. Publicly available datasets", 2, _public(facts, answers)),
        Section("2.2. Private non-publicly available datasets obtained from third parties", 2),
        Section(
            "2.2.1. Datasets commercially licensed by rightsholders or their representatives",
            3,
            _licensed(facts, answers),
        ),
        Section("2.2.2. Private datasets obtained from other third parties", 3, _private(facts, answers)),
        Section("2.3. Data crawled and scraped from online sources", 2, _crawled(facts, answers, sme=sme)),
        Section("2.4. User data", 2, _user(facts, answers)),
        Section("2.5. Synthetic data", 2, _synthetic(facts, answers)),
        Section("2.6. Other sources of data", 2, _other(facts, answers)),
    ]


def _of_kind(facts: Facts, answers: Answers, *kinds: str) -> list[SourceFacts]:
    return [found for name, found in facts.sources.items() if answers.kinds.get(name) in kinds]


def _is_used(facts: Facts, answers: Answers, *kinds: str) -> bool | None:
    """Whether a source is of these kinds; None as long as one that was read is of no kind."""
    if any(found.size.documents for found in _of_kind(facts, answers, *kinds)):
        return True
    unknown = [name for name, found in facts.sources.items() if found.size.documents and name not in answers.kinds]
    return None if unknown or facts.other_runs else False


def _overview(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    """The table of `tokenmill licences`, and what each source is."""
    rows = tuple(
        (
            *(row["source"], row["licence"], row["evidence"]),
            *(f"{row['documents']:,}", f"{row['tokens']:,}", f"{row['share']:.2%}"),
        )
        for row in facts.total["rows"]
    )
    table = Table(("source", "licence", "evidence", "documents", "tokens read", "share"), rows, numbers=(3, 4, 5))
    size = facts.size
    total = f"In all {facts.total['tokens']:,} tokens of {counted(size.documents, 'document')} were read."
    blocks: list[Block] = [table, Said(total)]
    for name in facts.other_runs:
        blocks.append(Open(f"the documents of the run {name}, which is mixed in, are in its own summary: add them"))
    kinds = Field("2.sources", "Sources of this run", tuple(blocks))
    return kinds, Field("2.kinds", "What each source is", tuple(_kinds(facts, answers)))


def _kinds(facts: Facts, answers: Answers) -> Iterable[Block]:
    for name, found in facts.sources.items():
        if not found.size.documents:
            continue
        if kind := answers.kinds.get(name):
            yield Said(f"{name}: {KINDS[kind]}.")
        else:
            yield Open(f"{name}: {', '.join(KINDS)}? ([sources] of the file of answers)")


def _modality(key: str, label: str, asked: bool | None) -> Field:
    if asked is False:
        return Field(key, label, (Said(NOT_APPLICABLE),))
    known = () if asked else (Said("If yes: Text, since nothing else was read."),)
    return Field(key, label, (ticked(MODALITIES, ("Text",) if asked else ()), *known))


def _public(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    found = _of_kind(facts, answers, "public")
    total = max(1, sum(one.size.tokens for one in found))
    large = [one for one in found if one.size.tokens >= LARGE * total]
    small = [one for one in found if 0 < one.size.tokens < LARGE * total]
    question = "Have you used publicly available datasets to train the model?"
    used, is_so = answers.yes_no("2.1.used", question, is_so=_is_used(facts, answers, "public"))
    label = "If yes, specify the modality(ies) of the content covered by the datasets concerned"
    return (
        used,
        _modality("2.1.modalities", label, is_so),
        answers.following(
            "2.1.large",
            "List of large publicly available datasets",
            *([_table(large)] if large else []),
            asked=is_so,
            ask="name, version and link of each, and its period of collection",
        ),
        answers.following(
            "2.1.others",
            "General description of other publicly available datasets not listed above",
            *([_table(small)] if small else []),
            asked=is_so if small or is_so is None else False,
            ask="what they are",
        ),
        answers.optional("2.1.comments", "Additional comments (optional)"),
    )


def _table(found: Iterable[SourceFacts]) -> Table:
    rows = tuple(
        (one.source.name, ", ".join(sorted(one.licences)), f"{one.size.documents:,}", f"{one.size.read:,}")
        for one in found
    )
    return Table(("source", "licences", "documents", "tokens read"), rows, numbers=(2, 3))


def _licensed(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    question = "Have you concluded transactional commercial licensing agreement(s) with rightsholder(s) or with "
    question += "their representatives?"
    used, is_so = answers.yes_no("2.2.1.used", question, is_so=_is_used(facts, answers, "licensed"))
    label = "If yes, specify the modality(ies) of the content covered by the datasets concerned"
    return used, _modality("2.2.1.modalities", label, is_so)


def _private(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    question = "Have you obtained private datasets from third parties that are not licensed as described in Section "
    question += "2.2.1, such as data obtained from providers of private databases, or data intermediaries?"
    used, is_so = answers.yes_no("2.2.2.used", question, is_so=_is_used(facts, answers, "private"))
    label = "If yes, specify the modality(ies) of the content covered by the datasets concerned"
    known = "If publicly known, list private datasets obtained from other third parties"
    unknown = "General description of non-publicly known private datasets obtained from third parties"
    return (
        used,
        _modality("2.2.2.modalities", label, is_so),
        answers.following("2.2.2.known", known, asked=is_so, ask="their names, with links"),
        answers.following("2.2.2.description", unknown, asked=is_so, ask="what they are"),
        answers.optional("2.2.2.comments", "Additional comments (optional)"),
    )


def _crawled(facts: Facts, answers: Answers, *, sme: bool) -> tuple[Field, ...]:
    used, is_so = answers.yes_no(
        "2.3.used",
        "Were crawlers used by the provider or on behalf of?",
        is_so=_is_used(facts, answers, "crawled"),
    )
    # as long as nobody has said which sources are crawled, each that has web pages may be
    found = _of_kind(facts, answers, "crawled") or [
        one for name, one in facts.sources.items() if name not in answers.kinds and (one.domains or one.months)
    ]
    names = {one.source.name for one in found}
    said = [Said(text) for text in _crawler_words(facts.crawlers, names)]
    periods = [Said(f"{one.source.name}: {one.crawled_from}.") for one in found if one.crawled_from]
    wide = [_table(found)] if found else []
    comprehensive = "Comprehensive description of the type of content and online sources crawled"
    return (
        used,
        answers.following(
            "2.3.names", "If yes, specify crawler name(s)/identifier(s)", *said, asked=is_so, ask="their names"
        ),
        answers.following("2.3.purposes", "Purposes of the crawler(s)", asked=is_so, ask="what for"),
        answers.following(
            "2.3.behaviour",
            "General description of crawler behaviour",
            asked=is_so,
            ask="how they treat robots.txt, captchas, paywalls, and sites that ask for less load",
        ),
        answers.following(
            "2.3.period",
            "Period of data collection",
            *periods,
            asked=is_so,
            ask="" if periods and len(periods) == len(found) else "from MM/YYYY to MM/YYYY",
        ),
        answers.following("2.3.content", comprehensive, *wide, asked=is_so, ask="which kinds of sites, and why these"),
        _modality("2.3.modalities", "Type of modality covered", is_so),
        answers.following(
            "2.3.domains",
            "Summary of the most relevant domain names crawled",
            *_domains(found, sme=sme),
            asked=is_so,
            ask="" if any(one.domains for one in found) else "the domains: no document names a web address",
        ),
        answers.optional("2.3.comments", "Additional comments (optional)"),
    )


def _crawler_words(crawlers: Iterable[Crawler], names: set[str]) -> Iterable[str]:
    for crawler in crawlers:
        if crawler.source not in names:
            continue
        said = "; ".join(f"{name}: {value}" for name, value in crawler.said)
        if said:
            yield f"{crawler.source}, by the heads of its web archives: {said}."
        else:
            yield f"{crawler.source}: its web archives do not say what made them."
        if crawler.unread:
            yield f"{crawler.source}: {counted(crawler.unread, 'archive')} could not be asked, or were not."


def _domains(found: Iterable[SourceFacts], *, sme: bool) -> Iterable[Block]:
    sizes: dict[str, Size] = {}
    for one in found:
        for name, size in one.domains.items():
            sizes.setdefault(name, Size()).add(size.documents, size.read, size.tokens)
    if not sizes:
        return
    named = must_be_named({name: size.tokens for name, size in sizes.items()}, sme=sme)
    which = f"the top {SME_SHARE:.0%}, at most {SME_MOST:,}" if sme else f"the top {SHARE:.0%}"
    yield Said(
        f"{len(named):,} of {counted(len(sizes), 'domain name')}, {which}, the largest first, by tokens of what was "
        "taken from each and read in training:"
    )
    yield Said(", ".join(named))
    rows = tuple(
        (name, f"{sizes[name].documents:,}", f"{sizes[name].tokens:,}", f"{sizes[name].read:,}")
        for name in named[:SHOWN_DOMAINS]
    )
    yield Table(("domain name", "documents", "tokens", "tokens read"), rows, numbers=(1, 2, 3))


def _user(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    # which of the two it is, only a person knows
    known = False if _is_used(facts, answers, "user") is False else None
    prompts, first = answers.yes_no(
        "2.4.model",
        "Was data from user interactions with the AI model (e.g. user input and prompts) used to train the model?",
        is_so=known,
    )
    services, second = answers.yes_no(
        "2.4.services",
        "Was data collected from user interactions with the provider's other services or products used to train the "
        "model?",
        is_so=known,
    )
    either = True if first or second else (None if first is None or second is None else False)
    label = "If yes, provide a general description of the provider's services or products that were used to collect "
    return (
        prompts,
        services,
        answers.following("2.4.description", f"{label}the user data", asked=either, ask="which services"),
        _modality("2.4.modalities", "Type of modality covered", either),
        answers.optional("2.4.comments", "Additional comments (optional)"),
    )


def _synthetic(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    used, is_so = answers.yes_no(
        "2.5.used",
        "Was synthetic AI-generated data created by the provider or on their behalf to train the model?",
        is_so=_is_used(facts, answers, "synthetic"),
    )
    on_market = "If yes, specify the general-purpose AI model(s) used to generate the synthetic data if available on "
    on_market += "the market"
    others = "Information about other AI models, including provider's own AI model(s) not available on the market, "
    others += "used to generate synthetic data to train the model to which this Summary applies"
    return (
        used,
        _modality("2.5.modalities", "If yes, modality of the synthetic data", is_so),
        answers.following("2.5.models", on_market, asked=is_so, ask="their names, with links to their summaries"),
        answers.following("2.5.others", others, asked=is_so, ask="which they are, and what they were trained on"),
        answers.optional("2.5.comments", "Additional comments (optional)"),
    )


def _other(facts: Facts, answers: Answers) -> tuple[Field, ...]:
    question = "Have data sources other than those described in Sections 2.1 to 2.5 been used to train the model?"
    found = _of_kind(facts, answers, "own")
    used, is_so = answers.yes_no("2.6.used", question, is_so=_is_used(facts, answers, "own"))
    return (
        used,
        answers.following(
            "2.6.description",
            "If yes, provide a narrative description of these data sources and the data",
            *([_table(found)] if found else []),
            asked=is_so,
            ask="what they are, and where they come from",
        ),
        answers.optional("2.6.comments", "Additional comments (optional)"),
    )
