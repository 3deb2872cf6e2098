"""What must never be in a log: secrets, tokens, and where riders and bikes were."""

import re
from urllib.parse import unquote, urlsplit

from tests.stack import RunningStack

FORBIDDEN = {
    "a token": re.compile(r"eyJ[\w-]{8,}\.[\w-]+"),
    "an Authorization header": re.compile(r"(?i)authorization\W{1,4}\s*bearer|bearer\s+[\w-]{10,}\."),
    "a location": re.compile(r"coordinates\W{1,8}\[|\"(?:longitude|latitude|lon|lat)\\*\":\s*-?\d|[?&]lat=|bbox="),
    "a row of a database": re.compile(r"Failing row contains|DETAIL:  Key"),
}
# What a log may name is short: whole messages, bodies and rows of a database are not.
MAX_LINE = 20_000


def assert_private(stack: RunningStack) -> None:
    """Fails when a log of the stack holds what must stay out of it, naming the first such line."""
    brokers = [environment["AMQP_URI"] for environment in stack.environments.values()]
    urls = (stack.amqp_uri, *brokers, stack.bike_database_url, stack.trip_database_url)
    secrets = {unquote(urlsplit(url).password or "") for url in urls} | {stack.jwt_secret}
    for log in sorted(stack.log_folder.glob("*.log")):
        with log.open(errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{log.name}:{number}: {line[:500]}"
                assert not any(secret and secret in line for secret in secrets), f"a secret in {where}"
                for name, pattern in FORBIDDEN.items():
                    assert not pattern.search(line), f"{name} in {where}"
                assert len(line) <= MAX_LINE, f"a line of {len(line)} characters in {where}"
