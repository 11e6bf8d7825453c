"""What becomes of a page's structure, as plain text and as Markdown; Markdown is read back by another's parser."""

import random
import tracemalloc

import numpy as np
import pytest
from markdown_it import MarkdownIt

from pipeline.extraction.page_tree import page_tree
from pipeline.extraction.shapes import shapes_of
from pipeline.extraction.writing import write

PARSER = MarkdownIt("commonmark").enable("table")


def written(html: str, *, markdown: bool = True) -> str:
    """All of a page, written."""
    tree = page_tree(html)
    kept = np.arange(len(tree.layout.blocks))
    return write(tree, shapes_of(tree, kept, markdown=markdown), markdown=markdown)


@pytest.mark.parametrize(
    ("html", "plain", "markdown"),
    [
        ("<h2>Tools<a class=headerlink href=#t>¶</a></h2><p>Files.", "Tools\n\nFiles.", "## Tools\n\nFiles."),
        ("<ul><li>Oil<ul><li>thin</ul><li>Brush</ul>", "- Oil\n  - thin\n- Brush", "- Oil\n  - thin\n- Brush"),
        ("<ol start=3><li>Open<li>Close</ol>", "3. Open\n4. Close", "3. Open\n4. Close"),
        ("<ol><li value=7>Open<li>Close</ol>", "7. Open\n2. Close", "7. Open\n2. Close"),
        (
            "<table><caption>Prices</caption><tr><th>A<th>B<tr><td>1|2<td>3</table>",
            "Prices\n\nA\tB\n1|2\t3",
            "Prices\n\n| A | B |\n| --- | --- |\n| 1\\|2 | 3 |",
        ),
        ("<table><tr><td><p>All of it.</p></table>", "All of it.", "All of it."),
        (
            "<pre><code class='language-py'>if a &lt; b:\n    c()\n\nd</code></pre>",
            "if a < b:\n    c()\n\nd",
            "```py\nif a < b:\n    c()\n\nd\n```",
        ),
        ("<div class='highlight-python'><div><pre>x</pre></div></div>", "x", "```python\nx\n```"),
        ("<pre>1\n2\n3</pre><pre>for a in b:\n  c</pre>", "for a in b:\n  c", "```\nfor a in b:\n  c\n```"),
        ("<pre><div>int a;</div><div>  b;</div></pre>", "int a;\n  b;", "```\nint a;\n  b;\n```"),
        ("<pre>```\nx</pre>", "```\nx", "````\n```\nx\n````"),
        ("<p>E = mc<sup>2</sup>, H<sub>2</sub>O<sup>[1]</sup>", "E = mc2, H2O[1]", "E = mc^2, H_2O[1]"),
        ("<p>2<sup>n + 1</sup> <code>a(b)</code> <kbd>C</kbd>", "2n + 1 a(b) C", "2^(n + 1) `a(b)` C"),
        ("<blockquote><p>One.</p><p>Two.</p></blockquote>", "One.\n\nTwo.", "> One.\n>\n> Two."),
        ("<dl><dt>Fusee<dd>A cone.</dl>", "Fusee\nA cone.", "Fusee\nA cone."),
        ("<p>red,<br>blue", "red,\nblue", "red,\nblue"),
        ("<p>100 <del>90</del><ins>80</ins>", "100 80", "100 80"),
        ("<figure><img alt=no><figcaption>The lathe.</figcaption></figure>", "The lathe.", "The lathe."),
        ("<p><ruby>漢字<rt>かんじ</rt></ruby>です", "漢字(かんじ)です", "漢字(かんじ)です"),
        ("<p><ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>", "漢字(かんじ)", "漢字(かんじ)"),
        ("<p># no heading<p>1. no item", "# no heading\n\n1. no item", "\\# no heading\n\n1\\. no item"),
        ("<p>+ none<p>&lt;b>", "+ none\n\n<b>", "\\+ none\n\n\\<b>"),
        ("<ul><li>a</ul><ol start=3><li>b</ol>", "- a\n\n3. b", "- a\n\n3. b"),
    ],
)
def test_structure_is_kept(html: str, plain: str, markdown: str) -> None:
    assert written(html, markdown=False) == plain
    assert written(html) == markdown


TEX = r"<annotation encoding='application/x-tex'>{\displaystyle x^{2}}</annotation>"


