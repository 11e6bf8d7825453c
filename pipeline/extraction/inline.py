"""The text of one block: a run of HTML within a line, as plain text or Markdown."""

import re
from html import unescape

import numpy as np

from pipeline.extraction.formulas import cleaned, tex_of
from pipeline.kernels.html_runs import DECLINED, text_of_run

_PART = re.compile(r'<!--.*?-->|<(/?)([a-zA-Z][^\s/>]*)((?: [^\s>=]+(?:="[^"]*")?)*) ?/?>|([^<]+)|<', re.DOTALL)
_CLASS = re.compile(r'\bclass="([^"]*)"')
_ALT = re.compile(r'\balt="([^"]*)"')
_SPACE = re.compile(r"[ \t\n\r\f\u00a0]+")
_LINE = re.compile(r" *\n *")
_LINES = re.compile(r"\n{3,}")
_NOT_TEXT = frozenset(
    ("script", "style", "template", "svg", "iframe", "head", "select", "object", "embed", "canvas", "audio", "video",
     "map", "textarea", "datalist", "noembed", "noframes", "title", "del", "dialog", "mjx-math")
)  # fmt: skip
# a formula's second form, drawn from spans; numbers beside lines of code
_DRAWN = ("katex-html", "MathJax", "MathJax_Preview", "MathJax_Display", "MathJax_CHTML", "MathJax_SVG", "mjx-chtml")
_LINE_NUMBERS = ("lineno", "linenos", "line-number", "line-numbers", "linenumber", "hljs-ln-n", "gutter", "ln-num")
_PERMALINKS = frozenset(("¶", "#", "§", "🔗", "\uf0c1", "⚓"))
_ANY_PERMALINK = re.compile(f"[{''.join(_PERMALINKS)}]")
_CODE = ("code", "tt", "samp")
_PLAIN_POWER = re.compile(r"[\w+−-]{1,20}")
_LINES_OF_CODE = ("div", "p", "li", "tr")
_MARKS = 8  # open at a time; text within more of them is left as it is


class InlineTexts:
    """The texts of a page's blocks.

    Args:
        page: As lexbor writes it, UTF-8.
        markdown: Mark code, powers and indices.
    """

    def __init__(self, page: bytes, *, markdown: bool) -> None:
        self._page, self._markdown = page, markdown
        self._bytes = np.frombuffer(page, np.uint8)
        self._text = np.empty(len(page), np.uint8)

    def of(self, start: int, end: int, *, code: bool = False) -> str:
        """The text of the run from one byte to another; ``code`` as of ``inline_text``."""
        if self._page.find(b"<", start, end) >= 0:
            plain = code or not self._markdown
            length = text_of_run(self._bytes, start, end, plain, code, self._text)
            if length != DECLINED:
                text = self._text[:length].tobytes().decode()
                if code:
                    return text.strip("\n").rstrip()
                if not _ANY_PERMALINK.search(text):
                    return text.strip()
        return inline_text(self._page[start:end].decode(), markdown=self._markdown, code=code)


def inline_text(run: str, *, markdown: bool, code: bool = False) -> str:
    """The text of a block.

    Args:
        run: Its HTML, as lexbor writes it.
        markdown: Mark code, powers and indices.
        code: It is a program's text: white space counts, and elements are lines.
    """
    if "<" not in run:
        text = unescape(run) if "&" in run else run
        return text.replace("\xa0", " ").strip("\n") if code else " ".join(text.split())
    writer = _Writer(run, markdown=markdown and not code, code=code)
    writer.write()
    return writer.text()


def _evenly_spaced(text: str) -> str:
    """White space is one space."""
    is_even = text.isprintable() and "  " not in text  # a quick look at most of them
    return text if is_even else _SPACE.sub(" ", text)


