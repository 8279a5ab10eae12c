"""Files and arrays that cannot be scored: each gets a sentence with the fact and the remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comfyui_cldis.metrics import from_arrays, load_representation

GOOD_FACTORS = np.tile([[0, 1], [1, 0], [1, 1], [0, 0]], (15, 1))
GOOD_CODES = GOOD_FACTORS + 0.5


def test_a_good_file_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "codes.npz"
    np.savez(path, codes=GOOD_CODES.astype(np.float32), factors=GOOD_FACTORS.astype(np.uint8))
    data = load_representation(path).sample(np.random.default_rng(0), 1)
    np.testing.assert_array_equal(data.codes, GOOD_CODES)
    np.testing.assert_array_equal(data.factors, GOOD_FACTORS)


def changed(array: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    copy = array.astype(float)
    copy[row, column] = value
    return copy


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (changed(GOOD_CODES, 7, 1, np.nan), GOOD_FACTORS, "1 values .* NaN .* row 7, column 1"),
        (changed(GOOD_CODES, 0, 0, -np.inf), GOOD_FACTORS, "infinite, the first in row 0"),
        (changed(GOOD_CODES, 3, 1, -1e30), GOOD_FACTORS, "value 1e.30; .* Rescale"),
        (GOOD_CODES, changed(GOOD_FACTORS, 0, 0, np.nan), "factors holds NaN"),
        (GOOD_CODES, GOOD_FACTORS.astype(float), "factors has the type float64; expected integers"),
        (GOOD_CODES, GOOD_FACTORS.astype(str), "factors has the type <U"),
        (GOOD_CODES.astype(complex), GOOD_FACTORS, "codes has the type complex128"),
        (GOOD_CODES, GOOD_FACTORS * [1, 0], r"factors\[:, 1\] takes only the value 0. Drop"),
        (GOOD_CODES, np.arange(120).reshape(60, 2), "60 different values in 60 rows"),
        (GOOD_CODES[:29], GOOD_FACTORS[:29], "only 29 rows; at least 30"),
        (GOOD_CODES[:0], GOOD_FACTORS[:0], "only 0 rows"),
        (GOOD_CODES[:59], GOOD_FACTORS, "codes has 59 rows and factors has 60"),
        (GOOD_CODES[:, 0], GOOD_FACTORS, r"codes has the shape \(60,\); expected \(n, N\)"),
        (GOOD_CODES[:, :, None], GOOD_FACTORS, r"shape \(60, 2, 1\)"),
        (GOOD_CODES[:, :0], GOOD_FACTORS, r"shape \(60, 0\)"),
        (GOOD_CODES, GOOD_FACTORS[:, 0], r"factors has the shape \(60,\); expected \(n, K\)"),
        (GOOD_CODES, np.array(3), r"factors has the shape \(\)"),
    ],
)
def test_bad_arrays_get_a_sentence(
    tmp_path: Path, codes: np.ndarray, factors: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        from_arrays(codes, factors)
    path = tmp_path / "codes.npz"
    np.savez(path, codes=codes, factors=factors)
    with pytest.raises(ValueError, match=f"codes.npz: .*{message}"):
        load_representation(path)


def test_bad_files_get_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "codes.npz"
    with pytest.raises(FileNotFoundError, match="no file .*codes.npz. Write it with numpy.savez"):
        load_representation(path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_representation(tmp_path)  # a folder

    np.savez(path, codes=GOOD_CODES, labels=GOOD_FACTORS)
    with pytest.raises(ValueError, match="lacks factors; it holds codes, labels"):
        load_representation(path)
    np.savez(path)
    with pytest.raises(ValueError, match="lacks codes and factors; it holds nothing"):
        load_representation(path)

    np.savez(path, codes=np.array([{"a": 1}] * 60, dtype=object), factors=GOOD_FACTORS)
    with pytest.raises(ValueError, match="no readable .npz file of numbers .pickled data"):
        load_representation(path)
    for content in (b"", b"codes", b"PK\x03\x04 cut short"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"codes.npz is no readable .npz file"):
            load_representation(path)

    np.savez(path, codes=GOOD_CODES, factors=GOOD_FACTORS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"codes.npz is no readable .npz file"):
        load_representation(path)
    with path.open("wb") as file:
        np.save(file, GOOD_CODES)
    with pytest.raises(ValueError, match="a single array"):
        load_representation(path)
