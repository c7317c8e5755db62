"""Scripts for tasks of free answers: texts, tags, orders, masks, boxes.

Several plain ways of answering are compared on the folds by how alike answers and truth are, and
the best one answers: a constant, a copy of a column, what was answered to the same cell, the
answer of the nearest row, the words that near rows share, the keys of a row's own file.
"""

from __future__ import annotations

from reasoner.expert.media import media_code
from reasoner.expert.spec import ScriptSpec, TaskFacts

WAYS = {
    "constant": "the answer that is most like all others",
    "copy": "a copy of a column",
    "lookup": "the commonest answer to the same cell",
    "nearest": "the answer of the nearest row",
    "words": "words that near rows share",
    "keys": "the keys of a row's own file",
}
SPELLINGS = ("levenshtein", "normalized_levenshtein", "edit_distance", "character_error_rate")
GROUPS = {"boxes_f1": 5, "map_of_iou_3d": 8}  # words of a box in a cell
MASKS = ("dice_global", "dice_masks", "fbeta_masks", "iou_masks", "map_of_iou")

LIKENESS_CODES = {
    "same": '''

def likeness(said, true):
    """1 where an answer is right to the letter, else 0."""
    return float(said == true)''',
    "letters": '''

def likeness(said, true):
    """Share of letters (or of words, where there are many) that two answers have in order."""
    parts = str.split if len(true.split()) > 4 else list
    one, two = parts(said)[:400], parts(true)[:400]
    return SequenceMatcher(None, one, two, autojunk=False).ratio() if one or two else 1.0''',
    "pixels": '''

def likeness(said, true):
    """Overlap of two masks, which are starts and lengths of runs of pixels."""
    one, two = pixels(said), pixels(true)
    return 2 * len(one & two) / (len(one) + len(two)) if one or two else 1.0


def pixels(text):
    """The pixels of a mask; none where it is not written as runs."""
    words = text.split()
    try:
        runs = zip(map(int, words[::2]), map(int, words[1::2]))
        return {pixel for start, n in runs for pixel in range(start, start + min(n, 9999))}
    except ValueError:
        return set()''',
    "groups": '''

def likeness(said, true):
    """Share of boxes that two answers have in common; a box is {n} words."""
    one, two = Counter(boxes(said)), Counter(boxes(true))
    both = sum(one.values()) + sum(two.values())
    return 2 * sum((one & two).values()) / both if both else 1.0


def boxes(text):
    """The boxes of a cell."""
    words = text.split()
    return [tuple(words[i : i + {n}]) for i in range(0, len(words), {n})]''',
    "confident": '''

def likeness(said, true):
    """Share of boxes that two answers have in common; each counts once, whatever its confidence."""
    one, two = set(boxes(said)), set(boxes(true))
    return 2 * len(one & two) / (len(one) + len(two)) if one or two else 1.0


def boxes(text):
    """The boxes of a cell without their confidence, the second of six words."""
    words = text.split()
    return [(words[i], *words[i + 2 : i + 6]) for i in range(0, len(words), 6)]


def common_boxes(answers):
    """The one to four commonest boxes as an answer, their shares of the rows as confidences."""
    counts = Counter(box for text in answers for box in set(boxes(text)))
    made = [
        f"{box[0]} {n / len(answers):.3f} {' '.join(box[1:])}" for box, n in counts.most_common(4)
    ]
    return [" ".join(made[: n + 1]) for n in range(len(made))]''',
    "words": '''

def likeness(said, true):
    """Share of words that two answers have in common, whatever their order."""
    one, two = Counter(said.split()), Counter(true.split())
    both = sum(one.values()) + sum(two.values())
    return 2 * sum((one & two).values()) / both if both else 1.0''',
}
SUBMITTED_CODES = {
    "boxes_f1": '''

def submitted(text):
    """Boxes (label, left, top, width, height) as points in the middle of them."""
    words, points = text.split(), []
    for label, x, y, width, height in zip(*(words[i::5] for i in range(5))):
        points += [label, f"{float(x) + float(width) / 2:g}", f"{float(y) + float(height) / 2:g}"]
    return " ".join(points)''',
    "map_of_iou_3d": '''

def submitted(text):
    """Boxes in space, each with a confidence before it."""
    words = text.split()
    return " ".join(" ".join(["1.0", *words[i : i + 8]]) for i in range(0, len(words), 8))''',
}
WORDS_LINE = """
        ways["words"] = [shared_words([known[i] for i in places]) for places in near]"""
