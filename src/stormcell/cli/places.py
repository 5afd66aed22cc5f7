"""Places typed on the command line: paths, and URLs that are fetched before and sent after a verb."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.errors import SettingsError
from stormcell.workflows.remote import fetched, final_place, is_url, staged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stormcell.cli.answers import Answer
    from stormcell.cli.command import Verb


def place(text: str) -> Path | str:
    """Read a place.

    Parameters
    ----------
    text : str
        As typed.

    Returns
    -------
    Path or str
        A URL stays text.
    """
    return text if is_url(text) else Path(text)


@contextmanager
def local_places(
    verb: Verb, arguments: dict[str, Any], output: Any, overwrite: bool
) -> Iterator[tuple[dict[str, Any], Any, dict[Any, str]]]:
    """Have inputs here while a verb is at work, and send its output afterwards.

    Parameters
    ----------
    verb : Verb
        What it takes.
    arguments : dict of str to object
        Places by name.
    output : Path, str or None
        Where results go.
    overwrite : bool
        Whether what is at the output's URL may be replaced.

    Yields
    ------
    tuple
        Arguments, output, and the URL by the place where an output is written first.

    Raises
    ------
    SettingsError
        An input is a URL and no output was named: results cannot lie beside it.
    """
    remote = [name for name, value in arguments.items() if is_url(value)]
    if remote and verb.output is not None and output is None:
        msg = f"expected -o with an input at a URL ({arguments[remote[0]]}); name a place for the results"
        raise SettingsError(msg)
    if not verb.fetches:
        yield arguments, output, {}
        return
    with ExitStack() as stack:
        found = {name: stack.enter_context(fetched(arguments[name])) for name in remote}
        moved: dict[Any, str] = {}
        if is_url(output):
            url = str(output)
            output = stack.enter_context(staged(url, overwrite))
            moved[output] = url
        yield {**arguments, **found}, output, moved


def renamed(answer: Answer, moved: dict[Any, str]) -> Answer:
    """Say where outputs are in the end.

    Parameters
    ----------
    answer : Answer
        As a verb gave it.
    moved : dict
        URL by the place where an output was written first.

    Returns
    -------
    Answer
        With URLs for what was sent.
    """
    if not moved:
        return answer

    def spelled(value: Any) -> Any:
        if isinstance(value, str):
            for local, url in moved.items():
                value = value.replace(str(local), url)
            return value
        return final_place(value, moved) if isinstance(value, Path) else value

    return replace(
        answer,
        sentences=tuple(map(spelled, answer.sentences)),
        rows=tuple((label, spelled(value)) for label, value in answer.rows),
        outputs=tuple(map(spelled, answer.outputs)),
        result={name: spelled(value) for name, value in answer.result.items()}
        if isinstance(answer.result, dict)
        else answer.result,
    )
