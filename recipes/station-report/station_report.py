#!/usr/bin/env python3
"""Reads the daily temperatures of a weather station, and writes a page about them.

The input is CSV with the columns ``date`` and ``temperature``; the page has the trend, the year's
course and a figure of both.
"""

import base64
import io
import sys
from pathlib import Path

import click
import jinja2
import numpy as np
import pandas as pd
import seaborn as sns
import statsmodels.api as sm
import xarray as xr
from matplotlib import pyplot as plt
from scipy import signal

DAYS = 365.25
PAGE = jinja2.Template(
    """<!DOCTYPE html>
<title>{{ name }}</title>
<h1>{{ name }}</h1>
<p>{{ days }} days; the trend is {{ "%+.2f" | format(trend) }} degrees in ten years,
the warmest month is {{ warmest }}.</p>
<img alt="temperatures" src="data:image/png;base64,{{ figure }}">
""",
    autoescape=True,
)


def read(path: Path) -> pd.Series:
    """Return the temperatures by their days."""
    try:
        table = pd.read_csv(path, parse_dates=["date"])
        series = table.set_index("date")["temperature"].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise click.ClickException(f"{path}: {error}") from error
    if len(series) < 2 * DAYS:
        raise click.ClickException(f"{path}: {len(series)} days; a trend needs two years")
    return series


def trend(series: pd.Series) -> float:
    """Return the degrees in ten years, beside the course of the year."""
    years = (series.index - series.index[0]).days.to_numpy() / DAYS
    turns = 2 * np.pi * years
    model = np.column_stack([np.ones_like(years), years, np.sin(turns), np.cos(turns)])
    return float(sm.OLS(series.to_numpy(), model).fit().params[1] * 10)


def figure(series: pd.Series) -> str:
    """Return the smoothed temperatures, drawn, in base64."""
    smooth = signal.savgol_filter(series.to_numpy(), window_length=91, polyorder=2)
    axes = sns.lineplot(x=series.index, y=smooth)
    axes.set_ylabel("degrees")
    out = io.BytesIO()
    plt.savefig(out, format="png", metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode()


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--name", default="A station", help="what the page is called")
def main(table: Path, name: str) -> None:
    """Write a page about the temperatures of TABLE to the standard output."""
    series = read(table)
    course = xr.DataArray(series).groupby("date.month").mean()
    warmest = pd.Timestamp(2000, int(course.idxmax()), 1).month_name()
    page = PAGE.render(
        name=name, days=len(series), trend=trend(series), warmest=warmest, figure=figure(series)
    )
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