WHOLE_KINDS = ("pixels", "groups", "confident")  # answers whose words mean nothing alone
WAYS_CODE = '''

def constant(answers):
    """The answer that is most like some others; empty and common words are tried, too."""
    some = list(pd.Series(answers).sample(min(80, len(answers)), random_state=0))
    common = list(pd.Series(answers).value_counts().index[:25])
    counts = Counter(word for text in answers for word in text.split())
    words = [word for word, _ in counts.most_common(4)]
    joined = [" ".join(words[: n + 1]) for n in range(len(words))] if {joins} else {more}
    tried = dict.fromkeys([*common, *some[:40], *joined, ""])
    return max(tried, key=lambda text: np.mean([likeness(text, true) for true in some]))


def commonest(answers, cells, wanted, other):
    """The commonest answer to each wanted cell among rows with the same cell, else `other`."""
    table = pd.DataFrame({"cell": cells, "answer": answers}).value_counts(sort=True).reset_index()
    known = table.drop_duplicates("cell").set_index("cell")["answer"].to_dict()
    return [known.get(cell, rest) for cell, rest in zip(wanted, other)]


def near_rows(fit, rows):
    """Places in `fit` of the ten nearest rows of each of `rows`."""
    n = min(10, len(fit))
    return NearestNeighbors(n_neighbors=n).fit(SPACE[fit]).kneighbors(SPACE[rows])[1]


def shared_words(texts):
    """The words that most of the texts share, as many as the texts usually have."""
    counts = Counter(word for text in texts for word in dict.fromkeys(text.split()))
    length = round(np.median([len(text.split()) for text in texts]))
    return " ".join(word for word, _ in counts.most_common(length))


def answers_by_way(truth, fit, rows):
    """Answers for `rows` from the labels of the rows `fit`, by every way that is possible."""
    known = [truth[row] for row in fit]
    ways = {"constant": [constant(known)] * len(rows)}
    for name, cells in CELLS.items():
        ways[f"copy {name}"] = [cells[row] for row in rows]
        for rest in ("constant", f"copy {name}"):
            same = commonest(known, [cells[i] for i in fit], ways[f"copy {name}"], ways[rest])
            ways[f"lookup {name}, else {rest}"] = same
    if SPACE is not None:
        near = near_rows(fit, rows)
        ways["nearest"] = [known[places[0]] for places in near]
        ways["words"] = [shared_words([known[i] for i in places]) for places in near]
    if KEYS:
        ways["keys"] = [KEYS.get(IDS[row], ways["constant"][0]) for row in rows]
    return ways


def answer_column(truth):
    """Answers of the validated rows and of the test rows by the way that does best on the folds.

    A way has to be better than the constant by more than noise.
    """
    found = {}
    for k in sorted(set(fold[fold >= 0])):
        print(f"fold {k + 1}/{fold.max() + 1}", flush=True)
        fit, held = np.flatnonzero({rule}), np.flatnonzero(fold == k)
        for way, answers in answers_by_way(truth, fit, held).items():
            found.setdefault(way, {}).update(zip(held, answers))
    validated = np.flatnonzero(fold >= 0)
    complete = {way: said for way, said in found.items() if len(said) == len(validated)}
    wanted = {way: said for way, said in complete.items() if way.startswith(WAY)}
    some = np.random.default_rng(0).permutation(validated)[:500]
    alike = {
        way: np.array([likeness(said[row], truth[row]) for row in some])
        for way, said in (wanted or complete).items()
    }
    scores = {way: likes.mean() for way, likes in alike.items()}
    best = max(scores, key=scores.get)
    if "constant" in alike:
        gain = alike[best] - alike["constant"]
        best = best if gain.mean() > gain.std() / np.sqrt(len(gain)) else "constant"
    print({way: round(float(score), 4) for way, score in scores.items()}, "->", best, flush=True)
    rows = np.arange(len(train), len(both))
    final = answers_by_way(truth, np.arange(len(train)), rows)
    return [complete[best][row] for row in validated], final.get(best, final["constant"]), scores'''

SPACE_CODE = '''

def row_space():
    """Every row as a point whose neighbours are alike: by its texts, else by its numbers."""
    if TEXTS_OF_ROWS:
        texts = [" ".join(cells[row] for cells in TEXTS_OF_ROWS) for row in range(len(both))]
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=50_000)
        return letters.fit_transform(texts)
    {numbers}
    table = table.loc[:, table.nunique() > 1]
    if table.empty:
        return None
    table = (table - table.mean()) / table.std()
    return table.fillna(0.0).clip(-5, 5).to_numpy()'''

KEYS_CODE = '''

def keys_of_files():
    """The keys of the first object in every row's JSON file, in their order."""
    index = pd.read_csv("input/index.csv").astype(str)
    found = {}
    for row_id, path in zip(index[ID], index["path"]):
        if path.lower().endswith(".json"):
            with open(f"input/{path}", encoding="utf-8", errors="replace") as file:
                value = json.load(file)
            values = value.values() if isinstance(value, dict) else []
            objects = [item for item in values if isinstance(item, dict)]
            if objects:
                found[row_id] = " ".join(objects[0])
    return found'''


