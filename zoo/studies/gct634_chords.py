"""Chords, frame by frame: the experiment table of a homework of the lecture GCT634 (KAIST, 2018).

    python -m kmir.study zoo.studies.gct634_chords --data billboard --root DIR --jobs 2
    python -m kmir.study zoo.studies.gct634_chords --data billboard --root DIR --quick

**What was asked**: 25 chords (major, minor, none) of every frame, from chroma, by

- **a** BiLSTM(64) that reads one beat: mean chroma and majority label of each;
- **b** the same of one frame; **c** of a frame and the 15 before it, at the last output;
- **d**, **e** the 2-layer and the 1-layer CRNN over 128 frames;
- **f** BiLSTM(16) over 128 frames, dropout 0.25.

**What is other here.** The homework had RWC-Pop and 12 chroma (CENS); Billboard comes as NNLS
chroma of 24, bass and treble. All 24 are given to the models: to the BiLSTMs side by side, to the
CRNNs as two channels of 12. The published numbers stand beside ours, not against them.

**What the homework left open, and how it was decided:**

- a, b, c: Adam from 1e-4, batches of 32, 200 epochs at most (its public baseline). c has zeros
  before a song starts. The rule is the same for all six: after 3 epochs without a better validation
  loss the rate is a fifth; the run ends where it would fall below 1e-5.
- Scored are the weights of the epoch with the least validation loss. No weight decay, no batch norm
  of the input, no clipping of gradients, no augmentation.
- 60 % of the songs train, the next 20 % test, the last 20 % validate, by sorted file name.
- c trains on clips of 16 frames of which only the last is judged. That is what the model with
  ``window=16`` computes for every frame of a song when it reads one, at a sixteenth of its cost.
- d, e put out 20 and 17 steps for 128 frames. Labels are not pooled: a step is judged against each
  of the frames that it stands for, and predictions are expanded to frames.
- f: dropout follows the LSTM. PyTorch's, which comes between layers, did nothing in a single one.
- Validation and test accuracy are both shares of frames, of all songs' frames together, of the best
  epoch; frames without a label among the 25 don't count. For a, the prediction of a beat holds for
  its frames, that of the first and last beat for what lies outside. (The homework compared beats in
  validation with frames in the test.) Songs without beats are left out of all six.

**Data size.** Billboard has 2.5 million frames, and neighbours say much the same: a chord lasts for
some forty. So not every frame is an example: every 32nd frame is one in b and c (1.5 s, the same
ones in every epoch), one clip in three in d, e and f. The table tells it, in batches of 32.
Validation after each epoch is thinned likewise; the accuracies of the table are of all frames.
Cutting epochs instead would have hidden what the table is about, which is how runs converge.
"""

from __future__ import annotations

from zoo.studies import Experiment, Study

FRAME = 2048 / 44100  # seconds, of NNLS chroma
ONE = "0.01"  # seconds: a clip of one frame, or of one beat

PLATEAU = {
    "train.epochs": "200",
    "train.batch_size": "32",
    "train.schedule": "plateau",
    "train.monitor": "val_loss",
    "train.plateau_factor": "0.2",
    "train.plateau_patience": "3",
    "train.learning_rate_floor": "1e-5",
    "train.stop_patience": "1000",
    "train.clip_norm": "1e9",
    "train.precision": "float32",
    "train.steps_per_epoch": "none",
    "pipeline.transpose": "false",
    "pipeline.gain_db": "0",
    "pipeline.vocabulary": "majmin",
    "pipeline.structured": "false",
    "pipeline.decoder": "none",
}
BASELINE = PLATEAU | {
    "train.learning_rate": "1e-4",
    "train.steps_per_execution": "50",
    "model.units": "64",
    "model.dropout": "0",
    "model.normalise": "false",
    "pipeline.clip_seconds": ONE,
    "pipeline.shuffle_buffer": "200000",
}
CLIPS = PLATEAU | {
    "train.learning_rate": "1e-3",
    "pipeline.clip_seconds": str(127.5 * FRAME),
    "pipeline.hop_seconds": str(3 * 128 * FRAME),
    "pipeline.shuffle_buffer": "200000",
}
QUICK = {"train.epochs": "15"}
QUICK_FRAMES = QUICK | {"pipeline.hop_seconds": str(8 * FRAME)}
QUICK_CLIPS = QUICK | {"pipeline.hop_seconds": str(64 * FRAME)}

STUDY = Study(
    title="Frame-wise chord recognition",
    source="homework of GCT634 (KAIST, 2018), RWC-Pop",
    task="chords",
    shares=(("train", 0.6), ("test", 0.2), ("validation", 0.2)),
    experiments={
        "a": Experiment(
            "BiLSTM(64), one beat",
            "zoo.bilstm",
            BASELINE | {"model.window": "1", "pipeline.hop_seconds": "1"},
            quick=QUICK,
            beats=True,
            published={"validation": "47.00", "test": "50.83", "time": "10 min"},
        ),
        "b": Experiment(
            "BiLSTM(64), one frame",
            "zoo.bilstm",
            BASELINE | {"model.window": "1", "pipeline.hop_seconds": str(32 * FRAME)},
            quick=QUICK_FRAMES,
            published={"validation": "47.52", "test": "50.70"},
        ),
        "c": Experiment(
            "BiLSTM(64), 16 frames up to each",
            "zoo.bilstm",
            BASELINE
            | {
                "pipeline.context_seconds": str(15 * FRAME),
                "pipeline.hop_seconds": str(32 * FRAME),
            },
            quick=QUICK_FRAMES,
            reading={"window": "16"},
            window=(1024, 16),
            published={"validation": "40.35", "test": "42.35"},
        ),
        "d": Experiment(
            "CRNN, 2 layers, 128 frames",
            "zoo.chord_crnn",
            CLIPS | {"model.form": "two_layer"},
            quick=QUICK_CLIPS,
            window=(128, 0),
            published={"validation": "12.75", "test": "14.52", "time": "3 h", "convergence": "no"},
        ),
        "e": Experiment(
            "CRNN, 1 layer, 128 frames",
            "zoo.chord_crnn",
            CLIPS | {"model.form": "one_layer"},
            quick=QUICK_CLIPS,
            window=(128, 0),
            published={"validation": "33.73", "test": "34.62", "time": "16 h"},
        ),
        "f": Experiment(
            "BiLSTM(16), 128 frames",
            "zoo.bilstm",
            CLIPS | {"model.units": "16", "model.dropout": "0.25", "model.normalise": "false"},
            quick=QUICK_CLIPS,
            window=(128, 0),
            published={"validation": "48.03", "test": "57.75", "time": "4 h"},
        ),
    },
)
