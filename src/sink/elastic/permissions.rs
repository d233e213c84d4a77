//! What a sink needs to be allowed in AWS, where AWS signs its requests. Pure.

use super::address::urls;
use super::authorization::{access, aws_host, service};
use super::options::{AwsService, ElasticOptions};
use crate::aws::permission::{Home, Permissions, Statement};
use crate::http::Url;

/// What the sink of these options needs; nothing where AWS does not sign. `home` is where the process runs, as far as it is
/// known.
#[must_use]
pub fn permissions(options: &ElasticOptions, home: &Home) -> Permissions {
    let mut permissions = Permissions::default();
    let (Some(aws), Ok(urls)) = (&options.aws, urls(options)) else { return permissions };
    for url in &urls {
        let access = access(aws, Some(url));
        let home = home.accessed(&access);
        permissions.allow(&access, statement(service(aws, Some(url)), url, &home));
    }
    permissions
}

/// `check` and `setup elastic` ask with GET and PUT besides; delivering needs POST alone.
fn statement(service: AwsService, url: &Url, home: &Home) -> Statement {
    let name = aws_host(url).map(|host| host.name);
    match service {
        AwsService::Es => {
            let domain = name.and_then(domain).unwrap_or("*");
            let actions = ["es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut"];
            Statement::new(&actions, home.arn("es", &format!("domain/{domain}/*")))
        }
        AwsService::Aoss => {
            Statement::new(&["aoss:APIAccessAll"], home.arn("aoss", &format!("collection/{}", name.unwrap_or("*"))))
        }
    }
}

/// The domain in an endpoint's name: `search-<domain>-<letters and digits>`, or `vpc-...`.
fn domain(name: &str) -> Option<&str> {
    let name = name.strip_prefix("search-").or_else(|| name.strip_prefix("vpc-"))?;
    Some(name.rsplit_once('-')?.0)
}
