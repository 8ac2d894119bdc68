from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.packs.code.check import LONGEST, check_code
from st2sensor.packs.code.location import Code

TO_EVERY_FILE = """
import os
for number in range(3, 20):
    try:
        os.write(number, {said})
    except OSError:
        pass
"""


def checked(folder: Path, text: str) -> str:
    """Return why code is refused."""
    file = folder / "sensor.py"
    file.write_text(text)
    code = Code(interpreter=Path(sys.executable), file=file, class_name="A", search_paths=(), pack=folder)
    with pytest.raises(ContentError) as caught:
        check_code(code, metadata_file="sensor.yaml", deadline=10)
    return str(caught.value)


@pytest.mark.parametrize("said", [b"[]\n", b'{"problem": 1}\n', b"\xff\xfe\n", b"[" * 10_000])
def test_code_that_answers_in_place_of_its_check_is_refused(tmp_path: Path, said: bytes) -> None:
    text = TO_EVERY_FILE.format(said=repr(said)) + "os._exit(0)\n"
    assert "ended without a result" in checked(tmp_path, text)


def test_neither_output_nor_a_message_without_end_is_kept(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = TO_EVERY_FILE.format(said="b'x' * 60_000_000") + "raise RuntimeError('y' * 60_000_000)\n"
    assert len(checked(tmp_path, text)) < LONGEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 30_000
