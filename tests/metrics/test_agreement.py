"""Agreement with independent public implementations, recorded on arrays that the tests rebuild.

Reference numbers:
- disent 0.8.0 (PyPI; scikit-learn 1.9.1, NumPy 2.4.6): MIG, SAP and DCI of the 600 rows.
- disentanglement_lib 86a644d (scikit-learn 1.5.2, NumPy 2.1.3): the rest, with num_bins = 20,
  prune_dims.threshold = .05 and the numbers of votes, points and items of its study.
- InfoMEC: the reference code of latent_quantization 9a420a3 (scikit-learn 1.5.2).
- UDR: compute_udr_sklearn of disentanglement_lib 86a644d on whole codes, with rank correlation and
  a standard deviation of .05 in place of the KL (SciPy 1.17.1, scikit-learn 1.9.1, NumPy 2.4.6).
- OMES: the formulas of the authors' code, evaluated in loops on a random association matrix.
On equal arrays only ties and seeds of the classifiers differ; draws differ by sampling error, given
beside each tolerance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from comfyui_cldis.metrics import FactorRepresentation, evaluate, from_arrays, udr
from comfyui_cldis.metrics.beta_vae import BetaVaeSettings, beta_vae
from comfyui_cldis.metrics.factor_vae import FactorVaeSettings, factor_vae
from comfyui_cldis.metrics.omes import omes_of

Arrays = Callable[[int], tuple[np.ndarray, np.ndarray]]
CodesOf = Callable[[np.ndarray], np.ndarray]
SIZES = (5, 4, 3)

EXACT_600 = {
    "mig": 0.39055323161682076,
    "sap": 0.19500000000000003,
    "modularity": 0.8841109078440336,
    "explicitness": 0.9858120932257086,
    "irs": 0.5005326287738886,
    "infom": 0.6274559941738244,
    "infoe": 0.8529373600591962,
    "infoc": 0.668287035775639,
}
DCI_600 = {  # of factors 1 and 2 alone
    "dci_disentanglement": 0.8149,
    "dci_completeness": 0.6680,
    "dci_informativeness": 0.9475,
}
EXACT_15000 = {
    "mig": 0.3863837301814077,
    "sap": 0.2660666666666666,
    "modularity": 0.921891831796044,
    "explicitness": 0.9841087530350306,
    "irs": 0.5324519168170123,
    "infom": 0.5964699992975918,
    "infoe": 0.8418362728386501,
    "infoc": 0.6702763659152119,
}
DCI_15000 = {
    "dci_disentanglement": 0.8625728818582462,
    "dci_completeness": 0.7151018280393824,
    "dci_informativeness": 0.9367333333333333,
}


def test_the_arrays_are_those_of_the_references(reference_arrays: Arrays) -> None:
    codes, factors = reference_arrays(600)
    assert codes.sum() == pytest.approx(354.91010023050484, abs=1e-9)
    assert factors.sum() == 2748


def test_array_metrics_agree(reference_arrays: Arrays) -> None:
    metrics = ["mig", "sap", "modularity", "explicitness", "irs", "infomec"]
    scores = evaluate(from_arrays(*reference_arrays(600)), metrics)
    for key, value in EXACT_600.items():
        # Solvers stop at slightly different points, and one of 200 test items is .005.
        assert scores[key] == pytest.approx(value, abs=0.0051 if key == "sap" else 1e-3), key


def test_dci_agrees(reference_arrays: Arrays) -> None:
    codes, factors = reference_arrays(600)
    scores = evaluate(from_arrays(codes, factors[:, 1:]), ["dci"])
    for key, value in DCI_600.items():
        # Seeds break ties: three runs of the reference spread over .0025 in D and C.
        assert scores[key] == pytest.approx(value, abs=0.005), key


def test_factor_vae_agrees(reference_codes: CodesOf) -> None:
    source = FactorRepresentation(SIZES, reference_codes)
    few = FactorVaeSettings(num_train=3_000, num_test=3_000, batch_size=3)
    # Reference, 3 items a vote: .8562 and .8606 for two seeds; 3,000 votes err by .0064.
    score = factor_vae(source, np.random.default_rng(0), few)["factor_vae"]
    assert score == pytest.approx(0.8584, abs=0.02)
    # Reference, 64 items a vote: 1.
    many = FactorVaeSettings(num_train=500, num_test=500)
    assert factor_vae(source, np.random.default_rng(0), many)["factor_vae"] == 1


def test_beta_vae_agrees(reference_codes: CodesOf) -> None:
    source = FactorRepresentation(SIZES, reference_codes)
    few = BetaVaeSettings(num_train=3_000, num_test=3_000, batch_size=2)
    # Reference, 2 pairs a point: .9436, .9430 and .9370 for three seeds; 3,000 points err by .0043.
    score = beta_vae(source, np.random.default_rng(0), few)["beta_vae"]
    assert score == pytest.approx(0.9412, abs=0.014)


def test_omes_agrees() -> None:
    strength = np.random.default_rng(3).random((5, 3))
    assert omes_of(strength, 0.5) == pytest.approx(0.2993749300112232, abs=1e-12)
    assert omes_of(strength, 0.2) == pytest.approx(0.2952419229963912, abs=1e-12)


def test_udr_agrees(reference_arrays: Arrays) -> None:
    codes, _ = reference_arrays(600)
    noise = np.random.default_rng(8).standard_normal((2, 600, 6)) * (1, 1, 1, 1, 1, 0.01)
    turned = codes.copy()
    turned[:, 1:3] = codes[:, 1:3] @ [[0.8, 0.6], [-0.6, 0.8]]
    trainings = [codes, (codes + 0.5 * noise[0])[:, ::-1], -turned + 0.5 * noise[1]]
    # Five dimensions of six are informative in each, where the two rules for the mean are one.
    expected = [0.6452038880743086, 0.5815577894528847, 0.532113312713883]
    assert udr(trainings) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_the_full_protocol_agrees(reference_arrays: Arrays) -> None:
    codes, factors = reference_arrays(15_000)
    assert codes.sum() == pytest.approx(7484.908469144144, abs=1e-8)
    scores = evaluate(
        from_arrays(codes, factors),
        ["mig", "sap", "modularity", "explicitness", "irs", "infomec", "dci"],
    )
    # MIG, modularity, IRS and InfoMEC use all 15,000 rows, as their references did here.
    for key, value in (EXACT_15000 | DCI_15000).items():
        assert scores[key] == pytest.approx(value, abs=1e-3), key
