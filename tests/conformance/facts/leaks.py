"""API keys: the examples of gitleaks' rules for the vendors that docs/clean.md names, and what the clean stage finds.

Each rule states texts that hold a key and texts that only look so, among them keys made by chance of the rule's form.
Of what only looks so fifteen are keys of Google's that firebase-android-sdk publishes; they are replaced as others.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from pipeline.clean import pii
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure
from tests.conformance.facts.go_strings import Case, Reader, Tokens, Value, sampled, tokens

FOLDER = "cmd/generate/config/"
VENDORS = {  # as docs/clean.md names them, and how the ids of their rules begin
    "AWS": ("aws-access-token",),
    "Google": ("gcp-api-key",),
    "GitHub": ("github-",),
    "GitLab": ("gitlab-",),
    "OpenAI, Anthropic": ("openai-", "anthropic-"),
    "Stripe": ("stripe-",),
    "Slack": ("slack-",),
    "SendGrid, npm, Hugging Face": ("sendgrid-", "npm-", "huggingface-"),
    "JSON Web Tokens": ("jwt",),
    "private keys": ("private-key",),
}
# no form that docs/clean.md names; and what gitleaks makes by chance for SendGrid has no full stop where each key has
# one
LEFT_OUT = ("gitlab-session-cookie", "sendgrid-")
TAIL = 8  # the last characters of a key, which stay where only its beginning was found


@measure("gitleaks", Repository("gitleaks", "gitleaks"))
def leaks(clone: Clone) -> Iterator[Figure]:
    """Of each vendor's keys those that are found, whole; and of what is none what is left alone."""
    sources = {path: data.decode("utf-8") for path, data in clone.files(FOLDER)}
    rules = list(_rules(sources))
    keys = {name: keywords for name, keywords, _, _ in rules}
    found, there = Counter[str](), Counter[str]()
    none: list[str] = []
    for name, _, right, wrong in rules:
        vendor = next((one for one, begins in VENDORS.items() if name.startswith(begins)), None)
        if vendor is None or name.startswith(LEFT_OUT):
            continue
        there[vendor] += len(right)
        found[vendor] += sum(_is_found(right))
        others = [word for other, words in keys.items() if other != name for word in words]
        none += [case.text for case in wrong if not any(word in case.text for word in others)]
    for vendor in VENDORS:
        name = vendor if vendor.islower() or vendor.startswith("JSON") else f"keys of {vendor}"
        yield Figure(f"{name}: found", found[vendor], there[vendor])
    yield Figure("what looks like such a key and is none: left alone", len(none) - len(pii.find(none)), len(none))


def _is_found(cases: Sequence[Case]) -> Iterator[bool]:
    spans = pii.find([case.text for case in cases])
    for number, case in enumerate(cases):
        text, own = spans.get(number, (b"", []))
        kept = text
        for first, last, _ in reversed(own):
            kept = kept[:first] + kept[last:]
        yield any(kind == "secret" for *_, kind in own) and (
            case.secret is None or case.secret[-TAIL:].encode() not in kept
        )


def _rules(sources: dict[str, str]) -> Iterator[tuple[str, list[str], list[Case], list[Case]]]:
    """Of each rule its id, its keywords, the texts that hold a key, and those that hold none."""
    reader = Reader(_calls(sources))
    for path, source in sorted(sources.items()):
        if not path.startswith(FOLDER + "rules/"):
            continue
        for function in re.split(r"^func ", source, flags=re.MULTILINE)[1:]:
            read = tokens(function)
            name = _stated(read, "RuleID")
            if name:
                lists = dict(reader.lists(read, ("tps", "fps")))
                yield name[0], _stated(read, "Keywords"), lists["tps"], lists["fps"]


def _stated(function: Tokens, key: str) -> list[str]:
    """The strings that stand behind a key up to the next line's end of a field."""
    at = next((at for at, token in enumerate(function) if token == ("name", key)), None)
    if at is None:
        return []
    is_list = function[at + 2][1] == "["
    found = []
    for kind, text in function[at + 2 :]:
        if kind in ("text", "raw"):
            found.append(text[1:-1])
        elif text == "}" or (text == "," and not is_list):
            break
    return found


def _calls(sources: dict[str, str]) -> dict[str, Callable[..., Value]]:
    """What the functions give that the examples call."""
    chance = random.Random(3)
    utils = "\n".join(source for path, source in sources.items() if path.startswith(FOLDER + "utils/"))
    templates = _templates(utils)
    sizes = dict(re.findall(r"func (\w+)\(size string\) string \{\s*return fmt\.Sprintf\(`([^`]*)`", utils))

    def samples(name: str, secret: str) -> list[Case]:
        return [
            Case(one.replace("{i}", name).replace("{I}", name.upper()).replace("{s}", secret), secret)
            for one in templates
        ]

    def appended(*values: Value) -> list[Case]:
        return [case for value in values for case in ([Case(value)] if isinstance(value, str) else value)]

    def formatted(form: str, *values: str) -> str:
        return form.replace("%s", "\0").replace("%", "%%").replace("\0", "%s") % values

    return {
        "append": appended,
        "fmt.Sprintf": formatted,
        "secrets.NewSecret": lambda pattern: sampled(pattern, chance),
        "utils.GenerateSampleSecrets": samples,
        "utils.GenerateSampleSecret": lambda name, secret: [Case(f'{name}_api_token = "{secret}"', secret)],
        **{f"utils.{name}": (lambda size, form=form: form.replace("%s", size)) for name, form in sizes.items()},
    }


def _templates(utils: str) -> list[str]:
    """The texts into which gitleaks puts a key."""
    listed = tokens(utils[utils.index("samples := map[string]string") :])
    texts: list[str] = []
    for at, (kind, text) in enumerate(listed):
        if text == "}":
            break
        if listed[at - 1][1] == ":" and kind in ("text", "raw"):
            texts.append(text[1:-1] if kind == "raw" else text[1:-1].encode().decode("unicode_escape"))
    return texts
