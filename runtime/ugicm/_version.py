"""The version of the whole project, read by the build as well."""

VERSION = "0.1.0"
