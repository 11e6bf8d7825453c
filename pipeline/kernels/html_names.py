"""Names in HTML that the reading of blocks knows: tags, what they are, and words of classes by what they say.

The words are those that site builders write in ``class``, ``id`` and ``role`` on every continent, whatever language the
page is in; they are grouped by what they say of the element, and the trees learn what a group is worth.
"""

import numpy as np
from numpy.typing import NDArray

# tags with a number of their own; the number is the place in this tuple, 0 is any other element
TAGS = ("", "html", "body", "p", "li", "h1", "h2", "h3", "h4", "h5", "h6", "td", "th", "div", "section", "article",
        "pre", "blockquote", "dt", "dd", "figcaption", "button", "label", "a", "summary", "caption", "form",
        "header", "footer", "nav", "aside", "main", "ul", "ol", "dl", "table", "tr", "thead", "tbody", "tfoot",
        "figure", "noscript", "center", "details", "dialog", "fieldset", "hr", "br", "img", "script", "span", "b",
        "strong", "code", "kbd", "samp", "tt", "math", "annotation", "sub", "sup", "menu", "address", "picture",
        "del", "time", "hgroup", "legend")  # fmt: skip
TAG = {name: number for number, name in enumerate(TAGS)}
INLINE, SKIPPED, RAW, VOID = 1, 2, 4, 8
# nothing in these is the page's text
_SKIPPED = ("script", "style", "template", "svg", "iframe", "head", "select", "option", "object", "embed", "canvas",
            "audio", "video", "map", "textarea", "datalist", "noembed", "noframes", "title", "del",
            "dialog")  # fmt: skip
_RAW = ("script", "style", "xmp", "iframe", "noembed", "noframes", "plaintext")
_INLINE = ("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "dfn", "em", "font", "i", "img",
           "ins", "kbd", "label", "mark", "nobr", "q", "rb", "rp", "rt", "rtc", "ruby", "s", "samp", "small", "span",
           "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr", "picture", "source", "input", "math",
           "mi", "mo", "mn", "ms", "mtext", "mrow", "msup", "msub", "msubsup", "mfrac", "msqrt", "mroot", "munder",
           "mover", "munderover", "mtable", "mtr", "mtd", "mspace", "mpadded", "mphantom", "mstyle", "menclose",
           "semantics", "annotation", "annotation-xml")  # fmt: skip
_VOID = ("area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link",
         "meta", "param", "source", "track", "wbr")  # fmt: skip

GROUPS: dict[str, str] = {
    "nav": "nav navbar navigation navi topnav subnav sitenav mainnav tabs tablist tabbar",
    "menu": "menu submenu menuitem dropdown megamenu offcanvas hamburger drawer flyout",
    "header": "header masthead topbar banner head pageheader siteheader top",
    "footer": "footer foot colophon contentinfo bottom sitefooter copyright legal",
    "aside": "aside sidebar sidebars complementary rail secondary sidenav widget widgets widgetarea right left",
    "main": "main maincontent primary",
    "article": "article articlebody blogpost newsarticle blogposting story single",
    "content": "content contents contentarea contentbody body text richtext wysiwyg prose markdown copy rte editor",
    "post": "post posts entry topic thread message messages messagebody postbody cooked",
    "comment": "comment comments commentlist disqus respond commenter discussion remark",
    "reply": "reply replies answer answers quote quoted response responses",
    "related": "related recommended recommendations recommend recirc more similar also readmore next upsell crosssell",
    "popular": "popular trending trends latest recent featured picks teaser teasers promo promos promoted hot",
    "share": "share sharing social socials addthis sharedaddy facebook twitter pinterest linkedin whatsapp follow like",
    "cookie": "cookie cookies consent gdpr onetrust cmp privacy ccpa didomi",
    "ad": "ad ads adsense advert advertisement sponsor sponsored dfp gpt outbrain taboola adslot commercial affiliate",
    "modal": "modal popup overlay lightbox tooltip toast alert notification notice snackbar",
    "hidden": "hidden hide invisible collapsed visually sr screenreader noprint offscreen none",
    "search": "search searchform searchbar autocomplete query",
    "login": "login signin signup register account user profile auth password cart basket minicart wishlist checkout",
    "news": "newsletter subscribe subscription signupform mailing optin email form",
    "crumb": "breadcrumb breadcrumbs crumb crumbs breadcrumblist",
    "page": "pagination pager paging prev previous pages loadmore",
    "meta": "tag tags category categories meta metadata byline author authors date published timestamp time dateline "
    "info",
    "bio": "bio authorbio aboutauthor avatar",
    "title": "title headline heading name subtitle hed dek",
    "summary": "summary excerpt description desc abstract intro lead standfirst lede",
    "product": "product products pdp item sku shop buy addtocart",
    "price": "price prices pricing cost amount saleprice",
    "spec": "spec specs specification specifications attributes attribute feature features details detail properties",
    "review": "review reviews rating ratings testimonial testimonials stars feedback",
    "card": "card cards tile tiles box panel block",
    "grid": "grid gallery carousel slider slick swiper slide slides row rows columns col column masonry",
    "list": "list lists items listing listings results result collection feed archive index",
    "faq": "faq faqs accordion question questions qa collapse toggle",
    "hero": "hero jumbotron cover splash cta callout",
    "toc": "toc tableofcontents outline onthispage contentsnav",
    "code": "code highlight sourcecode pre syntax codeblock hljs snippet language",
    "doc": "doc docs documentation document wiki mw parser output api reference rst guide",
    "caption": "caption figcaption credit figure media image photo picture img",
    "lang": "lang langs languages locale country currency translate",
    "tool": "toolbar tools toolbox actions action buttons button btn controls print permalink edit editsection",
    "step": "step steps recipe ingredient ingredients instruction instructions howto",
    "event": "event events job jobs course courses program lesson episode",
    "team": "team people member staff contact address location map hours phone",
    "noscript": "noscript nojs",
    "stat": "stat stats count counter views badge label icon logo brand",
}
GROUP_NAMES = tuple(GROUPS)
# elements that say the same as a word would
_TAG_GROUPS = {"nav": "nav", "header": "header", "footer": "footer", "aside": "aside", "main": "main",
               "article": "article", "menu": "menu", "button": "tool", "figure": "caption", "figcaption": "caption",
               "pre": "code", "noscript": "noscript"}  # fmt: skip
