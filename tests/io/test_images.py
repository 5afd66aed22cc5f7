"""Pictures: what is written is read with its place; what others wrote is read with the pixel size they state."""

import imagecodecs
import numpy as np
import pytest
import tifffile

from stormcell.data import PixelGrid, Provenance, Quantity, SRImage
from stormcell.errors import FormatError, InputError, MissingQuantityError, OutputError
from stormcell.io.images import read_image, write_image, write_png


def picture(shape=(7, 5), dtype=np.float32):
    return np.random.default_rng(3).uniform(0, 200, shape).astype(dtype)


def image(pixel_size_nm=12.345678901234567, origin_nm=(700.1, -3.0)):
    made = Provenance(
        "render", "0.1.0", settings={"mode": "gaussian"}, quantities=(Quantity("qe", 1.0, "", "given"),)
    )
    pixels = picture()
    pixels[2, 3] = np.nan
    return SRImage(pixels, PixelGrid(pixel_size_nm, (7, 5), origin_nm), "photons \u00b5m \u2212\u00b2", made)


@pytest.mark.parametrize("pixel_size_nm", [0.1, 20, 100 / 3, 1000, 25_000])
def test_what_is_written_is_read(tmp_path, pixel_size_nm):
    written = image(pixel_size_nm)
    write_image(written, tmp_path / "a.ome.tif")
    found = read_image(tmp_path / "a.ome.tif")
    assert found.pixels.dtype == np.float32
    np.testing.assert_array_equal(found.pixels, written.pixels)
    assert (found.grid, found.unit, found.provenance) == (written.grid, written.unit, written.provenance)


def test_equal_pictures_give_equal_files(tmp_path):
    write_image(image(), tmp_path / "a.ome.tif")
    write_image(image(), tmp_path / "b.tif")
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_other_programs_find_the_pixel_size(tmp_path):
    write_image(image(20.0), tmp_path / "a.ome.tif")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        assert tif.is_ome
        assert tif.series[0].axes == "YX"
        assert tif.series[0].dtype == np.float32
        (described,) = [tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]]
        tags = tif.pages.first.tags
        numerator, denominator = tags["XResolution"].value
        assert "DateTime" not in tags
    factor = {"nm": 1.0, "\u00b5m": 1e3}[described["PhysicalSizeXUnit"]]
    assert described["PhysicalSizeX"] * factor == pytest.approx(20.0, rel=1e-12)
    assert described["PhysicalSizeY"] == described["PhysicalSizeX"]
    assert 1e7 / (numerator / denominator) == pytest.approx(20.0, rel=1e-6)


def test_an_existing_picture_is_kept(tmp_path):
    write_image(image(), tmp_path / "a.ome.tif")
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        write_image(image(), tmp_path / "a.ome.tif")
    write_image(image(50.0), tmp_path / "a.ome.tif", overwrite=True)
    assert read_image(tmp_path / "a.ome.tif").grid.pixel_size_nm == 50.0


