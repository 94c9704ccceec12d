"""Scores, kept sets, residuals and probabilities of the authors' code."""

import numpy as np
import pytest

from keras_chex.algorithms.criteria import (
    column_subset,
    leverage_scores,
    score_channels,
    top_k_mask,
)
from keras_chex.algorithms.regrow import regrow_probabilities, residuals
from tests.algorithms.golden_arrays import as_columns_oihw, load, mask_of

ARRAYS = load("css_cases")
CASES = sorted({key.split("/")[0] for key in ARRAYS})
SVD_CASES = [case for case in CASES if ARRAYS[f"{case}/branch"] == "svd"]
L1_CASES = [case for case in CASES if ARRAYS[f"{case}/branch"] == "l1"]


def case_arrays(case):
    arrays = {
        key.split("/")[1]: value
        for key, value in ARRAYS.items()
        if key.startswith(case + "/")
    }
    columns = as_columns_oihw(arrays["w"])
    return arrays, columns, mask_of(arrays["kept_sorted"], columns.shape[1])


def test_the_file_holds_five_svd_cases_and_one_l1_case():
    assert len(SVD_CASES) == 5
    assert len(L1_CASES) == 1


@pytest.mark.parametrize("case", SVD_CASES)
def test_leverage_scores_are_the_papers_and_the_authors_squared(case):
    arrays, columns, _ = case_arrays(case)
    scores = leverage_scores(columns, int(arrays["num_keep"]))
    np.testing.assert_allclose(scores, arrays["leverage_sq_f64"], atol=3e-6)
    np.testing.assert_allclose(np.sqrt(scores), arrays["scores"], atol=3e-6)


@pytest.mark.parametrize("case", SVD_CASES)
def test_column_subset_keeps_what_the_authors_keep(case):
    arrays, columns, kept = case_arrays(case)
    found = column_subset(columns, int(arrays["num_keep"]))
    np.testing.assert_array_equal(found, kept)


@pytest.mark.parametrize("case", CASES)
def test_full_order_of_the_scores_is_the_authors(case):
    arrays, columns, _ = case_arrays(case)
    criterion = {"svd": "css", "l1": "l1"}[str(arrays["branch"])]
    k = int(arrays["num_keep"])
    scores = score_channels(criterion, columns, None, k, rng=None)
    in_order = scores[arrays["order_desc"]]
    assert (np.diff(in_order) <= 3e-6).all()


@pytest.mark.parametrize("case", L1_CASES)
def test_l1_criterion_is_the_authors_choice_for_wide_matrices(case):
    arrays, columns, kept = case_arrays(case)
    k = int(arrays["num_keep"])
    scores = score_channels("l1", columns, None, k, rng=None)
    np.testing.assert_allclose(scores, arrays["scores"], rtol=3e-6)
    np.testing.assert_array_equal(top_k_mask(scores, k), kept)


@pytest.mark.parametrize("case", CASES)
def test_residuals_are_the_papers(case):
    arrays, columns, kept = case_arrays(case)
    found = residuals(columns, kept)
    np.testing.assert_allclose(
        found[arrays["freedom"]], arrays["resid_sq_f64"], atol=1e-5
    )
    assert (found[kept] == 0).all()


@pytest.mark.parametrize("case", SVD_CASES)
def test_residuals_are_the_authors_squared(case):
    arrays, columns, kept = case_arrays(case)
    found = np.sqrt(residuals(columns, kept))[arrays["freedom"]]
    np.testing.assert_allclose(found, arrays["resid_norm"], atol=1e-5)


@pytest.mark.parametrize("case", L1_CASES)
def test_residuals_are_exactly_zero_where_the_kept_span_everything(case):
    # The authors' float32 pseudo-inverse returns 0.09 and more here.
    arrays, columns, kept = case_arrays(case)
    assert (residuals(columns, kept) == 0).all()
    assert arrays["resid_norm"].min() > 0.09


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "form, key", [("softmax", "prob_paper_f64"), ("unsquared", "prob_code_f64")]
)
def test_probabilities_are_those_of_paper_and_code(case, form, key):
    arrays, columns, kept = case_arrays(case)
    found = regrow_probabilities(residuals(columns, kept), ~kept, form)
    np.testing.assert_allclose(found[arrays["freedom"]], arrays[key], atol=6e-7)
    assert (found[kept] == 0).all()


@pytest.mark.parametrize("case", SVD_CASES)
def test_unsquared_form_is_what_the_authors_code_returned(case):
    arrays, columns, kept = case_arrays(case)
    found = regrow_probabilities(residuals(columns, kept), ~kept, "unsquared")
    np.testing.assert_allclose(
        found[arrays["freedom"]], arrays["prob_code"], atol=6e-7
    )
