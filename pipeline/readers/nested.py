"""Texts that lie in lists: the paragraphs of a record, the pages of a dump, the messages of a chat.

A list on the way to a text is one text in parts, which are joined by blank lines; with ``[]`` after its name, and on
the way to HTML, each of its items is a document of its own: ``pages[].body``.  A string that holds a JSON object or
list, as a cell of a CSV file may, is looked into like the value it stands for.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import orjson

BETWEEN = "\n\n"
EACH = "[]"
SHORT = 1000  # characters of a string beside a list, which is repeated in each document made of it,
REPEATED = 16 << 20  # unless all of that were more than these characters
ROLES = ("role", "from")  # of a message; the second as ShareGPT has it
CONTENTS = ("content", "value")
OTHER_NAMES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant"}
Step = tuple[str, bool]


def plain_name(name: str) -> str:
    """A dotted name without the marks of lists."""
    return name.replace(EACH, "")


def steps_of(name: str, *, each: bool) -> list[Step]:
    """The names on the way, each with whether the items of a list there are documents of their own.

    Example:
        >>> steps_of("data[].paragraphs.context", each=False)
        [('data', True), ('paragraphs', False), ('context', False)]
    """
    names = name.split(".")
    marked = max((number for number, part in enumerate(names) if part.endswith(EACH)), default=-1)
    return [(plain_name(part), each or number <= marked) for number, part in enumerate(names)]


# -- documents of their own


def spread(value: dict[str, Any], steps: Sequence[Step], keep: Collection[str] = ()) -> list[Any] | None:
    """The record once for each item of the lists that ``steps`` mark; None where there is no such list.

    What stands beside a list is repeated in each where it is a number or a short string, or is one of ``keep``.
    """
    made = list(_walk(value, steps, 0, keep))
    return None if len(made) == 1 and made[0] is value else made


def _walk(node: Any, steps: Sequence[Step], at: int, keep: Collection[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, steps, at, keep)
        return
    name, each = steps[at] if at < len(steps) else ("", False)
    if not isinstance(node, dict) or not each or _dotted(steps[at:]) in node:
        yield node  # what follows an unmarked name is joined
        return
    inner = value_of_json(node.get(name))
    made = list(_walk(inner, steps, at + 1, keep)) if isinstance(inner, dict | list) else [inner]
    if len(made) == 1 and made[0] is inner:
        yield node
        return
    short = {key: item for key, item in node.items() if key != name and _is_short(item)}
    if sum(len(key) + len(str(item)) for key, item in short.items()) * len(made) > REPEATED:
        short = {}
    beside = short | {key: node[key] for key in keep if key in node}
    yield from ({**beside, name: item} for item in made)


def _dotted(steps: Sequence[Step]) -> str:
    """A name with dots in it, which is tried before it is taken for a way."""
    return ".".join(name for name, _ in steps) if len(steps) > 1 else "\0"


def _is_short(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= SHORT)


# -- one text


def joined(value: dict[str, Any], name: str, found: Any) -> str | None:
    """The text at a dotted name that leads through lists, or to one; it is taken out of ``value``.

    Args:
        value: The record.
        name: The dotted name.
        found: What stands at the name itself, where no list is on the way; None where nothing does.

    Returns:
        None where there is none, or something that is no text.
    """
    values = [found] if found is not None else list(_taken(value, name.split(".")))
    texts = [text_of(item) for item in values]
    if not texts or None in texts:
        return None
    return BETWEEN.join(text for text in texts if text)


def _taken(node: Any, names: Sequence[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _taken(item, names)
    elif isinstance(node, dict):
        whole = ".".join(names)
        if whole in node:
            if (found := node.pop(whole)) is not None:
                yield found
        elif len(names) > 1 and names[0] in node:
            inner = value_of_json(node[names[0]])
            found = list(_taken(inner, names[1:]))
            if found:
                node[names[0]] = inner  # what was a string of JSON is known by now
            yield from found


def text_of(value: Any) -> str | None:
    """The text that a value is: a string, a chat, or a list of texts; None where it is none of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, list):
        return None
    if (chat := chat_text(value)) is not None:
        return chat
    texts = [text_of(item) for item in value if item is not None]
    return None if None in texts or not texts else BETWEEN.join(text for text in texts if text)


def value_of_json(value: Any) -> Any:
    """What a string of JSON stands for, where that is an object or a list; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return value


# -- chats


def chat_text(value: Any) -> str | None:
    r"""A chat as text: ``role: content`` of each message, joined by blank lines; None of what is no chat.

    Messages have ``role`` and ``content``, or as in ShareGPT ``from`` and ``value``; its ``human`` and ``gpt`` become
    ``user`` and ``assistant``.  What is no text in a message (pictures, calls of tools) is left out.

    Example:
        >>> chat_text([{"role": "user", "content": "Hi."}, {"from": "gpt", "value": "Hello."}])
        'user: Hi.\n\nassistant: Hello.'
    """
    messages = value_of_json(value)
    if isinstance(messages, dict):
        messages = messages.get("messages", messages.get("conversations"))
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        return None
    told = [(_role(message), _content(message)) for message in messages]
    return BETWEEN.join(f"{role}: {text}" if role else text for role, text in told if text)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and any(name in value for name in ROLES) and any(name in value for name in CONTENTS)


def _role(message: dict[str, Any]) -> str:
    role = str(next((message[name] for name in ROLES if message.get(name)), "")).strip()
    return OTHER_NAMES.get(role.lower(), role)


def _content(message: dict[str, Any]) -> str:
    content = next((message[name] for name in CONTENTS if message.get(name) is not None), "")
    return _parts(content).strip()


def _parts(content: Any) -> str:
    """The text of a message: a string, or a list of parts of which some have a text."""
    if isinstance(content, dict):
        content = content.get("parts", content.get("text", ""))
    if isinstance(content, list):
        return "\n".join(text for part in content if (text := _parts(part)))
    return content if isinstance(content, str) else ""
