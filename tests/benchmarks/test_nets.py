import numpy as np

from benchmarks.nets import letterbox, squash, squash_crop

WIDE = np.zeros((300, 600, 3), np.uint8)
WIDE[..., 0] = 255


def test_letterbox_pastes_at_the_top_left_of_grey():
    prepared = letterbox(WIDE, {"input_hw": [416, 416], "pad": 114})
    assert prepared.tensor.shape == (1, 3, 416, 416)
    assert prepared.tensor.dtype == np.float32
    assert prepared.scale == (416 / 600, 416 / 600)
    assert (prepared.tensor[0, 0, :208] == 1).all()
    assert (prepared.tensor[0, :, 208:] == np.float32(114) / 255).all()


def test_letterbox_enlarges_small_pictures():
    prepared = letterbox(WIDE[:50, :104], {"input_hw": [416, 416], "pad": 114})
    assert prepared.scale == (4, 4)
    assert (prepared.tensor[0, 0, :200] == 1).all()
    assert (prepared.tensor[0, 0, 200:] < 1).all()


def test_squash_ignores_the_aspect():
    prepared = squash(WIDE, {"input_hw": [384, 192]})
    assert prepared.tensor.shape == (1, 3, 384, 192)
    assert prepared.scale == (192 / 600, 384 / 300)
    assert (prepared.tensor[0, 0] == 1).all()
    assert (prepared.tensor[0, 1:] == 0).all()


def test_squash_crop_takes_the_centre():
    image = np.zeros((256, 256, 3), np.uint8)
    image[14, 14], image[240, 240] = 255, 255
    tensor = squash_crop(image, {"input_hw": [227, 227], "resize_hw": [256, 256]}).tensor
    assert tensor.shape == (1, 3, 227, 227)
    assert (tensor[0, :, 0, 0] == 1).all()
    assert (tensor[0, :, -1, -1] == 1).all()
    assert tensor.sum() == 6
