"""The part of a script that turns the rows' side files into numbers: simple, honest, fast.

Pictures become statistics and the pixels of a small version, sounds the statistics of a
spectrogram, arrays and tables of one sample aggregates, texts the leading directions of TF-IDF.
Files are read until a share of the time limit is used; what is left then, or cannot be read, is
missing.
"""

from __future__ import annotations

from reasoner.expert.spec import TaskFacts

READ_SHARE = 0.35  # of the time limit, for reading files
MAX_FILES_PER_ROW = 6
MIN_SHARE = 0.05  # of the rows, below which a kind of file is left out

IMAGE_CODE = '''

def image_features(path):
    """Size, brightness, colour, contrast and edges of a picture, and a small version of it."""
    with Image.open(path) as image:
        size = [*image.size, os.path.getsize(path)]
        image.draft("RGB", (96, 96))
        small = image.convert("RGB").resize((32, 32), Image.BILINEAR)
    return size + pixel_features(np.asarray(small, dtype=float) / 255)


def pixel_features(pixels):
    """Statistics of an array of height, width and channels, and its means over 8 x 8 fields."""
    gray = pixels.mean(axis=2)
    fields = gray.reshape(8, 4, 8, 4).mean(axis=(1, 3)).ravel()
    edges = [np.abs(np.diff(gray, axis=axis)).mean() for axis in (0, 1)]
    quantiles = np.quantile(gray, [0.05, 0.25, 0.5, 0.75, 0.95])
    colours = [pixels.mean(axis=(0, 1)), pixels.std(axis=(0, 1))]
    spread = [gray.std(), (gray < 0.1).mean(), (gray > 0.9).mean()]
    return [*np.concatenate(colours), *spread, *quantiles, *edges, *fields]'''

SCAN_CODE = '''

def scan_features(path):
    """Size of a DICOM scan and, where pydicom is installed, the statistics of its picture."""
    size = [os.path.getsize(path)]
    try:
        import pydicom
    except ImportError:
        return size
    pixels = np.squeeze(pydicom.dcmread(path).pixel_array.astype(float))
    while pixels.ndim > 2:
        pixels = pixels[len(pixels) // 2]
    low, high = np.quantile(pixels, [0.01, 0.99])
    small = Image.fromarray(((pixels - low) / max(high - low, 1e-9)).clip(0, 1).astype(np.float32))
    gray = np.asarray(small.resize((32, 32), Image.BILINEAR), dtype=float)
    return [*size, *pixels.shape, low, high, *pixel_features(gray[:, :, None])]'''

SOUND_CODE = '''

def sound_features(path):
    """Length and loudness of a sound, and mean and spread of its bands of a spectrogram."""
    rate, wave = read_sound(path)
    wave = wave[: 60 * rate].astype(float)
    wave = wave.mean(axis=1) if wave.ndim > 1 else wave
    wave = np.pad(wave, (0, max(0, 64 - len(wave))))
    loud = np.sqrt(np.mean(wave**2))
    crossings = np.mean(np.diff(np.signbit(wave)))
    window = min(1024, len(wave) // 4)
    _, _, power = spectrogram(wave / max(np.abs(wave).max(), 1e-9), rate, nperseg=window)
    bands = np.array([part.mean(axis=0) for part in np.array_split(np.log(power + 1e-10), 24)])
    return [len(wave) / rate, rate, loud, crossings, *bands.mean(axis=1), *bands.std(axis=1)]


def read_sound(path):
    """Sampling rate and samples: wav by scipy, aif by its chunks, all others by soundfile."""
    if path.lower().endswith(".wav"):
        return wavfile.read(path)
    if path.lower().endswith((".aif", ".aiff")):
        return read_aif(path)
    import soundfile

    wave, rate = soundfile.read(path)
    return rate, wave


def read_aif(path):
    """Sampling rate and samples of an uncompressed AIFF file of 16 bits."""
    with open(path, "rb") as file:
        data = file.read()
    at = data.index(b"COMM") + 8
    channels, _, bits = struct.unpack(">hIh", data[at : at + 8])
    exponent, mantissa = struct.unpack(">HQ", data[at + 8 : at + 18])
    if bits != 16:
        raise ValueError(f"{bits} bits")
    at = data.index(b"SSND")
    end = at + 8 + struct.unpack(">I", data[at + 4 : at + 8])[0]
    samples = np.frombuffer(data[at + 16 : end], dtype=">i2")
    return int(mantissa * 2.0 ** (exponent - 16383 - 63)), samples.reshape(-1, channels)'''

ARRAY_CODE = '''

def array_features(path):
    """Quantiles of an array, mean and spread of its first slices, and means over 32 pieces."""
    loaded = np.load(path, allow_pickle=False)
    values = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    values = np.nan_to_num(np.asarray(values, dtype=float))
    slices = values.reshape(len(values), -1)[:8] if values.ndim > 1 else values.reshape(1, -1)
    slices = np.vstack([slices, np.full((8 - len(slices), slices.shape[1]), np.nan)])
    quantiles = np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
    pieces = [part.mean() if len(part) else np.nan for part in np.array_split(values.ravel(), 32)]
    spread = [values.mean(), values.std(), np.abs(np.diff(values, axis=-1)).mean()]{array_course}
    spread.append(values.size)
    return [*spread, *quantiles, *slices.mean(axis=1), *slices.std(axis=1), *pieces]'''

