import numpy as np
import pytest

from stormcell.errors import SettingsError
from stormcell.simulation.blinking import BlinkingEnsemble, LitRows, chain_rates
from stormcell.simulation.blinking_settings import BLINKING_PRESETS, BlinkingSettings

N = 4000
AREA = 100.0


def _run(settings: BlinkingSettings, n_frames: int, *, block: int = 10_000, seed: int = 3, n: int = N) -> LitRows:
    ensemble = BlinkingEnsemble(n, settings, chain_rates(settings, n, AREA), seed)
    blocks = [ensemble.advance(min(block, n_frames - at)) for at in range(0, n_frames, block)]
    columns = ("frame", "fluorophore", "photons", "on_fraction")
    return LitRows(*(np.concatenate([getattr(b, name) for b in blocks]) for name in columns))


def _events(rows: LitRows) -> np.ndarray:
    """Total on-time of each run of consecutive frames of one fluorophore."""
    order = np.lexsort((rows.frame, rows.fluorophore))
    frame, who, share = rows.frame[order], rows.fluorophore[order], rows.on_fraction[order]
    start = np.ones(len(frame), bool)
    start[1:] = (frame[1:] != frame[:-1] + 1) | (who[1:] != who[:-1])
    return np.add.reduceat(share, np.flatnonzero(start))


@pytest.mark.parametrize("mean_on", [0.4, 1.5, 6.0])
def test_on_times_are_exponential(mean_on: float) -> None:
    rows = _run(BlinkingSettings(mean_on_frames=mean_on, mean_off_frames=4000, density_per_um2=None), 600)
    times = _events(rows)
    # two events of one fluorophore in neighbouring frames are rare at this off-time
    assert times.mean() == pytest.approx(mean_on, rel=0.06)
    assert times.std() == pytest.approx(mean_on, rel=0.1)
    assert np.median(times) == pytest.approx(mean_on * np.log(2), rel=0.1)


def test_density_is_that_asked_for_at_any_moment() -> None:
    settings = BlinkingSettings(mean_on_frames=2.0, density_per_um2=3.0, dark_probability=0.3, mean_dark_frames=4.0)
    rows = _run(settings, 300)
    assert rows.on_fraction.sum() / 300 / AREA == pytest.approx(3.0, rel=0.03)
    assert rows.on_fraction[rows.frame < 20].sum() / 20 / AREA == pytest.approx(3.0, rel=0.1)


def test_photons_follow_the_lognormal_and_the_on_fraction() -> None:
    settings = BlinkingSettings(mean_on_frames=3.0, density_per_um2=5.0, photons=1500, photon_spread=0.5)
    rows = _run(settings, 200)
    full = rows.on_fraction == 1.0
    brightness = np.log(rows.photons[full])
    assert rows.photons[full].mean() == pytest.approx(1500, rel=0.03)
    assert brightness.std() == pytest.approx(0.5, rel=0.03)
    np.testing.assert_allclose(rows.photons.sum() / rows.on_fraction.sum(), 1500, rtol=0.03)


def test_partial_frames_at_both_ends() -> None:
    """A share of frames 1 - 1 / e... of long events is full, and the partial ones are spread evenly."""
    rows = _run(BlinkingSettings(mean_on_frames=5.0, density_per_um2=5.0), 300)
    partial = rows.on_fraction[rows.on_fraction < 1]
    # an event of mean duration 5 touches 6 frames, of which 5 - 1 + 2 * (events within one frame) are not partial
    expected_full = 5.0 * np.exp(-1 / 5.0) / 6.0
    assert (rows.on_fraction == 1).mean() == pytest.approx(expected_full, rel=0.03)
    assert partial.mean() == pytest.approx(0.5, abs=0.03)


def test_blocks_do_not_matter() -> None:
    settings = BLINKING_PRESETS["dstorm"].replace(density_per_um2=2.0)
    whole, pieces = _run(settings, 90), _run(settings, 90, block=7)
    for name in ("frame", "fluorophore"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))
    np.testing.assert_allclose(whole.photons, pieces.photons, rtol=1e-9)


