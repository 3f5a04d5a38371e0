"""Sparse attention pair by pair, as its definition reads."""

from __future__ import annotations

import math

import numpy as np


def sees_by_place(kind, query, key, queries, keys, *, window=0, global_window=0):
    """Whether a query sees a key; both count from 0."""
    place = np.float32(keys / queries)
    if kind == "diag":
        reached = (int(place * np.float32(query) + np.float32(step)) for step in range(-window, window + 1))
        return key in {min(max(column, 0), keys - 1) for column in reached}
    if kind == "jmask":  # rows and columns count from 1
        steps = [n * (n + 1) // 2 for n in range(keys + 1)]
        row = place * np.float32(query + 1)
        return key + 1 in {int(row + np.float32(sign * step)) for step in steps for sign in (1, -1)}
    return key < global_window or query < math.floor(global_window * queries / keys)


def buckets(tokens, directions):
    """The bucket of each token in each round, from directions `(D, rounds, 2)`."""
    found = np.zeros((len(tokens), directions.shape[1]), dtype=int)
    for token, values in enumerate(tokens):
        for turn in range(directions.shape[1]):
            first, second = (float(values @ directions[:, turn, way]) for way in range(2))
            found[token, turn] = int(np.argmax([first, second, -first, -second]))
    return found


def sees_by_content(query, key, directions, sparsity):
    """Mask `(N, M)` of one head: pairs that share at least k buckets, k as small as the sparsity allows."""
    of_query, of_key = buckets(query, directions), buckets(key, directions)
    shared = np.array([[np.sum(one == other) for other in of_key] for one in of_query])
    for least in range(directions.shape[1] + 1):
        left_out = np.sum(shared < least)
        if left_out >= sparsity * shared.size:
            break
    return shared >= least


def attention(query, key, value, mask):
    """What each query `(N, D)` gathers from the keys it sees; zero where it sees none."""
    gathered = np.zeros((len(query), value.shape[1]))
    for row in range(len(query)):
        seen = [column for column in range(len(key)) if mask[row, column]]
        if seen:
            scores = np.array([query[row] @ key[column] for column in seen]) / math.sqrt(query.shape[1])
            weights = np.exp(scores - scores.max())
            gathered[row] = weights @ value[seen] / weights.sum()
    return gathered