# attributes whose words tell, and those that are looked at for something else
CLASS, WORDS, STYLE, HIDDEN, ARIA_HIDDEN, TYPE = range(1, 7)
_ATTRIBUTES = {"class": CLASS, "id": WORDS, "role": WORDS, "itemprop": WORDS, "data-testid": WORDS,
               "data-component": WORDS, "style": STYLE, "hidden": HIDDEN, "aria-hidden": ARIA_HIDDEN,
               "type": TYPE}  # fmt: skip
_SLOT_BITS = 11
SLOT_SHIFT, SLOT_MASK = np.uint64(64 - _SLOT_BITS), (1 << _SLOT_BITS) - 1
FNV_BASIS, FNV_PRIME, SPREAD = 14695981039346656037, 1099511628211, 0x9E3779B97F4A7C15


def name_hash(name: str) -> int:
    """FNV-1a of a name's bytes, as the kernel computes it."""
    value = FNV_BASIS
    for byte in name.encode():
        value = (value ^ byte) * FNV_PRIME & (1 << 64) - 1
    return value


def _table(values: dict[str, int]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Hashes of names and their values, in the slots where the kernel looks; a hash of 0 is an empty slot."""
    keys, found = np.zeros(1 << _SLOT_BITS, np.uint64), np.zeros(1 << _SLOT_BITS, np.uint64)
    for name, value in values.items():
        key = name_hash(name)
        slot = (key * SPREAD & (1 << 64) - 1) >> 64 - _SLOT_BITS
        while keys[slot] not in (0, key):
            slot = slot + 1 & SLOT_MASK
        keys[slot], found[slot] = key, value
    return keys, found


def _tag_values() -> dict[str, int]:
    """Of each known tag its number, and its kinds from bit 8 on."""
    kinds = {INLINE: _INLINE, SKIPPED: _SKIPPED, RAW: _RAW, VOID: _VOID}
    names = dict.fromkeys((*TAGS[1:], *_INLINE, *_SKIPPED, *_RAW, *_VOID))
    return {name: TAG.get(name, 0) | sum(kind for kind, of in kinds.items() if name in of) << 8 for name in names}


TAG_KEYS, TAG_VALUES = _table(_tag_values())
WORD_KEYS, WORD_VALUES = _table(
    {word: 1 << number for number, words in enumerate(GROUPS.values()) for word in words.split()}
)
ATTRIBUTE_KEYS, ATTRIBUTE_VALUES = _table(_ATTRIBUTES)
TAG_BITS = np.zeros(len(TAGS), np.uint64)
for _tag, _group in _TAG_GROUPS.items():
    TAG_BITS[TAG[_tag]] = 1 << GROUP_NAMES.index(_group)
