"""`stormcell psf`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Verb
from stormcell.workflows.outputs import default_output
from stormcell.workflows.psf import PsfVerbSettings


def act(call: Call) -> Answer:
    """Measure the PSF from beads or from the isolated spots of a sparse movie.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Width, tail and how well the PSF fits its spots.
    """
    from stormcell.workflows.psf import psf

    source = call.arguments["beads"]
    output = call.output or default_output(source, "psf", ".npz")
    done = psf(source, output=output, overwrite=call.session.overwrite, progress=call.progress, **call.options)
    sentence = (
        f"Measured from {done.n_spots} spots: the best-fit Gaussian has sigma {done.sigma_nm:.1f} nm and misses "
        f"{done.tail_fraction:.0%} of the photons; residuals are {done.reduced_chi2:.2f} times the noise variance."
    )
    result = {
        "n_spots": done.n_spots,
        "psf_sigma_nm": done.sigma_nm,
        "tail_fraction": done.tail_fraction,
        "photon_correction": done.psf.photon_correction,
        "reduced_chi2": done.reduced_chi2,
        "camera_pixel_size_nm": done.psf.camera_pixel_size_nm,
    }
    return Answer(sentences=(sentence, f"Wrote {output}"), result=result, outputs=(output,))


VERB = Verb(
    act,
    settings=PsfVerbSettings,
    arguments=(Argument("beads", "A movie of beads, or of sparse emitters, in focus."),),
    output="Where to write the PSF (.npz).",
)
