"""What a page does beside what it shows: what it asks for, and what it complains of."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Page


@dataclass
class Watch:
    """Of one page. `expected`: patterns of complaints that a test brings about."""

    hosts: set[str] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("request", lambda request: self._asked(request.url))
        page.on("console", lambda message: self._said(message.type, f"{message.text} ({message.location['url']})"))
        page.on("pageerror", lambda error: self.complaints.append(f"{error}"))

    def _asked(self, url: str) -> None:
        self.urls.append(url)
        self.hosts.add(urlsplit(url).netloc)

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def check(self, host: str) -> None:
        """Fails for a request to another host, and for a complaint that is not expected."""
        assert self.hosts <= {host}, self.hosts
        surprises = [text for text in self.complaints if not any(re.search(pattern, text) for pattern in self.expected)]
        assert surprises == []
