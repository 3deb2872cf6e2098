"""The network between a stack and its servers: a TCP proxy in each place where a service meets one of them."""

from urllib.parse import urlsplit

from tests.integration.tcp_proxy import TcpProxy


class Network:
    """`route` makes the proxies while a stack is put together."""

    def __init__(self) -> None:
        self._proxies: dict[tuple[str, str], TcpProxy] = {}

    def route(self, service: str, what: str, url: str) -> str:
        """The URL under which `service` shall reach its "broker" or "database" at `url`."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        proxy = self._proxies[service, what] = TcpProxy(parts.hostname, parts.port)
        return parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")).geturl()

    def between(self, service: str, what: str) -> TcpProxy:
        return self._proxies[service, what]

    def close(self) -> None:
        for proxy in self._proxies.values():
            proxy.close()
