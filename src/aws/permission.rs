//! What siemline must be allowed to do: statements of IAM, and who holds them. Pure.
//!
//! Every source and sink that speaks to AWS tells what it needs ([`Permissions`]); whoever prints policies adds them up. Which
//! resource and which condition keys a call knows stands in the Service Authorization Reference of AWS.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Access;

/// The characters that a managed policy may have, without blanks (the quotas of IAM). An inline one of a role has 10,240.
const POLICY_CHARACTERS_MAX: usize = 6144;

/// Where something of AWS stands, as far as it is known. What is not known stands as `*` in an ARN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    partition: Option<String>,
    region: Option<String>,
    account: Option<String>,
}

/// Calls that are allowed, on what, and under which conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The calls: `kinesis:GetRecords`.
    pub actions: Vec<String>,
    /// Their ARNs.
    pub resources: Vec<String>,
    /// Condition keys and the one value that each must have; `*` in it stands for anything.
    pub conditions: BTreeMap<String, String>,
}

/// Who is allowed something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// The process, by the credentials of its environment.
    Process,
    /// A role that it assumes, by its ARN.
    Role(String),
}

/// What a configuration, or a part of it, must be allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    statements: BTreeMap<Holder, Vec<Statement>>,
    /// How each role is assumed: with these external ids, or without one.
    assumed: BTreeMap<String, BTreeSet<Option<String>>>,
}

/// A policy, and who needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Who.
    pub holder: Holder,
    /// What it may do.
    pub document: Value,
    /// Of a role: who may assume it, where the account of the process is known.
    pub trust: Option<Value>,
}

impl Home {
    /// A region and an account, where they are known.
    #[must_use]
    pub fn new(region: Option<&str>, account: Option<&str>) -> Self {
        Self { partition: None, region: region.map(str::to_owned), account: account.map(str::to_owned) }
    }

    /// Where an ARN says that it stands.
    #[must_use]
    pub fn of_arn(arn: &str) -> Self {
        let mut parts = arn.split(':').skip(1).map(|part| (!part.is_empty()).then(|| part.to_owned()));
        let (partition, _, region, account) = (parts.next(), parts.next(), parts.next(), parts.next());
        Self { partition: partition.flatten(), region: region.flatten(), account: account.flatten() }
    }

    /// The same, and where it does not know, what the other knows.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let or = |own: Option<String>, other: &Option<String>| own.or_else(|| other.clone());
        Self {
            partition: or(self.partition, &other.partition),
            region: or(self.region, &other.region),
            account: or(self.account, &other.account),
        }
    }

    /// Where things stand that are named without an ARN and accessed so: in the region of the access, and in the account of
    /// the role that is assumed; else here.
    #[must_use]
    pub fn accessed(&self, access: &Access<'_>) -> Self {
        let role = access.assume_role.map(Self::of_arn).unwrap_or_default();
        Self { region: access.region.map(str::to_owned), ..role }.or(self)
    }

    /// The ARN of something: `stream/findings` of `kinesis`.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let unknown = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        let (region, account) = (unknown(&self.region), unknown(&self.account));
        format!("arn:{}:{service}:{region}:{account}:{resource}", self.partition())
    }

    /// The ARN of something that is named without region and account, as a bucket of S3 is.
    #[must_use]
    pub fn global_arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:::{resource}", self.partition())
    }

    /// Allows to use keys of KMS, through one service only. Which key it is, its owner knows: one may name it instead.
    #[must_use]
    pub fn keys(&self, actions: &[&str], service: &str) -> Statement {
        let domain = if self.partition() == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        let via = format!("{service}.{}.{domain}", self.region.as_deref().unwrap_or("*"));
        Statement::new(actions, self.arn("kms", "key/*")).only_if("kms:ViaService", via)
    }

    fn partition(&self) -> &str {
        match (&self.partition, self.region.as_deref()) {
            (Some(partition), _) => partition,
            (None, Some(region)) if region.starts_with("us-gov-") => "aws-us-gov",
            (None, Some(region)) if region.starts_with("cn-") => "aws-cn",
            _ => "aws",
        }
    }
}

impl Statement {
    /// Allows these calls on one resource.
    #[must_use]
    pub fn new(actions: &[&str], resource: impl Into<String>) -> Self {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        Self { actions, resources: vec![resource.into()], conditions: BTreeMap::new() }
    }

    /// Only where a condition key has this value; `*` in it stands for anything.
    #[must_use]
    pub fn only_if(mut self, key: &str, value: impl Into<String>) -> Self {
        self.conditions.insert(key.to_owned(), value.into());
        self
    }

