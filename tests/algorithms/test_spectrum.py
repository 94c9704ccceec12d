import numpy as np
import pytest

from keras_chex.algorithms.spectrum import (
    Tridiagonal,
    leading_row_energy,
    leading_space_diagonal,
    numerical_rank,
)


def gram_with(eigenvalues, seed=0):
    rng = np.random.default_rng(seed)
    size = len(eigenvalues)
    basis, _ = np.linalg.qr(rng.standard_normal((size, size)))
    return basis * eigenvalues @ basis.T, basis


@pytest.mark.parametrize("size", [1, 2, 3, 17, 130])
def test_eigenpairs_are_those_of_the_matrix(size):
    matrix, _ = gram_with(np.linspace(1.0, 5.0, size))
    tridiagonal = Tridiagonal(matrix)
    values, vectors = tridiagonal.eigenpairs(size // 2, size - 1)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-12)
    np.testing.assert_allclose(
        vectors.T @ vectors, np.eye(len(values)), atol=1e-12
    )
    np.testing.assert_allclose(
        tridiagonal.eigenvalues()[size // 2 :], values, rtol=1e-12
    )


@pytest.mark.parametrize("rank", [1, 4, 8, 9, 15, 16])
def test_both_sides_of_the_spectrum_give_the_same_projector(rank):
    matrix, basis = gram_with(np.arange(1.0, 17.0))
    expected = np.square(basis[:, 16 - rank :]).sum(axis=1)
    found = leading_space_diagonal(matrix, rank)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_multiple_eigenvalue_away_from_the_cut_is_harmless():
    matrix, basis = gram_with(np.array([1.0] * 5 + [2.0] * 6 + [3.0] * 5))
    expected = np.square(basis[:, 5:]).sum(axis=1)
    np.testing.assert_allclose(
        leading_space_diagonal(matrix, 11), expected, atol=1e-12
    )


def test_the_argument_is_left_as_it_was():
    matrix, _ = gram_with(np.arange(1.0, 9.0))
    before = matrix.copy()
    leading_space_diagonal(matrix, 3)
    np.testing.assert_array_equal(matrix, before)


@pytest.mark.parametrize(
    "eigenvalues, expected",
    [
        ([0.0, 0.0], 0),
        ([-1e-18, 0.0], 0),
        ([-1e-18, 1.0], 1),
        ([1e-11, 1.0], 1),
        ([1e-9, 1.0], 2),
    ],
)
def test_numerical_rank_cuts_singular_values_at_1e_5(eigenvalues, expected):
    assert numerical_rank(np.array(eigenvalues)) == expected


def test_zero_matrices_have_no_leading_space():
    assert (leading_space_diagonal(np.zeros((3, 3)), 2) == 0).all()
    assert (leading_row_energy(np.zeros((2, 3)), 2) == 0).all()
