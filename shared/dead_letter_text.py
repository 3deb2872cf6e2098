"""Dead letters as text for a terminal, and as JSON for programs."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from shared.dead_letter_office import Survey
from shared.letters import Letter

DETAIL_WIDTH = 100


def surveys(found: Sequence[Survey]) -> str:
    """For each queue its number of letters, by reason, and a line for each letter; nothing of the bodies."""
    return "\n".join(line for survey in found for line in _survey(survey)) or "No dead-letter queue is there yet."


def _survey(found: Survey) -> list[str]:
    lines = [f"{found.queue}: {found.count}"]
    if found.seen < found.count:
        lines.append(f"  (of which {found.seen} could be read; another reader may hold the rest)")
    if found.reasons:
        reasons = ", ".join(f"{plain(reason)} {number}" for reason, number in found.reasons.most_common())
        lines.append(f"  {reasons}; the oldest from {plain(found.oldest or 'an unknown time')}")
    for item in found.items:
        detail = plain(item["detail"])
        short = detail if len(detail) <= DETAIL_WIDTH else detail[: DETAIL_WIDTH - 3] + "..."
        when, key = plain(item["at"] or "-"), plain(item["routing_key"] or "-")
        lines.append(f"  {item['position']:>5}  {plain(item['id'])}  {plain(item['reason'])}  {when}  {key}")
        lines.append(f"         {item['bytes']} bytes  {short}")
    more = found.reasons.total() - len(found.items)
    return [*lines, f"  ... and {more} more (LIMIT)"] if more else lines


def as_json(found: Sequence[Survey]) -> str:
    """`{"queues": [{"queue", "letters", "read", "reasons", "oldest", "items"}]}`"""
    queues = [
        {
            "queue": survey.queue,
            "letters": survey.count,
            "read": survey.seen,
            "reasons": dict(survey.reasons),
            "oldest": survey.oldest,
            "items": survey.items,
        }
        for survey in found
    ]
    return json.dumps({"queues": queues}, indent=2)


def letter(found: Letter) -> str:
    """All of one letter."""
    lines = [f"{name}: {plain(value)}" for name, value in found.summary().items()]
    lines += [f"{name}: {plain(value)}" for name, value in sorted({**found.properties, **found.headers}.items())]
    return "\n".join([*lines, "", plain(found.body.decode(errors="backslashreplace")), "-" * 72])


def letter_as_json(found: Letter) -> str:
    """One line: the summary with `headers`, `properties` and `body`, or `body_base64` where it is no UTF-8."""
    try:
        body = {"body": found.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(found.body).decode()}
    whole = {**found.summary(), "properties": found.properties, "headers": found.headers, **body}
    return json.dumps(whole, default=str)


def plain(value: Any) -> str:
    """As text that cannot move the cursor or colour the terminal: anyone may have written it."""
    text = str(value)
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
