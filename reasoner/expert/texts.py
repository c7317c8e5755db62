"""The part of a script that turns texts into vectors: once for all rows, and never from labels."""

from __future__ import annotations

from pprint import pformat

from reasoner.expert.spec import SCALED_FAMILIES, WORD_FAMILIES, ScriptSpec, TaskFacts

TERMS = "TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=50_000)"
CHARS = (
    "TfidfVectorizer(sublinear_tf=True, min_df=2, analyzer='char_wb', ngram_range=(2, 5), "
    "max_features=100_000)"
)
HASHED = (
    "make_pipeline(HashingVectorizer(analyzer='char_wb', ngram_range=(1, 5), n_features=2**15, "
    "alternate_sign=False, norm=None), TfidfTransformer(sublinear_tf=True))"
)
"""Vectoriser that needs no vocabulary: the rows may contain no word twice."""
SPARSE_FAMILIES = SCALED_FAMILIES | WORD_FAMILIES
"""Families that read the words themselves; the others read their leading directions."""

VECTORS_CODE = '''

def vectors_of(name, vectoriser):
    """Vectors of a column's texts in train and test, made once; labels are not used."""
    return vectoriser.fit_transform(both[name].fillna("").astype(str)).tocsr()


def lookup(vectors):
    """A step that replaces the number of a row by the vector of its text."""
    return FunctionTransformer(lambda rows: vectors[rows.iloc[:, 0].to_numpy(dtype=int)])

'''


def text_columns(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    """Return the columns of text that the script uses."""
    return [name for name in facts.text if name not in spec.drop]


def text_lines(spec: ScriptSpec, facts: TaskFacts) -> list[str]:
    """Return lines that put the rows' numbers, by which models find texts, into the features."""
    return [
        f"    X[{name!r}] = np.arange(len(data)).astype(str)  # the row, by which its text is found"
        for name in text_columns(spec, facts)
    ]


def vectors_code(spec: ScriptSpec, facts: TaskFacts, families: list[str]) -> str:
    """Return code of the vectors that the families read, or an empty string."""
    names = text_columns(spec, facts)
    if not names:
        return ""
    terms = f"make_union({TERMS}, {CHARS})" if spec.chars else TERMS
    lines = [
        f"    {name!r}: vectors_of({name!r}, {HASHED if name in facts.few_words else terms}),"
        for name in names
    ]
    code = "\n".join([VECTORS_CODE, "WORDS = {", *lines, "}"])
    if not set(families) <= SPARSE_FAMILIES:
        code += (
            "\nTOPICS = {name: TruncatedSVD(60, random_state=0).fit_transform(vectors) "
            "for name, vectors in WORDS.items()}"
        )
    return code


def text_part(family: str, name: str) -> str:
    """Return the part of a column transformer that reads a column of text."""
    vectors = "WORDS" if family in SPARSE_FAMILIES else "TOPICS"
    return f"(lookup({vectors}[{name!r}]), {pformat([name])})"
