"""Every structure of the registry, and the geometry that each promises."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from stormcell.errors import SettingsError
from stormcell.simulation.labelling import LabellingSettings, label_sites
from stormcell.simulation.settings import SimulationSettings
from stormcell.simulation.structures.clathrin_pits import ClathrinPits
from stormcell.simulation.structures.microtubules import Microtubules
from stormcell.simulation.structures.mitochondria import Mitochondria
from stormcell.simulation.structures.nuclear_pores import NuclearPores
from stormcell.simulation.structures.parallel_lines import ParallelLines
from stormcell.simulation.structures.point_pairs import PointPairs
from stormcell.simulation.structures.registry import STRUCTURES, Structure
from stormcell.simulation.structures.scene import Scene, smooth_heights, tube_surface, wormlike_chain
from stormcell.simulation.structures.siemens_star import SiemensStar
from stormcell.simulation.structures.whole_cell import WholeCell

SCENE = Scene(4000.0, 9000.0, 250.0)


def _rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(params=list(STRUCTURES))
def structure(request: pytest.FixtureRequest) -> Structure:
    return STRUCTURES[request.param]


def test_names_are_their_own(structure: Structure) -> None:
    assert STRUCTURES[structure.kind] is structure


def test_sites_fill_a_field_that_is_not_square(structure: Structure) -> None:
    sites = structure.sites(SCENE, _rng())
    assert sites.shape[1] == 3
    assert np.isfinite(sites).all()
    inside = sites[SCENE.holds(sites)]
    assert len(inside) > 30
    # wider than high: x and y have not been exchanged
    assert np.ptp(inside[:, 0]) > 1.2 * np.ptp(inside[:, 1]) or structure.kind in {"siemens_star", "whole_cell"}
    assert SCENE.holds(sites, 3000.0).all()


def test_heights_stay_within_the_scene(structure: Structure) -> None:
    sites = structure.sites(SCENE, _rng())
    own_height = {"mitochondria": 450.0, "endoplasmic_reticulum": 100.0, "actin": 250.0, "clathrin_pits": 80.0}
    assert np.abs(sites[:, 2]).max() <= 250 + own_height.get(structure.kind, 40.0)


def test_seeds_fix_the_structure(structure: Structure) -> None:
    first, again, other = (structure.sites(SCENE, _rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_structures_can_be_written_into_a_config(structure: Structure) -> None:
    settings = SimulationSettings(structure=structure)
    assert SimulationSettings.create(**settings.model_dump(mode="json")) == settings


def test_an_unknown_structure_is_refused() -> None:
    with pytest.raises(SettingsError, match="structure"):
        SimulationSettings.create(structure={"kind": "unicorns"})


@pytest.mark.parametrize("persistence_um", [5.0, 30.0])
def test_tangents_decorrelate_over_the_persistence_length(persistence_um: float) -> None:
    """<cos(angle)> = exp(-s / persistence length), from many chains."""
    rng = _rng(7)
    cosines = []
    for _ in range(3000):
        path = wormlike_chain(rng, (0, 0), rng.uniform(0, 6.28), 10_000, persistence_um * 1000)
        tangent = np.diff(path, axis=0) / 20.0
        cosines.append([(tangent[0] * tangent[lag]).sum() for lag in (100, 250, 499)])
    expected = np.exp(-np.array([100, 250, 499]) * 20 / (persistence_um * 1000))
    np.testing.assert_allclose(np.mean(cosines, axis=0), expected, atol=0.04)


def test_microtubules_have_the_persistence_length_they_are_given() -> None:
    scene, settings = Scene(30_000.0, 30_000.0), Microtubules(persistence_length_um=15, bundle_share=0, end_share=1)
    cosines = []
    for seed in range(4):
        for path in settings.paths(scene, _rng(seed)):
            tangent = np.diff(path[:, :2], axis=0) / 20.0
            cosines.append((tangent[:-250] * tangent[250:]).sum(axis=1).mean())
    assert np.mean(cosines) == pytest.approx(np.exp(-5 / 15), abs=0.04)


def test_microtubules_are_tubes_of_their_diameter() -> None:
    path = np.column_stack([np.linspace(0, 5000, 251), np.zeros((251, 2))])
    surface = tube_surface(_rng(), path, 12.5, 1625)
    assert np.hypot(surface[:, 1], surface[:, 2]) == pytest.approx(12.5)
    assert len(surface) == pytest.approx(5 * 1625, rel=0.05)
    assert np.abs(surface[:, 1:].mean(axis=0)).max() < 0.5


def test_microtubule_length_and_ends() -> None:
    scene = Scene(20_000.0, 20_000.0)
    paths = Microtubules(length_per_um2=1.0, end_share=1.0, bundle_share=0.0).paths(scene, _rng())
    inside_um = sum(scene.holds(path).sum() for path in paths) * 0.02
    assert inside_um == pytest.approx(400, rel=0.15)
    assert all(scene.holds(path[:1])[0] for path in paths)


def test_bundles_run_side_by_side() -> None:
    scene = Scene(20_000.0, 20_000.0)
    first, second = Microtubules(bundle_share=1.0, bundle_spacing_nm=60).paths(scene, _rng(3))[:2]
    assert np.median(cKDTree(second[:, :2]).query(first[:, :2])[0]) == pytest.approx(60, rel=0.05)


def test_heights_are_uniform_over_their_range() -> None:
    rng = _rng()
    heights = np.concatenate([smooth_heights(rng, 400, 20.0, 300.0)[::100] for _ in range(500)])
    assert np.abs(heights).max() <= 300
    assert heights.std() == pytest.approx(300 / 3**0.5, rel=0.06)


def test_nuclear_pores_are_eightfold_rings() -> None:
    settings = NuclearPores(missing_corner_share=0, max_tilt_deg=0, pores_per_um2=0.5, spacing_nm=900)
    sites = settings.sites(Scene(5000, 5000), _rng())
    assert len(sites) % 32 == 0
    pore = sites[:32] - sites[:32].mean(axis=0)
    assert np.hypot(pore[:, 0], pore[:, 1]) == pytest.approx(107 / 2)
    assert sorted(set(np.round(pore[:, 2]))) == [-25, 25]
    angle = np.sort(np.arctan2(pore[:, 1], pore[:, 0]).round(6))
    eightfold = np.abs(np.exp(8j * angle).mean())
    assert eightfold > 0.5
    assert max(np.abs(np.exp(1j * k * angle).mean()) for k in (1, 2, 3, 4, 5, 6, 7)) < 1e-6


def test_missing_corners_and_spacing() -> None:
    settings = NuclearPores(missing_corner_share=0.25, pores_per_um2=10, spacing_nm=200)
    sites = settings.sites(Scene(10_000, 10_000), _rng())
    full = NuclearPores(missing_corner_share=0.0, pores_per_um2=10, spacing_nm=200).sites(
        Scene(10_000, 10_000), _rng()
    )
    assert len(sites) / len(full) == pytest.approx(0.75, abs=0.03)
    centres = full.reshape(-1, 32, 3).mean(axis=1)
    assert cKDTree(centres[:, :2]).query(centres[:, :2], k=2)[0][:, 1].min() > 199.9


def test_tilt_shortens_the_projection() -> None:
    settings = NuclearPores(missing_corner_share=0, max_tilt_deg=60, pores_per_um2=1, spacing_nm=500)
    pores = settings.sites(Scene(10_000, 10_000), _rng()).reshape(-1, 32, 3)
    pores = pores - pores.mean(axis=1, keepdims=True)
    assert 45 < np.abs(pores[:, :, 2]).max() < 59  # 53.5 sin 60 + 25 cos 60 = 58.8
    assert np.linalg.norm(pores, axis=2) == pytest.approx(np.hypot(107 / 2, 25))


def test_point_pairs_lie_at_their_distance() -> None:
    sites = PointPairs(distance_nm=50, spacing_nm=800, sites_per_point=3).sites(Scene(8000, 8000), _rng())
    pairs = sites.reshape(-1, 2, 3, 3)[:, :, 0]
    assert np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1) == pytest.approx(50)


def test_parallel_lines_lie_at_their_distance() -> None:
    sites = ParallelLines(distance_nm=60, angle_deg=0).sites(Scene(4000, 9000), _rng())
    assert sorted(set(sites[:, 1].round(6))) == [1970, 2030]
    turned = ParallelLines(distance_nm=60, angle_deg=90).sites(Scene(4000, 9000), _rng())
    assert sorted(set(turned[:, 0].round(6))) == [4470, 4530]


def test_half_of_the_siemens_star_is_dark() -> None:
    sites = SiemensStar(n_spokes=10).sites(Scene(5000, 5000), _rng())
    angle = np.arctan2(sites[:, 1] - 2500, sites[:, 0] - 2500) % (2 * np.pi)
    assert ((angle * 10 / (2 * np.pi)) % 1).max() <= 0.5 + 1e-9
    radius = np.hypot(sites[:, 1] - 2500, sites[:, 0] - 2500)
    assert radius.max() <= 2250
    assert (radius < 2250 / 2).mean() == pytest.approx(0.25, abs=0.03)


def test_clathrin_pits_have_their_diameter() -> None:
    sites = ClathrinPits(pits_per_um2=0.1, spacing_nm=1500, diameter_nm=(100, 100)).sites(
        Scene(20_000, 20_000), _rng()
    )
    pits = cKDTree(sites[:, :2]).query_pairs(400)
    widest = max(np.linalg.norm(sites[i] - sites[j]) for i, j in pits)
    assert 90 < widest < 101


def test_mitochondria_are_hollow_tubes() -> None:
    settings = Mitochondria(diameter_nm=400, branches_per_um=0, cluster_share=0, persistence_length_um=1000)
    sites = settings.sites(Scene(8000, 8000, 0.0), _rng())
    # membranes seen from the side are far from the axis height: a filled tube would have most sites near z = 0
    assert np.abs(sites[:, 2]).mean() > 90
    assert np.abs(sites[:, 2]).max() < 400


@pytest.mark.parametrize(
    "labelled", ["microtubules", "mitochondria", "actin", "endoplasmic_reticulum", "nuclear_pores"]
)
def test_whole_cells_hold_every_structure(labelled: str) -> None:
    scene = Scene(16_000, 16_000, 200)
    sites = WholeCell(labelled=labelled, n_microtubules=30).sites(scene, _rng())
    from_centre = np.hypot(sites[:, 0] - 8000, sites[:, 1] - 8000)
    assert len(sites) > 500
    assert from_centre.max() < 0.85 * 8000 + 200
    if labelled == "nuclear_pores":
        assert from_centre.max() < 0.6 * 8000


def test_labels_keep_their_distance_and_efficiency() -> None:
    sites = np.zeros((20_000, 3))
    labels = label_sites(LabellingSettings(efficiency=0.3, linkage_nm=10), sites, (1000, 1000), _rng())
    assert len(labels) == pytest.approx(6000, rel=0.04)
    assert np.linalg.norm(labels, axis=1) == pytest.approx(10)
    assert np.abs(labels.mean(axis=0)).max() < 0.5
    assert labels.std(axis=0) == pytest.approx(10 / 3**0.5, rel=0.05)


def test_labels_carry_several_fluorophores_and_some_sit_anywhere() -> None:
    sites = np.zeros((5000, 3))
    settings = LabellingSettings(efficiency=1, linkage_nm=0, fluorophores_per_label=2.5, false_per_um2=100)
    labels = label_sites(settings, sites, (2000, 3000), _rng())
    is_false = np.abs(labels).max(axis=1) > 0
    assert (~is_false).sum() == pytest.approx(12_500, rel=0.03)
    assert is_false.sum() == pytest.approx(600, rel=0.15)
    assert labels[is_false].max(axis=0)[:2] == pytest.approx([3000, 2000], rel=0.03)