COURSE_CODE = '''

def course_features(values):
    """Of every column of a series: means over eight pieces, energies of eight bands."""
    values = np.nan_to_num(values[:, :40])
    power = np.abs(np.fft.rfft(values - values.mean(axis=0), axis=0)) ** 2 + 1e-10
    ends = np.linspace(0, len(values), 9).astype(int)
    octaves = np.geomspace(1, len(power), 9).astype(int) - 1
    pieces = [values[a : max(b, a + 1)].mean(axis=0) for a, b in zip(ends[:-1], ends[1:])]
    bands = [power[a : b + 1].mean(axis=0) for a, b in zip(octaves[:-1], octaves[1:])]
    return pieces + list(np.log(bands))
'''
COURSES = {
    "table": ("{table_course}", "\n    parts += course_features(values)"),
    "array": (
        "{array_course}",
        "\n    along = np.moveaxis(values, np.argmax(values.shape), 0)"
        "\n    spread += list(np.ravel(course_features(along.reshape(len(along), -1))))",
    ),
}
"""Kind of file -> (place in its code, what is added there for the course of a series)."""

TABLE_CODE = '''

def table_features(path):
    """Rows of a table of one sample, and statistics of its first 40 columns of numbers."""
    frame = pd.read_parquet(path) if path.endswith(".parquet") else read_rows(path)
    frame = frame.select_dtypes("number").iloc[:, :40].astype(float)
    values = frame.to_numpy()
    steps = np.abs(np.diff(values, axis=0))
    with warnings.catch_warnings():  # about columns without a value and tables of one row
        warnings.simplefilter("ignore")
        parts = [f(values, axis=0) for f in (np.nanmean, np.nanmin, np.nanmax, np.nanmedian)]
        parts += [np.nanstd(values, axis=0, ddof=1), np.nanmean(steps, axis=0)]
    parts += [values[0], values[-1], np.isnan(values).mean(axis=0)]{table_course}
    named = {f"{name}_{i}": v for i, part in enumerate(parts) for name, v in zip(frame, part)}
    return {"rows": len(frame), "bytes": os.path.getsize(path)} | named


def read_rows(path):
    """A csv or tsv, at most 200,000 rows of it."""
    return pd.read_csv(path, sep="\\t" if path.endswith(".tsv") else ",", nrows=200_000)'''

OTHER_CODE = '''

def other_features(path):
    """The size of a file of no known kind, and how often its bytes are of 16 ranges."""
    with open(path, "rb") as file:
        head = np.frombuffer(file.read(2**20), dtype=np.uint8)
    return [os.path.getsize(path), *(np.bincount(head // 16, minlength=16) / max(1, len(head)))]'''

TEXT_CODE = '''

def text_features(files):
    """Lengths of the texts, and the leading directions of their TF-IDF; labels are not used."""
    ids, texts = [], []
    for row_id, paths in files.items():
        with open(f"input/{paths[0]}", encoding="utf-8", errors="replace") as file:
            ids.append(row_id), texts.append(file.read(20_000))
    table = pd.DataFrame({"chars": [len(text) for text in texts]}, index=ids, dtype=float)
    table["words"] = [text.count(" ") + 1.0 for text in texts]
    words = HashingVectorizer(n_features=2**14, ngram_range=(1, 2)).transform(texts)
    n = min(20, len(texts) - 1)
    topics = TruncatedSVD(n, random_state=0).fit_transform(TfidfTransformer().fit_transform(words))
    return table.join(pd.DataFrame(topics, index=ids, columns=[f"topic{i}" for i in range(n)]))'''