    /// On this resource instead.
    #[must_use]
    pub fn on(mut self, resource: impl Into<String>) -> Self {
        self.resources = vec![resource.into()];
        self
    }

    fn json(&self) -> Value {
        let one_or_all = |texts: &[String]| match texts {
            [one] => json!(one),
            all => json!(all),
        };
        let mut statement = Map::from_iter([
            ("Effect".to_owned(), json!("Allow")),
            ("Action".to_owned(), one_or_all(&self.actions)),
            ("Resource".to_owned(), one_or_all(&self.resources)),
        ]);
        let mut conditions: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (key, value) in &self.conditions {
            let operator = if value.contains(['*', '?']) { "StringLike" } else { "StringEquals" };
            conditions.entry(operator).or_default().insert(key, value);
        }
        if !conditions.is_empty() {
            statement.insert("Condition".to_owned(), json!(conditions));
        }
        Value::Object(statement)
    }
}

impl Permissions {
    /// Allows something to whoever accesses AWS so: to the role that is assumed, which the process may assume then; else to
    /// the process.
    pub fn allow(&mut self, access: &Access<'_>, statement: Statement) {
        let Some(role) = access.assume_role else { return self.allow_process(statement) };
        self.allow_process(Statement::new(&["sts:AssumeRole"], role));
        self.assumed.entry(role.to_owned()).or_default().insert(access.external_id.map(str::to_owned));
        self.add(Holder::Role(role.to_owned()), statement);
    }

    /// Allows something to the process itself.
    pub fn allow_process(&mut self, statement: Statement) {
        self.add(Holder::Process, statement);
    }

    /// All that the other allows, too.
    pub fn extend(&mut self, other: Self) {
        for (holder, statements) in other.statements {
            for statement in statements {
                self.add(holder.clone(), statement);
            }
        }
        for (role, external_ids) in other.assumed {
            self.assumed.entry(role).or_default().extend(external_ids);
        }
    }

    /// Says whether nothing needs to be allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// One policy for each holder, the process first.
    ///
    /// A role of another account must trust this one by a policy of its own: it can be told where `home`, the place of the
    /// process, knows its account.
    #[must_use]
    pub fn policies(&self, home: &Home) -> Vec<Policy> {
        let policy = |(holder, statements): (&Holder, &Vec<Statement>)| {
            let trust = match (holder, &home.account) {
                (Holder::Role(role), Some(account)) => Some(self.trust(role, account)),
                _ => None,
            };
            Policy { holder: holder.clone(), document: document(statements.iter().map(Statement::json)), trust }
        };
        self.statements.iter().map(policy).collect()
    }

    /// What whoever puts the policies in place should know: where something is wider than it could be, and why.
    #[must_use]
    pub fn comments(&self, home: &Home) -> Vec<String> {
        let mut comments = BTreeSet::new();
        for (holder, statements) in &self.statements {
            for resource in statements.iter().flat_map(|statement| &statement.resources) {
                comments.extend(comment(resource));
            }
            if let (Holder::Role(role), None) = (holder, &home.account) {
                comments
                    .insert(format!("who may assume {role} is not known: say the account of the process by --account"));
            }
        }
        for policy in self.policies(home) {
            let characters = policy.document.to_string().len();
            if characters > POLICY_CHARACTERS_MAX {
                let holder = policy.holder;
                comments.insert(format!(
                    "the policy of {holder} has {characters} characters, a managed one at most {POLICY_CHARACTERS_MAX}: divide it"
                ));
            }
        }
        comments.into_iter().collect()
    }

    /// The same calls under the same conditions are one statement.
    fn add(&mut self, holder: Holder, statement: Statement) {
        let statements = self.statements.entry(holder).or_default();
        let is_like =
            |known: &&mut Statement| known.actions == statement.actions && known.conditions == statement.conditions;
        match statements.iter_mut().find(is_like) {
            Some(known) => {
                for resource in statement.resources {
                    if !known.resources.contains(&resource) {
                        known.resources.push(resource);
                    }
                }
            }
            None => statements.push(statement),
        }
    }

    fn trust(&self, role: &str, account: &str) -> Value {
        // A principal is of the partition that the role is of.
        let home = Home { account: Some(account.to_owned()), region: None, ..Home::of_arn(role) };
        let principal = format!("arn:{}:iam::{account}:root", home.partition());
        let statement = |external_id: &Option<String>| {
            let condition = external_id
                .iter()
                .map(|id| ("Condition".to_owned(), json!({ "StringEquals": { "sts:ExternalId": id } })));
            let allow = [
                ("Effect".to_owned(), json!("Allow")),
                ("Principal".to_owned(), json!({ "AWS": principal })),
                ("Action".to_owned(), json!("sts:AssumeRole")),
            ];
            Value::Object(allow.into_iter().chain(condition).collect())
        };
        document(self.assumed.get(role).into_iter().flatten().map(statement))
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process => f.write_str("the process"),
            Self::Role(role) => f.write_str(role),
        }
    }
}

