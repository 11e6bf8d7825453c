"""URLs -> the form under which two of them name the same page."""


def canonical_url(url: str) -> str:
    """A URL without what does not name the page: scheme, letter case of the host, ``www.``, port, fragment, last slash.

    Example:
        >>> canonical_url("HTTP://www.Example.org:80/a/?b=1#top")
        'example.org/a?b=1'
    """
    rest = url.strip().partition("#")[0]
    rest = rest.partition("://")[2] or rest.removeprefix("//")
    host, slash, path = rest.partition("/")
    path, question, query = path.partition("?")
    host = host.lower().rpartition("@")[2].removeprefix("www.").removesuffix(":80").removesuffix(":443")
    return host + (slash + path).rstrip("/") + question + query
