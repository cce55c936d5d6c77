"""Every error this package raises on purpose: one base class and a few precise ones."""


class UgicmError(Exception):
    """Base of all errors raised by `ugicm`; its message is one sentence fit to show a user."""


class OptionError(UgicmError, ValueError):
    """An argument is out of range or two arguments contradict each other."""


class ImageError(UgicmError):
    """A picture cannot be read, is of an unsupported kind, or cannot be written in the wanted format."""


class BundleError(UgicmError):
    """A model bundle is missing, incomplete, damaged, or of an unknown version."""


class EngineError(UgicmError):
    """An engine cannot be loaded or run: ONNX Runtime or a provider is missing, or the engine itself failed."""


class StreamError(UgicmError):
    """Base of all errors about a .ugic stream."""


class NotAStreamError(StreamError):
    """The bytes do not begin with the .ugic magic."""


class UnsupportedVersionError(StreamError):
    """The stream needs a newer reader: its version, a flag, or a box that must be understood is unknown."""


class TruncatedStreamError(StreamError):
    """The stream ends before the length its header promises."""


class CorruptStreamError(StreamError):
    """A checksum, a range or the entropy decoder shows that the bytes are not those that were written."""


class WrongModelError(StreamError):
    """The stream was made with another model than the one that is open."""


class TooLargeError(StreamError):
    """The picture has more pixels than the limit in force (`max_pixels`)."""