class _Writer:
    """Goes through a run once; ``out`` is what it has written."""

    def __init__(self, run: str, *, markdown: bool, code: bool) -> None:
        self.run, self.markdown, self.code = run, markdown, code
        self.out: list[str] = []
        self.links: list[int] = []  # where in ``out`` the open links begin
        self.marks: list[tuple[str, int]] = []  # open code, powers, indices and readings, and where they begin

    def write(self) -> None:
        at, end = 0, len(self.run)
        while at < end:
            found = _PART.match(self.run, at)
            if found is None:
                return
            at = found.end()
            closing, name, attributes, text = found.groups()
            if text is not None:
                self._say(text)
            elif name is None:
                continue
            elif closing:
                self._close(name)
            else:
                at = self._open(name, attributes, found.start(), at)

    def text(self) -> str:
        """What was written, white space put right."""
        text = "".join(self.out).replace("\xa0", " ")
        if self.code:
            return text.strip("\n").rstrip()
        return _LINES.sub("\n\n", _LINE.sub("\n", text)).strip()

    def _say(self, text: str) -> None:
        text = unescape(text) if "&" in text else text
        self.out.append(text if self.code else _evenly_spaced(text))

    def _open(self, name: str, attributes: str, start: int, at: int) -> int:
        """Takes a start tag; returns where to go on, past an element that is taken whole or left out."""
        if name == "math":
            end = self._end_of(name, at)
            self._formula(tex_of(self.run[start:end]))
            return end
        if name == "script" and "math/tex" in attributes:
            end = self._end_of(name, at)
            self._formula(cleaned(self.run[at : self.run.rfind("<", at, end)]), display="mode=display" in attributes)
            return end
        if name in _NOT_TEXT:
            return self._end_of(name, at)
        classes = found.group(1).split() if attributes and (found := _CLASS.search(attributes)) else []
        if classes and any(one in _DRAWN for one in classes):
            return self._end_of(name, at)
        if self.code and classes and any(one in _LINE_NUMBERS for one in classes):
            return self._end_of(name, at)
        if name == "br":
            self.out.append("\n")
        elif name == "img" and ("latex" in classes or "tex" in classes) and (found := _ALT.search(attributes)):
            self._formula(cleaned(unescape(found.group(1))))
        elif name == "a":
            self.links.append(len(self.out))
        elif name == "rt":
            self._open_reading()
        elif self.markdown and len(self.marks) < _MARKS and (name in _CODE or name in ("sup", "sub")):
            self.marks.append((name, len(self.out)))
        return at

    def _close(self, name: str) -> None:
        if name == "a" and self.links:
            start = self.links.pop()
            if "".join(self.out[start:]).strip() in _PERMALINKS:
                del self.out[start:]
        elif self.code and name in _LINES_OF_CODE:
            if self.out and not self.out[-1].endswith("\n"):
                self.out.append("\n")
        elif self.marks and self.marks[-1][0] == name:
            _, start = self.marks.pop()
            self._mark(name, start)

    def _mark(self, name: str, start: int) -> None:
        """Marks what has been written since ``start``."""
        said = "".join(self.out[start:])
        inner = said.strip()
        if name == "rt":
            self.out.append(")")
        elif inner and name in ("sup", "sub"):
            if not inner.startswith("["):  # a note's number is no power
                sign = "^" if name == "sup" else "_"
                self.out[start:] = [sign + (inner if _PLAIN_POWER.fullmatch(inner) else f"({inner})")]
        elif inner and "\n" not in inner:
            fence = "``" if "`" in inner else "`"
            pad = " " if inner[0] == "`" or inner[-1] == "`" else ""
            before, after = said[: len(said) - len(said.lstrip())], said[len(said.rstrip()) :]
            self.out[start:] = [f"{before}{fence}{pad}{inner}{pad}{fence}{after}"]

    def _open_reading(self) -> None:
        """A reading stands in brackets, whether its page says so or not."""
        if not "".join(self.out[-2:]).rstrip().endswith(("(", "（")):
            self.out.append("(")
            self.marks.append(("rt", len(self.out)))

    def _formula(self, tex: str, *, display: bool = False) -> None:
        if tex:
            self.out.append(f"$${tex}$$" if display else f"${tex}$")

    def _end_of(self, name: str, at: int) -> int:
        """Past the end of an element that was opened before ``at``."""
        depth = 1
        for found in re.compile(rf"<(/?){re.escape(name)}(?=[\s/>])[^>]*>").finditer(self.run, at):
            depth += -1 if found.group(1) else 1
            if not depth:
                return found.end()
        return len(self.run)
