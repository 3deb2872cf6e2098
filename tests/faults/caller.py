"""HTTP as a rider's telephone speaks it: one connection kept alive, 10 s of patience, every answer in the ledger."""

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt

from tests.faults.ledger import CLOSED, HUNG, REFUSED, Entry, Ledger

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Answer:
    """`outcome` is the status, or why there is none (see `ledger`)."""

    outcome: int | str
    body: Any = None
    retry_after: str | None = None


class Caller:
    """One caller with one token."""

    def __init__(self, gateway_url: str, secret: str, role: str, subject: str, ledger: Ledger) -> None:
        self.subject, self.ledger = subject, ledger
        parts = urlsplit(gateway_url)
        claims = {"sub": subject, "role": role, "exp": int(time.time()) + 86_400}
        self._headers = {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE_S)

    def call(self, op: str, method: str, path: str, sent: Any = None, key: str | None = None, **notes: Any) -> Answer:
        """One request; `op` and `notes` go into the ledger with what came of it."""
        began, since = time.time(), time.monotonic()
        answer, replayed = self._exchange(method, path, sent, key)
        took = time.monotonic() - since
        body = answer.body if isinstance(answer.outcome, int) and answer.outcome < 300 else None
        noted = notes if key is None else {**notes, "key": key}
        self.ledger.write(Entry(op, self.subject, began, took, answer.outcome, sent, body, replayed, noted))
        return answer

    def _exchange(self, method: str, path: str, sent: Any, key: str | None) -> tuple[Answer, bool]:
        headers = dict(self._headers)
        if key is not None:
            headers["Idempotency-Key"] = key
        if sent is not None:
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(method, path, None if sent is None else json.dumps(sent), headers)
            response = self._connection.getresponse()
            raw = response.read()
        except TimeoutError:
            self._connection.close()
            return Answer(HUNG), False
        except ConnectionRefusedError:
            self._connection.close()
            return Answer(REFUSED), False
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer(CLOSED), False
        body = json.loads(raw) if raw else None
        replayed = response.headers.get("Idempotency-Replayed") == "true"
        return Answer(response.status, body, response.headers.get("Retry-After")), replayed
