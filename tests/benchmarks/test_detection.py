from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.detection import Detection, Detections, suppress
from benchmarks.nets import Prepared

SPEC = {"score_threshold": 0.01, "nms_iou": 0.6, "max_detections": 3}


def detection(boxes, scores, scale=(1.0, 1.0)):
    """A detector whose net gives fixed boxes, whatever the picture."""
    outputs = {"boxes": np.array([boxes], np.float32), "scores": np.array([scores], np.float32)}
    net = SimpleNamespace(spec=SPEC, run=lambda image: (outputs, Prepared(np.empty(0), scale)))
    return Detection(net, [], [])


IMAGE = np.zeros((100, 200, 3), np.uint8)


def test_suppression_keeps_the_best_of_boxes_that_overlap_by_more_than_the_limit():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 7], [20, 20, 30, 30]], float)
    kept = suppress(boxes, np.array([0.9, 0.8, 0.7, 0.95]), 0.6)
    assert kept.tolist() == [3, 0, 1]  # IoU 0.6 with the best stays, 0.7 goes


def test_boxes_go_back_to_the_picture_and_are_clipped_to_it():
    found = detection([[-4, 10, 400, 60]], [[0.5, 0.0]], scale=(0.5, 0.5)).detect(IMAGE)
    assert found.boxes.tolist() == [[0, 20, 200, 100]]


def test_each_class_is_suppressed_alone_and_low_scores_are_dropped():
    box = [0, 0, 10, 10]
    found = detection([box, box, box], [[0.9, 0.3], [0.8, 0.4], [0.005, 0.01]]).detect(IMAGE)
    assert found.classes.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.4])


def test_only_the_best_detections_are_kept():
    boxes = [[20 * n, 0, 20 * n + 10, 10] for n in range(5)]
    found = detection(boxes, [[0.1], [0.5], [0.3], [0.2], [0.4]]).detect(IMAGE)
    assert found.scores.tolist() == pytest.approx([0.5, 0.4, 0.3])


def test_a_picture_without_detections():
    found = detection([[0, 0, 1, 1]], [[0.0]]).detect(IMAGE)
    assert found.records() == []


def test_records_are_coco_boxes():
    found = Detections(np.array([[1, 2, 11, 22], [0, 0, 1, 1]], float), np.array([0.9, 0.2]), np.array([4, 0]))
    assert found.above(0.3).records() == [{"bbox": [1, 2, 10, 20], "area": 200, "category_id": 5, "score": 0.9}]
