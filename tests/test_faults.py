"""What `make faults` judges by: tolerance, the table's place, and whether a slope is one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from faults.report import Promise, Row, Seen, write_table
from faults.soak import Series, fit

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def test_stillness_is_held_against_promise_and_machine() -> None:
    seen = Seen(still_segments=0.0, still_rows=1.35)
    assert not Row("a", Promise(still_rows=1.0), seen, tolerance=0.4).failures()
    (found,) = Row("a", Promise(still_rows=1.0), seen, tolerance=0.3).failures()
    assert found == "stillness of rows viewers 1.35 s, promised 1 s"


def test_what_is_not_stillness_has_no_tolerance() -> None:
    seen = Seen(wrong=1, lost=2, healthy=5.1, broken=["a worker ended"])
    found = Row("a", Promise(healthy=5.0), seen, tolerance=10.0).failures()
    assert found == [
        "a worker ended",
        "1 wrong frames",
        "2 viewers not at their place",
        "healthy after 5.1 s, promised 5 s",
    ]


def test_a_fault_that_could_not_be_made_breaks_nothing() -> None:
    row = Row("a", Promise(), Seen(lost=3), skipped="no root")
    assert not row.failures()
    assert "not run: no root" in row.cells()


def test_the_table_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(f"before\n{BEGIN}\nof yesterday\n{END}\nafter\n")
    write_table([Row("a|b", Promise(), Seen())], document)
    text = document.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "yesterday" not in text
    assert "| a/b | 0.00 s |" in text


def test_a_fault_that_did_not_run_keeps_its_row(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(f"{BEGIN}\n{END}\n")
    order = ["first", "second", "third"]
    write_table([Row(name, Promise(), Seen()) for name in ("third", "first")], document, order)
    told = Seen(still_rows=1.5, told="no answer at unix:///tmp/replay-x1/redis.sock: gone")
    write_table([Row("second", Promise(), told), Row("first", Promise(), Seen())], document, order)
    rows = [line for line in document.read_text().splitlines() if line.startswith("| ")][2:]
    assert [row.split("|")[1].strip() for row in rows] == order
    assert "| 1.50 s |" in rows[1]
    assert "no answer at …: gone" in rows[1]


def test_the_line_through_exact_samples_is_exact() -> None:
    line = fit([0, 10, 20, 30], [5, 25, 45, 65])
    assert (line.start, line.slope, line.error) == pytest.approx((5, 2, 0))


def test_a_slopes_interval_is_students() -> None:
    # Of x = 1…5 and y = 2, 4, 5, 4, 5: slope 0.6, standard error 0.2828, t(3) = 3.182.
    line = fit([1, 2, 3, 4, 5], [2, 4, 5, 4, 5])
    assert line.slope == pytest.approx(0.6)
    assert line.error == pytest.approx(0.2828 * 3.182, rel=0.01)


def test_a_line_takes_three_samples() -> None:
    with pytest.raises(ValueError, match="2 samples"):
        fit([0, 1], [0, 1])


@pytest.mark.parametrize(
    ("slope", "noise", "grows"),
    [
        (0.0, 1.0, False),
        (0.05, 1.0, True),  # 90 over the run
        (-0.05, 1.0, False),
        (0.005, 1.0, False),  # a slope, but of 9: less than says anything
    ],
)
def test_growth_outside_noise(slope: float, noise: float, grows: bool) -> None:
    chance = random.Random(1)
    times = [10.0 * i for i in range(180)]
    values = [100 + slope * t + chance.gauss(0, noise) for t in times]
    assert Series("memory", "MB", 20.0, values).grows(times) is grows


def test_what_fills_at_the_beginning_is_no_growth() -> None:
    times = [10.0 * i for i in range(100)]
    values = [min(500.0, 30.0 * i) + i % 2 for i in range(100)]
    assert not Series("memory", "MB", 20.0, values).grows(times)
