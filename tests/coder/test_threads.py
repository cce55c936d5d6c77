"""One model serves many threads, and native calls release the GIL."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from coder_helpers import HYPER, LATENT, random_band
from ugicm_coder import crc32c


def test_threads_share_a_model(model):
    jobs = [random_band(seed, (LATENT, 40, 64)) for seed in range(8)]
    hyper = np.random.default_rng(0).integers(-127, 128, (HYPER, 4, 4)).astype(np.int16)
    expected = [model.encode_residual(*job) for job in jobs]
    indexes = model.scale_indexes(hyper, 0)

    def work(number):
        symbols, scales = jobs[number % 8]
        stream = model.encode_residual(symbols, scales)
        same = (model.decode_residual(stream, scales) == symbols).all()
        return stream == expected[number % 8] and same and (model.scale_indexes(hyper, 0) == indexes).all()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(64)))


def test_gil_is_released():
    """A Python thread makes progress while another is inside one long native call."""
    data = bytes(1 << 28)
    running = threading.Event()
    done = threading.Event()

    def long_call():
        running.set()
        crc32c(data)
        done.set()

    thread = threading.Thread(target=long_call)
    thread.start()
    running.wait()
    turns = 0
    while not done.is_set():
        time.sleep(0.001)
        turns += 1
    thread.join()
    assert turns > 5
