//! The set of mapping files: those in the binary, and those of a directory over them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Projection;
use super::ast::{At, Mapping, Origin};
use super::document::{self, Table as Document};
use super::error::{Error, Errors};
use super::load::{self, Draft};
use super::{check, structure, ties};
use crate::ocsf::Table;

/// The texts of mapping files, by name. What a name ends in says what a file is: `common.toml`, `base.toml`, tests
/// (`<name>.tests.toml`), or else the mapping of a log type.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<File>,
}

#[derive(Clone, Debug)]
struct File {
    name: Arc<str>,
    text: Cow<'static, str>,
    is_embedded: bool,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Common,
    Base,
    Tests,
    LogType,
    Projection,
}

/// All mappings, read, merged and checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// One mapping for each log type, a user's own first: of two with equal right the first takes the event.
    pub log_types: Vec<Mapping>,
    /// The mapping of what no other mapping takes: it has no match, and its class is the base event.
    pub base: Mapping,
    /// The mappings from OCSF to other vocabularies.
    pub projections: Vec<Mapping>,
}

/// The files in the binary. A test compares the list with the directory.
const EMBEDDED: &[(&str, &str)] = &[
    ("common.toml", include_str!("../../../mappings/common.toml")),
    ("project/cim.tests.toml", include_str!("../../../mappings/project/cim.tests.toml")),
    ("project/cim.toml", include_str!("../../../mappings/project/cim.toml")),
    ("project/ecs.tests.toml", include_str!("../../../mappings/project/ecs.tests.toml")),
    ("project/ecs.toml", include_str!("../../../mappings/project/ecs.toml")),
    ("base.toml", include_str!("../../../mappings/base.toml")),
    ("aws/access_analyzer.tests.toml", include_str!("../../../mappings/aws/access_analyzer.tests.toml")),
    ("aws/access_analyzer.toml", include_str!("../../../mappings/aws/access_analyzer.toml")),
    ("aws/access_preview.tests.toml", include_str!("../../../mappings/aws/access_preview.tests.toml")),
    ("aws/access_preview.toml", include_str!("../../../mappings/aws/access_preview.toml")),
    ("aws/alb.tests.toml", include_str!("../../../mappings/aws/alb.tests.toml")),
    ("aws/alb.toml", include_str!("../../../mappings/aws/alb.toml")),
    ("aws/bedrock_invocation.tests.toml", include_str!("../../../mappings/aws/bedrock_invocation.tests.toml")),
    ("aws/bedrock_invocation.toml", include_str!("../../../mappings/aws/bedrock_invocation.toml")),
    ("aws/cloudfront.tests.toml", include_str!("../../../mappings/aws/cloudfront.tests.toml")),
    ("aws/cloudfront.toml", include_str!("../../../mappings/aws/cloudfront.toml")),
    ("aws/cloudfront_realtime.tests.toml", include_str!("../../../mappings/aws/cloudfront_realtime.tests.toml")),
    ("aws/cloudfront_realtime.toml", include_str!("../../../mappings/aws/cloudfront_realtime.toml")),
    ("aws/cloudtrail.tests.toml", include_str!("../../../mappings/aws/cloudtrail.tests.toml")),
    ("aws/cloudtrail.toml", include_str!("../../../mappings/aws/cloudtrail.toml")),
    ("aws/cloudtrail_insight.tests.toml", include_str!("../../../mappings/aws/cloudtrail_insight.tests.toml")),
    ("aws/cloudtrail_insight.toml", include_str!("../../../mappings/aws/cloudtrail_insight.toml")),
    ("aws/cloudtrail_lake.tests.toml", include_str!("../../../mappings/aws/cloudtrail_lake.tests.toml")),
    ("aws/cloudtrail_lake.toml", include_str!("../../../mappings/aws/cloudtrail_lake.toml")),
    ("aws/cloudwatch_alarm.tests.toml", include_str!("../../../mappings/aws/cloudwatch_alarm.tests.toml")),
    ("aws/cloudwatch_alarm.toml", include_str!("../../../mappings/aws/cloudwatch_alarm.toml")),
    ("aws/cloudwatch_log.tests.toml", include_str!("../../../mappings/aws/cloudwatch_log.tests.toml")),
    ("aws/cloudwatch_log.toml", include_str!("../../../mappings/aws/cloudwatch_log.toml")),
    ("aws/config.tests.toml", include_str!("../../../mappings/aws/config.tests.toml")),
    ("aws/config.toml", include_str!("../../../mappings/aws/config.toml")),
    ("aws/eks_audit.tests.toml", include_str!("../../../mappings/aws/eks_audit.tests.toml")),
    ("aws/eks_audit.toml", include_str!("../../../mappings/aws/eks_audit.toml")),
    ("aws/elb.tests.toml", include_str!("../../../mappings/aws/elb.tests.toml")),
    ("aws/elb.toml", include_str!("../../../mappings/aws/elb.toml")),
    ("aws/guardduty.tests.toml", include_str!("../../../mappings/aws/guardduty.tests.toml")),
    ("aws/guardduty.toml", include_str!("../../../mappings/aws/guardduty.toml")),
    ("aws/guardduty_malware_scan.tests.toml", include_str!("../../../mappings/aws/guardduty_malware_scan.tests.toml")),
    ("aws/guardduty_malware_scan.toml", include_str!("../../../mappings/aws/guardduty_malware_scan.toml")),
    ("aws/guardduty_status.tests.toml", include_str!("../../../mappings/aws/guardduty_status.tests.toml")),
    ("aws/guardduty_status.toml", include_str!("../../../mappings/aws/guardduty_status.toml")),
    ("aws/health.tests.toml", include_str!("../../../mappings/aws/health.tests.toml")),
    ("aws/health.toml", include_str!("../../../mappings/aws/health.toml")),
    ("aws/inspector.tests.toml", include_str!("../../../mappings/aws/inspector.tests.toml")),
    ("aws/inspector.toml", include_str!("../../../mappings/aws/inspector.toml")),
    ("aws/inspector2.tests.toml", include_str!("../../../mappings/aws/inspector2.tests.toml")),
    ("aws/inspector2.toml", include_str!("../../../mappings/aws/inspector2.toml")),
    ("aws/lambda.tests.toml", include_str!("../../../mappings/aws/lambda.tests.toml")),
    ("aws/lambda.toml", include_str!("../../../mappings/aws/lambda.toml")),
    ("aws/macie.tests.toml", include_str!("../../../mappings/aws/macie.tests.toml")),
    ("aws/macie.toml", include_str!("../../../mappings/aws/macie.toml")),
    ("aws/network_firewall.tests.toml", include_str!("../../../mappings/aws/network_firewall.tests.toml")),
    ("aws/network_firewall.toml", include_str!("../../../mappings/aws/network_firewall.toml")),
    ("aws/nlb.tests.toml", include_str!("../../../mappings/aws/nlb.tests.toml")),
    ("aws/nlb.toml", include_str!("../../../mappings/aws/nlb.toml")),
    ("aws/route53_resolver.tests.toml", include_str!("../../../mappings/aws/route53_resolver.tests.toml")),
    ("aws/route53_resolver.toml", include_str!("../../../mappings/aws/route53_resolver.toml")),
    ("aws/s3_access.tests.toml", include_str!("../../../mappings/aws/s3_access.tests.toml")),
    ("aws/s3_access.toml", include_str!("../../../mappings/aws/s3_access.toml")),
    ("aws/s3_notification.tests.toml", include_str!("../../../mappings/aws/s3_notification.tests.toml")),
    ("aws/s3_notification.toml", include_str!("../../../mappings/aws/s3_notification.toml")),
    ("aws/securityhub.tests.toml", include_str!("../../../mappings/aws/securityhub.tests.toml")),
    ("aws/securityhub.toml", include_str!("../../../mappings/aws/securityhub.toml")),
    ("aws/securityhub_insight.tests.toml", include_str!("../../../mappings/aws/securityhub_insight.tests.toml")),
    ("aws/securityhub_insight.toml", include_str!("../../../mappings/aws/securityhub_insight.toml")),
    ("aws/tgw_flow.tests.toml", include_str!("../../../mappings/aws/tgw_flow.tests.toml")),
    ("aws/tgw_flow.toml", include_str!("../../../mappings/aws/tgw_flow.toml")),
    ("aws/vpc_flow.tests.toml", include_str!("../../../mappings/aws/vpc_flow.tests.toml")),
    ("aws/vpc_flow.toml", include_str!("../../../mappings/aws/vpc_flow.toml")),
    ("aws/waf.tests.toml", include_str!("../../../mappings/aws/waf.tests.toml")),
    ("aws/waf.toml", include_str!("../../../mappings/aws/waf.toml")),
];

