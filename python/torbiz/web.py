"""How an address of the web is reached: through which proxy, and whom to trust there.

http.client knows neither: it asks no proxy, and trusts what OpenSSL was built with, which is nobody in python.org's
Python for a Mac as long as its "Install Certificates.command" wasn't run.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import re
import ssl
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit


@dataclass(frozen=True)
class Way:
    """How the web is reached where that isn't as on this computer: in a container as on its host."""

    proxies: Mapping[str, str] | None = None
    """By scheme, ``all`` for any other, ``no`` for hosts that are reached without, as urllib's ``getproxies`` has them;
    None for those that are set here. A proxy's address may hold a password."""
    authorities: str = ""
    """Who is trusted besides, PEM."""


def trust(authorities: str = "") -> ssl.SSLContext:
    """Trusts whom the usual variables name, else whom the computer trusts, else whom Mozilla does.

    :param authorities: trusted as well, PEM
    :raises ssl.SSLError: where these are no certificates
    """
    context = _usual_trust()
    more = os.environ.get("NODE_EXTRA_CA_CERTS")  # what Torbiz's other half, in Node, trusts as well
    if more and Path(more).is_file():
        context.load_verify_locations(cafile=more)
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context


def _usual_trust() -> ssl.SSLContext:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        file = os.environ.get(name)
        if file and Path(file).is_file():
            return ssl.create_default_context(cafile=file)
    if sys.platform == "darwin" and not os.environ.get("SSL_CERT_DIR"):
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    places = ssl.get_default_verify_paths()
    if not places.cafile and not (places.capath and any(Path(places.capath).iterdir())):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def proxy_for(url: SplitResult, given: Mapping[str, str] | None = None) -> SplitResult | None:
    """The proxy that the usual variables name for an address, else a Mac's settings. None for this computer itself.

    :param given: instead of those, as in ``Way``
    :raises ValueError: where what is named is no http:// address
    """
    host = url.hostname or ""
    if _is_here(host):
        return None
    # Not with the module: it takes as long to import as the rest, and most questions stay on this computer.
    from urllib.request import getproxies, proxy_bypass
    from urllib.request import proxy_bypass_environment as bypass_of  # type: ignore[attr-defined]  # not in typeshed

    proxies = getproxies() if given is None else dict(given)
    named = proxies.get(url.scheme) or proxies.get("all")
    place = host if url.port is None else f"{host}:{url.port}"
    if not named or (proxy_bypass(place) if given is None else bypass_of(place, proxies)):
        return None
    if any(_is_in_network(host, entry.strip()) for entry in proxies.get("no", "").split(",")):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise ValueError("the proxy that is set isn't an http:// address")  # itself unsaid: it may hold a password
    return proxy


def connection_to(url: SplitResult, proxy: SplitResult | None, timeout: float) -> http.client.HTTPConnection:
    """A connection to an address, not made yet. A proxy only passes bytes on: a request is the same with one."""
    target = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    host, port = (proxy.hostname or "", proxy.port or 80) if proxy else target
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout, context=trust())
        if url.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=timeout)
    )
    if proxy:
        login = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
        shown = {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"} if proxy.username else {}
        connection.set_tunnel(*target, shown)
    return connection


def login_refusal(proxy: SplitResult) -> str:
    """What a proxy does that answers with 407, in words that follow its name."""
    return "doesn't accept the user name and password" if proxy.username else "wants a user name and a password"


def _is_in_network(host: str, entry: str) -> bool:
    """Whether an address is in a network such as ``10.0.0.0/8`` or ``2001:db8::1``, which urllib knows nothing of.

    A name is in none: it isn't looked up.
    """
    start, slash, bits = entry.strip("[]").partition("/")
    if slash and re.fullmatch(r"\d+(\.\d+){0,2}", start):
        start += ".0" * (3 - start.count("."))  # a Mac's settings leave zeros at the end away: 169.254/16
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(start + slash + bits, strict=False)
    except ValueError:
        return False


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
