"""A codec whose bytes and pixels can be worked out by hand: the picture in steps of 256 / quality, stored raw."""

import struct

import numpy as np


class FakeCodec:
    name = "fake"

    def __init__(self, views=("fake",), padding=0):
        self.views = views
        self.padding = padding  # bytes put behind every file, to change its size
        self.encoded = []  # every stream ever made
        self.decoded = []  # every stream ever read, with the view

    def settings(self):
        return {"codec": "fake", "padding": self.padding}

    def qualities(self, suite):
        return (2, 4, 8)

    def encode(self, image, quality):
        data = struct.pack("<3I", *image.shape[:2], int(quality)) + (image // (256 // int(quality))).tobytes()
        self.encoded.append(data + bytes(self.padding))
        return self.encoded[-1]

    def decode(self, data, view):
        self.decoded.append((data, view))
        height, width, quality = struct.unpack("<3I", data[:12])
        step = 256 // quality
        levels = np.frombuffer(data[12 : 12 + 3 * height * width], np.uint8).reshape(height, width, 3)
        return (levels * step + step // 2).astype(np.uint8)