def test_seeds_matter() -> None:
    settings = BLINKING_PRESETS["dstorm"].replace(density_per_um2=2.0)
    first, again, other = _run(settings, 20), _run(settings, 20), _run(settings, 20, seed=4)
    assert np.array_equal(first.photons, again.photons)
    assert len(first.photons) != len(other.photons) or not np.array_equal(first.photons, other.photons)


def test_bleaching_empties_the_movie_exponentially() -> None:
    """Every burst ends the fluorophore: lit(t) falls as exp(-t / mean_off) with one burst per activation."""
    settings = BlinkingSettings(
        mean_on_frames=1.0, mean_off_frames=100, density_per_um2=None, bleach_probability=1.0, start="off"
    )
    rows = _run(settings, 400)
    counts = np.histogram(rows.frame, bins=4, range=(0, 400))[0]
    ratios = counts[1:] / counts[:-1]
    np.testing.assert_allclose(ratios, np.exp(-1), atol=0.05)
    assert rows.on_fraction.sum() == pytest.approx(N * (1 - np.exp(-4)), rel=0.06)


def test_dark_gaps_make_bursts() -> None:
    settings = BlinkingSettings(
        mean_on_frames=2.0,
        mean_off_frames=1e6,
        density_per_um2=None,
        dark_probability=0.5,
        mean_dark_frames=3.0,
        bleach_probability=0.5,
        start="on",
    )
    rows = _run(settings, 300)
    # 1 / (1 - 0.5) = 2 on-events of 2 frames per fluorophore
    assert rows.on_fraction.sum() / N == pytest.approx(4.0, rel=0.05)


def test_all_on_at_the_start() -> None:
    settings = BlinkingSettings(mean_on_frames=1.5, mean_off_frames=500, density_per_um2=None, start="on")
    rows = _run(settings, 5)
    assert len(np.unique(rows.fluorophore[rows.frame == 0])) == N


def test_too_dense_for_the_fluorophores_is_refused() -> None:
    with pytest.raises(SettingsError, match="density_per_um2: 20 needs 2000 emitters"):
        chain_rates(BlinkingSettings(density_per_um2=20.0), 500, AREA)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mean_off_frames": 10.0}, "mean_off_frames"),
        ({"density_per_um2": None}, "mean_off_frames"),
        ({"mean_on_frames": 0.0}, "mean_on_frames"),
        ({"photons": 1e9}, "photons"),
        ({"photons": -5.0}, "photons"),
        ({"dark_probability": 0.7, "bleach_probability": 0.5}, "dark_probability"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, float], field: str) -> None:
    with pytest.raises(SettingsError, match=field):
        BlinkingSettings.create(**changes)


def test_frame_locked_events_fill_whole_frames() -> None:
    settings = BlinkingSettings(frame_locked=True, density_per_um2=3.0, photons=700, photon_spread=0.3)
    rows = _run(settings, 200)
    assert np.all(rows.on_fraction == 1)
    assert len(rows.frame) / 200 / AREA == pytest.approx(3.0, rel=0.03)
    assert rows.photons.mean() == pytest.approx(700, rel=0.02)
    assert np.log(rows.photons).std() == pytest.approx(0.3, rel=0.03)
    # nobody is lit in the next frame more often than chance wants: 300 of 4000
    key = rows.frame * N + rows.fluorophore
    again = np.isin(key + N, key).mean()
    assert again == pytest.approx(300 / N, rel=0.1)
    pieces = _run(settings, 200, block=7)
    assert np.array_equal(rows.photons, pieces.photons)


def test_frame_locked_emitters_bleach() -> None:
    settings = BlinkingSettings(frame_locked=True, density_per_um2=3.0, bleach_probability=0.2)
    rows = _run(settings, 200)
    # each frame lights 300 / 4000 of those left, of which a fifth bleaches
    left = np.bincount(rows.frame, minlength=200) / 300
    assert left[:5].mean() == pytest.approx(1.0, rel=0.08)
    assert left[-20:].mean() == pytest.approx(np.exp(-190 * 0.2 * 300 / N), rel=0.2)
