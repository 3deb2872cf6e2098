"""The operator's tool for dead letters: `python -m shared.dead_letter_tool list|show|requeue|discard`.

It is in `shared`, and needs nothing but AMQP_URI, so that it also runs within any service's container.
"""

import eventlet

eventlet.monkey_patch()

import argparse  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import NoReturn  # noqa: E402

from shared import config, dead_letter_names, dead_letter_office, dead_letter_text  # noqa: E402
from shared.amqp import BROKER_ERRORS  # noqa: E402
from shared.dead_letter_office import Selection  # noqa: E402
from shared.errors import DomainError, NotFound  # noqa: E402

LIST_LIMIT, SHOW_LIMIT = 20, 5


class UsageError(Exception):
    """What is wrong with the command line, in a sentence."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Command line; returns the exit code: 2 for a wrong argument or setting, 1 when it could not be done."""
    try:
        options = _parser().parse_args(arguments)
        _check(options)
        uri = config.amqp_uri(environ)
        return {"list": _list, "show": _show, "requeue": _requeue, "discard": _discard}[options.action](uri, options)
    except (UsageError, config.ConfigurationError, NotFound) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except DomainError as error:
        print(f"error: {error}", file=sys.stderr)
    except BROKER_ERRORS as error:
        print(f"error: the broker is away: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dead-letters", description="Look at dead letters, send them again, or discard them.")
    parser.add_argument("action", nargs="?", default="list", choices=["list", "show", "requeue", "discard"])
    parser.add_argument("--queue", help="a work queue or its .dead one; list takes all when it is left out")
    parser.add_argument("--id", help="only the letters with this id")
    parser.add_argument("--reason", help="only the letters with this reason")
    parser.add_argument("--limit", type=_limit, help="at most so many letters, the oldest first")
    parser.add_argument("--all", action="store_true", help="discard: all letters of the queue")
    parser.add_argument("--body", type=Path, help="requeue: send the one letter with this file as its body")
    parser.add_argument("--force", action="store_true", help="discard: do not ask")
    parser.add_argument("--json", action="store_true", help="list, show: as JSON")
    return parser


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError("must be a whole number from 1 on")
    return int(text)


def _check(options: argparse.Namespace) -> None:
    if options.action != "list" and not options.queue:
        raise UsageError(f"{options.action} needs a queue: QUEUE=... (--queue); list shows which there are.")
    if options.body and not (options.action == "requeue" and options.id):
        raise UsageError("A body (BODY, --body) is for requeue of one letter, named by ID (--id).")
    if options.body and not options.body.is_file():
        raise UsageError(f"There is no file {options.body}.")
    if options.action == "discard" and not (options.id or options.reason or options.all):
        raise UsageError("discard needs ID, REASON, or ALL=1 (--id, --reason, --all): what is discarded is gone.")
    if options.all and (options.action != "discard" or options.id or options.reason):
        raise UsageError("ALL (--all) is for discard, without ID and REASON.")


def _selection(options: argparse.Namespace, default_limit: int | None = None) -> Selection:
    return Selection(options.id, options.reason, options.limit or default_limit)


def _list(uri: str, options: argparse.Namespace) -> int:
    surveys = []
    for queue in [dead_letter_names.dead(options.queue)] if options.queue else dead_letter_names.known():
        try:
            surveys.append(dead_letter_office.survey(uri, queue, _selection(options, LIST_LIMIT)))
        except NotFound:
            if options.queue:  # else one whose service has never run here
                raise
    print(dead_letter_text.as_json(surveys) if options.json else dead_letter_text.surveys(surveys))
    return 0


def _show(uri: str, options: argparse.Namespace) -> int:
    queue, found = dead_letter_names.dead(options.queue), 0
    for letter in dead_letter_office.read(uri, queue, _selection(options, SHOW_LIMIT)):
        found += 1
        print(dead_letter_text.letter_as_json(letter) if options.json else dead_letter_text.letter(letter))
    return 0 if found else _none(queue)


def _requeue(uri: str, options: argparse.Namespace) -> int:
    queue = dead_letter_names.dead(options.queue)
    body = options.body.read_bytes() if options.body else None
    selection = _selection(options, 1 if options.body else None)
    result = dead_letter_office.send_again(uri, queue, selection, body)
    if result.sent:
        print(f"Sent again to {dead_letter_names.work(queue)}: {result.sent}.")
    if result.failure:
        print(f"error: {result.failure}", file=sys.stderr)
        return 1
    return 0 if result.sent else _none(queue)


def _discard(uri: str, options: argparse.Namespace) -> int:
    queue, selection = dead_letter_names.dead(options.queue), _selection(options)
    if not options.force:
        if not sys.stdin.isatty():
            raise UsageError("discard asks first; without a terminal give FORCE=1 (--force).")
        chosen = len(dead_letter_office.survey(uri, queue, selection).items)
        if not chosen:
            return _none(queue)
        if input(f"Discard {chosen} of {queue} for good? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was discarded.")
            return 1
        selection = Selection(selection.id, selection.reason, chosen)
    discarded = dead_letter_office.discard(uri, queue, selection)
    if not discarded:
        return _none(queue)
    print(f"Discarded from {queue}: {discarded}.")
    return 0


def _none(queue: str) -> int:
    print(f"No such letter is in {queue}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
