"""The columns of a sweep's table in words; table.json keeps their keys."""

from __future__ import annotations

from collections.abc import Iterable

from comfyui_cldis.checkpoint.quality_text import INVERTED
from comfyui_cldis.checkpoint.quality_text import NAMES as QUALITY_NAMES

COPILOT = "copilot_"  # prefix of the scores of the co-pilot's own code
HOURS = "hours"
RUN_COLUMNS = ("diffusion", "reconstruction", "kl", "capacity", "used", "encoder_kl")
QUALITY_COLUMNS = (
    "explained_variance_code",
    "explained_variance_random_noise",
    "explained_variance_preview",
    "psnr_inverted_noise_db",
    "num_visible_monotone",
)
COLUMNS = (*RUN_COLUMNS, "used_dimensions", "num_directions", *QUALITY_COLUMNS, HOURS)
COUNTS = ("active_dims", "omes_pairs")  # scores that are no shares
NAMES = {
    **QUALITY_NAMES,
    INVERTED: "inverted noise, dB PSNR",
    "factor_vae": "FactorVAE",
    "dci_disentanglement": "DCI D",
    "dci_completeness": "DCI C",
    "dci_informativeness": "DCI I",
    "mig": "MIG",
    "dmig": "DMIG",
    "sap": "SAP",
    "beta_vae": "beta-VAE",
    "irs": "IRS",
    "infom": "InfoM",
    "infoe": "InfoE",
    "infoc": "InfoC",
    "omes": "OMES",
    "omes_pairs": "pairs of OMES",
    "active_dims": "active dimensions",
    "kl": "KL",
    "capacity": "capacity C",
    "used": "used share of the code",
    "encoder_kl": "KL of the encoder",
    "num_directions": "directions",
}
UNITS = (("hours", 1.0), ("minutes", 60.0), ("seconds", 3600.0))  # and how many make an hour


def column_name(key: str) -> str:
    """A key of the results as a heading; one that has no other name is its own."""
    if key.startswith(COPILOT):
        return f"{column_name(key.removeprefix(COPILOT))} of the co-pilot's code"
    return NAMES.get(key, key.replace("_", " "))


def in_cell(text: str) -> str:
    """A name of somebody's own as Markdown shows it in the cell of a table, on one line."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def time_unit(hours: Iterable[float]) -> tuple[str, float]:
    """The largest unit of which the longest time has two or more, and how many make an hour."""
    longest = max(hours, default=0.0)
    return next((unit for unit in UNITS if longest * unit[1] >= 2), UNITS[-1])
