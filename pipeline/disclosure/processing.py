"""Section 3 of the template: reservations of rights, illegal content, and what else was done to the data."""

from pipeline.base.words import counted
from pipeline.disclosure.answers import Answers
from pipeline.disclosure.facts import PII, Facts
from pipeline.disclosure.page import Block, Field, Said, Section

MARKS = {
    "noai": "noai (robots meta tag or X-Robots-Tag header)",
    "noimageai": "noimageai (robots meta tag or X-Robots-Tag header)",
    "noml": "noml (robots meta tag or X-Robots-Tag header)",
    "tdm-reservation": "tdm-reservation: 1 (meta tag, header or tdmrep.json, W3C TDM Reservation Protocol)",
    "content-usage": "Content-Usage: train-ai=n (header, IETF AI Preferences)",
    "content-signal": "Content-Signal: ai-train=no (header)",
    "ai-agent": "a robots meta tag or X-Robots-Tag header that names a robot of AI",
    "robots": "robots.txt, where the input or the recipe has it, for robots of AI",
}
PII_WORDS = dict(
    zip(
        PII,
        (
            *("e-mail address", "IP address", "telephone number", "IBAN", "payment card number", "key or password"),
            "national identity number",
        ),
        strict=True,
    )
)


def processing(facts: Facts, answers: Answers) -> list[Section]:
    """Sections 3.1 to 3.3."""
    signatory, _ = answers.yes_no(
        "3.1.signatory",
        "Are you a Signatory to the Code of Practice for general-purpose AI models that includes commitments to "
        "respect reservations of rights from the TDM exception or limitation?",
        is_so=None,
    )
    measures = answers.field(
        "3.1.measures",
        "Describe the measures implemented before model training to respect reservations of rights from the TDM "
        "exception or limitation before and during data collection, including the opt-out protocols and solutions "
        "honoured by the provider or, as applicable, by third parties from which datasets have been obtained",
        *(Said(text) for text in _rights(facts)),
        ask="what the crawlers, or the makers of the datasets, did: robots.txt, ai.txt, terms of service, requests",
    )
    illegal = answers.field(
        "3.2.measures",
        "General description of measures taken",
        *(Said(text) for text in _unwanted(facts)),
        ask="what is done against illegal content, such as child sexual abuse material and terrorist content",
    )
    comments = answers.optional("3.1.comments", "Additional comments (optional)")
    return [
        Section("3. Data processing aspects", 1),
        Section(
            "3.1. Respect of reservation of rights from text and data mining exception or limitation",
            2,
            (signatory, measures, comments),
        ),
        Section("3.2. Removal of illegal content", 2, (illegal,)),
        Section("3.3. Other information (optional)", 2, (_others(facts, answers),)),
    ]


def _rights(facts: Facts) -> list[str]:
    recipe, excluded = facts.run.recipe, facts.excluded["opt_out"]
    found = []
    if recipe.clean.opt_outs:
        marks = "; ".join(MARKS[mark] for mark in recipe.clean.opt_outs)
        found.append(
            f"Pages that carry one of these marks were not read: {marks}. "
            f"{counted(excluded, 'page was', 'pages were')} left out for that before the text was looked at."
        )
    if recipe.filter.opt_out and "filter" in recipe.stages:
        found.append(f"Documents with the marks {', '.join(recipe.filter.opt_out)} were dropped by the filter.")
    if left := {mark: count for mark, count in facts.opt_out.items() if count}:
        words = ", ".join(f"{mark}: {counted(count, 'document')}" for mark, count in sorted(left.items()))
        found.append(f"Documents that were trained on although they carry a mark: {words}.")
    if not recipe.clean.opt_outs:
        found.append("No mark of a page kept it from being read.")
    rules = recipe.filter.licence
    if "filter" in recipe.stages and (rules.allow or rules.deny):
        found.append(
            f"Documents were dropped by their licence (allowed: {', '.join(rules.allow) or 'all'}; not "
            f"allowed: {', '.join(rules.deny) or 'none'})."
        )
    if facts.taken_down:
        found.append(
            f"{counted(facts.taken_down, 'document was', 'documents were')} taken back out of the training data on "
            "request; their text is gone from it."
        )
    return found


def _unwanted(facts: Facts) -> list[str]:
    recipe = facts.run.recipe
    found = _unwanted_in_filter(facts)
    if not recipe.clean.url_block and not recipe.clean.url_only_allowed:
        return found
    names = [entry for entry in recipe.clean.url_block if entry.startswith("ut1")]
    others = len(recipe.clean.url_block) - len(names)
    lists = [*names, *([counted(others, "entry of its own", "entries of its own")] if others else [])]
    only = ["only addresses that a list names were read"] if recipe.clean.url_only_allowed else []
    words = "; ".join([*([f"addresses on lists were not read: {', '.join(lists)}"] if lists else []), *only])
    count = facts.excluded["url_list"]
    told = f"{words[0].upper()}{words[1:]}. {counted(count, 'record was', 'records were')} left out for that."
    return [told, *found]


def _unwanted_in_filter(facts: Facts) -> list[str]:
    rules = facts.run.recipe.filter.url
    kinds = [
        *([counted(len(rules.deny_domains), "domain")] if rules.deny_domains else []),
        *([counted(len(rules.deny_words), "word")] if rules.deny_words else []),
        *(["the domains of a list"] if rules.blocklist else []),
    ]
    if not kinds or "filter" not in facts.run.recipe.stages:
        return []
    return [f"Documents were dropped by their address: {', '.join(kinds)} in it."]


def _others(facts: Facts, answers: Answers) -> Field:
    recipe = facts.run.recipe
    known: list[Block] = []
    personal = ", ".join(counted(facts.pii[kind], PII_WORDS[kind]) for kind in PII if facts.pii[kind])
    done = {"replace": "replaced", "count": "counted, and left in the text"}.get(recipe.clean.pii)
    if done:
        known.append(Said(f"Personal data was looked for by patterns and {done}: {personal or 'none was found'}."))
    else:
        known.append(Said("Personal data was not looked for."))
    words = {"dedup": "removed as a duplicate or near-duplicate", "filter": "removed by rules on quality and language"}
    for stage, count in facts.dropped.items():
        known.append(Said(f"{counted(count, 'document was', 'documents were')} {words[stage]}."))
    compared = recipe.filter.decontamination
    if compared.sets and compared.action != "report" and "filter" in recipe.stages:
        what = "Documents that share" if compared.action == "drop" else "Passages that documents share"
        names = ", ".join(evaluation.name for evaluation in compared.sets)
        known.append(Said(f"{what} text with these evaluation sets were taken out: {names}."))
    return answers.optional("3.3.other", "Other relevant information about data processing (optional)", *known)
