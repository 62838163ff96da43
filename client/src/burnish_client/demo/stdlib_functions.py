"""Short functions of this machine's Python standard library, as `ast` reads them: the raw material of the demo's benchmark.

Called by stdlib_benchmark; runs no code of the modules it reads.
"""

from __future__ import annotations

import ast
import os
import random
import sysconfig
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Not library code, or not on every installation of the same Python version.
SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages", "dist-packages", "ensurepip", "__phello__"}
)
MINIMUM_CHARACTERS = 60
MAXIMUM_CHARACTERS = 200
MAXIMUM_LINES = 8
MAXIMUM_FUNCTIONS_PER_FILE = 3

DefNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """One function or method of the library."""

    file: str  # relative to the standard library's folder, with '/'
    symbol: str  # name, or Class.name
    parameters: tuple[str, ...]  # as the signature lists them, without stars
    has_stars: bool  # takes *args or **kwargs
    defaults: tuple[tuple[str, str], ...]  # (parameter, its default value as the code writes it)
    code: str  # compiles alone; a method is inside its class

    @property
    def evidence(self) -> str:
        """What a reader is shown: the path, then the code."""
        return f"# {self.file}\n{self.code}"

    @property
    def name(self) -> str:
        return self.symbol.rpartition(".")[2]

    @property
    def is_special(self) -> bool:
        """Named by the language rather than by its author: `__init__`, `__repr__` …"""
        return self.name.startswith("__")


def standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def source_files(library: Path) -> list[Path]:
    """Every module of the library proper, in path order, so that a seed means the same on every run."""
    found = []
    for folder, subfolders, files in os.walk(library):
        subfolders[:] = [name for name in subfolders if name not in SKIPPED_FOLDERS]
        found += [Path(folder, name) for name in files if name.endswith(".py")]
    return sorted(found)


def sample_functions(rng: random.Random, library: Path) -> Iterator[Function]:
    """Short functions in an order that rng decides: few of each file, none with the same code twice.

    Files are read only as far as the caller asks for functions.
    """
    seen: set[str] = set()
    files = source_files(library)
    rng.shuffle(files)
    for path in files:
        functions = read_functions(path, library)
        rng.shuffle(functions)
        taken = 0
        for function in functions:
            if function.code not in seen and taken < MAXIMUM_FUNCTIONS_PER_FILE:
                seen.add(function.code)
                taken += 1
                yield function


def read_functions(path: Path, library: Path) -> list[Function]:
    """The short functions of one file; a file that is no valid UTF-8 Python (a few of lib's data files) has none."""
    try:
        source = path.read_text("utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in old modules are not ours to report
            module = ast.parse(source)
    except (UnicodeDecodeError, SyntaxError):
        return []
    lines = source.splitlines()
    file = path.relative_to(library).as_posix()
    found = []
    scopes: list[ast.Module | ast.ClassDef] = [module, *(n for n in module.body if isinstance(n, ast.ClassDef))]
    for scope in scopes:
        for node in scope.body:
            if isinstance(node, DefNode):
                function = read_function(node, scope, lines, file)
                if function is not None:
                    found.append(function)
    return found


def read_function(node: DefNode, scope: ast.Module | ast.ClassDef, lines: list[str], file: str) -> Function | None:
    """One function, or None if it is too long, too short, or decorated (a decorator may change its signature).

    Everything is read from the code that is shown, not from the module around it.
    """
    body = textwrap.dedent("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    if node.decorator_list or not _is_short(body) or not body.isascii():
        return None
    symbol, code = node.name, body
    if isinstance(scope, ast.ClassDef):
        symbol = f"{scope.name}.{node.name}"
        code = f"class {scope.name}:\n{textwrap.indent(body, '    ')}"
    shown = _definition(code)
    if shown is None:
        return None
    return Function(
        file=file,
        symbol=symbol,
        parameters=parameter_names(shown.args),
        has_stars=bool(shown.args.vararg or shown.args.kwarg),
        defaults=default_values(shown.args, code),
        code=code,
    )


def _is_short(body: str) -> bool:
    return MINIMUM_CHARACTERS <= len(body) <= MAXIMUM_CHARACTERS and body.count("\n") < MAXIMUM_LINES


def _definition(code: str) -> DefNode | None:
    """The function's node in the code; None if it does not compile alone (a dedented multi-line string can break it)."""
    try:
        outer = ast.parse(code).body[0]
    except SyntaxError:
        return None
    inner = outer.body[0] if isinstance(outer, ast.ClassDef) else outer
    return inner if isinstance(inner, DefNode) else None


def parameter_names(arguments: ast.arguments) -> tuple[str, ...]:
    """Names in the order of the signature: positional-only, positional, *args, keyword-only, **kwargs."""
    starred = [arguments.vararg] if arguments.vararg else []
    keywords = [arguments.kwarg] if arguments.kwarg else []
    every = [*arguments.posonlyargs, *arguments.args, *starred, *arguments.kwonlyargs, *keywords]
    return tuple(argument.arg for argument in every)


def default_values(arguments: ast.arguments, code: str) -> tuple[tuple[str, str], ...]:
    """(parameter, default) pairs, positional ones first; the default as the code writes it."""
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    return tuple((argument.arg, ast.get_source_segment(code, value) or "") for argument, value in pairs)