impl Sources {
    /// The mappings in the binary.
    #[must_use]
    pub fn embedded() -> Self {
        let files = EMBEDDED.iter().map(|(name, text)| File {
            name: (*name).into(),
            text: Cow::Borrowed(text),
            is_embedded: true,
        });
        Self { files: files.collect() }
    }

    /// A user's own files laid over these, as `(name, text)`. One of the same log type, or of the same role (`common.toml`,
    /// `base.toml`), replaces the embedded one and its tests.
    #[must_use]
    pub fn with_directory(mut self, files: Vec<(String, String)>) -> Self {
        let files = files.into_iter().map(|(name, text)| File {
            name: name.into(),
            text: Cow::Owned(text),
            is_embedded: false,
        });
        self.files.extend(files);
        self
    }

    /// Reads, merges and checks all files.
    pub fn load(&self, table: &Table) -> Result<Loaded, Errors> {
        self.load_checked_by(|draft| {
            let projected = draft.mapping.projection.map(Projection::table);
            check::errors(draft, projected.unwrap_or(table))
        })
    }

    /// As [`Sources::load`], with a check of the classes that a test may leave out.
    pub(super) fn load_checked_by(&self, check: impl Fn(&Draft) -> Vec<Error>) -> Result<Loaded, Errors> {
        let mut errors = Vec::new();
        let drafts = self.drafts(&mut errors);
        let (mut log_types, mut base, mut projections) = (Vec::new(), None, Vec::new());
        for (role, draft) in drafts {
            errors.extend(structure::errors(&draft));
            errors.extend(check(&draft));
            match role {
                Role::Base => base = Some(draft.mapping),
                Role::Projection => projections.push(draft.mapping),
                Role::LogType | Role::Common | Role::Tests => log_types.push(draft.mapping),
            }
        }
        log_types.sort_by_key(|mapping| mapping.origin == Origin::Shipped);
        errors.extend(ties::errors(&log_types.iter().collect::<Vec<_>>()));
        let order = |name: &str| self.files.iter().position(|file| *file.name == *name);
        errors.sort_by_key(|error| (order(&error.at.file), error.at.line, error.at.column));
        errors.dedup();
        match base {
            Some(base) if errors.is_empty() => Ok(Loaded { log_types, base, projections }),
            Some(_) | None => Err(Errors(errors)),
        }
    }

