"""API keys, tokens and private keys, by the forms that their vendors give out.

docs/clean.md names each form.  A key's letters must differ enough: AKIAXXXXXXXXXXXXXXXX stands in a manual.
"""

import base64
import binascii
import re

from pipeline.clean.pii.spans import Span

_END = r"(?![A-Za-z0-9_-])"
_SAFE = r"[A-Za-z0-9_-]"
_JWT = rf"eyJ{_SAFE}{{10,2000}}\.eyJ{_SAFE}{{10,8000}}\.(?:{_SAFE}{{16,2000}}{_END}|(?!{_SAFE}))"
_BLOCK = r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_GITLAB = "(?:glpat|gldt|glrt|glrtr|glft|glimt|glagent|gloas|glsoat|glffct)"
_FORMS = [
    # AWS: access key ids; the secret key beside its name
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    r"(?:(?:aws|AWS)_(?:secret_access_key|SECRET_ACCESS_KEY|secret_key|SECRET_KEY)|[sS]ecretAccessKey)"
    r"[\"']?\s{0,4}(?:[:=]|=>)\s{0,4}[\"']?(?P<labelled>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    # Google: API key, OAuth client secret, access token
    rf"AIza{_SAFE}{{35}}{_END}",
    rf"GOCSPX-{_SAFE}{{28}}{_END}",
    rf"ya29\.{_SAFE}{{20,1000}}{_END}",
    # GitHub: personal, OAuth, server, refresh, user tokens; fine-grained ones
    r"gh[posru]_[A-Za-z0-9]{36,251}(?![A-Za-z0-9])",
    r"github_pat_[A-Za-z0-9_]{60,90}(?![A-Za-z0-9_])",
    # GitLab: personal, deploy, runner, feed, incoming mail, agent, OAuth, SCIM, flag, also routable; CI job, trigger
    rf"{_GITLAB}-{_SAFE}{{27,300}}\.[0-9a-z]{{2}}\.?[0-9a-z]{{7,9}}{_END}",
    rf"{_GITLAB}-{_SAFE}{{20,100}}{_END}",
    rf"glcbt-[0-9a-zA-Z]{{1,5}}_{_SAFE}{{20,60}}{_END}",
    r"glptt-[0-9a-f]{40}(?![A-Za-z0-9])",
    rf"GR1348941{_SAFE}{{20}}{_END}",
    # Anthropic; OpenAI: project, service account, admin and older keys
    rf"sk-ant-[a-z0-9]{{2,12}}-{_SAFE}{{70,198}}AA{_END}",
    rf"sk-(?:(?:proj|svcacct|admin|None)-)?{_SAFE}{{20,100}}T3BlbkFJ{_SAFE}{{20,100}}{_END}",
    rf"sk-(?:proj|svcacct|admin)-{_SAFE}{{32,200}}{_END}",
    r"(?P<plain>sk-[A-Za-z0-9]{32,64})(?![A-Za-z0-9_-])",
    # Stripe: secret and restricted keys, live and test; webhook secrets
    r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,247}(?![A-Za-z0-9_])",
    r"whsec_[A-Za-z0-9+/]{32,64}={0,2}(?![A-Za-z0-9+/])",
    # Slack: bot, user, legacy, workspace and configuration tokens; app tokens; webhooks
    r"xoxe\.xox[bp]-\d-[A-Za-z0-9]{100,250}(?![A-Za-z0-9])",
    r"xox[abeoprs]-[0-9A-Za-z-]{15,249}[0-9A-Za-z](?![A-Za-z0-9-])",
    r"xapp-\d-[A-Z0-9]{8,16}-\d{8,16}-[a-z0-9]{32,128}(?![A-Za-z0-9])",
    r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,80}(?![A-Za-z0-9+/])",
    # SendGrid, npm, Hugging Face (user and organisation)
    rf"SG\.{_SAFE}{{22}}\.{_SAFE}{{43}}{_END}",
    r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])",
    r"(?:hf_|api_org_)[A-Za-z]{34}(?![A-Za-z0-9])",
    # JSON Web Tokens, also within Base64; private keys
    _JWT,
    r"(?P<wrapped>ZXlK[A-Za-z0-9+/]{50,12000}={0,2})(?![A-Za-z0-9+/])",
    rf"-----BEGIN {_BLOCK}[A-Za-z0-9+/=\s\\:,.()_-]{{40,20000}}?-----END {_BLOCK}",
]
_SECRET_FORMS = re.compile("|".join(_FORMS).encode())
_WRAPPED_JWT = re.compile(_JWT.encode())
_LONG = (b"-----", b"eyJ", b"ZXlK", b"hooks.")  # too long to be made of one letter, or words in part
_EXAMPLE = (b"EXAMPLE", b"EXAMPLEKEY")  # how AWS ends the keys of its manuals
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz"  # what stands for a key in others
_FEWEST_LETTERS = 10  # different ones, in a key
_SLACK_DIGITS = 6  # the fewest, in a token of Slack
_MIXED = (re.compile(rb"[0-9]"), re.compile(rb"[A-Za-z]"))


def secret(text: bytes, first: int, _last: int, _card: int) -> Span | None:
    """A key of one of the forms."""
    match = _SECRET_FORMS.match(text, first)
    if match is None:
        return None
    named = match.lastgroup
    key = match.group(named or 0)
    if named == "wrapped":
        return (first, match.end(), "secret") if _holds_jwt(key) else None
    if (
        key.endswith(_EXAMPLE)
        or _ALPHABET in key.lower()
        or (not key.startswith(_LONG) and len(set(key[4:])) < _FEWEST_LETTERS)
    ):
        return None
    if key.startswith(b"xox") and sum(byte in b"0123456789" for byte in key) < _SLACK_DIGITS:
        return None  # xoxe.xoxp-1-YourTokenStandsHere
    if named == "plain" and not all(kind.search(key, 3) for kind in _MIXED):
        return None  # sk-learn-pipeline
    return (*match.span(named or 0), "secret")


def _holds_jwt(key: bytes) -> bool:
    try:
        return _WRAPPED_JWT.match(base64.b64decode(key + b"=" * (-len(key) % 4))) is not None
    except binascii.Error:
        return False
