"""Optional cleaning of lines within a document, after C4 (Raffel et al., 2020, section 2.2); off by default.

Rules: ``terminal`` keeps only lines that end in punctuation, ``short`` drops lines of fewer than three words,
``javascript`` and ``policy`` drop lines about scripts, cookies and terms of use, ``citations`` cuts ``[1]`` marks.
"""

import re
from collections.abc import Sequence

MIN_WORDS = 3
TERMINAL = (".", "!", "?", '"', "”", "’", "。", "！", "？", "」", "』", "…", "؟", "।")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_CITATION = re.compile(r"\[(?:\d{1,3}|edit|citation needed)\]")


def clean_lines(text: str, rules: Sequence[str]) -> str:
    """The text without the lines that the rules drop; empty lines between paragraphs stay single.

    Example:
        >>> clean_lines("Home" + chr(10) + "A whole sentence stands here [1].", ["short", "citations"])
        'A whole sentence stands here .'
    """
    if "citations" in rules:
        text = _CITATION.sub("", text)
    kept: list[str] = []
    for line in text.split("\n"):
        if not line.strip():
            if kept and kept[-1]:
                kept.append("")
        elif not _dropped(line.strip(), rules):
            kept.append(line)
    return "\n".join(kept).strip()


def _dropped(line: str, rules: Sequence[str]) -> bool:
    if "terminal" in rules and (not line.endswith(TERMINAL) or line.endswith("...")):
        return True
    if "short" in rules and len(line.split(None, MIN_WORDS)) < MIN_WORDS:
        return True
    lower = line.lower()
    if "javascript" in rules and "javascript" in lower:
        return True
    return "policy" in rules and any(phrase in lower for phrase in POLICY)