    fn drafts(&self, errors: &mut Vec<Error>) -> Vec<(Role, Draft)> {
        let parsed = self.parsed(errors);
        let chosen = chosen(&parsed, errors);
        let empty = Document::default();
        let common =
            chosen.iter().find(|chosen| role(&chosen.file.name) == Role::Common).map_or(&empty, |chosen| chosen.table);
        let common_errors = load::common_errors(common);
        // The mistakes of common.toml are told once, not again for every file that takes its rules.
        let common = if common_errors.is_empty() { common } else { &empty };
        errors.extend(common_errors);
        let has_base = chosen.iter().any(|chosen| role(&chosen.file.name) == Role::Base);
        let mut drafts = Vec::new();
        for Chosen { file, table, origin } in chosen {
            let role = role_of(file, table);
            if matches!(role, Role::Common | Role::Tests) {
                continue;
            }
            let beside = tests_name(&file.name);
            let tests =
                parsed.iter().find(|(other, _)| *other.name == *beside && other.is_embedded == file.is_embedded);
            // What the envelopes told stands in the OCSF event that a projection reads.
            let common = if role == Role::Projection { &empty } else { common };
            match load::draft(&file.name, table, common, tests.map(|(_, table)| table)) {
                Ok(mut draft) => {
                    draft.mapping.origin = origin;
                    errors.extend(match_errors(role, &draft));
                    drafts.push((role, draft));
                }
                Err(found) => errors.extend(found),
            }
        }
        if !has_base {
            let at = At { file: "base.toml".into(), line: 1, column: 1 };
            errors.push(Error::new(&at, "there is no base mapping"));
        }
        drafts
    }