def test_an_ending_that_is_no_tiff_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"ending in \.ome\.tif, \.tif or \.ome\.zarr, got a\.jpg"):
        write_image(image(), tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("options", "size_nm"),
    [
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}}, 100),
        (
            {
                "ome": True,
                "metadata": {
                    "axes": "YX",
                    "PhysicalSizeX": 15.0,
                    "PhysicalSizeXUnit": "nm",
                    "PhysicalSizeY": 15.0,
                    "PhysicalSizeYUnit": "nm",
                },
            },
            15,
        ),
        ({"imagej": True, "resolution": (50.0, 50.0), "metadata": {"unit": "um"}}, 20),
        ({"imagej": True, "resolution": (0.1, 0.1), "metadata": {"unit": "nm"}}, 10),
        ({"resolution": (1e5, 1e5), "resolutionunit": "CENTIMETER"}, 100),
    ],
    ids=["OME", "OME in nm", "ImageJ in um", "ImageJ in nm", "resolution tags"],
)
def test_the_pixel_size_of_other_programs_is_found(tmp_path, options, size_nm):
    pixels = picture(dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    found = read_image(tmp_path / "a.tif")
    assert found.grid.pixel_size_nm == pytest.approx(size_nm, rel=1e-6)
    assert found.grid.origin_nm == (0, 0)
    np.testing.assert_array_equal(found.pixels, pixels.astype(np.float32))
    (quantity,) = found.provenance.quantities
    assert (quantity.name, quantity.source) == ("sr_pixel_size_nm", "read")
    assert found.provenance.inputs[0].name == "a.tif"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"resolution": (72, 72), "resolutionunit": "INCH"},
        {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0}},
    ],
    ids=["nothing said", "dots per inch", "default of OME"],
)
def test_a_pixel_size_is_never_made_up(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", picture(), **options)
    with pytest.raises(
        MissingQuantityError, match=r"pixel size of .*a\.tif is not in the file.*pass --pixel-size-nm"
    ):
        read_image(tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif", 80)
    assert found.grid == PixelGrid(80.0, (7, 5))
    assert found.provenance.quantities[0].source == "given"
    assert found.provenance.warnings == ()


def test_a_given_pixel_size_wins_and_the_contradiction_is_said(tmp_path):
    write_image(image(20.0), tmp_path / "a.ome.tif")
    found = read_image(tmp_path / "a.ome.tif", 30)
    assert found.grid == PixelGrid(30.0, (7, 5))
    assert found.provenance.warnings == ("a.ome.tif says a pixel of 20 nm, but 30 nm was given and used",)
    agreed = read_image(tmp_path / "a.ome.tif", 20)
    assert agreed.grid == image(20.0).grid
    assert agreed.provenance.warnings == ()


def test_our_record_does_not_outlive_a_crop(tmp_path):
    """Another program may cut the picture and copy the description."""
    write_image(image(20.0), tmp_path / "a.ome.tif")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        description = tif.ome_metadata
    tifffile.imwrite(tmp_path / "b.tif", picture((4, 4)), description=description.encode(), metadata=None)
    assert read_image(tmp_path / "b.tif").grid == PixelGrid(20.0, (4, 4))


def test_oblong_pixels_are_refused(tmp_path):
    options = {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}}
    tifffile.imwrite(tmp_path / "a.tif", picture(), **options)
    with pytest.raises(InputError, match="square"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_arrays_and_stacks(tmp_path, dtype):
    pixels = picture((3, 7, 5), dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    np.save(tmp_path / "a.npy", pixels)
    np.save(tmp_path / "one.npy", pixels[0])
    for name in ("a.tif", "a.npy"):
        with pytest.raises(FormatError, match=r"expected one picture in .*got a stack of 3"):
            read_image(tmp_path / name, 100)
        np.testing.assert_array_equal(read_image(tmp_path / name, 100, page=2).pixels, pixels[2].astype(np.float32))
        with pytest.raises(InputError, match="page from 0 to 2"):
            read_image(tmp_path / name, 100, page=3)
    np.testing.assert_array_equal(read_image(tmp_path / "one.npy", 100).pixels, pixels[0].astype(np.float32))


def test_channels_are_pages(tmp_path):
    pixels = picture((3, 7, 5))
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 100, page=1).pixels, pixels[1])
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-50])
    with pytest.raises(FormatError):
        read_image(tmp_path / "a.tif", 100, page=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_png(tmp_path, dtype):
    pixels = picture(dtype=dtype)
    (tmp_path / "a.png").write_bytes(bytes(imagecodecs.png_encode(pixels)))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 100).pixels, pixels)
    with pytest.raises(MissingQuantityError, match="--pixel-size-nm"):
        read_image(tmp_path / "a.png")


def test_colour_is_refused(tmp_path):
    rgb = np.zeros((6, 8, 3), np.uint8)
    write_png(tmp_path / "a.png", rgb)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    for name in ("a.png", "a.tif"):
        with pytest.raises(FormatError, match="colour"):
            read_image(tmp_path / name, 100)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.tif", "a.png", "a.jpg", "empty.tif"])
def test_what_is_no_picture_is_refused_in_one_line(tmp_path, name):
    content = {
        "a.csv": b"frame,x_nm\n1,2\n",
        "a.parquet": b"PAR1" + bytes(40),
        "a.tif": b"II*\x00" + bytes(40),
        "a.png": b"\x89PNG\r\n\x1a\n" + bytes(40),
        "a.jpg": b"\xff\xd8\xff" + bytes(40),
        "empty.tif": b"",
    }[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_image(tmp_path / name, 100)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_truncated_picture_is_refused(tmp_path):
    write_image(image(), tmp_path / "a.ome.tif")
    content = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(content[: len(content) - 40])
    with pytest.raises(FormatError, match=r"truncated|damaged"):
        read_image(tmp_path / "a.ome.tif")


def test_png_pictures(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", rgb)
    np.testing.assert_array_equal(imagecodecs.png_decode((tmp_path / "a.png").read_bytes()), rgb)
    write_png(tmp_path / "b.png", rgb, overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(InputError, match="expected uint8 pixels"):
        write_png(tmp_path / "c.png", rgb.astype(float))
    with pytest.raises(InputError, match="expected uint8 pixels"):
        write_png(tmp_path / "c.png", rgb[..., :2])


def test_the_pictures_of_squirrel(shared_data):
    widefields = sorted((shared_data / "squirrel_microtubules").glob("*.tif"))
    assert widefields
    for path in widefields:
        with tifffile.TiffFile(path) as tif:
            expected = tif.asarray().reshape(-1, *tif.pages.first.shape)
        found = read_image(path, 100, page=len(expected) - 1)
        np.testing.assert_array_equal(found.pixels, expected[-1].astype(np.float32))
