"""Images: PNG, JPEG, GIF, WebP, BMP, TIFF, ICO, AVIF and JPEG 2000, read with Pillow.

Takes one image; gives its size, mode, frames, resolution and a summary of its EXIF data (CIPA DC-008;
never a position, never maker notes), and an upright thumbnail as WebP without any metadata.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Named one by one: in the sandbox no module can be imported any more, and Pillow imports lazily.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from uploads.processing.base import MIB, Context, Json, Limits, ProcessingError
from uploads.processing.sanitize import clean_text

TYPES = (
    "image/png", "image/apng", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/x-ms-bmp",
    "image/tiff", "image/vnd.microsoft.icon", "image/x-icon", "image/avif", "image/jp2",
)  # fmt: skip

LIMITS = Limits(memory_bytes=768 * MIB, cpu_seconds=60, wall_seconds=90, output_bytes=4 * MIB)
THUMBNAIL_SIDE = 512
MAX_FRAMES_CHECKED = 100
MAX_PIXELS_CHECKED = 200_000_000

# Pixels accepted and the formats for which. Measured peaks: 5 bytes a pixel (7 for a progressive JPEG),
# but 10 for AVIF, 16 for WebP, 18 for JPEG 2000. JPEG's own plugin opens multi-picture files (MPO) too.
BOUNDS: tuple[tuple[int, list[str]], ...] = (
    (100_000_000, [
        PngImagePlugin.PngImageFile.format, JpegImagePlugin.JpegImageFile.format,
        GifImagePlugin.GifImageFile.format, BmpImagePlugin.BmpImageFile.format,
        TiffImagePlugin.TiffImageFile.format, IcoImagePlugin.IcoImageFile.format,
    ]),
    (50_000_000, [AvifImagePlugin.AvifImageFile.format]),
    (40_000_000, [WebPImagePlugin.WebPImageFile.format]),
    (30_000_000, [Jpeg2KImagePlugin.Jpeg2KImageFile.format]),
)  # fmt: skip
# What Pillow is seen to raise for a damaged file, beside OSError without an errno.
_DAMAGE = (
    SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError,
    AttributeError, OverflowError, ZeroDivisionError, RuntimeError, NotImplementedError,
)  # fmt: skip

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Done by the first open() otherwise, too late in a sandbox.
Image.preinit()
_MOVING = {"GIF", "WEBP", "PNG", "AVIF"}

_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_MAIN_TEXTS = {"make": 0x010F, "model": 0x0110, "software": 0x0131}
_PHOTO_TEXTS = {"taken_at": 0x9003, "lens_make": 0xA433, "lens": 0xA434}
_PHOTO_NUMBERS = {"exposure_seconds": 0x829A, "f_number": 0x829D, "iso": 0x8827, "focal_length_mm": 0x920A}


def process(job: Context) -> dict[str, Json]:
    """Check and summarise one image, and leave `thumbnail.webp` (at most 512 pixels a side).

    Raises ProcessingError: too_complex over 100 million pixels (less for some formats, see BOUNDS),
    corrupt_file for what does not decode.
    """
    with _pillow_errors(), _opened(job) as image:
        image.verify()
    job.progress(10, "opening")
    with _pillow_errors(), _opened(job) as image:
        size = image.size
        exif = _exif(image)
        result: dict[str, Json] = {
            "format": str(image.format),
            "width": size[0],
            "height": size[1],
            "mode": image.mode,
        }
        dpi = _dpi(image)
        if dpi:
            result["dpi"] = dpi
        image.draft(image.mode, (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
        job.progress(20, "decoding")
        image.load()
        job.progress(60, "making a thumbnail")
        thumbnail = _thumbnail(image, exif.get("orientation"))
        frames = int(getattr(image, "n_frames", 1))
        # Pillow calls the pages of a TIFF animated, too.
        result |= {"frames": frames, "animated": frames > 1 and image.format in _MOVING}
        if frames > 1:
            result["frames_checked"] = _check_frames(job, image, frames)
    if exif:
        result["exif"] = exif
    job.add_artifact("thumbnail.webp", "image/webp", thumbnail)
    return result


def _opened(job: Context) -> Image.Image:
    """Open the image with the bound on pixels of its format, before memory is taken for them."""
    for bound, formats in BOUNDS[:-1]:
        Image.MAX_IMAGE_PIXELS = bound
        with suppress(UnidentifiedImageError):
            return Image.open(job.path, formats=formats)
    Image.MAX_IMAGE_PIXELS, formats = BOUNDS[-1]
    return Image.open(job.path, formats=formats)


@contextmanager
def _pillow_errors() -> Iterator[None]:
    """Turn what Pillow says of a bad file into a ProcessingError; a disk that fails stays an OSError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            millions = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
            message = f"The image has more than {millions} million pixels."
            raise ProcessingError("too_complex", message, detail=str(error)) from error
        except UnidentifiedImageError as error:
            message = "The file is not a readable image: its header is damaged or missing."
            raise ProcessingError("corrupt_file", message, detail=str(error)) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise _damaged(error) from error
        except _DAMAGE as error:
            raise _damaged(error) from error


