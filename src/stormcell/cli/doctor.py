"""`stormcell doctor`."""

from __future__ import annotations

from dataclasses import asdict

from stormcell.cli.answers import Answer
from stormcell.cli.command import Call, Verb


def act(call: Call) -> Answer:
    """Say what this machine and its libraries offer.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        A table of findings.
    """
    from stormcell.workflows.doctor import doctor

    found = doctor(call.session.device)
    memory = f", {found.memory_gb:g} GB memory" if found.memory_gb else ""
    rows = [
        ("stormcell", found.version),
        ("Python", f"{found.python} on {found.platform}"),
        ("processors", f"{found.n_cpus}, {found.n_threads} threads used{memory}"),
        ("instructions", ", ".join(found.cpu_features) or "not known"),
        ("device", f"{found.device} ({found.device_name})"),
        ("compile cache", f"{found.compile_cache} ({'works' if found.compile_cache_works else 'CANNOT be written'})"),
        *((name, version or "missing") for name, version in found.libraries.items()),
    ]
    sentences = found.problems or ("Everything is in order.",)
    return Answer(sentences=sentences, rows=tuple(rows), result=asdict(found))


VERB = Verb(act, uses_device=True)
