import numpy as np
import pytest

from benchmarks.segmentation import VOID, confusion, mean_iou, pixel_accuracy

TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, VOID]], np.uint8)
PREDICTED = np.array([[0, 0, 0, 1], [0, 2, 1, 1]], np.uint8)


def test_confusion_leaves_void_pixels_out():
    assert confusion(TRUTH, PREDICTED, 3).tolist() == [[3, 0, 1], [1, 2, 0], [0, 0, 0]]


def test_mean_iou_is_over_the_classes_that_occur_in_the_truth():
    # Class 0: 3 shared of 5; class 1: 2 shared of 3; class 2 is only predicted.
    assert mean_iou(confusion(TRUTH, PREDICTED, 3)) == pytest.approx((3 / 5 + 2 / 3) / 2)


def test_pixel_accuracy():
    assert pixel_accuracy(confusion(TRUTH, PREDICTED, 3)) == pytest.approx(5 / 7)


def test_truth_as_prediction_scores_one():
    counts = confusion(TRUTH, np.where(TRUTH == VOID, 0, TRUTH), 3)
    assert (mean_iou(counts), pixel_accuracy(counts)) == (1, 1)


def test_nothing_to_segment():
    counts = confusion(np.full((2, 2), VOID, np.uint8), np.zeros((2, 2), np.uint8), 3)
    assert (mean_iou(counts), pixel_accuracy(counts)) == (0, 0)
