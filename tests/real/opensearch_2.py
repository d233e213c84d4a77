"""OpenSearch 2: data streams and plain indexes, refusals, pressure, a killed node, and TLS with users."""

import opensearch
import opensearch_secured
from report import Report


def run(suite, directory, report: Report):
    """The scenario."""
    opensearch.run(suite, "opensearch_2", directory, report)
    opensearch_secured.run(suite, "opensearch_2", directory, report)
