"""HTTP to this machine, past any proxy that the environment names."""

from dataclasses import dataclass

import requests


@dataclass(frozen=True)
class Health:
    """Whether the gateway says that all is well, its answer in words, and the body of it."""

    ok: bool
    text: str
    body: str = ""


def session() -> requests.Session:
    opened = requests.Session()
    opened.trust_env = False
    return opened


def health(gateway_url: str) -> Health:
    """What `GET /health` answers."""
    try:
        with session() as opened:
            answer = opened.get(f"{gateway_url}/health", timeout=5)
    except requests.RequestException:
        return Health(False, "no answer")
    return Health(
        answer.status_code == requests.codes.ok, f"{answer.status_code} {answer.text.strip()[:500]}", answer.text
    )
