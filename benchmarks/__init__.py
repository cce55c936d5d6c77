"""The yardstick of UG-ICM: rate-distortion, machine tasks and speed, against the codecs people use."""
