"""Japanese Vowels: nine speakers told apart by short series of speech coefficients (comes with assay)."""

from __future__ import annotations

import numpy as np

from assay.workloads.data.base import FILES, Dataset, Split

LONGEST = 29  # steps of the longest utterance


def vowels() -> Dataset:
    """640 utterances of 9 speakers: series float32 (n, 29, 12), labels int64 (n,); the official 270 / 370 split.

    Each of the 12 coefficients is standardised with the mean and deviation of the training frames; then the series,
    of 7 to 29 steps, are filled with zeros (the training mean) at the end.
    """
    with np.load(FILES / "vowels.npz") as file:
        frames = file["millionths"] / 1e6  # the published decimals, exactly
        lengths, speakers, in_training = file["lengths"], file["speakers"].astype(np.int64), file["in_training"]
    training_frames = frames[np.repeat(in_training, lengths)]
    frames = (frames - training_frames.mean(axis=0)) / training_frames.std(axis=0)

    series = np.zeros((len(lengths), LONGEST, frames.shape[1]), dtype=np.float32)
    series[np.arange(LONGEST) < lengths[:, None]] = frames
    return Dataset(
        Split((series[in_training],), speakers[in_training]),
        Split((series[~in_training],), speakers[~in_training]),
        description="640 utterances of Japanese /ae/ by nine men, 12 coefficients over 7 to 29 steps; who speaks?",
        source="Japanese Vowels, as in the UEA archive and aeon; https://doi.org/10.24432/C5NS47",
        licence="CC BY 4.0",
        citation="M. Kudo, J. Toyama, M. Shimbo (1999). Multidimensional curve classification using "
        "passing-through regions. Pattern Recognition Letters 20 (11-13), 1103-1111. https://doi.org/10.24432/C5NS47",
    )