fn document(statements: impl Iterator<Item = Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<Value>>() })
}

/// What is not known of a resource, or cannot be.
fn comment(resource: &str) -> Option<String> {
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let [_, _, service, region, account, rest] = *parts.as_slice() else { return None };
    match (region, account) {
        ("*", "*") => {
            Some(format!("region and account of {service} {rest} are not known: say them by --region and --account"))
        }
        ("*", _) => Some(format!("the region of {service} {rest} is not known: say it by --region")),
        (_, "*") => Some(format!("the account of {service} {rest} is not known: say it by --account")),
        _ if service == "kms" && rest == "key/*" => Some(format!(
            "which key of {region} encrypts is not known: the conditions bind it, or name it in place of key/*"
        )),
        _ if service == "kafka" && rest.contains("/*/*") => Some(format!(
            "which cluster of {region} it is, is not known: name it and its id in place of /*/* in {service} {rest}"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards what is put together of what is known: an ARN is as exact as the configuration lets it be.
    #[test]
    fn arns_are_as_exact_as_can_be() {
        let role = Access { assume_role: Some("arn:aws-us-gov:iam::444455556666:role/reader"), ..Access::default() };
        let nothing = Home::default();
        let told = Home::new(Some("cn-north-1"), Some("111122223333"));
        for (home, expected) in [
            (nothing.clone(), "arn:aws:kinesis:*:*:stream/s"),
            (told.clone(), "arn:aws-cn:kinesis:cn-north-1:111122223333:stream/s"),
            (nothing.accessed(&role), "arn:aws-us-gov:kinesis:*:444455556666:stream/s"),
            (told.accessed(&role), "arn:aws-us-gov:kinesis:cn-north-1:444455556666:stream/s"),
            (
                told.accessed(&Access { region: Some("eu-west-1"), ..Access::default() }),
                "arn:aws:kinesis:eu-west-1:111122223333:stream/s",
            ),
        ] {
            assert_eq!(home.arn("kinesis", "stream/s"), expected);
        }
        assert_eq!(told.global_arn("s3", "bucket/*"), "arn:aws-cn:s3:::bucket/*");
        assert_eq!(Home::of_arn("arn:aws:s3:::bucket"), Home { partition: Some("aws".into()), ..Home::default() });
        assert!(told.keys(&["kms:Decrypt"], "s3").json().to_string().contains("s3.cn-north-1.amazonaws.com.cn"));
    }

    /// Guards who is allowed what: a role's part goes to the role, the right to assume it to the process, and the role trusts
    /// nobody but the account that was told, with the external id where one is asked for.
    #[test]
    fn each_holder_gets_its_own() {
        let arn = "arn:aws:iam::444455556666:role/reader";
        let role = Access { assume_role: Some(arn), external_id: Some("between us"), ..Access::default() };
        let mut permissions = Permissions::default();
        permissions.allow(&role, Statement::new(&["s3:PutObject"], "arn:aws:s3:::a/*"));
        permissions.allow(&Access::default(), Statement::new(&["s3:PutObject"], "arn:aws:s3:::b/*"));
        let mut more = Permissions::default();
        more.allow(&role, Statement::new(&["s3:PutObject"], "arn:aws:s3:::c/*"));
        permissions.extend(more);
        let [process, role] = &permissions.policies(&Home::new(None, Some("111122223333")))[..] else {
            panic!("two holders: {permissions:?}")
        };
        let statements = |policy: &Policy| policy.document["Statement"].as_array().unwrap().clone();
        assert_eq!(statements(process)[0]["Resource"], arn);
        assert_eq!((statements(process).len(), &process.trust), (2, &None));
        assert_eq!(statements(role)[0]["Resource"], json!(["arn:aws:s3:::a/*", "arn:aws:s3:::c/*"]));
        let trust = &role.trust.as_ref().unwrap()["Statement"][0];
        assert_eq!(trust["Principal"]["AWS"], "arn:aws:iam::111122223333:root");
        assert_eq!(trust["Condition"]["StringEquals"]["sts:ExternalId"], "between us");
        let untold = permissions.comments(&Home::default());
        assert!(untold.iter().any(|comment| comment.starts_with("who may assume")), "{untold:?}");
        assert_eq!(permissions.comments(&Home::new(None, Some("111122223333"))), Vec::<String>::new());
    }
}
