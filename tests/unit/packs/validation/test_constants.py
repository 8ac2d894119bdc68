"""The values of expressions: followed where they are certain, and otherwise unknown."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any

import pytest

from st2sensor.packs.validation.constants import DEPTH, MOST, Constants
from st2sensor.packs.validation.program import read

CALLED = "find"


def values(folder: Path, code: str, *others: str) -> tuple[Any, ...] | None:
    """Return the values of the argument of the call of CALLED.

    :param others: the code of further modules of the sensor.
    """
    files = [folder / f"m{number}.py" for number in range(1 + len(others))]
    for file, text in zip(files, (code, *others), strict=True):
        file.write_text(textwrap.dedent(text))
    program = read(files)
    module = program.modules[0]
    (call,) = (node for node in ast.walk(module.tree) if isinstance(node, ast.Call) and is_called(node.func))
    return Constants(program, module).values(call.args[0])


def is_called(function: ast.expr) -> bool:
    return isinstance(function, ast.Name) and function.id == CALLED


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a'", ("a",)),
        ("f'a{1}b{\"c\"}'", ("a1bc",)),
        ("f'{1!r}'", None),
        ("f'{1:>3}'", None),
        ("('a', 1)", (("a", 1),)),
        ("'a' + 'b'", ("ab",)),
        ("'a' + 1", None),
        ("'a' - 'b'", None),
        ("'%s.%d' % ('a', 1)", ("a.1",)),
        ("'%d' % 'a'", None),
        ("'a' if x else 'b'", ("a", "b")),
        ("'a' if x else y", None),
        ("('a' if x else 'b') + ('c' if x else 'd')", ("ac", "ad", "bc", "bd")),
        ("'.'.join(['a', 'b'])", ("a.b",)),
        ("'.'.join(('a', 'b'))", ("a.b",)),
        ("'.'.join(x)", None),
        ("'.'.join(['a', 1])", None),
        ("'{}.{}'.format('a', 'b')", ("a.b",)),
        ("'{}.{}'.format('a')", None),
        ("'{x}'.format(x='a')", None),
        ("'{x}'.format('a')", None),
        ("'a'.upper()", None),
        ("[1]", None),
    ],
)
def test_an_expression_of_constants_has_their_value(
    tmp_path: Path, expression: str, expected: tuple[Any, ...] | None
) -> None:
    assert values(tmp_path, f"find({expression})") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("A = 'a'\nfind(A)", ("a",)),
        ("A: str = 'a'\nfind(A)", ("a",)),
        ("A: str\nfind(A)", None),
        ("A = 'a'\nA = 'b'\nfind(A)", None),
        ("find(A)", None),
        ("from x import A\nfind(A)", None),
        ("A, B = 'a', 'b'\nfind(A)", None),
        ("for A in 'ab': pass\nfind(A)", None),
        ("A = 'a'\ndef f():\n    find(A)", ("a",)),
        ("A = 'a'\ndef f():\n    global A\n    A = 'b'\nfind(A)", None),
        ("A = 'a'\ndef f(A):\n    find(A)", None),
        ("A = 'a'\nf = lambda A: find(A)", None),
        ("A = 'a'\n[find(A) for A in x]", None),
        ("A = 'a'\n[find(A) for B in x]", ("a",)),
        ("def f():\n    a = 'a'\n    if x:\n        a = 'b'\n    find(a)", ("a", "b")),
        ("def f():\n    a = 'a'\n    a = x\n    find(a)", None),
        ("def f():\n    a = a\n    find(a)", None),
        # A class's body is not around its methods.
        ("A = 'a'\nclass C:\n    A = 'b'\n    def f(self):\n        find(A)", ("a",)),
        ("A = 'a'\nclass C:\n    A = 'b'\n    find(A)", ("b",)),
    ],
)
def test_a_name_has_the_values_it_is_certainly_bound_to(
    tmp_path: Path, code: str, expected: tuple[Any, ...] | None
) -> None:
    found = values(tmp_path, code)
    assert (None if found is None else sorted(found)) == (None if expected is None else list(expected))


METHOD = "\n    def f(self):\n        "


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (f"class C:\n    A = 'a'{METHOD}find(self.A)", ("a",)),
        (f"class C:\n    A = 'a'{METHOD}find(C.A)", ("a",)),
        (f"class C:{METHOD}self.a = 'a'\n    def g(self):\n        find(self.a)", ("a",)),
        (f"class C:\n    A = 'a'{METHOD}self.A = 'b'{METHOD}find(self.A)", None),
        (f"class B:\n    A = 'a'\nclass C(B):{METHOD}find(self.A)", ("a",)),
        (f"class B:\n    A = 'a'\nclass C(B):\n    A = 'c'{METHOD}find(self.A)", ("c",)),
        (f"class C:\n    A = 'a'{METHOD}find(self.A)\nclass D(C):\n    A = 'd'", None),
        (f"class C:\n    A = 'a'{METHOD}find(self.A)\nC.A = 'b'", None),
        (f"class C:\n    A = 'a'{METHOD}find(self.A)\nother.A = 'b'", None),
        (f"class C(C):{METHOD}find(self.A)", None),
        (f"class B: pass\nclass X: pass\nclass C(B, X):{METHOD}find(self.A)", None),
        (f"class C:\n    A = 'a'\nclass C:\n    A = 'b'\nclass D:{METHOD}find(C.A)", None),
        ("find(self.A)", None),
        (f"class C:{METHOD}find(self.x.A)", None),
    ],
)
def test_an_attribute_has_a_value_if_it_is_set_in_one_place(
    tmp_path: Path, code: str, expected: tuple[Any, ...] | None
) -> None:
    assert values(tmp_path, code) == expected


def test_a_subclass_in_another_module_may_set_an_attribute(tmp_path: Path) -> None:
    code = f"class C:\n    A = 'a'{METHOD}find(self.A)"
    assert values(tmp_path, code, "class D(C):\n    B = 'b'") == ("a",)
    assert values(tmp_path, code, "class D(C):\n    A = 'b'") is None


def test_only_so_many_values_and_steps_are_followed(tmp_path: Path) -> None:
    def either(count: int) -> str:
        return " if x else ".join(f"'{number}'" for number in range(count))

    assert len(values(tmp_path, f"find({either(MOST)})") or ()) == MOST
    assert values(tmp_path, f"find({either(MOST + 1)})") is None
    assert len(values(tmp_path, f"find(({either(4)}) + ({either(4)}))") or ()) == MOST
    assert values(tmp_path, f"find(({either(5)}) + ({either(4)}))") is None
    chain = "A0 = 'a'\n" + "".join(f"A{step} = A{step - 1}\n" for step in range(1, DEPTH + 1))
    assert values(tmp_path, f"{chain}find(A{DEPTH - 2})") == ("a",)
    assert values(tmp_path, f"{chain}find(A{DEPTH - 1})") is None
