"""The loop that is written where there is no kmir: librosa, file by file, an array each.

    python -m kmir.benchmarks.librosa_loop FOLDER OUT SAMPLE_RATE N_FFT HOP_LENGTH N_MELS

It imports nothing of kmir's, so its time is that of librosa.
"""

from __future__ import annotations

import sys
from pathlib import Path

import librosa
import numpy as np


def log_mel(path: Path, sample_rate: int, n_fft: int, hop_length: int, n_mels: int) -> np.ndarray:
    """Log-mel spectrogram of a file, ``(frames, n_mels)``, with librosa's defaults otherwise."""
    samples, _ = librosa.load(path, sr=sample_rate)
    mel = librosa.feature.melspectrogram(
        y=samples, sr=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels
    )
    return librosa.power_to_db(mel).T


def main() -> None:
    """Read every file of the folder and write an array of each."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    sample_rate, n_fft, hop_length, n_mels = map(int, sys.argv[3:])
    out.mkdir(parents=True)
    for path in sorted(folder.rglob("*.*")):
        np.save(out / path.stem, log_mel(path, sample_rate, n_fft, hop_length, n_mels))


if __name__ == "__main__":
    main()