def _damaged(error: Exception) -> ProcessingError:
    said = clean_text(error, 120) or type(error).__name__
    detail = f"{type(error).__name__}: {clean_text(error, 500)}"
    return ProcessingError("corrupt_file", f"The image is damaged or cut short: {said}.", detail=detail)


def _check_frames(job: Context, image: Image.Image, frames: int) -> int:
    """Decode the frames after the first, as far as the bounds go; return how many frames were decoded."""
    pixels = image.width * image.height
    checked = 1
    budget = MAX_PIXELS_CHECKED - pixels
    while checked < min(frames, MAX_FRAMES_CHECKED):
        image.seek(checked)
        budget -= image.width * image.height
        if budget < 0:
            break
        image.load()
        checked += 1
        job.progress(60 + 30 * checked / frames, f"frame {checked} of {frames}")
    return checked


def _thumbnail(image: Image.Image, orientation: Json) -> bytes:
    """Return `image` (decoded) as a small upright WebP without metadata."""
    small = _small(image)
    if isinstance(orientation, int) and orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[orientation])
    target = io.BytesIO()
    # Pillow writes no metadata into a WebP but what it is given here: nothing.
    small.save(target, WebPImagePlugin.WebPImageFile.format, quality=80, method=4)
    return target.getvalue()


def _small(image: Image.Image) -> Image.Image:
    """Return `image` as RGB or RGBA within the thumbnail's side, without a second full-size copy."""
    factor = max(image.size) // (4 * THUMBNAIL_SIDE)
    if factor > 1:
        if image.mode in {"L", "RGB", "CMYK", "YCbCr"}:
            image = image.reduce(factor)
        else:
            # Pillow would make a full copy first (alpha), or cannot average (palette): take samples.
            size = (max(1, image.width // factor), max(1, image.height // factor))
            image = image.resize(size, Image.Resampling.NEAREST)
    image = _eight_bit(image)
    wide = image.convert("RGBA" if image.has_transparency_data else "RGB")
    wide.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return wide


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return images of one deep channel as L: 16 bits by their full range, 32 by the range they use."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.mode not in {"I", "F"}:
        return image
    deep = image.convert("F")
    low, high = deep.getextrema()
    if not isinstance(low, float) or not isinstance(high, float) or not math.isfinite(high - low):
        return Image.new("L", image.size, 128)
    scale = 255 / (high - low) if high > low else 0.0
    return deep.point(lambda value: value * scale + -low * scale).convert("L")


def _dpi(image: Image.Image) -> list[Json]:
    """Return horizontal and vertical dots an inch, or nothing when absent or absurd."""
    raw = image.info.get("dpi")
    if not isinstance(raw, tuple) or len(raw) != 2:
        return []
    found = [_number(one) for one in raw]
    return [*found] if all(one is not None and 0 < one < 1e6 for one in found) else []


def _exif(image: Image.Image) -> dict[str, Json]:
    """Return what a short list of EXIF tags say; a damaged EXIF block says nothing and harms nothing."""
    try:
        main = image.getexif()
        photo = main.get_ifd(_EXIF_IFD)
    except (OSError, *_DAMAGE):
        return {}
    summary: dict[str, Json] = {}
    for name, tag in _MAIN_TEXTS.items():
        summary[name] = clean_text(main.get(tag), 100)
    for name, tag in _PHOTO_TEXTS.items():
        summary[name] = clean_text(photo.get(tag), 100)
    for name, tag in _PHOTO_NUMBERS.items():
        summary[name] = _number(photo.get(tag))
    orientation = main.get(_ORIENTATION)
    if isinstance(orientation, int) and 1 <= orientation <= 8:
        summary["orientation"] = orientation
    return {name: value for name, value in summary.items() if value not in ("", None)}


def _number(value: object) -> float | int | None:
    """Return a finite number from an EXIF value (a rational, an integer, a sequence of them), or None."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    if not math.isfinite(number) or abs(number) > 1e9:
        return None
    return int(number) if number == int(number) else round(number, 6)
