"""Block by block, what our extractor keeps of a page and what it drops, and what it saw: for a person who asks why."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.words import counted, visible
from pipeline.clean.decode import NotText
from pipeline.clean.extract import ExtractionError, Extractor
from pipeline.extraction.choice import Choice, choose
from pipeline.extraction.inline import inline_text
from pipeline.extraction.model import load_model
from pipeline.extraction.page_tree import PageTree, page_tree
from pipeline.kernels.boosted_trees import PROBABILITY_UNIT
from pipeline.kernels.html_blocks import FROM, IS_HIDDEN, LINK, NODE, NODE_TAG, PARENT, TO, UNITS
from pipeline.kernels.html_names import GROUP_NAMES, TAGS
from pipeline.readers.records import Record
from pipeline.recipe.options import Clean

TEMPLATE = "blocks.html.j2"
_ELEMENTS = 4  # of those around a block that its place names, the nearest
_TEXT = 160  # characters of a block that a terminal shows


@dataclass(frozen=True)
class BlockView:
    """One block.

    Attributes:
        kept: Whether it is part of the text.
        probability: Of being wanted, by the trees, 0 to 1.
        rule: The rule that has taken it out or filled it in, in spite of that; None as a rule.
        place: The nearest elements around it, outermost first.
        says: What the classes of the nearest two say it is.
        words: How many.
        links: Share of them in links.
        hidden: The page hides it.
        text: What it says.
    """

    kept: bool
    probability: float
    rule: str | None
    place: str
    says: str
    words: int
    links: float
    hidden: bool
    text: str

    @property
    def why(self) -> str:
        """In words, why it was kept or dropped."""
        said = [counted(self.words, "word")]
        said += [f"{self.links:.0%} in links"] if self.links else []
        said += [f"called {self.says}"] if self.says else []
        said += ["hidden"] if self.hidden else []
        said += [f"{'filled in as' if self.kept else 'taken out as'} {self.rule}"] if self.rule else []
        return ", ".join(said)


@dataclass(frozen=True)
class PageView:
    """A page's blocks, its type, and how good its text is likely to be."""

    blocks: list[BlockView]
    page_type: str | None
    score: float | None


def view_blocks(record: Record, options: Clean) -> PageView:
    """The blocks of a page.

    Raises:
        UserError: If the extractor is another one, or the page is beyond a limit or no text.
    """
    if options.extractor != "tokenmill":
        raise UserError(f"blocks are those of extractor = 'tokenmill'; {options.extractor} does not tell which it saw")
    try:
        page = Extractor(options).look(record)
    except (NotText, ExtractionError) as error:
        raise UserError(f"{record.url or record.path}: {error}") from error
    tree = page_tree(page.html)
    if not len(tree.layout.blocks):
        return PageView([], None, None)
    choice = choose(tree, load_model())
    return PageView([_view(tree, choice, number) for number in range(len(choice.keep))], choice.page_type, choice.score)


def _view(tree: PageTree, choice: Choice, number: int) -> BlockView:
    nodes, block = tree.layout.nodes, tree.layout.blocks[number]
    node = int(block[NODE])
    around = [node]
    while len(around) < _ELEMENTS and nodes[around[-1], PARENT] > 0:
        around.append(int(nodes[around[-1], PARENT]))
    groups = int(tree.layout.bits[node]) | (int(tree.layout.bits[around[1]]) if len(around) > 1 else 0)
    units = int(block[UNITS])
    return BlockView(
        kept=bool(choice.keep[number]),
        probability=round(float(choice.wanted[number]) / PROBABILITY_UNIT, 4),
        rule=choice.rules.get(number),
        place=" > ".join(TAGS[nodes[at, NODE_TAG]] or "other" for at in reversed(around)),
        says=", ".join(name for bit, name in enumerate(GROUP_NAMES) if groups >> bit & 1),
        words=units,
        links=round(int(block[LINK]) / units, 4) if units else 0.0,
        hidden=bool(nodes[node, IS_HIDDEN]),
        text=inline_text(tree.html[block[FROM] : block[TO]].decode(), markdown=False),
    )


def in_lines(view: PageView) -> str:
    """The blocks for a terminal: + is kept, - is dropped."""
    lines = [_headline(view)]
    for block in view.blocks:
        text = visible(" ".join(block.text.split()))
        cut = text if len(text) <= _TEXT else text[:_TEXT] + " …"
        lines.append(f"{'+' if block.kept else '-'} {block.probability:.2f}  {cut}")
        lines.append(f"          {block.place}: {block.why}")
    return "\n".join(lines)


def in_html(view: PageView) -> str:
    """The blocks as one HTML page: no script, nothing fetched, every value escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.lstrip_blocks = True
    environment.filters["visible"] = visible
    first_kept = next((number for number, block in enumerate(view.blocks) if block.kept), None)
    return environment.get_template(TEMPLATE).render(view=view, headline=_headline(view), first_kept=first_kept)


def _headline(view: PageView) -> str:
    if view.score is None:
        return "no text"
    kept = sum(block.words for block in view.blocks if block.kept)
    every = sum(block.words for block in view.blocks)
    return f"{view.page_type}, score {view.score:.2f}: {kept:,} of {every:,} words kept"
