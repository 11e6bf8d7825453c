"""The kernel that reads lexbor's HTML sees the tree that a walk over lexbor's own nodes sees."""

import random
import re
from typing import Any

import numpy as np
import pytest
from resiliparse.parse.html import HTMLTree, NodeType

from pipeline.extraction.page_tree import page_tree
from pipeline.kernels.html_blocks import (
    BREAKS,
    CHARS,
    FROM,
    LINK,
    NODE,
    NODE_TAG,
    PARENT,
    TO,
    UNITS,
    read_blocks,
)
from pipeline.kernels.html_features import COLUMNS
from pipeline.kernels.html_names import TAGS

WORD = re.compile(r"\w+")
NO_TEXT = {"script", "style", "template", "svg", "head", "select", "textarea", "del", "iframe"}
PIECES = ("<div class='main-Content x'>", "</div>", "<p>", "<b>", "</b>", "<a href='x>y'>", "</a>", "<br>", "<ul><li>",
          "</ul>",
          "<li>", "<table><tr><td>", "</table>", "<td>", "<h2 id='a\"b'>", "</h2>", "<pre>", "</pre>",
          "<svg><text>no</text></svg>",
          "<script>if (a<b) '</p>'</script>", "<!-- a > b -->", "<span hidden>", "</span>", "<img alt='<'>",
          "<select><option>",
          "</select>", "one two ", "&lt;b&gt; &amp;nbsp; ", "drei.\n", "\u4e8c\u4e09 ", "<x-y z'=1 =q>", "</x-y>",
          "<math><mi>x</mi></math>",
          "<noscript>", "</noscript>", "<template>", "</template>", "\0", "<textarea><b></textarea>")  # fmt: skip


def walked(node: Any) -> list[str]:
    """Words below a node, in order, as a walk from node to node finds them."""
    if node.type == NodeType.TEXT:
        return WORD.findall(node.value or "")
    if node.type not in (NodeType.ELEMENT, NodeType.DOCUMENT) or node.tag in NO_TEXT:
        return []
    return [word for child in node.child_nodes for word in walked(child)]


def text_of(run: str) -> str:
    """The text of a block, by the parser that made it."""
    tree = HTMLTree.parse(f"<body>{run}")
    return " ".join(walked(tree.body))


@pytest.mark.parametrize("seed", range(40))
def test_blocks_hold_the_words_of_the_tree_in_their_order(seed: int) -> None:
    draw = random.Random(seed)
    html = "".join(draw.choice(PIECES) for _ in range(draw.randrange(5, 120)))
    tree = page_tree(html)
    found = " ".join(
        text_of(tree.html[start:end].decode()) for start, end in tree.layout.blocks[:, [FROM, TO]].tolist()
    )
    assert found.split() == walked(HTMLTree.parse(html).document)


@pytest.mark.parametrize("seed", range(40))
def test_counts_and_places_hold_together(seed: int) -> None:
    draw = random.Random(1_000 + seed)
    layout = page_tree("".join(draw.choice(PIECES) for _ in range(120))).layout
    blocks, nodes = layout.blocks, layout.nodes
    assert np.all(blocks[1:, FROM] >= blocks[:-1, TO])
    assert np.all(blocks[:, LINK] <= blocks[:, UNITS])
    assert np.all(blocks[:, CHARS] > 0)
    assert np.all(nodes[1:, PARENT] < np.arange(1, len(nodes)))
    assert blocks[:, NODE].max(initial=0) < len(nodes)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_that_no_parser_wrote_are_read_too(seed: int) -> None:
    draw = random.Random(seed)
    page = bytes(draw.choice(b'<>/="& a1p-!?\x00\xc3\xe4\xff\n') for _ in range(draw.randrange(400)))
    layout = read_blocks(page)
    assert np.all(layout.blocks[:, TO] <= len(page))


def block(html: str, number: int = 0) -> dict[str, float]:
    """The features of one block."""
    return dict(zip(COLUMNS, page_tree(html).features[number].tolist(), strict=True))


def test_lines_of_a_paragraph_stay_together_and_two_breaks_part_them() -> None:
    layout = page_tree("<p>one<br>two<br><br>three").layout
    assert layout.blocks[:, UNITS].tolist() == [2, 1]
    assert layout.blocks[0, BREAKS] >= 1


def test_code_is_one_block_whatever_elements_its_lines_are() -> None:
    layout = page_tree("<pre><div>a</div>\n<div>b</div></pre><p>c").layout
    assert [TAGS[tag] for tag in layout.nodes[layout.blocks[:, NODE], NODE_TAG]] == ["pre", "p"]


@pytest.mark.parametrize(
    ("attributes", "column"),
    [
        ("class='postComment'", "says_comment"),
        ("class='x side-bar sidebar'", "says_aside"),
        ("id=breadcrumbs", "says_crumb"),
        ("role=navigation", "says_nav"),
        ("style='color: red; DISPLAY : none'", "hidden"),
        ("hidden", "hidden"),
    ],
)
def test_words_and_marks_of_an_element_are_seen(attributes: str, column: str) -> None:
    assert block(f"<div {attributes}><p>some words")[column] > 0
    assert block("<div class=plain><p>some words")[column] == 0


def test_share_of_links_and_of_copies() -> None:
    found = block("<p>one <a href=x>two three</a> four<p>again<p>again")
    assert found["links_share"] == 0.5
    assert block("<p>one<p>again<p>again", 1)["copies"] == 2
