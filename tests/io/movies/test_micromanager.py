"""What is made of Micro-Manager's keys."""

import pytest

from stormcell.io.movies.micromanager import camera_values, pixel_size_claims


def _values(metadata: dict[str, object]) -> dict[str, object]:
    return {key: quantity.value for key, quantity in camera_values(metadata).items()}


def test_hamamatsu_states_gain_and_offset() -> None:
    metadata = {
        "Camera": "Ham",
        "Ham-CameraName": "C13440-20C",
        "Ham-CONVERSION FACTOR COEFF": "0.46",
        "Ham-CONVERSION FACTOR OFFSET": "100.0000",
        "Exposure-ms": "10.0",
    }
    found = camera_values(metadata)
    assert {key: item.value for key, item in found.items()} == {
        "camera_name": "C13440-20C",
        "gain_e_per_adu": 0.46,
        "offset_adu": 100.0,
        "exposure_s": 0.01,
    }
    assert found["gain_e_per_adu"].unit == "e/ADU"
    assert found["offset_adu"].detail == "Micro-Manager Ham-CONVERSION FACTOR OFFSET"


def test_a_factor_without_offset_is_no_calibration() -> None:
    metadata = {"Camera": "Ham", "Ham-CONVERSION FACTOR COEFF": "1", "Ham-CONVERSION FACTOR OFFSET": "0"}
    assert _values(metadata) == {"camera_name": "Ham"}


@pytest.mark.parametrize(
    ("properties", "em_gain"),
    [
        ({"Cam-EMSwitch": "On", "Cam-Gain": "250"}, 250.0),
        ({"Cam-EMSwitch": "Off", "Cam-Gain": "250"}, 1.0),
        ({"Cam-Output_Amplifier": "Electron Multiplying", "Cam-Gain": "200"}, 200.0),
        ({"Cam-Output_Amplifier": "Conventional", "Cam-Gain": "200"}, 1.0),
        ({"Cam-MultiplierGain": "100"}, 100.0),
        ({"Cam-Gain": "3"}, None),  # of unknown meaning
        ({"Cam-MultiplierGain": "0"}, None),
    ],
)
def test_em_gain(properties: dict[str, object], em_gain: float | None) -> None:
    assert _values({"Camera": "Cam", **properties}).get("em_gain") == em_gain


def test_nested_forms_of_version_2() -> None:
    metadata = {
        "Camera": "Cam",
        "UserData": {"PixelSizeUm": {"type": "DOUBLE", "scalar": 0.13}},
        "ScopeData": {"Cam-MultiplierGain": {"PropType": "String", "PropVal": "50"}},
    }
    assert _values(metadata)["em_gain"] == 50.0
    assert [claim.x_nm for claim in pixel_size_claims(metadata)] == [130.0]


@pytest.mark.parametrize("value", ["", None, "n/a", [], True])
def test_no_pixel_size(value: object) -> None:
    assert pixel_size_claims({"PixelSizeUm": value}) == []


def test_uncalibrated_is_passed_on_as_implausible() -> None:
    assert not pixel_size_claims({"PixelSizeUm": 0.0})[0].is_plausible
