"""Writers of files as the field's programs write them, from their published layouts."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SHORT, LONG, RATIONAL, ASCII = 3, 4, 5, 2


@pytest.fixture
def micromanager_file() -> Callable[..., list[int]]:
    """Write one file of a Micro-Manager stack; returns where each frame's pixels start."""
    return write_micromanager_file


@pytest.fixture
def ndtiff_file() -> Callable[..., None]:
    return write_ndtiff


def write_micromanager_file(
    path: Path,
    frames: np.ndarray,
    *,
    first_frame: int = 0,
    summary: dict[str, object] | None = None,
    metadata: dict[str, object] | None = None,
    with_index: bool = True,
    description: str | None = None,
    header: bytes | None = None,
) -> list[int]:
    """Layout: TIFF header, offsets of index / display settings / comments, summary, then per frame a page of 13 tags
    (the first one may have a description more), its pixels, its metadata; the index map last."""
    text = json.dumps(summary or {}).encode()
    data = bytearray(b"II*\x00" + struct.pack("<I", 0))
    if header is None:
        data += struct.pack("<IIIIII", 54773648, 0, 483765892, 0, 99384722, 0)
        data += struct.pack("<II", 2355492, len(text)) + text
    else:
        data += header
    data += b"\0" * (-len(data) % 2)
    data[4:8] = struct.pack("<I", len(data))
    index, starts, last_pointer = [], [], 0
    for number, frame in enumerate(frames):
        note = json.dumps({**(metadata or {}), "Frame": first_frame + number}).encode() + b"\0"
        note += b" " * (number % 3) + b"\0"  # real metadata differ in length, so that pages are not equally spaced
        tail = [(51123, ASCII, note)]
        if number == 0 and description is not None:
            tail.append((270, ASCII, description.encode() + b"\0"))
        ifd_offset = len(data)
        index.append((0, 0, first_frame + number, 0, ifd_offset))
        n_tags = 12 + len(tail)
        pixels = frame.astype("<u2").tobytes()
        start = ifd_offset + 2 + 12 * n_tags + 4
        starts.append(start)
        after = start + len(pixels)
        tags = [
            (256, LONG, frame.shape[1]),
            (257, LONG, frame.shape[0]),
            (258, SHORT, 16),
            (259, SHORT, 1),
            (262, SHORT, 1),
            (273, LONG, start),
            (277, SHORT, 1),
            (278, LONG, frame.shape[0]),
            (279, LONG, len(pixels)),
            (282, RATIONAL, after),
            (283, RATIONAL, after),
            (296, SHORT, 1),
        ]
        body = struct.pack("<II", 1, 1)
        records = [(code, struct.pack("<HHII", code, kind, 1, value)) for code, kind, value in tags]
        for code, kind, value in tail:
            records.append((code, struct.pack("<HHII", code, kind, len(value), after + len(body))))
            body += value
        body += b"\0" * (-len(body) % 2)
        data += struct.pack("<H", n_tags) + b"".join(record for _, record in sorted(records))
        last_pointer = len(data)
        is_last = number == len(frames) - 1
        data += struct.pack("<I", 0 if is_last else after + len(body)) + pixels + body
    if with_index:
        data[12:16] = struct.pack("<I", len(data))
        data += struct.pack("<II", 3453623, len(index))
        data += b"".join(struct.pack("<IIIII", *entry) for entry in index)
    assert struct.unpack("<I", data[last_pointer : last_pointer + 4]) == (0,)
    path.write_bytes(data)
    return starts


def write_ndtiff(path: Path, frames: np.ndarray, metadata: dict[str, object]) -> None:
    """NDTiff 3: its own header before the pages, and NDTiff.index beside the file."""
    summary = json.dumps({"Prefix": "x"}).encode()
    header = struct.pack("<II", 483729, 3) + struct.pack("<III", 3, 2355492, len(summary)) + summary
    starts = write_micromanager_file(path, frames, metadata=metadata, with_index=False, header=header)
    index = b""
    for time, start in enumerate(starts):
        axes, name = json.dumps({"time": time}).encode(), path.name.encode()
        index += struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name
        index += struct.pack("<IiiiiIii", start, frames.shape[2], frames.shape[1], 1, 0, 0, 0, 0)
    path.with_name("NDTiff.index").write_bytes(index)
