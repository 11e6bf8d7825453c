"""Names of what reserves a page, and of the robots that collect text to train on: what a recipe may name."""

from typing import Literal, get_args

OptOut = Literal[
    "noai", "noimageai", "noml", "tdm-reservation", "content-usage", "content-signal", "ai-agent", "robots"
]
OPT_OUTS: tuple[OptOut, ...] = get_args(OptOut)
DEFAULT_OPT_OUTS: tuple[OptOut, ...] = tuple(mark for mark in OPT_OUTS if mark != "noimageai")
# robots whose operators say that they train models, or sell text to those who do; by the token that robots.txt names
AI_AGENTS = (
    *("GPTBot", "CCBot", "ClaudeBot", "anthropic-ai", "Google-Extended", "Applebot-Extended", "Meta-ExternalAgent"),
    *("FacebookBot", "Bytespider", "Amazonbot", "cohere-training-data-crawler", "cohere-ai", "AI2Bot", "Diffbot"),
    *(
        "omgili",
        "omgilibot",
        "ICC-Crawler",
        "PanguBot",
        "Timpibot",
        "Kangaroo Bot",
        "img2dataset",
        "VelenPublicWebCrawler",
    ),
    *("Webzio-Extended", "DeepSeekBot", "xAI-Bot", "MistralAI-User", "PetalBot", "SemrushBot-OCOB", "FriendlyCrawler"),
)
