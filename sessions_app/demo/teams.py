"""Ten teams and twenty drivers, all invented. Colours are distinct on dark and on light ground."""

from __future__ import annotations

from dataclasses import dataclass

from ..importers.result import EntityRecord


@dataclass(frozen=True, slots=True)
class Driver:
    """talent: share of grip that the driver finds beyond the car's average, about ±0.006."""

    code: str
    name: str
    number: str
    talent: float


@dataclass(frozen=True, slots=True)
class Team:
    """pace: share of grip that the best car has and this one lacks, 0…0.04.
    drag: air resistance as a share of the average car's."""

    name: str
    colour: str
    pace: float
    drag: float
    drivers: tuple[Driver, Driver]


TEAMS = (
    Team("Halvorsen Racing", "#3671c6", 0.000, 1.00, (
        Driver("LIN", "Mats Lindqvist", "11", 0.004), Driver("OKO", "Tobi Okoro", "27", -0.003))),
    Team("Scuderia Vento", "#e8002d", 0.003, 1.01, (
        Driver("BEL", "Luca Bellandi", "5", 0.003), Driver("ARA", "Inés Aranda", "55", 0.001))),
    Team("Kestrel", "#ff8000", 0.004, 0.98, (
        Driver("WHI", "Callum Whitlock", "8", 0.002), Driver("TAN", "Ren Tanaka", "81", 0.003))),
    Team("Silberpfad", "#27f4d2", 0.008, 0.99, (
        Driver("BRU", "Jonas Brunner", "44", 0.003), Driver("SOM", "Ada Sommer", "63", 0.000))),
    Team("Greenmantle", "#229971", 0.014, 1.00, (
        Driver("FER", "Rui Ferreira", "14", 0.005), Driver("MCK", "Isla McKay", "18", -0.004))),
    Team("Azur Mécanique", "#ff87bc", 0.019, 1.02, (
        Driver("DUV", "Théo Duval", "10", 0.001), Driver("ROC", "Noé Rochard", "31", 0.000))),
    Team("Torrent", "#64c4ff", 0.022, 0.97, (
        Driver("ALB", "Pim Albers", "23", 0.003), Driver("SAV", "Milo Savić", "2", -0.004))),
    Team("Corvo", "#a66bff", 0.025, 1.00, (
        Driver("NAK", "Yuna Nakata", "22", 0.002), Driver("REY", "Beau Reyes", "3", 0.000))),
    Team("Meridian", "#f2e34c", 0.029, 1.03, (
        Driver("VAL", "Eero Valta", "77", 0.001), Driver("ZHA", "Li Zhang", "24", -0.002))),
    Team("Ironbridge", "#b6babd", 0.031, 0.98, (
        Driver("MAG", "Kasper Magelund", "20", 0.001), Driver("HUB", "Felix Huber", "46", 0.000))),
)  # fmt: skip

CARS = tuple((team, driver) for team in TEAMS for driver in team.drivers)
"""Column i of the race is CARS[i]."""


def entities() -> list[EntityRecord]:
    """The cars in the order of the columns."""
    return [
        EntityRecord(
            code=driver.code,
            name=driver.name,
            number=driver.number,
            team=team.name,
            colour=team.colour,
            kind="car",
        )
        for team, driver in CARS
    ]
