"""How networks are used by the verbs that localize; without torch, so that a command line can show it quickly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stormcell.settings import Settings


class NetworkOptions(Settings):
    """How a network is used."""

    model: str = "dense"
    """Network: the name of a shipped model (see stormcell models list) or a model folder."""

    probability_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Least probability of a row that the dense network finds."""

    rejects_still: bool = True
    """Leave rows out that do not blink although the movie is long enough to tell: edges, beads, static structure."""

    refines: bool = True
    """Fit what the dense network lists jointly, with the PSF fitted to the movie: more emitters, better placed, at
    two thirds of the speed where they are sparse and a fifth in crowded or large frames; the first time some 40
    seconds go into compiling."""

    uses_neighbours: bool = False
    """Let the dense network look at the frames before and after as well; better where emitters stay on for more than
    a frame."""

    measure_noise: bool = True
    """Compare the movie's noise with what the camera's values promise, and where they differ by more than a quarter,
    believe the movie."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the network; auto takes bfloat16 where the processor has AMX."""

    engine: Literal["torch", "onnxruntime"] = "torch"
    """What computes the dense network: PyTorch, or ONNX Runtime (pip install stormcell[onnx]; single frames, float32;
    some seconds to begin with, then a fifth to a quarter faster on the processors tried)."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the network computes; auto takes the fastest."""