@pytest.mark.parametrize(
    ("html", "tex"),
    [
        (f"<math><semantics><mrow><mi>x</mi></mrow>{TEX}</semantics></math>", "$x^{2}$"),
        (
            f"<span class=katex><span class=katex-mathml><math><semantics><mi>x</mi>{TEX}</semantics></math></span>"
            "<span class=katex-html aria-hidden=true><span>x</span><span>2</span></span></span>",
            "$x^{2}$",
        ),
        ("<script type='math/tex'>a^2 < b</script>", "$a^2 < b$"),
        ("<script type='math/tex; mode=display'>a</script>", "$$a$$"),
        (
            "<math><msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><mfrac><mn>1</mn><mi>y</mi></mfrac></math>",
            r"$x^2+\frac{1}{y}$",
        ),
        ("<math><msqrt><mi>a</mi><mo>−</mo><mn>1</mn></msqrt></math>", r"$\sqrt{a-1}$"),
        ("<math alttext='\\alpha'><mi>α</mi></math>", r"$\alpha$"),
        ("<img class=latex alt='\\beta'>", r"$\beta$"),
    ],
)
def test_formula_comes_out_once_as_tex(html: str, tex: str) -> None:
    assert written(f"<p>So {html} holds.") == f"So {tex} holds."


# --- Markdown read back ---

LINES = (
    "word",
    "two words",
    "# hash",
    "1. one",
    "- minus",
    "a * b",
    "*star*",
    "<b>",
    "> more",
    "```",
    "---",
    "====",
    "a_b",
    "+ x",
)


def _paragraph(draw: random.Random) -> tuple[str, list[str]]:
    text = draw.choice(LINES)
    return f"<p>{text.replace('<', '&lt;')}</p>", ["paragraph"]


def _heading(draw: random.Random) -> tuple[str, list[str]]:
    level = draw.randrange(1, 7)
    return f"<h{level}>{draw.choice(LINES).replace('<', '&lt;')}</h{level}>", [f"heading {level}"]


def _code(draw: random.Random) -> tuple[str, list[str]]:
    text = "\n".join(draw.choice(("x = 1", "    indented", "", "```", "~~~~")) for _ in range(4))
    return f"<pre>a\n{text}\nb</pre>", ["code"]


def _list(draw: random.Random) -> tuple[str, list[str]]:
    items = [draw.choice(LINES).replace("<", "&lt;") for _ in range(draw.randrange(1, 4))]
    inner = "<ul><li>inner</li></ul>" if draw.random() < 0.5 else ""
    body = f"<ul>{''.join(f'<li>{item}{inner}</li>' for item in items)}</ul>"
    nested = ["list", "item", "paragraph"] if inner else []
    return body, ["list", *(part for _ in items for part in ("item", "paragraph", *nested))]


def _quote(draw: random.Random) -> tuple[str, list[str]]:
    body, blocks = draw.choice((_paragraph, _list, _code))(draw)
    return f"<blockquote>{body}</blockquote>", ["quote", *blocks]


def _table(draw: random.Random) -> tuple[str, list[str]]:
    rows = draw.randrange(2, 4)
    cells = "".join(f"<td>{draw.choice(LINES).replace('<', '&lt;')} | x</td>" for _ in range(2))
    return f"<table>{f'<tr>{cells}</tr>' * rows}</table>", [f"table {rows}"]


def blocks_of(markdown: str) -> list[str]:
    """The blocks that a CommonMark parser sees."""
    names = {"bullet_list_open": "list", "list_item_open": "item", "blockquote_open": "quote", "fence": "code",
             "paragraph_open": "paragraph"}  # fmt: skip
    found: list[str] = []
    for token in PARSER.parse(markdown):
        if token.type == "heading_open":
            found.append(f"heading {token.tag[1]}")
        elif token.type == "table_open":
            found.append("table 0")
        elif token.type == "tr_open":
            found[-1] = f"table {int(found[-1].split()[1]) + 1}"
        elif token.type in names:
            found.append(names[token.type])
        elif token.type in ("html_block", "code_block", "hr", "ordered_list_open"):
            found.append(token.type)
    return found


@pytest.mark.parametrize("seed", range(150))
def test_markdown_comes_back_as_the_same_blocks(seed: int) -> None:
    draw = random.Random(seed)
    html, wanted, before = "", [], None
    for _ in range(draw.randrange(1, 6)):
        make = draw.choice([one for one in (_paragraph, _heading, _code, _list, _quote, _table) if one is not before])
        body, blocks = make(draw)
        before = make if make in (_list, _quote) else None  # two lists side by side are one list in Markdown
        html += body
        wanted += blocks
    assert blocks_of(written(html)) == wanted, written(html)


def test_pieces_of_a_large_page_are_not_held_beside_its_text() -> None:
    count = 20_000
    tree = page_tree("".join(f"<p>Paragraph {number}" for number in range(count)))
    tracemalloc.start()
    try:
        text = write(tree, shapes_of(tree, np.arange(count), markdown=False), markdown=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text.count("Paragraph") == count
    # lines, chains and the text are 225 bytes for each paragraph; with all of the pieces at once they were 631
    assert peak / count < 400
