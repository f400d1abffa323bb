"""NNLS chroma: bass and treble chroma of an approximate transcription.

Mauch & Dixon, "Approximate note transcription for the improved identification of difficult
chords", ISMIR 2010; Mauch, "Automatic chord transcription from audio using computational models
of musical context", PhD thesis, Queen Mary, 2010, chapter 3. What those leave open (window and
edges of the whitening, height of the gate, shape of the profiles) was measured on the outputs of
the authors' Vamp plug-in, with which the McGill Billboard chroma were made: same magnitudes, same
order of columns, with its default settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import check_values
from kmir.features.base import Feature, settle
from kmir.features.framing import framed, gathered, hann
from kmir.features.note_activation import (
    BINS,
    BINS_PER_SEMITONE,
    LOWEST_BIN,
    NOTES,
    NonNegativeLeastSquares,
    dictionary,
    sounding,
    whiten,
)

# The spectrum is interpolated to this many points a bin before it is read on the log scale.
OVERSAMPLING = 80
# Frames without a magnitude of at least this are silent, as in the plug-in: that of a sine at
# about -66 dB of full scale in a window of 16384.
GATE = 2.0
# Tuning is heard in the bins below this one, up to MIDI 73.7; measured on the plug-in.
TUNING_BINS = 162
# The bins in which a neighbour can be looked up whatever the tuning; the others are 0.
TUNED = slice(2, 253)
# Rows that are transformed together: few enough to stay in the cache, enough to fill its lanes.
ROWS = 16
# Frames that are finished together: their activations stay in the cache.
FINISHED = 256


@dataclass(frozen=True)
class NNLSChroma(Feature):
    """Twelve bass and twelve treble chroma, each from A upwards: A, B♭, B, C, …, A♭.

    A spectrum with three bins a semitone is tuned (one tuning for the whole recording), freed of
    its background and whitened by a running mean and standard deviation, and explained by notes
    with decaying partials; the activations of the notes are summed to pitch classes under a bass
    and a treble profile. Frame t is centred on sample ``t * hop_length``. Values are not
    normalised: 0 to about 5 with full whitening, whatever the loudness.

    Row t of the McGill Billboard chroma is frame t. Vamp hosts that put the first window on the
    first ``n_fft`` samples leave out the first ``n_fft / hop_length / 2`` frames, four by default.

    Args:
        sample_rate: Sampling rate in Hz, at least 8000.
        n_fft: Length of the Hann window and of the transform, in samples; even.
        hop_length: Samples from frame to frame, at most `n_fft`.
        whitening: Exponent of the running standard deviation, 0 (none) to 1.
        spectral_shape: Height of a partial relative to the one below, 0.5 to 0.9.

    Raises:
        UsageError: If a value is out of range.

    Example:
        >>> feature = NNLSChroma()
        >>> feature(np.zeros(44100, np.float32)).shape
        (22, 24)
    """

    name: ClassVar[str] = "nnls_chroma"
    first_pitch_class: ClassVar[int] = 9  # semitones from C
    linear: ClassVar[bool] = True

    sample_rate: int = 44100
    n_fft: int = 16384
    hop_length: int = 2048
    whitening: float = 1.0
    spectral_shape: float = 0.7

    def __post_init__(self) -> None:
        settle(self)
        rules = (
            ("sample_rate", self.sample_rate >= 8000, "at least 8000 Hz"),
            ("n_fft", self.n_fft > 0 and self.n_fft % 2 == 0, "even and above 0"),
            ("hop_length", 0 < self.hop_length <= self.n_fft, f"from 1 to n_fft ({self.n_fft})"),
            ("whitening", 0 <= self.whitening <= 1, "from 0 to 1"),
            ("spectral_shape", 0.5 <= self.spectral_shape <= 0.9, "from 0.5 to 0.9"),
        )
        check_values(vars(self), rules)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(24,)``: bass, then treble."""
        return (24,)

    @property
    def silence(self) -> float:
        """0: nothing sounds."""
        return 0.0

    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Chroma of a recording that arrives in blocks, equal to those of the whole.

        The tuning is that of the whole recording, so its log-frequency spectrogram is kept until
        the last block: 1 KiB a frame, 240 MB for three hours.

        Args:
            blocks: Mono float32 samples at `sample_rate`, in order, of any lengths.
            samples: How many there will be, if known: memory is then taken once. A wrong number
                costs memory, not correctness.
            dtype: Of the result.

        Returns:
            ``(frames, 24)``, with ``1 + n // hop_length`` frames for n samples.

        Raises:
            AudioError: If there is no sample at all, or one that is not a number.
        """
        total = np.zeros(BINS)

        def chunks() -> Iterator[np.ndarray]:
            for frames in framed(blocks, self.n_fft, self.hop_length):
                values = self._log_frequency(frames)
                total[:] += values.sum(axis=0, dtype=np.float64)
                yield values

        spectra = gathered(
            chunks(), (BINS,), np.float32, samples=samples, hop_length=self.hop_length
        )
        tune = _interpolation(tuning(total))
        out = np.empty((len(spectra), 24), dtype)
        for start in range(0, len(spectra), FINISHED):
            tuned = spectra[start : start + FINISHED] @ tune
            out[start : start + FINISHED] = self._chroma(tuned)
        return out

    def _log_frequency(self, frames: np.ndarray) -> np.ndarray:
        """``(frames, n_fft)`` samples to ``(frames, BINS)`` magnitudes on the log scale."""
        import scipy.fft

        first, kernel = _kernel(self.sample_rate, self.n_fft)
        magnitudes = np.empty((len(frames), kernel.shape[1]), np.float32)
        for start in range(0, len(frames), ROWS):
            rows = frames[start : start + ROWS] * hann(self.n_fft)
            spectrum = scipy.fft.rfft(rows, overwrite_x=True)
            part = magnitudes[start : start + ROWS]
            np.abs(spectrum[:, first : first + kernel.shape[1]], out=part)
            for row in np.flatnonzero(part.max(axis=1) < GATE):
                if np.abs(spectrum[row]).max() < GATE:  # no higher bin is louder either
                    part[row] = 0
        mapped: np.ndarray = (kernel @ magnitudes.T).T
        return mapped

    def _chroma(self, tuned: np.ndarray) -> np.ndarray:
        """``(frames, BINS)`` tuned magnitudes to ``(frames, 24)`` chroma."""
        whitened = whiten(tuned, self.whitening)
        activations = _solver(self.spectral_shape)(whitened, sounding(whitened))
        chroma: np.ndarray = activations @ _profiles()
        return chroma


def tuning(spectrum: np.ndarray) -> float:
    """How far the semitones lie from the bins where those of A4 = 440 Hz are.

    With three bins a semitone, the semitones make a pattern of period three, and the tuning is
    its phase.

    Args:
        spectrum: ``(BINS,)``, the sum over all frames.

    Returns:
        The distance in bins, -1.5 to 1.5, above 0 for a tuning above 440 Hz; 0 for silence.
    """
    turns = np.arange(TUNING_BINS) / BINS_PER_SEMITONE
    phase = np.angle(np.sum(spectrum[:TUNING_BINS] * np.exp(2j * np.pi * turns)))
    return float(phase / (2 * np.pi) * BINS_PER_SEMITONE)


def _interpolation(distance: float) -> np.ndarray:
    """Matrix that reads spectra `distance` bins further up, ``(BINS, BINS)`` float32."""
    bins = np.arange(BINS)
    matrix = np.maximum(0, 1 - np.abs(bins[:, np.newaxis] - (bins + distance)))
    matrix[:, : TUNED.start] = matrix[:, TUNED.stop :] = 0
    return matrix.astype(np.float32)


@lru_cache(maxsize=4)
def _kernel(sample_rate: int, n_fft: int) -> tuple[int, Any]:
    """First bin of the transform that is heard, and the sparse ``(BINS, bins)`` map from there.

    The spectrum is interpolated by raised cosines, one bin to either side, at `OVERSAMPLING`
    points a bin; each log-frequency bin collects the points under a raised cosine that reaches to
    its neighbours on the log scale, weighted by its width in Hz.
    """
    from scipy.sparse import coo_array

    spacing = sample_rate / n_fft
    highest = 440 * 2 ** ((LOWEST_BIN + BINS / BINS_PER_SEMITONE - 69) / 12)
    point = np.arange(1, math.ceil(highest / spacing * OVERSAMPLING) + 1)
    frequency = point * spacing / OVERSAMPLING
    place = (69 + 12 * np.log2(frequency / 440) - LOWEST_BIN) * BINS_PER_SEMITONE
    width = frequency * math.log(2) / (12 * BINS_PER_SEMITONE)
    below, rest = np.divmod(point, OVERSAMPLING)
    upper = 0.5 - 0.5 * np.cos(np.pi * rest / OVERSAMPLING)
    rows, columns, weights = [], [], []
    for neighbour in (0, 1):  # a point lies between two log-frequency bins and two of the transform
        row = np.floor(place).astype(int) + neighbour
        weight = (0.5 + 0.5 * np.cos(np.pi * (place - row))) / width
        heard = (row >= 0) & (row < BINS)
        for column, share in ((below, 1 - upper), (below + 1, upper)):
            rows.append(row[heard])
            columns.append(column[heard])
            weights.append((weight * share)[heard])
    column = np.concatenate(columns)
    first, last = int(column.min()), min(int(column.max()), n_fft // 2)
    inside = column <= last
    values = np.concatenate(weights)[inside]
    places = (np.concatenate(rows)[inside], column[inside] - first)
    matrix = coo_array((values, places), shape=(BINS, last - first + 1))
    return first, matrix.tocsr().astype(np.float32)


@lru_cache(maxsize=4)
def _solver(spectral_shape: float) -> NonNegativeLeastSquares:
    """Solver for the dictionary of this shape."""
    return NonNegativeLeastSquares(dictionary(spectral_shape))


@lru_cache(maxsize=1)
def _profiles() -> np.ndarray:
    """Sums of notes to bass and treble pitch classes, ``(NOTES, 24)`` float32.

    The treble profile is a raised cosine over all notes, highest between D4 and E♭4; the bass
    profile one that is highest near E♭2 and ends with A3, four ninths as wide.
    """
    place = np.arange(NOTES) + 0.5
    treble = 0.5 - 0.5 * np.cos(2 * np.pi * place / NOTES)
    width = NOTES * 4 / 9
    bass = np.where(place < width, 0.5 - 0.5 * np.cos(2 * np.pi * place / width), 0.0)
    matrix = np.zeros((NOTES, 24), np.float32)
    note = np.arange(NOTES)
    matrix[note, note % 12] = bass
    matrix[note, 12 + note % 12] = treble
    matrix.flags.writeable = False
    return matrix
