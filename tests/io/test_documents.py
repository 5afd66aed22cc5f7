"""YAML and JSON: nothing is run, nothing is half written, every mistake has a line."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from stormcell.data import Quantity
from stormcell.errors import FormatError
from stormcell.io.documents import read_json, read_yaml, read_yaml_documents, write_json, write_yaml

DATA = {"b": [1, 2.5, None, True], "a": {"z": "µm", "y": {"deep": [[1]]}}, "empty": []}


@pytest.fixture
def document(tmp_path):
    def write(text: str | bytes, name: str = "camera.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(("write", "read"), [(write_yaml, read_yaml), (write_json, read_json)])
def test_what_is_written_is_read(tmp_path, write, read):
    write(tmp_path / "a", DATA)
    assert read(tmp_path / "a") == DATA


@pytest.mark.parametrize("write", [write_yaml, write_json])
def test_equal_data_give_equal_bytes(tmp_path, write):
    write(tmp_path / "a", DATA)
    write(tmp_path / "b", dict(reversed(DATA.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("write", "read"), [(write_yaml, read_yaml), (write_json, read_json)])
def test_numpy_values_paths_and_dataclasses_become_plain(tmp_path, write, read):
    quantity = Quantity("offset_adu", 100.0, "ADU", "read")
    write(tmp_path / "a", {"n": np.float32(0.5), "v": np.arange(3), "p": Path("x") / "y", "q": quantity, "t": (1,)})
    found = read(tmp_path / "a")
    assert found["q"]["value"] == 100.0
    assert {key: found[key] for key in "nvpt"} == {"n": 0.5, "v": [0, 1, 2], "p": "x/y", "t": [1]}


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"a": math.nan, "b": [np.inf, 1.0]})

    def refuse(word):
        pytest.fail(f"{word} is not JSON")

    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse) == {"a": None, "b": [None, 1.0]}


def test_numbers_with_an_exponent_are_numbers(document):
    path = document("a: 1e-3\nb: 2.5E+4\nc: -1e5\nd: e5\n")
    assert read_yaml(path) == {"a": 1e-3, "b": 2.5e4, "c": -1e5, "d": "e5"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "line 3"),
        ("a: 1\nb: 2\na: 3\n", "line 3: a is given twice"),
        ("a:\n\t- 1\n", "line 2"),
        ("a: 1\n---\nb: 2\n", "one YAML document .* got 2"),
        ("a: 1\nb: !!python/object/apply:os.getcwd []\n", "line 2"),
        ("a: 2024-99-99\n", "month"),
        ("? [1, 2]\n: 3\n", "line 1: a key is a list"),
        ("   \n\n", "only blanks"),
        ("[" * 5000, "expected YAML|nested too deeply"),
        (b"\x00\x01\x02", "binary data"),
        (b"a: \xb5m\n", "another encoding than UTF-8"),
    ],
)
def test_faulty_yaml_is_refused_with_the_line(document, text, words):
    with pytest.raises(FormatError, match=words) as caught:
        read_yaml(document(text))
    assert "\n" not in str(caught.value)
    assert "camera.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,\n "b": }', "line 2, column 7"),
        ("", "is empty"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_faulty_json_is_refused_with_the_line(document, text, words):
    with pytest.raises(FormatError, match=words):
        read_json(document(text, "run.json"))


def test_a_merged_key_may_be_overridden(document):
    assert read_yaml(document("a: &base {k: 1, m: 2}\nb: {<<: *base, k: 3}\n"))["b"] == {"k": 3, "m": 2}


def test_objects_of_other_programs_are_passed_over_and_never_run(document, tmp_path):
    text = (
        "Width: 32\n"
        f"evil: !!python/object/apply:os.mkdir ['{(tmp_path / 'made').as_posix()}']\n"
        "tuple: !!python/tuple [1, 2]\nother: !unknown {a: 1}\n---\nFrames: 5\n"
    )
    first, second = read_yaml_documents(document(text))
    assert first == {"Width": 32, "evil": None, "tuple": None, "other": None}
    assert second == {"Frames": 5}
    assert not (tmp_path / "made").exists()


def test_a_byte_order_mark_is_passed_over(document):
    assert read_yaml(document(b"\xef\xbb\xbfa: 1\n")) == {"a": 1}
