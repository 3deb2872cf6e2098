"""Expressions of Prometheus: which series they name, and which labels they use of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser

# Prometheus adds these to whatever it scrapes.
OF_THE_TARGET = frozenset({"job", "instance"})


@dataclass(frozen=True)
class Use:
    """One selector: the series' name, the labels that are used of it, and those that it must equal."""

    series: str
    labels: frozenset[str]
    equal: frozenset[tuple[str, str]]


def uses(expression: str) -> list[Use]:
    """Every selector of the expression; raises ValueError when it is none."""
    return list(_uses(promql_parser.parse(expression), frozenset()))


def _uses(node: Any, grouped_by: frozenset[str]) -> Iterator[Use]:
    match node:
        case promql_parser.VectorSelector():
            matchers = node.matchers.matchers
            equal = {(m.name, m.value) for m in matchers if m.op == promql_parser.MatchOp.Equal}
            yield Use(node.name or "", grouped_by | {m.name for m in matchers}, frozenset(equal))
        case promql_parser.MatrixSelector():
            yield from _uses(node.vector_selector, grouped_by)
        case promql_parser.AggregateExpr():
            labels = frozenset(node.modifier.labels) if node.modifier else frozenset()
            yield from _uses(node.expr, grouped_by | labels)
        case promql_parser.BinaryExpr():
            yield from _uses(node.lhs, grouped_by)
            yield from _uses(node.rhs, grouped_by)
        case promql_parser.Call():
            for argument in node.args:
                yield from _uses(argument, grouped_by)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            yield from _uses(node.expr, grouped_by)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return
        case _:
            raise ValueError(f"{type(node).__name__} is not looked into")
