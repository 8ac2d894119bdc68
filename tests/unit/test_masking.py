from __future__ import annotations

from st2sensor.masking import MASK, forms, lines, masked


def test_a_secret_within_another_does_not_uncover_it() -> None:
    assert masked("token is abcdef", frozenset({"abc", "abcdef"})) == f"token is {MASK}"


def test_each_line_of_a_secret_is_masked_unless_it_is_short() -> None:
    assert lines(["first line\nab\nlast line"]) == {"first line", "last line"}


def test_a_secret_is_found_as_python_and_json_quote_it() -> None:
    found = forms(['pass"wörd\n', "abc"])
    assert {'pass"wörd\n', 'pass"wörd\\n', 'pass\\"w\\u00f6rd\\n'} == found
