from __future__ import annotations

import pytest
import yaml

from st2sensor.packs import yaml_text
from st2sensor.packs.yaml_text import DEEPEST, LONGEST_NUMBER, MOST_VALUES, composed, parsed

MALFORMED = {
    "!!bool of another word": "a: !!bool xyz",
    "!!int of nothing": "a: !!int ''",
    "!!float of nothing": "a: !!float ''",
    "!!timestamp of a word": "a: !!timestamp x",
    "!!timestamp of no day": "a: !!timestamp 2020-99-99",
    "!!map of a text": "a: !!map x",
    "!!map of a list": "a: !!map [a, b]",
    "!!omap": "a: !!omap [b: 1]",
    "!!pairs": "a: !!pairs [b: 1]",
    "a fraction in base 60": f"a: 1{':1' * 300}.5",
    "a number in base 60": f"a: 1{':1' * 100_000}",
    "a hexadecimal number": f"a: 0x{'f' * 1_000_000}",
    "a decimal number": f"a: {'9' * 5000}",
    "a character beyond Unicode": 'a: "\\Uffffffff"',
    "a value that is itself": "a: &a !!str {=: *a}",
    "a document that never ends": "[" * 1_000_000,
    "a key in a key in a key": "? " * 100_000,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_every_malformed_text_is_a_yaml_error_within_a_second(case: str) -> None:
    text = MALFORMED[case]
    for read in (parsed, composed):
        if read is parsed or not case.startswith(("!!", "a fraction", "a number", "a hexa", "a decimal", "a value")):
            with pytest.raises(yaml.YAMLError):
                read(text)


def test_an_odd_value_is_named_by_line_and_not_quoted() -> None:
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        parsed("password: ok\nother: !!bool hunter2\n")
    assert caught.value.problem_mark is not None
    assert caught.value.problem_mark.line == 1
    assert "this is not a valid bool" in str(caught.value.problem)
    assert "hunter2" not in str(caught.value.problem)


def test_values_levels_and_numbers_have_bounds_that_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "MOST_VALUES", 1000)
    assert parsed("[" + "1," * 998 + "]")[1] == [1] * 998
    with pytest.raises(yaml.YAMLError, match="more than 1,000 keys and values"):
        parsed("[" + "1," * 1000 + "]")
    few = "a: &a [" + "1," * 300 + "]\n"
    assert len(parsed(few + "b: [*a, *a]")[1]["b"]) == 2
    with pytest.raises(yaml.YAMLError, match="its aliases expand to more than"):
        parsed(few + "b: [*a, *a, *a]")
    assert parsed("[" * DEEPEST + "]" * DEEPEST)[1]
    with pytest.raises(yaml.YAMLError, match=f"nested more than {DEEPEST} levels"):
        parsed("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))
    assert parsed("9" * LONGEST_NUMBER)[1] == int("9" * LONGEST_NUMBER)
    with pytest.raises(yaml.YAMLError, match="too long for a number"):
        parsed("9" * (LONGEST_NUMBER + 1))


def test_a_long_text_is_a_single_value() -> None:
    text = "x" * (MOST_VALUES + 1)
    assert parsed(f"a: {text}")[1] == {"a": text}
