"""The nets' scores on originals and on JPEG, as the data's README.md lists them: the whole chain must give these."""

import pytest

from benchmarks import datasets, tasks
from benchmarks.classification import Classification
from benchmarks.codecs import PillowCodec, pillow_codec
from benchmarks.detection import Detection
from benchmarks.nets import load_nets
from benchmarks.segmentation import Segmentation

pytestmark = pytest.mark.weights

LISTED = {
    "squeezenet_classifier": {
        "png": {"top1": 0.647, "top5": 0.880, "top1-agreement": 1},
        30: {"top1": 0.567, "top5": 0.860, "top1-agreement": 0.807},
        10: {"top1": 0.447, "top5": 0.700, "top1-agreement": 0.547},
    },
    "yolox_nano_detector": {
        "png": {"ap": 0.362, "ap50": 0.524, "ap-agreement": 1, "ap50-agreement": 1},
        30: {"ap": 0.338, "ap50": 0.485, "ap-agreement": 0.863, "ap50-agreement": 0.952},
        10: {"ap": 0.260, "ap50": 0.404, "ap-agreement": 0.574, "ap50-agreement": 0.746},
    },
    "espnetv2_segmenter": {
        "png": {"miou": 0.445, "pixel-accuracy": 0.843, "miou-agreement": 1, "pixel-agreement": 1},
        30: {"miou": 0.453, "pixel-accuracy": 0.861, "miou-agreement": 0.607, "pixel-agreement": 0.963},
        10: {"miou": 0.377, "pixel-accuracy": 0.840, "miou-agreement": 0.463, "pixel-agreement": 0.925},
    },
}
# The README rounds to three digits, and another build of ONNX Runtime or of the resizer may move a single picture.
TOLERANCE = {"squeezenet_classifier": 0.0075, "yolox_nano_detector": 0.003, "espnetv2_segmenter": 0.003}


@pytest.fixture(scope="module")
def made(data):
    """Each net's data set and task by name."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("pycocotools")
    pytest.importorskip("torch")
    nets = {net.task: net for net in load_nets(data)}
    photos, labels = datasets.imagenet150(data)
    scenes, boxes, masks = datasets.coco64(data)
    found = (
        (photos, Classification(nets["classify"], photos.files, labels)),
        (scenes, Detection(nets["detect"], scenes.files, boxes)),
        (scenes, Segmentation(nets["segment"], scenes.files, masks)),
    )
    return {task.net.name: (dataset, task) for dataset, task in found}


def scores(made, net, codec, quality):
    dataset, task = made[net]
    results = tasks.measure(codec, dataset, (quality,), [task])[net, codec.name]["results"]
    return {name: values[0] for name, values in results.items() if name in task.metrics}


@pytest.mark.parametrize("net", LISTED)
def test_originals_give_the_uncompressed_scores(made, net):
    found = scores(made, net, pillow_codec("png"), 100)
    assert found == pytest.approx(LISTED[net]["png"], abs=0.00051)


@pytest.mark.slow
@pytest.mark.parametrize("net", LISTED)
@pytest.mark.parametrize("quality", [30, 10])
def test_jpeg_gives_the_listed_scores(made, net, quality):
    jpeg = PillowCodec("jpeg", "JPEG", {}, {}, "JPEG")
    found = scores(made, net, jpeg, quality)
    assert found == pytest.approx(LISTED[net][quality], abs=TOLERANCE[net])


@pytest.mark.parametrize(("quality", "listed"), [(30, (0.74, 0.70)), (10, (0.38, 0.35))])
def test_jpeg_takes_the_listed_rate(data, quality, listed):
    jpeg = PillowCodec("jpeg", "JPEG", {}, {}, "JPEG")
    for dataset, rate in zip((datasets.imagenet150(data)[0], datasets.coco64(data)[0]), listed):
        images = [datasets.read_rgb(file) for file in dataset.files]
        bits = sum(8 * len(jpeg.encode(image, quality)) for image in images)
        assert bits / sum(image[..., 0].size for image in images) == pytest.approx(rate, abs=0.006)