def answers_code(spec: ScriptSpec, facts: TaskFacts) -> str:
    """Code of a script for free answers, after its imports and the loading of the tables."""
    kind = likeness_kind(facts.metric)
    rule = "fold < k" if facts.split == "time" else "fold != k"
    columns = [name for name in (*facts.categorical, *facts.text) if name not in spec.drop]
    numeric = [name for name in facts.numeric if name not in (*spec.drop, *facts.ignored)]
    has_keys = any(ending == ".json" for _, ending in facts.media)
    targets = dict(facts.target_of_column or zip(facts.columns[1:], facts.target, strict=False))
    numbers = [f"table = both[{numeric!r}].astype(float)"]
    if facts.media:
        numbers.append("table = table.join(media_features(both[ID]))")
    lines = [
        LIKENESS_CODES[kind].replace("{n}", str(GROUPS.get(facts.metric))),
        media_code(facts),
        SUBMITTED_CODES.get(facts.metric, ""),
        KEYS_CODE if has_keys else "",
        WAYS_CODE.replace("{rule}", rule)
        .replace("{joins}", str(kind == "words"))
        .replace("{more}", "common_boxes(answers)" if kind == "confident" else "[]")
        .replace(WORDS_LINE, "" if kind in WHOLE_KINDS else WORDS_LINE),
        SPACE_CODE.replace("{numbers}", "\n    ".join(numbers)),
        "",
        "",
        "both = pd.concat([train, test], ignore_index=True)",
        "IDS = list(both[ID].astype(str))",
        f"CELLS = {{name: list(both[name].fillna('').astype(str)) for name in {columns!r}}}",
        f"TEXTS_OF_ROWS = [CELLS[name] for name in {list(facts.text)!r} if name in CELLS]",
        f"KEYS = {'keys_of_files()' if has_keys else '{}'}",
        "SPACE = row_space()",
        f"WAY = {spec.answer!r}  # beginning of the ways that are tried; empty: all",
        f"TARGETS = {targets!r}  # column of the files -> column of train, if any",
        "oof, submission, scores = {ID: train[ID][fold >= 0]}, {ID: test[ID]}, {}",
        "for column in OUTPUT[1:]:",
        "    if TARGETS.get(column):",
        "        truth = list(train[TARGETS[column]].fillna('').astype(str))",
        "        oof[column], submission[column], scores[column] = answer_column(truth)",
        "    else:",
        "        oof[column] = submission[column] = sample[column].iloc[0]",
        *(
            [
                "    oof[column] = list(map(submitted, oof[column]))",
                "    submission[column] = list(map(submitted, submission[column]))",
            ]
            if facts.metric in SUBMITTED_CODES
            else []
        ),
        'pd.DataFrame(oof)[OUTPUT].to_csv("oof.csv", index=False)',
        'pd.DataFrame(submission)[OUTPUT].to_csv("submission.csv", index=False)',
        "pairs = [pair for found in scores.values() for pair in found.items()]",
        'notes = "; ".join(f"{way}: {score:.4f}" for way, score in pairs)',
        'with open("evidence.json", "w") as file:',
        '    json.dump({"notes": "likeness of answers on the folds: " + notes[:1500]}, file)',
    ]
    return "\n".join(lines)


def likeness_kind(metric: str) -> str:
    """How alike two answers are, in the manner of the metric."""
    if metric == "accuracy":
        return "same"
    if metric in SPELLINGS:
        return "letters"
    if plain_metric(metric) == "map_boxes":
        return "confident"
    if metric in GROUPS:
        return "groups"
    return "pixels" if plain_metric(metric) in MASKS else "words"


def plain_metric(metric: str) -> str:
    """Return a metric's name without its number, such as an overlap."""
    return metric.partition("@")[0]


def answers_import_lines(facts: TaskFacts) -> list[str]:
    """Import lines that answers_code needs, but for those of the media."""
    lines = ["from collections import Counter", "from sklearn.neighbors import NearestNeighbors"]
    if likeness_kind(facts.metric) == "letters":
        lines.append("from difflib import SequenceMatcher")
    if facts.text:
        lines.append("from sklearn.feature_extraction.text import TfidfVectorizer")
    return lines


def describe_answers(spec: ScriptSpec, facts: TaskFacts) -> str:
    """One line: what the script is."""
    way = WAYS.get(spec.answer, "the best of several plain ways on the folds")
    return f"Answer {', '.join(facts.target)[:60]} by {way}."
