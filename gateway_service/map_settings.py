"""What the map is given by its operator: where tiles come from, and whom to name for them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.config import ConfigurationError

# A path of this host, or a URL whose host may begin with Leaflet's `{s}.`; nothing that would end a policy's source.
TEMPLATE = re.compile(r"(?:(https?://)(\{s\}\.)?([A-Za-z0-9.-]+(?::\d{1,5})?))?/(?!/)[^\s\"'<>;,]*")
PLACEHOLDERS = ("{z}", "{x}", "{y}")
EXAMPLE = "https://tiles.example.org/{z}/{x}/{y}.png"


@dataclass(frozen=True)
class MapSettings:
    """`tiles`: a template of URLs, empty for none. `attribution`: HTML. `source`: what a page may load tiles from."""

    tiles: str = ""
    attribution: str = ""
    source: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "MapSettings":
        """Raises ConfigurationError with a sentence that names the variable."""
        tiles, attribution = (environ.get(name, "").strip() for name in ("MAP_TILES", "MAP_ATTRIBUTION"))
        if not tiles:
            return cls(attribution=attribution)
        match = TEMPLATE.fullmatch(tiles)
        if match is None or not all(each in tiles for each in PLACEHOLDERS):
            raise ConfigurationError(f"MAP_TILES must be a URL with {{z}}, {{x}} and {{y}}, such as {EXAMPLE}.")
        scheme, subdomains, host = match.groups()
        source = f"{scheme}{'*.' if subdomains else ''}{host}" if scheme else "'self'"
        return cls(tiles, attribution, source)
