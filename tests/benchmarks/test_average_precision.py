import contextlib
import io

import numpy as np
import pytest

from benchmarks.average_precision import average_precision, match, tabulate

pytest.importorskip("pycocotools")


def box(x, y, width, height, category=1, score=None):
    record = {"bbox": [x, y, width, height], "area": width * height, "category_id": category}
    return record if score is None else {**record, "score": score}


def score(truth, found):
    return average_precision(tabulate(match(truth, found, 100)), np.ones(len(truth), int))


def test_the_truth_itself_scores_one():
    assert score([[box(0, 0, 10, 10)]], [[box(0, 0, 10, 10, score=0.5)]]) == pytest.approx((1, 1))


def test_a_box_of_iou_080_counts_at_seven_of_ten_thresholds():
    # 8 of 10 rows shared, nothing outside: IoU 0.8 is enough for 0.50, 0.55 .. 0.80.
    assert score([[box(0, 0, 10, 10)]], [[box(0, 0, 10, 8, score=0.5)]]) == pytest.approx((0.7, 1))


def test_a_better_scored_miss_halves_the_precision():
    found = [[box(50, 50, 10, 10, score=0.9), box(0, 0, 10, 10, score=0.5)]]
    assert score([[box(0, 0, 10, 10)]], found) == pytest.approx((0.5, 0.5))


def test_one_of_two_found_reaches_51_of_101_recalls():
    truth = [[box(0, 0, 10, 10), box(50, 50, 10, 10)]]
    assert score(truth, [[box(0, 0, 10, 10, score=0.9)]]) == pytest.approx((51 / 101, 51 / 101))


def test_classes_are_averaged_and_those_without_truth_left_out():
    truth = [[box(0, 0, 10, 10, category=1), box(0, 0, 10, 10, category=2)]]
    found = [[box(0, 0, 10, 10, 1, 0.9), box(0, 0, 10, 10, 3, 0.9)]]
    assert score(truth, found) == pytest.approx((0.5, 0.5))


def test_nothing_found_and_nothing_to_find():
    assert score([[box(0, 0, 10, 10)]], [[]]) == (0, 0)
    assert score([[]], [[box(0, 0, 10, 10, score=0.9)]]) == (0, 0)


def random_case(seed, pictures=12):
    generator = np.random.default_rng(seed)

    def boxes(count, scored):
        return [
            box(*(generator.integers(0, 30, 2) * 2.0), *(generator.integers(8, 14, 2) * 1.0),
                category=int(generator.integers(1, 4)), score=float(generator.random()) if scored else None)
            for _ in range(count)
        ]  # fmt: skip

    truth = [boxes(generator.integers(0, 8), False) for _ in range(pictures)]
    found = [boxes(generator.integers(0, 12), True) + [{**one, "score": float(generator.random())} for one in known[::2]]
             for known in truth]  # fmt: skip
    return truth, found


def by_pycocotools(evaluation):
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    return precision[precision > -1].mean(), precision[0][precision[0] > -1].mean()


@pytest.mark.parametrize("seed", range(5))
def test_counting_equals_that_of_pycocotools(seed):
    truth, found = random_case(seed)
    evaluation = match(truth, found, 100)
    counted = average_precision(tabulate(evaluation), np.ones(len(truth), int))
    assert counted == pytest.approx(by_pycocotools(evaluation), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_weights_equal_repeated_pictures(seed):
    truth, found = random_case(seed)
    chosen = np.random.default_rng(seed).integers(0, len(truth), len(truth))
    weighted = average_precision(tabulate(match(truth, found, 100)), np.bincount(chosen, minlength=len(truth)))
    repeated = match([truth[index] for index in chosen], [found[index] for index in chosen], 100)
    assert weighted == pytest.approx(by_pycocotools(repeated), abs=1e-12)