    fn parsed(&self, errors: &mut Vec<Error>) -> Vec<(&File, Document)> {
        let mut parsed = Vec::new();
        for file in &self.files {
            match document::read(&file.name, &file.text) {
                Ok(table) => parsed.push((file, table)),
                Err(found) => errors.extend(found),
            }
        }
        parsed
    }
}

/// A file that counts.
#[derive(Clone, Copy)]
struct Chosen<'f> {
    file: &'f File,
    table: &'f Document,
    origin: Origin,
}

/// The files that count: of each log type and role one, a user's own before the embedded.
fn chosen<'f>(parsed: &'f [(&'f File, Document)], errors: &mut Vec<Error>) -> Vec<Chosen<'f>> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut chosen: Vec<Chosen<'_>> = Vec::new();
    for (file, table) in parsed {
        let key = match role_of(file, table) {
            Role::Projection => format!("projection {}", load::projection(table).unwrap_or_default()),
            Role::Tests => {
                let beside = |other: &&(&File, Document)| tests_name(&other.0.name) == *file.name;
                if !parsed.iter().any(|other| beside(&other) && other.0.is_embedded == file.is_embedded) {
                    let at = At { file: Arc::clone(&file.name), line: 1, column: 1 };
                    errors.push(Error::new(&at, "there is no mapping beside these tests"));
                }
                continue;
            }
            Role::Common => "common.toml".to_owned(),
            Role::Base => "base.toml".to_owned(),
            // A file without a log type stands for itself; reading it says what it lacks.
            Role::LogType => {
                load::log_type(table).map_or_else(|| file.name.to_string(), |name| format!("log type {name}"))
            }
        };
        match taken.get(&key).and_then(|place| Some((*place, *chosen.get(*place)?))) {
            Some((place, Chosen { file: earlier, .. })) if earlier.is_embedded && !file.is_embedded => {
                if let Some(slot) = chosen.get_mut(place) {
                    *slot = Chosen { file, table, origin: Origin::Own { replaces_shipped: true } };
                }
            }
            Some((_, Chosen { file: earlier, .. })) => {
                let at = At { file: Arc::clone(&file.name), line: 1, column: 1 };
                errors.push(Error::new(&at, format!("`{}` maps the same log type", earlier.name)));
            }
            None => {
                taken.insert(key, chosen.len());
                let own = Origin::Own { replaces_shipped: false };
                chosen.push(Chosen { file, table, origin: if file.is_embedded { Origin::Shipped } else { own } });
            }
        }
    }
    chosen
}

/// A log type is recognised by something, the base by nothing.
fn match_errors(role: Role, draft: &Draft) -> Option<Error> {
    match (role, draft.mapping.matches.first()) {
        (Role::Base, Some(found)) => {
            Some(Error::new(&found.at, "the base mapping takes what no other takes: it has no match"))
        }
        (Role::Projection, Some(found)) => {
            Some(Error::new(&found.at, "a projection takes every OCSF event: it has no match, and its cases choose"))
        }
        (Role::LogType, None) => Some(Error::new(&draft.at, "the mapping has no `[[match]]`")),
        _ => None,
    }
}

/// What a file is: a projection says so itself, all others by their names.
fn role_of(file: &File, table: &Document) -> Role {
    match role(&file.name) {
        Role::LogType if load::projection(table).is_some() => Role::Projection,
        role => role,
    }
}

fn role(name: &str) -> Role {
    let last = name.rsplit('/').next().unwrap_or(name);
    match last {
        "common.toml" => Role::Common,
        "base.toml" => Role::Base,
        _ if last.ends_with(".tests.toml") => Role::Tests,
        _ => Role::LogType,
    }
}

/// The name of the file of tests beside a mapping.
fn tests_name(name: &str) -> String {
    format!("{}.tests.toml", name.strip_suffix(".toml").unwrap_or(name))
}
