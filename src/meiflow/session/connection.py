"""Why a connection failed, in the words of somebody who can do something about it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import MaxRetryError, NameResolutionError


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what caused it; urllib3 and requests wrap errors in arguments and attributes."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *one.args]
        waiting.append(one.reason if isinstance(one, MaxRetryError) else None)


def connection_fault(error: requests.RequestException, url: str) -> str | None:
    """The reason of a failed connection; None if it is none of the usual ones.

    Parameters
    ----------
    error : RequestException
    url : str
        Address that was requested.

    Examples
    --------
    >>> connection_fault(requests.ConnectionError(ConnectionRefusedError()), "http://a.org:80/b")
    'a.org refuses the connection (the server is down, or a firewall is in between)'
    >>> connection_fault(requests.ConnectionError("reset"), "http://a.org/b") is None
    True
    """
    host, causes = urlsplit(url).hostname or url, list(_chain(error))
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy cannot be used (its address is in https_proxy or http_proxy)"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"the TLS connection to {host} is not accepted (behind a proxy that inspects TLS, set "
            "REQUESTS_CA_BUNDLE to its certificates)"
        )
    if any(isinstance(cause, NameResolutionError) for cause in causes):
        return f"the name {host} is not found (no network, no DNS, or a wrong address)"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return f"{host} refuses the connection (the server is down, or a firewall is in between)"
    return None
