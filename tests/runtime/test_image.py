"""Pictures in: every mode and its documented conversion. Pictures out: every format."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import TiffImageFile
from profiles import SRGB, SWAPPED
from ugicm.batch import picture_suffixes
from ugicm.errors import ImageError, OptionError, TooLargeError
from ugicm.image import REFUSED, read_image, read_picture, to_rgb
from ugicm.image_write import FORMAT_OF_SUFFIX, encode_image, format_for


def file_bytes(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def rgb(picture):
    return Image.fromarray(picture)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "YCbCr", "HSV"])
def test_plain_modes(rgb, mode):
    image = rgb.convert(mode)
    array, notes = to_rgb(image)
    np.testing.assert_array_equal(array, np.asarray(image.convert("RGB")))
    assert array.dtype == np.uint8
    assert not notes


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_opaque_alpha_is_dropped_in_silence(rgb, mode):
    image = (
        rgb.convert("P").convert(mode)
        if mode == "PA"
        else rgb.convert("LA" if mode[0] == "L" else "RGBA").convert(mode)
    )
    array, notes = to_rgb(image)
    assert not notes
    expected = image.convert("LA").convert("L") if mode[0] == "L" else image.convert("RGBA")
    np.testing.assert_array_equal(array, np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_laid_on_white(mode):
    image = Image.new(mode, (3, 1), 0)
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (100,) * (len(mode) - 1) + (alpha,))
    array, notes = to_rgb(image)
    assert array[0].tolist() == [[255] * 3, [177] * 3, [100] * 3]
    assert len(notes) == 1
    assert "white" in notes[0]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_laid_on_white(mode):
    image = Image.new("RGB", (2, 1), (0, 0, 0))
    image.putpixel((1, 0), (204, 204, 204))
    image = image.convert(mode)
    key = {"RGB": (0, 0, 0)}.get(mode, image.getpixel((0, 0)))
    array, notes = read_image(file_bytes(image, transparency=key))
    assert array[0, 0].tolist() == [255] * 3
    assert array[0, 1].tolist() == [204] * 3
    assert notes


def test_16_bit_grey_is_rounded():
    values = np.array([[0, 128, 129, 257, 65407, 65535]], np.uint16)
    array, _ = read_image(file_bytes(Image.fromarray(values)))
    assert array[0, :, 0].tolist() == [0, 0, 1, 1, 255, 255]


def test_32_bit_grey_must_fit_16_bits():
    image = Image.fromarray(np.array([[0, 65535]], np.int32))
    assert to_rgb(image)[0][0, :, 0].tolist() == [0, 255]
    with pytest.raises(ImageError, match="16 bits"):
        to_rgb(Image.fromarray(np.array([[-1, 65536]], np.int32)))


def test_floating_point_is_refused():
    with pytest.raises(ImageError, match="floating-point"):
        to_rgb(Image.new("F", (2, 2)))


def test_cmyk_without_profile_is_converted_with_a_note(rgb):
    array, notes = read_image(file_bytes(rgb.convert("CMYK"), "TIFF"))
    np.testing.assert_array_equal(array, np.asarray(rgb.convert("CMYK").convert("RGB")))
    assert "CMYK" in notes[0]


def test_srgb_profile_changes_nothing(rgb):
    array, notes = read_image(file_bytes(rgb, icc_profile=SRGB))
    np.testing.assert_array_equal(array, np.asarray(rgb))
    assert not notes


def test_other_profiles_are_converted_to_srgb():
    array, notes = read_image(file_bytes(Image.new("RGB", (4, 4), (250, 10, 10)), icc_profile=SWAPPED))
    assert not notes
    assert array[0, 0, 1] > 200
    assert array[0, 0, 0] < 50


@pytest.mark.parametrize("profile", [b"rubbish", "LAB"])
def test_unusable_profiles_are_ignored_with_a_note(rgb, profile):
    if profile == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    array, notes = read_image(file_bytes(rgb, icc_profile=profile))
    np.testing.assert_array_equal(array, np.asarray(rgb))
    assert "profile was ignored" in notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(rgb, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_bytes(rgb, exif=exif)
    array, _ = read_image(data)
    np.testing.assert_array_equal(array, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))
    assert (array.shape[0] > array.shape[1]) == (orientation >= 5)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_are_refused(kind):
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 90, 200)]
    data = file_bytes(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="several frames"):
        read_image(data)


def test_the_pages_of_a_file_are_not_counted(rgb, monkeypatch):
    """Pillow goes through all of them, which takes minutes where a few megabytes list many."""
    data = file_bytes(rgb, "TIFF", save_all=True, append_images=[rgb] * 3)
    monkeypatch.setattr(TiffImageFile, "n_frames", property(lambda self: pytest.fail("counted")))
    with pytest.raises(ImageError, match="several frames"):
        read_image(data)


def test_camera_jpegs_with_previews_are_read(rgb):
    data = file_bytes(rgb, "MPO", save_all=True, append_images=[rgb.resize((10, 10))])
    assert read_image(data)[0].shape == (70, 133, 3)


def test_bad_files(rgb):
    data = file_bytes(rgb)
    for wrong in (b"", b"text", data[: len(data) // 2], data[:40]):
        with pytest.raises(ImageError):
            read_image(wrong)


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_never_raise_anything_else(rgb):
    random = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"):
        data = file_bytes(rgb, kind)
        for _ in range(60):
            damaged = bytearray(data)
            for position in random.integers(0, min(len(data), 400), 4):
                damaged[position] = random.integers(0, 256)
            try:
                read_image(damaged, max_pixels=1 << 20)
            except (ImageError, TooLargeError):
                continue


def test_size_is_checked_before_pixels_are_decoded(rgb):
    with pytest.raises(TooLargeError):
        read_image(file_bytes(rgb), max_pixels=1000)
    huge = bytearray(file_bytes(rgb, "BMP"))
    huge[18:26] = struct.pack("<ii", 30000, 30000)
    with pytest.raises((TooLargeError, ImageError)):
        read_image(bytes(huge))


@pytest.mark.parametrize("suffix", sorted(FORMAT_OF_SUFFIX))
def test_output_formats(picture, suffix):
    kind = format_for(f"some.where/x{suffix.upper()}")
    if kind == "NPY":
        np.testing.assert_array_equal(np.load(io.BytesIO(encode_image(picture, kind))), picture)
        return
    image = Image.open(io.BytesIO(encode_image(picture, kind)))
    assert image.format == kind
    difference = np.abs(np.asarray(image).astype(int) - picture)
    assert difference.max() == 0 or (kind == "JPEG" and difference.mean() < 4)


@pytest.mark.parametrize("path", ["x", "x.xyz", ".png", "a.png/x"])
def test_unknown_output_suffix(path):
    with pytest.raises(OptionError, match=r"\.png"):
        format_for(path)


def test_a_picture_too_large_for_its_format():
    with pytest.raises(ImageError, match="WEBP"):
        encode_image(np.zeros((1, 20000, 3), np.uint8), "WEBP")


@pytest.mark.parametrize("kind", ["ICO", "EPS"])
def test_wrappings_and_programs_are_refused(kind, rgb, tmp_path):
    data = file_bytes(rgb, kind)
    assert Image.open(io.BytesIO(data)).format == kind
    (tmp_path / "file").write_bytes(data)
    for source in (data, tmp_path / "file"):
        with pytest.raises(ImageError, match=f"{kind} files are not read"):
            read_picture(source)
    assert kind not in {Image.registered_extensions()[suffix] for suffix in picture_suffixes()}


def test_what_pillow_reads_and_we_do_not_is_there_to_refuse():
    Image.init()
    assert set(Image.OPEN) >= REFUSED
