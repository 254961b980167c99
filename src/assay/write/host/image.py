"""Files of images, decoded."""

from __future__ import annotations

import io

import numpy as np


def image_decoder(encoded: np.ndarray, *, pixel_format: str = "RGB") -> np.ndarray:
    """The bytes of an image file (BMP, JPEG, JPEG 2000, PNG, PNM, TIFF, WebP) as an array of height, width, channels.

    `pixel_format` is "RGB", "BGR" or "Grayscale"; grey has one channel. Needs Pillow.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("decoding images needs Pillow: pip install pillow") from error
    with Image.open(io.BytesIO(np.asarray(encoded, dtype=np.uint8).tobytes())) as image:
        if pixel_format == "Grayscale":
            return np.array(image.convert("L"))[:, :, None]
        pixels = np.array(image.convert("RGB"))
    return pixels[:, :, ::-1].copy() if pixel_format == "BGR" else pixels
