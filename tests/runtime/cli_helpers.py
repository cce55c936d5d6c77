"""What the tests of the command line share."""


def assert_one_sentence(error, *parts):
    """Standard error is one complaint that names every part."""
    lines = error.splitlines()
    assert len(lines) == 1, error
    assert lines[0].startswith("ugicm: ")
    for part in parts:
        assert str(part) in lines[0]
