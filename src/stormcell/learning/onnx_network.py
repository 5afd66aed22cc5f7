"""The dense network computed by ONNX Runtime in place of PyTorch: an option, faster on many processors."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stormcell.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stormcell.networks.dense import DenseNet

_OPSET = 18
_MOST_FRAMES = 4096
_MOST_UNITS = 1024
"""Sides are multiples of four pixels up to four times this."""


class _SingleFrames(nn.Module):
    """A folded network as a function of frames and read noise alone."""

    def __init__(self, network: DenseNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, read_variance_e2: Tensor) -> tuple[Tensor, Tensor]:
        code = self.network.code(1, None)
        features = self.network.encode(frames, read_variance_e2, code)
        output, descriptor = self.network.predict(features, frames, read_variance_e2, code)
        return torch.stack(list(output), dim=1), descriptor


class OnnxNetwork:
    """A network that was folded for one movie, translated for ONNX Runtime; that takes some seconds, once.

    Parameters
    ----------
    network : DenseNet
        Folded (`DenseNet.fold`), on the CPU; single frames only.
    device : str
        "cpu", or "cuda" where onnxruntime-gpu is installed.

    Raises
    ------
    MissingDependencyError
        ONNX Runtime or the exporter is not installed.
    InputError
        The device is not one that this ONNX Runtime has.
    """

    def __init__(self, network: DenseNet, device: str = "cpu") -> None:
        try:
            import onnxruntime
            import onnxscript  # noqa: F401 - the exporter asks for it only later, and less clearly
        except ImportError as error:
            msg = f"the engine onnxruntime needs {error.name}, which is not installed: pip install stormcell[onnx]"
            raise MissingDependencyError(msg) from error
        provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
        if device not in ("cpu", "cuda") or provider not in onnxruntime.get_available_providers():
            msg = f"expected a device that this ONNX Runtime has, got {device}; pass --device cpu or --engine torch"
            raise InputError(msg)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            _export(_SingleFrames(network).eval(), path)
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=[provider])

    def run(
        self, frames: NDArray[np.float32], read_variance_e2: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predict.

        Parameters
        ----------
        frames : ndarray
            Shape (B, 1, Y, X), network electrons; Y and X are multiples of 4.
        read_variance_e2 : ndarray
            Shape (1, 1, Y, X).

        Returns
        -------
        tuple of ndarray
            The fields of `DenseOutput`, shape (B, 9, Y, X), and the PSF descriptor, shape (B, 2 n_condition).
        """
        outputs: Any = self._session.run(None, {"frames": frames, "read_variance_e2": read_variance_e2})
        return outputs[0], outputs[1]


def _export(module: nn.Module, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=_MOST_FRAMES)
    rows, columns = (4 * torch.export.Dim(name, min=2, max=_MOST_UNITS) for name in ("rows", "columns"))
    example = (torch.full((3, 1, 40, 48), 20.0), torch.full((1, 1, 40, 48), 2.0))
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about the exporter's own parts; the result is compared in the tests
            torch.onnx.export(
                module,
                example,
                path,
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=_OPSET,
                input_names=["frames", "read_variance_e2"],
                output_names=["values", "descriptor"],
                dynamic_shapes={"frames": {0: batch, 2: rows, 3: columns}, "read_variance_e2": {2: rows, 3: columns}},
            )
    finally:
        exporter.setLevel(level)
