"""Images: what is told of a good one, and how a bad one is named."""

from __future__ import annotations

import io
import time
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from tests.processing.processors import samples
from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors import image


def work_on(folder: Path, data: bytes, name: str = "picture.png") -> tuple[Context, dict[str, Json]]:
    job = samples.context(folder, name, "image/png", data, image.LIMITS)
    return job, image.process(job)


def refusal_of(folder: Path, data: bytes) -> ProcessingError:
    with pytest.raises(ProcessingError) as caught:
        work_on(folder, data)
    return caught.value


def thumbnail(job: Context) -> Image.Image:
    return Image.open(io.BytesIO(samples.artifact(job, "thumbnail.webp")))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF", "JPEG2000"])
def test_each_format_is_described_and_gets_a_thumbnail(tmp_path: Path, format: str) -> None:
    job, result = work_on(tmp_path, samples.image(format, size=(64, 64)))
    samples.same(result, format=format, width=64, height=64, frames=1, animated=False)
    assert thumbnail(job).size == (64, 64)


@pytest.mark.parametrize(
    ("format", "mode"),
    [("PNG", "P"), ("PNG", "1"), ("PNG", "LA"), ("PNG", "RGBA"), ("PNG", "I;16"), ("JPEG", "CMYK"),
     ("JPEG", "L"), ("TIFF", "F"), ("TIFF", "I"), ("TIFF", "LAB")],
)  # fmt: skip
def test_every_colour_mode_gets_a_thumbnail(tmp_path: Path, format: str, mode: str) -> None:
    if mode == "LAB":
        plain = Image.new("LAB", (64, 48), (50, 10, 10))
        target = io.BytesIO()
        plain.save(target, format)
        data = target.getvalue()
    else:
        data = samples.image(format, mode)
    job, result = work_on(tmp_path, data)
    samples.same(result, mode=mode, width=64, height=48)
    assert thumbnail(job).mode in {"RGB", "RGBA"}


def test_sixteen_bits_are_shown_by_their_full_range(tmp_path: Path) -> None:
    target = io.BytesIO()
    Image.new("I;16", (10, 10), 0x8000).save(target, "PNG")
    job, _ = work_on(tmp_path, target.getvalue())
    red, _, _ = thumbnail(job).convert("RGB").getpixel((5, 5))
    assert 120 < red < 136


def test_a_large_image_gets_a_small_thumbnail(tmp_path: Path) -> None:
    for mode in ("RGB", "P", "RGBA"):
        folder = tmp_path / mode
        folder.mkdir()
        job, _ = work_on(folder, samples.image("PNG", mode, (3000, 1500)))
        assert thumbnail(job).size == (512, 256)


def test_transparency_is_kept_in_the_thumbnail(tmp_path: Path) -> None:
    target = io.BytesIO()
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(target, "PNG")
    job, _ = work_on(tmp_path, target.getvalue())
    assert thumbnail(job).convert("RGBA").getpixel((3, 3))[3] == 0


def test_a_photo_is_turned_upright_and_its_exif_is_summarised(tmp_path: Path) -> None:
    job, result = work_on(tmp_path, samples.photo(orientation=6), "photo.jpg")
    samples.same(result, width=80, height=40, dpi=[300, 300])
    assert result["exif"] == {
        "make": "Lens & Sons", "model": "Box 2", "taken_at": "2026:05:04 03:02:01", "orientation": 6,
        "exposure_seconds": 0.004, "f_number": 2.8, "iso": 200,
    }  # fmt: skip
    upright = thumbnail(job).convert("RGB")
    assert upright.size == (40, 80)
    assert upright.getpixel((20, 10))[1] < 100, "the red half was on the left, so it is on top now"
    assert upright.getpixel((20, 70))[1] > 200


def test_neither_position_nor_maker_notes_leave_the_photo(tmp_path: Path) -> None:
    job, result = work_on(tmp_path, samples.photo())
    assert "52" not in str(result.get("exif")) and "secret" not in str(result)
    assert not thumbnail(job).getexif()
    assert b"secret" not in samples.artifact(job, "thumbnail.webp")


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_says_how_many_frames_it_has(tmp_path: Path, format: str) -> None:
    _, result = work_on(tmp_path, samples.animation(format, frames=3))
    samples.same(result, frames=3, animated=True, frames_checked=3)


def test_a_pixel_bomb_is_refused_at_once_and_without_the_memory(tmp_path: Path) -> None:
    bomb = samples.pixel_bomb(20_000)
    assert len(bomb) < 100_000
    tracemalloc.start()
    began = time.perf_counter()
    refusal = refusal_of(tmp_path, bomb)
    took = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.code == "too_complex"
    assert refusal.message == "The image has more than 100 million pixels."
    assert took < 0.5 and peak < 4_000_000


def test_an_image_just_over_the_bound_is_refused_too(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, samples.pixel_bomb(10_008)).code == "too_complex"


@pytest.mark.parametrize(
    ("format", "millions"), [("JPEG", 100), ("AVIF", 50), ("WEBP", 40), ("JPEG2000", 30)]
)
def test_each_format_has_a_bound_that_fits_its_hunger(
    tmp_path: Path, format: str, millions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tuple((bound // 10_000, formats) for bound, formats in image.BOUNDS)
    monkeypatch.setattr(image, "BOUNDS", small)
    side = int((millions * 100) ** 0.5)
    work_on(tmp_path, samples.image(format, size=(side, side)))
    refusal = refusal_of(tmp_path, samples.image(format, size=(side + 8, side + 8)))
    assert refusal.code == "too_complex"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000"])
def test_a_truncated_image_is_damaged(tmp_path: Path, format: str) -> None:
    whole = samples.image(format, size=(300, 300))
    refusal = refusal_of(tmp_path, whole[: len(whole) * 6 // 10])
    assert refusal.code == "corrupt_file"
    assert refusal.message.startswith("The ") and refusal.message.endswith(".")


def test_text_that_calls_itself_a_png_is_damaged(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, b"<html><script>alert(1)</script>").code == "corrupt_file"
    assert refusal_of(tmp_path, b"").code == "corrupt_file"


def test_a_vector_or_postscript_image_is_not_opened(tmp_path: Path) -> None:
    assert "image/svg+xml" not in image.TYPES
    assert not [formats for _, formats in image.BOUNDS if "EPS" in formats]
    assert refusal_of(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").code == "corrupt_file"


def test_a_photo_of_several_pictures_opens_as_one(tmp_path: Path) -> None:
    target = io.BytesIO()
    first, second = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "blue")
    first.save(target, "MPO", save_all=True, append_images=[second])
    _, result = work_on(tmp_path, target.getvalue())
    samples.same(result, format="MPO", frames=2, animated=False)


def test_a_wrong_check_sum_in_a_png_is_damage(tmp_path: Path) -> None:
    data = bytearray(samples.image("PNG"))
    data[data.index(b"IEND") - 5] ^= 1
    assert refusal_of(tmp_path, bytes(data)).code == "corrupt_file"


def test_a_disk_that_fails_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    job = samples.context(tmp_path, "gone.png", "image/png", b"")
    job.path.unlink()
    with pytest.raises(FileNotFoundError):
        image.process(job)
