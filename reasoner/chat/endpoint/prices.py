"""Prices of tokens. A model without a known price is counted in tokens only."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from reasoner.protocol import ReasonerUnavailableError

DATE_SUFFIX = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(
        None, ge=0, description="input that the endpoint had cached; empty: as other input"
    )

    def usd(self, n_input: int, n_cached: int, n_output: int) -> float:
        """Return the cost of one answer. `n_cached` tokens are part of the `n_input` tokens."""
        cached = self.input if self.cached is None else self.cached
        micro_usd = (n_input - n_cached) * self.input + n_cached * cached + n_output * self.output
        return micro_usd / 1e6


Prices = dict[str, Price]
PRICE_TABLE: TypeAdapter[Prices] = TypeAdapter(Prices)


def load_prices(path: str | None) -> Prices:
    """Return the packaged prices, overridden by those of the user's file.

    Raises ReasonerUnavailableError for a file that cannot be read or is not a price table.
    """
    packaged = Path(__file__).with_name("prices.yaml")
    table = PRICE_TABLE.validate_python(yaml.safe_load(packaged.read_text()))
    return table | read_prices(Path(path).expanduser()) if path else table


def read_prices(path: Path) -> Prices:
    """Read a price table in YAML or JSON. Raises ReasonerUnavailableError."""
    try:
        return PRICE_TABLE.validate_python(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise ReasonerUnavailableError(
            f"prices={path}: cannot be read ({error.strerror});"
            " give a YAML or JSON file (docs/models.md)"
        ) from error
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        problem = "not valid YAML"
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ReasonerUnavailableError(
            f"prices={path}: {problem};"
            " a line is `model: {input: 1.25, output: 10}` in $ per million"
        ) from error


def price_of(model: str, table: Prices) -> Price | None:
    """Look a model up by exact name, else without provider, else without date."""
    bare = model.rpartition("/")[2]
    names = (model, bare, DATE_SUFFIX.sub("", bare))
    return next((table[name] for name in names if name in table), None)
