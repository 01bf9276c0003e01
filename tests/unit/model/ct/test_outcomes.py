from __future__ import annotations

import numpy as np

from ctconsole.model.ct.outcomes import (
    REASONS,
    Change,
    Forecast,
    Reason,
    Risk,
    RiskTally,
    Verdicts,
    reasons_to_tell,
)

FORWARD = (Risk.COMES_BACK, Reason.FORWARD)
DSR = (Risk.BREAKS, Reason.DSR)
QUIET = (Risk.AT_RISK, Reason.QUIET)


def verdicts(*found: tuple[Risk, Reason]) -> Verdicts:
    risks, reasons = zip(*found, strict=True)
    return Verdicts(np.array(risks, np.uint8), np.array(reasons, np.uint8))


def test_reasons_are_counted_worst_first() -> None:
    found = verdicts(FORWARD, DSR, FORWARD)
    assert found.reasons() == [(*DSR, 1), (*FORWARD, 2)]
    assert found.count(Risk.BREAKS) == 1
    assert found.rows(*FORWARD).tolist() == [0, 2]


def test_of_a_forecast_the_rows_at_risk_are_told_and_no_others() -> None:
    found = Forecast(Change.FLUSH, verdicts(QUIET, FORWARD, DSR, QUIET))
    told = [(risk, why, rows.tolist()) for risk, why, rows in found.worst()]
    assert told == [(*DSR, [2]), (*QUIET, [0, 3])]


def test_the_parts_of_a_table_add_up_to_its_forecast() -> None:
    rows = (FORWARD, QUIET, DSR, FORWARD, FORWARD)
    changes = (Change.RECREATE, Change.FLUSH)
    tally = RiskTally()
    for start in range(0, len(rows), 2):
        tally.add(Forecast(change, verdicts(*rows[start : start + 2])) for change in changes)
    whole = [(change, Forecast(change, verdicts(*rows)).reasons) for change in changes]
    assert [(one.change, one.reasons) for one in tally.outcomes()] == whole
    assert tally.outcomes()[0].count(Risk.BREAKS) == 1


def test_a_later_change_is_told_what_it_puts_at_risk_beyond_the_ones_before() -> None:
    found = (
        Forecast(Change.RECREATE, verdicts(QUIET, FORWARD)),
        Forecast(Change.FLUSH, verdicts(QUIET, DSR)),
    )
    assert list(reasons_to_tell(found)) == [
        (Change.RECREATE, [(*QUIET, 1)]),
        (Change.FLUSH, [(*DSR, 1)]),
    ]


def test_every_reason_has_a_sentence() -> None:
    assert set(REASONS) == set(Reason)