READ_CODE = '''

def media_features(ids):
    """Numbers of every row's files, in the order of `ids`; missing where there is no file."""
    index = pd.read_csv("input/index.csv").astype(str)
    index["ending"] = index["path"].str.extract(r"(\\.[^./]*)$", expand=False).str.lower()
    index["row"] = index["part"] + " " + index[ID]
    index = shared_kinds(index)
    parts = ["train"] * len(train) + ["test"] * len(test)  # both may have the same ids
    rows = [f"{part} {row_id}" for part, row_id in zip(parts, ids.astype(str))]
    tables = []
    for ending, reader in READERS.items():
        files = index[index["ending"] == ending].groupby("row")["path"].apply(list)
        if files.empty:
            continue
        share = READ_S / len(READERS)
        table = reader(files) if ending in TEXTS else read_files(files, reader, share)
        table = table.add_prefix(ending[1:] + "_").reindex(rows)
        tables.append(table.reset_index(drop=True))
        print(f"{len(files)} rows have {ending} files", flush=True)
    table = pd.concat(tables, axis=1).astype("float64").replace([np.inf, -np.inf], np.nan)
    return table.clip(-1e30, 1e30)


def shared_kinds(index):
    """The files without those of kinds that test rows lack, such as masks: they tell the labels."""
    kinds = pd.Series(map(kind_of_file, index["path"], index[ID]), index=index.index)
    is_shared = kinds.isin(set(kinds[index["part"] == "test"]))
    has_other = index["row"].isin(set(index["row"][is_shared]))
    return index[is_shared | ~has_other]


def kind_of_file(path, row_id):
    """Folder and name of a file without what is the row's own: its id and numbers."""
    *folders, name = path.split("/")
    stem = row_id.partition(".")[0]
    parent = folders[-1] if len(folders) > 1 and folders[-1] not in row_id else "*"
    parent = re.sub(r"(?i)train(ing)?|valid(ation)?|test(ing)?", "*", parent)
    return "*" if parent.isdigit() else parent, re.sub(r"\\d+", "#", name.replace(stem, "*"))


def read_files(files, reader, seconds):
    """Means over at most {max_files} files of each row; later files than `seconds` are left out."""
    until = time.monotonic() + seconds
    order = files.sample(frac=1, random_state=0)

    def read_row(paths):
        step = max(1, len(paths) // {max_files})
        found = [read_one(f"input/{{path}}", reader, until) for path in sorted(paths)[::step]]
        mean = found[0] if len(found) == 1 else pd.DataFrame(found).mean().to_dict()
        return mean | {{"files": float(len(paths))}}

    with ThreadPoolExecutor(N_JOBS) as pool:
        rows = list(pool.map(read_row, order))
    if UNREAD:
        print(f"{{len(UNREAD)}} files could not be read and count as missing, e.g. {{UNREAD[0]}}")
    return pd.DataFrame(rows, index=order.index)


UNREAD = []  # files that are broken, with the error


def read_one(path, reader, until):
    """The numbers of one file by name; none where it cannot be read, or no time is left."""
    try:
        numbers = reader(path) if time.monotonic() < until else []
    except Exception as error:  # a broken file is a missing value
        UNREAD.append(f"{path} ({error})"[:200])
        numbers = []
    return numbers if isinstance(numbers, dict) else dict(enumerate(numbers))
'''

KIND_CODES = {
    "image": IMAGE_CODE,
    "scan": SCAN_CODE,
    "sound": SOUND_CODE,
    "array": ARRAY_CODE,
    "table": TABLE_CODE,
    "text": TEXT_CODE,
    "other": OTHER_CODE,
}
PIXEL_FEATURES = IMAGE_CODE[IMAGE_CODE.index("\n\ndef pixel_features") - 1 :]


def media_code(facts: TaskFacts, *, course: bool = False) -> str:
    """Code of media_features(), or an empty string where rows have no files.

    `course`: with what happens along the rows of a series.
    """
    if not facts.media:
        return ""
    kinds = dict.fromkeys(kind for kind, _ in facts.media)
    blocks = [KIND_CODES[kind] for kind in kinds]
    for place, code in COURSES.values():
        blocks = [block.replace(place, code if course else "") for block in blocks]
    if course:
        blocks.insert(0, COURSE_CODE)
    if "scan" in kinds and "image" not in kinds:
        blocks.insert(0, PIXEL_FEATURES)
    readers = ", ".join(f"{ending!r}: {kind}_features" for kind, ending in facts.media)
    texts = [ending for kind, ending in facts.media if kind == "text"]
    return "\n".join(
        [
            *(block.strip("\n").join(["\n\n", ""]) for block in blocks),
            f"\n\nREADERS = {{{readers}}}",
            f"TEXTS = {texts!r}",
            f"READ_S = {round(facts.limit_s * READ_SHARE)}  # seconds for reading files",
            READ_CODE.replace("{max_files}", str(MAX_FILES_PER_ROW))
            .replace("{{", "{")
            .replace("}}", "}"),
        ]
    )


def media_import_lines(facts: TaskFacts) -> list[str]:
    """Import lines that media_code needs."""
    kinds = {kind for kind, _ in facts.media}
    lines = ["from concurrent.futures import ThreadPoolExecutor"] if kinds else []
    if kinds & {"image", "scan"}:
        lines.append("from PIL import Image")
    if "sound" in kinds:
        lines += ["from scipy.io import wavfile", "from scipy.signal import spectrogram"]
    if "text" in kinds:
        lines += [
            "from sklearn.decomposition import TruncatedSVD",
            "from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer",
        ]
    return lines


def media_modules(facts: TaskFacts) -> list[str]:
    """Modules of the standard library that media_code needs."""
    kinds = {kind for kind, _ in facts.media}
    return [
        *(["struct"] if "sound" in kinds else []),
        *(["re", "time"] if kinds else []),
        *(["warnings"] if "table" in kinds else []),
    ]
