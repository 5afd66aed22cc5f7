"""Kill a batch again and again, then count: python -m benchmarks.batch_kills --fields 200 --kills 20 (Linux)."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd
from benchmarks.batch_throughput import OPTIONS, different, make_fields

import stormcell as sc
from stormcell.io.tables import read_table

ALL = {**OPTIONS, "method": "lsq"}
TEXT = ",".join(f"{key}={value}" for key, value in ALL.items())


def children(pid: int) -> list[int]:
    """Every process below this one."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def start(plate: Path, out: Path, verb: str) -> subprocess.Popen[bytes]:
    call = [sys.executable, "-m", "stormcell", "--quiet", "batch", str(plate), "-o", str(out), "--verb", verb]
    return subprocess.Popen([*call, "--workers", "2", "--verb-options", TEXT], start_new_session=True)


def strike(process: subprocess.Popen[bytes], rng: random.Random) -> str:
    below = children(process.pid)
    kind = rng.choice(["worker", "client and scheduler", "all"])
    if kind == "worker" and below:
        os.kill(below[-1], signal.SIGKILL)
    elif kind == "all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        kind = "client and scheduler"
        process.kill()
    return kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--longest-wait-s", type=float, default=25)
    parser.add_argument("--verb", default="run", choices=("run", "localize"))
    given = parser.parse_args()
    rng, kinds, done_before = random.Random(1), [], []
    with tempfile.TemporaryDirectory() as temporary:
        plate, out = Path(temporary) / "plate", Path(temporary) / "out"
        plate.mkdir()
        make_fields(plate, given.fields, given.frames, given.side)
        process = start(plate, out, given.verb)
        for _ in range(given.kills):
            time.sleep(rng.uniform(1, given.longest_wait_s))
            done_before.append(len(list(out.glob("*/outcome.json"))))
            if process.poll() is not None:
                process = start(plate, out, given.verb)
                continue
            kinds.append(strike(process, rng))
            if kinds[-1] != "worker":
                process.wait()
                process = start(plate, out, given.verb)
        process.wait()
        last = start(plate, out, given.verb)
        code = last.wait()
        valid = sum(read_table(path).n_rows > 0 for path in out.glob("*/localizations.parquet"))
        summary = pd.read_parquet(out / "summary.parquet")
        differing, name = 0, "alone" if given.verb == "run" else "alone.parquet"
        warnings.simplefilter("ignore")
        for path in sorted(plate.iterdir())[:: max(1, given.fields // 10)]:
            getattr(sc, given.verb)(path, output=Path(temporary) / name, overwrite=True, **ALL)
            differing += different(Path(temporary) / name, out / path.name)
        left = len(list(out.glob(".part-*")))
    print(f"kills: {len(kinds)} ({', '.join(f'{kinds.count(kind)} {kind}' for kind in sorted(set(kinds)))})")
    print(f"fields done at each kill: {done_before}")
    print(f"last exit code {code}; valid tables {valid} of {given.fields}; names {summary['name'].nunique()}")
    print(f"of 10 fields tables and pictures that differ from those of single calls: {differing}; parts left: {left}")
    print(f"rows of the summary {len(summary)}, done {(summary['state'] == 'done').sum()}")


if __name__ == "__main__":
    main()
