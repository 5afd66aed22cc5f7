"""List and run the benchmarks.

python -m benchmarks                        # list them
python -m benchmarks NAME [ARGUMENTS]       # run one, with its own arguments
python -m benchmarks all                    # run all that need no arguments, one after the other
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
_USAGE_ERROR = 2


def benchmarks() -> dict[str, str]:
    """Scripts with a main part, by name, with the first line of their docstrings."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name != Path(__file__).name and 'if __name__ == "__main__"' in text:
            found[path.stem] = (ast.get_docstring(ast.parse(text)) or "no description").splitlines()[0]
    return found


def run(name: str, arguments: list[str]) -> int:
    """Run one in a process of its own, from the root of the repository."""
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=FOLDER.parent, check=False
    ).returncode


def main(arguments: list[str]) -> int:
    known = benchmarks()
    if not arguments:
        width = max(map(len, known), default=0)
        for name, about in known.items():
            print(f"{name:<{width}}  {about}")
        return 0
    if arguments[0] == "all":
        codes = {}
        for name, about in known.items():
            print(f"\n== {name}: {about}", flush=True)
            codes[name] = run(name, [])
        skipped = [name for name, code in codes.items() if code == _USAGE_ERROR]
        if skipped:
            print(f"\nnot run, because they need arguments: {', '.join(skipped)}")
        return int(any(code not in (0, _USAGE_ERROR) for code in codes.values()))
    if arguments[0] not in known:
        print(f"no benchmark {arguments[0]}; known: {', '.join(known)}", file=sys.stderr)
        return _USAGE_ERROR
    return run(arguments[0], arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
