//! The one place for AWS credentials, region, endpoints and retry mode. Floor 5.
