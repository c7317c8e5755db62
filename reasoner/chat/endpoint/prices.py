"""What tokens cost.  An unknown price is None: then tokens alone are counted."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from reasoner.protocol import ReasonerUnavailable

DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


class Price(BaseModel):
    """Dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(
        None, ge=0, description="input that the endpoint had cached; empty: as other input"
    )

    def usd(self, n_input: int, n_cached: int, n_output: int) -> float:
        cached = self.input if self.cached is None else self.cached
        return (
            (n_input - n_cached) * self.input + n_cached * cached + n_output * self.output
        ) / 1e6


Prices = dict[str, Price]
TABLE: TypeAdapter[Prices] = TypeAdapter(Prices)


def load_prices(path: str | None) -> Prices:
    """Our table, with the user's file over it. Raises ReasonerUnavailable for a file that is none."""
    own = Path(__file__).with_name("prices.yaml")
    table = TABLE.validate_python(yaml.safe_load(own.read_text()))
    return table | read(Path(path).expanduser()) if path else table


def read(path: Path) -> Prices:
    try:
        return TABLE.validate_python(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise ReasonerUnavailable(
            f"prices={path}: cannot be read ({error.strerror}); give a YAML or JSON file (docs/models.md)"
        ) from error
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        where = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, where['loc']))}: {where['msg']}" if where else "not valid YAML"
        raise ReasonerUnavailable(
            f"prices={path}: {said}; a line is `model: {{input: 1.25, output: 10}}` in $ per million"
        ) from error


def price_of(model: str, table: Prices) -> Price | None:
    """By exact name, else without provider, else without date."""
    bare = model.rpartition("/")[2]
    names = (model, bare, DATED.sub("", bare))
    return next((table[name] for name in names if name in table), None)
