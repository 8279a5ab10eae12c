"""The score of content tracking as text."""

from comfyui_cldis.tracking.result import Tracking
from comfyui_cldis.tracking.table import tracking_table


def test_the_table_names_what_is_not_known():
    settings = {"seed": 0, "version": 1}
    score = Tracking(None, 0.5, 0.5, 0.5, 0.5, None, None, None, None, (), settings, 0)
    table = tracking_table(score)
    unknown = "score unknown (coverage is not measured) (version 1), 0 of 0 directions"
    assert unknown in table
    assert "| coverage | none |" in table
