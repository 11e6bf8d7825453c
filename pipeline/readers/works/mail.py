"""One message: its subject and words, without attachments."""

import email
import email.policy
from dataclasses import dataclass
from email.message import EmailMessage, MIMEPart
from email.utils import parsedate_to_datetime

from pipeline.readers.raw.charsets import declared_text, read_as, undeclared_text


@dataclass(frozen=True)
class Message:
    """What a reader of a message sees; ``is_html`` where it has its words in HTML alone."""

    subject: str
    words: str
    is_html: bool
    id: str | None
    date: str | None


def message_of(data: bytes) -> Message:
    """The message in ``data``; a part that is damaged gives what can be read of it."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    part = message.get_body(("plain", "html"))
    return Message(
        subject=_header(message, "subject") or "",
        words="" if part is None else _content(part),
        is_html=part is not None and part.get_content_type() == "text/html",
        id=_header(message, "message-id"),
        date=_date(message),
    )


def _content(part: MIMEPart) -> str:
    raw = part.get_payload(decode=True)
    data = raw if isinstance(raw, bytes) else str(part.get_payload()).encode("utf-8", "surrogateescape")
    found = declared_text(data, part.get_content_charset()) or undeclared_text(data)
    return found.text if found is not None else read_as(data, "windows-1252").text


def _header(message: EmailMessage, name: str) -> str | None:
    """A header's value as text; one that cannot be parsed says nothing."""
    try:
        value = message.get(name)
    except Exception:  # noqa: BLE001  the parser of headers raises what it meets: IndexError, AttributeError, ...
        return None
    text = " ".join(str(value).split()) if value else ""
    return text.encode("utf-8", "replace").decode("utf-8") or None


def _date(message: EmailMessage) -> str | None:
    try:
        return parsedate_to_datetime(_header(message, "date") or "").isoformat()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
