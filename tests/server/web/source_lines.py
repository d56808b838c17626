"""Reads out of the source what the services say: a template for each line, with ``{}`` where a value stands.

A name is looked up where it was given: in the function, in the module, or, of a parameter, at every call. What the
source does not tell, a value at run time, stays a ``{}``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import leukolens

HOLE, UNTOLD = "{}", "?"
ROOT = Path(leukolens.__file__).parent
MOST_DEEP = 12
AT_RUN_TIME = {"words", "translate"}
"""Functions that give back what they are given, or what is in a page's language already."""
BESIDE = {"Refusal": 1, "NotTaken": 1, "Entry": 2, "fail": 2, "cancel": 2, "FieldReading": 2}
"""Where in a call stands why something was not taken, or not done."""
PASSED_ON = (
    "imaging/decode.py", "reading/fields.py", "bundle.py", "taxonomy.py", "adaptation/adapt.py",
    "adaptation/local.py",
)  # fmt: skip
"""Beside the server's own, whose lines stand on its pages too."""
TOO_FEW = ("adaptation/judged.py", "too_few")
"""What gives back why an adaptation cannot be judged."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module:
    """A file of the source.

    Attributes:
        name: Below the package, with slashes.
        tree: What stands in it.
        functions: By name, methods too.
        given: What is assigned at its top.
        imported: Name to the module that it comes from, and its name there.
        inside: Every node to the functions around it, the innermost first.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(ROOT).as_posix()
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = list(ast.walk(self.tree))
        every = [node for node in nodes if isinstance(node, Function)]
        self.functions = {node.name: node for node in every}
        self.given = {name: value for name, value, _ in assigned(self.tree.body)}
        self.imported = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.inside: dict[ast.AST, list[Function]] = {}
        for function in every:  # an outer one comes before those in it
            for node in ast.walk(function):
                self.inside.setdefault(node, []).insert(0, function)


def assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr, int]]:
    """What is given a name: the name, the value, and its line."""
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value, node.lineno
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            for place, target in enumerate(node.targets[0].elts):
                item = ast.Subscript(node.value, ast.Constant(place), ast.Load())
                yield ast.unparse(target), item, node.lineno
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield ast.unparse(node.target), node.value, node.lineno


@cache
def module(name: str) -> Module:
    """A file of the package, by its name below it."""
    return Module(ROOT / name)


def module_of(dotted: str) -> Module | None:
    """The file of ``leukolens.x.y``."""
    name = f"{dotted.removeprefix('leukolens.').replace('.', '/')}.py"
    return module(name) if dotted.startswith("leukolens.") and (ROOT / name).is_file() else None


@cache
def modules() -> list[Module]:
    """Every file in which something is said that a page may show."""
    servers = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "server").rglob("*.py")))
    return [module(name) for name in (*PASSED_ON, *servers)]


@cache
def calls() -> dict[str, list[tuple[Module, ast.Call]]]:
    """Every call in them, by the last part of what is called."""
    found: dict[str, list[tuple[Module, ast.Call]]] = {}
    for one in modules():
        for node in ast.walk(one.tree):
            if isinstance(node, ast.Call):
                found.setdefault(ast.unparse(node.func).split(".")[-1], []).append((one, node))
    return found


