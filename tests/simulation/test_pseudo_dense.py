import numpy as np
import pytest

from stormcell.data.frame_stack import FrameStack
from stormcell.errors import InputError
from stormcell.physics.cameras import Camera
from stormcell.simulation.movies import SimulatedMovie, simulate_movie
from stormcell.simulation.presets import simulation_preset
from stormcell.simulation.pseudo_dense import pseudo_dense_movie


@pytest.fixture(scope="module")
def sparse() -> SimulatedMovie:
    return simulate_movie(simulation_preset("uniform-easy").replace(n_frames=50, field_px=(24, 32)))


@pytest.fixture(scope="module")
def camera(sparse: SimulatedMovie) -> Camera:
    return sparse.config.camera.camera()


def test_electrons_add_up_and_one_offset_stays(sparse: SimulatedMovie, camera: Camera) -> None:
    dense = pseudo_dense_movie(sparse.frames, sparse.truth, 7, camera)
    assert dense.frames.shape == (7, 24, 32)
    singles = camera.electrons(sparse.frames.read()[:49]).reshape(7, 7, 24, 32).sum(axis=1)
    np.testing.assert_allclose(camera.electrons(dense.frames.read()), singles, atol=0.3)


def test_read_noise_grows_with_the_root_of_k() -> None:
    camera = Camera("cmos", offset_adu=200.0, gain_e_per_adu=0.25, read_noise_e=4.0)
    dark = camera.to_adu(np.zeros((160, 30, 30)), np.random.default_rng(1))
    stack = FrameStack.from_array(dark)
    truth = simulate_movie(simulation_preset("uniform-easy").replace(n_frames=2)).truth
    dense = pseudo_dense_movie(stack, truth, 16, camera)
    electrons = camera.electrons(dense.frames.read())
    assert electrons.mean() == pytest.approx(0, abs=0.6)
    assert electrons.std() == pytest.approx(4.0 * dense.read_noise_factor, rel=0.03)


def test_truth_moves_to_the_summed_frames(sparse: SimulatedMovie, camera: Camera) -> None:
    dense = pseudo_dense_movie(sparse.frames, sparse.truth, 5, camera)
    assert dense.truth.n_frames == 10
    kept = sparse.truth.take(sparse.truth["frame"] < 50)
    assert len(dense.truth) == len(kept)
    assert np.array_equal(dense.truth["frame"], kept["frame"] // 5)
    np.testing.assert_allclose(dense.truth["background_photons"], 5 * kept["background_photons"])


def test_shuffled_frames_carry_their_truth(sparse: SimulatedMovie, camera: Camera) -> None:
    dense = pseudo_dense_movie(sparse.frames, sparse.truth, 10, camera, seed=4)
    light = camera.electrons(dense.frames.read()).sum(axis=(1, 2)) / camera.qe
    background = 10 * 24 * 32 * 10.0
    told = np.bincount(dense.truth["frame"], dense.truth["photons"], minlength=5)
    assert np.corrcoef(light - background, told)[0, 1] > 0.9
    assert not np.array_equal(dense.truth["frame"], sparse.truth["frame"] // 10)


def test_cropped_stacks_keep_their_frames(sparse: SimulatedMovie, camera: Camera) -> None:
    dense = pseudo_dense_movie(sparse.frames.frames(20, 40), sparse.truth, 4, camera)
    assert dense.frames.n_frames == 5
    assert dense.truth["frame"].min() >= 0
    assert dense.truth["frame"].max() < 5


@pytest.mark.parametrize("k", [1, 21])
def test_k_out_of_range_is_refused(sparse: SimulatedMovie, camera: Camera, k: int) -> None:
    with pytest.raises(InputError, match="2 to 20"):
        pseudo_dense_movie(sparse.frames, sparse.truth, k, camera)


def test_too_short_movies_are_refused(sparse: SimulatedMovie, camera: Camera) -> None:
    with pytest.raises(InputError, match="at least 20 frames"):
        pseudo_dense_movie(sparse.frames.frames(0, 10), sparse.truth, 20, camera)


def test_metadata_speak_of_the_sums(sparse: SimulatedMovie, camera: Camera) -> None:
    dense = pseudo_dense_movie(sparse.frames, sparse.truth, 4, camera)
    noise = sparse.frames.metadata["read_noise_e"].value
    assert dense.frames.metadata["read_noise_e"].value == pytest.approx(2 * noise)
    assert dense.frames.metadata["offset_adu"] == sparse.frames.metadata["offset_adu"]
    assert sparse.frames.metadata["read_noise_e"].value == noise
