"""OpenSearch 3: data streams and plain indexes, refusals, pressure, and a killed node."""

import opensearch
from report import Report


def run(suite, directory, report: Report):
    """The scenario."""
    opensearch.run(suite, "opensearch_3", directory, report)