class Reading:
    """What an expression may be, as templates; where the source does not tell, ``?`` and the expression."""

    def __init__(self, within: Module, depth: int = 0) -> None:
        self.module, self.depth = within, depth

    def of(self, node: ast.expr | None) -> set[str]:  # noqa: PLR0911
        if node is None or self.depth > MOST_DEEP:
            return {UNTOLD}
        deeper = Reading(self.module, self.depth + 1)
        match node:
            case ast.Constant(value=text):
                return {text} if isinstance(text, str) else set() if text is None else untold(node)
            case ast.JoinedStr(values=parts):
                return deeper.joined(parts)
            case ast.IfExp(body=one, orelse=other):
                return deeper.of(one) | deeper.of(other)
            case ast.BoolOp(values=values):
                return set[str]().union(*(deeper.of(value) for value in values))
            case ast.NamedExpr(value=value):
                return deeper.of(value)
            case ast.Subscript(value=ast.Dict(values=values)):
                return set[str]().union(*(deeper.of(value) for value in values))
            case ast.Subscript(value=value, slice=ast.Constant(value=int(place))):
                return deeper.item(value, place)
            case ast.Attribute(attr="role"):
                return deeper.literal("Role", module("server/actor.py"))
            case ast.Name(id=name):
                return deeper.named(name, node)
            case ast.Call(func=ast.Name(id=name)):
                return deeper.returned(name) or untold(node)
        return untold(node)

    def joined(self, parts: list[ast.expr]) -> set[str]:
        lines = {""}
        for part in parts:
            value = part.value if isinstance(part, ast.FormattedValue) else part
            plain = not isinstance(part, ast.FormattedValue) or part.conversion == -1
            told = self.of(value) if plain else {UNTOLD}
            told = {HOLE} if any(text.startswith(UNTOLD) for text in told) else told
            lines = {line + text for line in lines for text in told}
        return lines

    def item(self, value: ast.expr, place: int) -> set[str]:
        """Of a tuple, or of the tuples that a table may give."""
        given = self.module.given
        match value:
            case ast.Tuple(elts=elements):
                return self.of(elements[place])
            case ast.Name(id=name) if name in given:
                return self.item(given[name], place)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[_, default]):
                table = given.get(name)
                found = table.values if isinstance(table, ast.Dict) else []
                return set[str]().union(*(self.item(one, place) for one in [*found, default]))
        return untold(value)

    def named(self, name: str, node: ast.expr) -> set[str]:
        for function in self.module.inside.get(node, []):
            before = [
                (line, value)
                for found, value, line in assigned(ast.walk(function))
                if found == name and line <= node.lineno
            ]
            if before:
                return self.of(max(before, key=lambda one: one[0])[1])
            arguments = [*function.args.args, *function.args.kwonlyargs]
            if name in {one.arg for one in arguments}:
                return self.parameter(function, name)
        if name in self.module.given:
            return self.of(self.module.given[name])
        origin = module_of(self.module.imported.get(name, ("", ""))[0])
        return Reading(origin, self.depth).of(origin.given.get(name)) if origin else untold(node)

    def parameter(self, function: Function, name: str) -> set[str]:
        """Of a parameter: what its type allows, where it says so; else what it is given at every call."""
        arguments = function.args.args
        (own,) = (one for one in [*arguments, *function.args.kwonlyargs] if one.arg == name)
        if literal := self.literal(ast.unparse(own.annotation or ast.Constant("")), self.module):
            return literal
        names = [one.arg for one in arguments if one.arg != "self"]
        place, told = names.index(name) if name in names else MOST_DEEP, set[str]()
        if function.name == "__init__":  # of which class, a call does not tell
            return {f"{UNTOLD}{name}"}
        for caller, call in calls().get(function.name, []):
            if self.is_ours(function, caller, call) and len(call.args) > place:
                told |= Reading(caller, self.depth).of(call.args[place])
        return told or {f"{UNTOLD}{name}"}

    def is_ours(self, function: Function, caller: Module, call: ast.Call) -> bool:
        """Whether a call is of this function, and not of another of its name."""
        if caller is self.module:
            return True
        if isinstance(call.func, ast.Attribute):
            package, name = caller.imported.get(ast.unparse(call.func.value), ("", ""))
            is_method = any(one.arg == "self" for one in function.args.args)
            return module_of(f"{package}.{name}") is self.module if package else is_method
        return module_of(caller.imported.get(function.name, ("", ""))[0]) is self.module

    def literal(self, kind: str, within: Module) -> set[str]:
        node: Any = within.given.get(kind)
        if node is None and kind.startswith("Literal["):
            node = ast.parse(kind, mode="eval").body
        if node is None and kind in within.imported:
            origin = module_of(within.imported[kind][0])
            return self.literal(kind, origin) if origin else set()
        if not isinstance(node, ast.Subscript) or ast.unparse(node.value) != "Literal":
            return set()
        values = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        texts = {value.value for value in values if isinstance(value, ast.Constant)}
        return {text for text in texts if isinstance(text, str)}

    def returned(self, name: str) -> set[str]:
        """What a function gives back that is called by its name."""
        within, function = self.module, self.module.functions.get(name)
        if function is None and name in self.module.imported:
            within = module_of(self.module.imported[name][0]) or self.module
            function = within.functions.get(name)
        if function is None or name in AT_RUN_TIME:
            return set()
        own = Reading(within, self.depth)
        given = (node.value for node in ast.walk(function) if isinstance(node, ast.Return))
        return set[str]().union(*(own.of(value) for value in given))


def untold(node: ast.AST) -> set[str]:
    """That the source does not tell."""
    return {f"{UNTOLD}{ast.unparse(node)}"}


class Told:
    """What the source says.

    Attributes:
        problems: Template to the place where it stands; reasons too.
        remedies: Likewise.
        untold: Expressions of which the source does not tell what they are.
    """

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.remedies: dict[str, str] = {}
        self.untold: set[str] = set()
        for one in modules():
            for node in ast.walk(one.tree):
                self.add(one, node)
        name, what = TOO_FEW
        self.problems |= dict.fromkeys(Reading(module(name)).returned(what), name)

    def add(self, within: Module, node: ast.AST) -> None:
        for found, value in zip((self.problems, self.remedies), pair(node), strict=False):
            for text in Reading(within).of(value) - {""}:
                if text.startswith(UNTOLD):
                    self.untold.add(text.removeprefix(UNTOLD))
                else:
                    found.setdefault(text, f"{within.name}:{value.lineno}")


def pair(node: ast.AST) -> list[ast.expr]:
    """Of what says so, the problem and the remedy; nothing of all else."""
    if isinstance(node, ast.Dict):
        return [value for key, value in zip(node.keys, node.values, strict=True) if said(key) == "problem"]
    if not isinstance(node, ast.Call):
        return []
    name, args = ast.unparse(node.func).split(".")[-1], node.args
    named = {one.arg: one.value for one in node.keywords}
    found: list[ast.expr] = [named["refusal"]] if "refusal" in named else []
    if name in family():
        found = [
            *args[name == "ImageError" :],
            *(named[key] for key in ("problem", "remedy") if key in named),
        ]
    elif name == "__init__" and len(args) == 2:
        found = [*args]
    elif name == "told" and len(args) > 3:
        found = [*args[2:4]]
    elif name in BESIDE and len(args) > BESIDE[name]:
        found = [args[BESIDE[name]]]
    return found


def said(node: ast.expr | None) -> str:
    """A text, where it stands there."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@cache
def family() -> set[str]:
    """The errors that are made of a problem and a remedy."""
    found = {node.name for node in module("errors.py").tree.body if isinstance(node, ast.ClassDef)}
    for one in modules():
        for node in ast.walk(one.tree):
            if not isinstance(node, ast.ClassDef) or any(isinstance(one, Function) for one in node.body):
                continue
            if {ast.unparse(base) for base in node.bases} & found:
                found.add(node.name)
    return found
