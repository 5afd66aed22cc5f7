"""YAML and JSON documents: read with a loader that runs nothing, written sorted and in one step."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from stormcell.errors import FormatError
from stormcell.io.reading import content_name, first_bytes, is_text
from stormcell.io.writing import write_text

# The C parser's nodes are those of the Python one; only the speed differs.
_BASE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_BASE_LOADER):  # type: ignore[misc]
    """Refuses a key that is given twice, and reads 1e-3 as a number (YAML 1.1 would read it as a word)."""


class _TolerantLoader(_BASE_LOADER):  # type: ignore[misc]
    """Reads what other programs wrote: values of a kind that only their language knows become None."""


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file of one document.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Any
        Mappings, lists and plain values.

    Raises
    ------
    FormatError
        The file is missing, empty, not UTF-8 text, or not valid YAML; the message gives the line.
    """
    documents = _load_yaml(Path(path), _StrictLoader)
    if len(documents) != 1:
        msg = f"expected one YAML document in {path}, got {len(documents)}; keep one and remove the '---' lines"
        raise FormatError(msg)
    return documents[0]


def read_yaml_documents(path: str | Path) -> list[Any]:
    """Read all documents of a YAML file that another program wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    list
        One item per document. Values tagged as objects of a programming language are None: nothing is ever run.

    Raises
    ------
    FormatError
        The file is missing, empty, not UTF-8 text, or not valid YAML; the message gives the line.
    """
    return _load_yaml(Path(path), _TolerantLoader)


def write_yaml(path: str | Path, data: Any, overwrite: bool = False) -> None:
    """Write one YAML document, keys sorted.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    data : Any
        Mappings, sequences, dataclasses, NumPy values and arrays, plain values.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write_text(path, yaml_text([data]), overwrite)


def yaml_text(documents: list[Any]) -> str:
    """Turn documents into YAML text.

    Parameters
    ----------
    documents : list
        One item per document.

    Returns
    -------
    str
        The text, keys sorted.
    """
    plain = [_plain(document) for document in documents]
    return yaml.safe_dump_all(plain, sort_keys=True, allow_unicode=True, default_flow_style=False, width=100)


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Any
        Mappings, lists and plain values.

    Raises
    ------
    FormatError
        The file is missing, empty, not UTF-8 text, or not valid JSON; the message gives the line.
    """
    path = Path(path)
    text = _read_text(path, "a JSON file")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        msg = (
            f"expected JSON in {path}, but line {error.lineno}, column {error.colno}: {_lower(error.msg)}; correct it"
        )
        raise FormatError(msg) from None
    except RecursionError:
        raise FormatError(_too_deep(path)) from None


def write_json(path: str | Path, data: Any, overwrite: bool = False) -> None:
    """Write a JSON file, keys sorted.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    data : Any
        Mappings, sequences, dataclasses, NumPy values and arrays, plain values. NaN and infinity become null, as JSON
        knows neither.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write_text(path, json_text(data) + "\n", overwrite)


def json_text(data: Any, indent: int | None = 2) -> str:
    """Turn data into JSON text.

    Parameters
    ----------
    data : Any
        As in `write_json`.
    indent : int, optional
        Spaces per level; None puts all on one line.

    Returns
    -------
    str
        Valid JSON with sorted keys.
    """
    plain = _without_nan(_plain(data))
    return json.dumps(plain, sort_keys=True, indent=indent, ensure_ascii=False, allow_nan=False)


def _load_yaml(path: Path, loader: Any) -> list[Any]:
    text = _read_text(path, "a YAML file")
    try:
        return list(yaml.load_all(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}" if mark else "somewhere"
        msg = f"expected YAML in {path}, but {place}: {error.problem or error.context}; correct it"
        raise FormatError(msg) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-99-99
        msg = f"expected YAML in {path}, but {' '.join(str(error).split())}; correct it"
        raise FormatError(msg) from None
    except RecursionError:
        raise FormatError(_too_deep(path)) from None


def _read_text(path: Path, expected: str) -> str:
    head = first_bytes(path, expected)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        found = "text in another encoding than UTF-8" if is_text(head) else content_name(head)
        msg = f"expected {expected}, but {path} is {found}; name another file or save it as UTF-8"
        raise FormatError(msg) from None
    if not text.strip():
        msg = f"expected {expected}, but {path} holds only blanks; write it again"
        raise FormatError(msg)
    if not is_text(head):
        msg = f"expected {expected}, but {path} is {content_name(head)}; name another file"
        raise FormatError(msg)
    return text


def _too_deep(path: Path) -> str:
    return f"{path} is nested too deeply to be read; flatten it"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _plain(value: Any) -> Any:
    """Reduce to mappings, lists and plain values."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [_plain(item) for item in items]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist()) if isinstance(value, np.ndarray) else value.item()
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    return value.as_posix() if isinstance(value, Path) else value


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _mapping_without_repeats(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:  # before merging, because a key may override one that is merged in
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is None or key in seen:
            problem = "a key is a list or a mapping" if key is None else f"{key} is given twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


def _nothing(loader: Any, suffix: str, node: yaml.Node) -> None:
    """Stand in for a value of a foreign kind."""


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping_without_repeats)
for _loader in (_StrictLoader, _TolerantLoader):
    _loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )
for _prefix in ("tag:yaml.org,2002:python/", "!"):
    _TolerantLoader.add_multi_constructor(_prefix, _nothing)
