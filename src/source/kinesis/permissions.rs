//! What a source needs to be allowed, as narrow as the configuration lets it be. Pure.

use super::options::{KinesisOptions, Mode};
use super::stream::StreamName;
use crate::aws::permission::{Home, Permissions, Statement};
use crate::lease::LeaseKeys;

/// What the source of this name needs; `home` is where the process runs, as far as it is known.
#[must_use]
pub fn permissions(name: &str, options: &KinesisOptions, home: &Home) -> Permissions {
    let mut permissions = Permissions::default();
    for stream in options.stream.all() {
        let access = options.access(name, stream);
        for statement in of_stream(name, options, stream, &home.accessed(&access)) {
            permissions.allow(&access, statement);
        }
    }
    if let Some(table) = &options.lease_table {
        for stream in options.stream.all() {
            // The table is the process's own, whoever the stream belongs to.
            let region = options.lease.region.as_deref().or(options.access(name, stream).region);
            for statement in of_table(options, table, &Home::new(region, None).or(home)) {
                permissions.allow_process(statement);
            }
        }
    }
    permissions
}

fn of_stream(name: &str, options: &KinesisOptions, stream: &StreamName, home: &Home) -> Vec<Statement> {
    let (arn, home) = if stream.is_arn() {
        (stream.as_str().to_owned(), Home::of_arn(stream.as_str()))
    } else {
        (home.arn("kinesis", &format!("stream/{}", stream.name())), home.clone())
    };
    let mut reading = vec!["kinesis:ListShards", "kinesis:DescribeStreamSummary"];
    // With subscriptions alone, only the lag that `status` tells would be asked for by polling.
    if options.mode == Mode::Polling || options.fan_out_fallback {
        reading.extend(["kinesis:GetShardIterator", "kinesis:GetRecords"]);
    }
    let mut statements = Vec::new();
    if options.mode == Mode::FanOut {
        reading.extend(["kinesis:DescribeStreamConsumer", "kinesis:RegisterStreamConsumer"]);
        let consumer = format!("{arn}/consumer/{}:*", options.consumer(name));
        statements.push(Statement::new(&["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"], consumer));
    }
    statements.insert(0, Statement::new(&reading, arn.as_str()));
    // Whichever key encrypts the stream: it is used for this stream only, and through Kinesis only.
    let keys = home.keys(&["kms:Decrypt"], "kinesis");
    statements.push(keys.only_if("kms:EncryptionContext:aws:kinesis:arn", arn));
    statements
}

fn of_table(options: &KinesisOptions, table: &str, home: &Home) -> Vec<Statement> {
    let resource = format!("table/{table}");
    let mut actions = vec!["dynamodb:DescribeTable", "dynamodb:Scan", "dynamodb:GetItem", "dynamodb:PutItem"];
    actions.extend(["dynamodb:UpdateItem", "dynamodb:DeleteItem"]);
    if options.lease.create_table {
        actions.push("dynamodb:CreateTable");
    }
    let mut statements = vec![Statement::new(&actions, home.arn("dynamodb", &resource))];
    // Where a leader of KCL 3 may have its lock: only an application on KCL has such a table.
    if options.lease.keys == LeaseKeys::Shard || options.lease.application.is_none() {
        let lock = home.arn("dynamodb", &format!("{resource}-CoordinatorState"));
        statements.push(Statement::new(&["dynamodb:GetItem"], lock));
    }
    // For a key of one's own; the one of the service needs no permission.
    let keys = home.keys(&["kms:Decrypt"], "dynamodb");
    statements.push(keys.only_if("kms:EncryptionContext:aws:dynamodb:tableName", table));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::permission::Holder;

    fn of(text: &str) -> Permissions {
        permissions("findings", &toml::from_str(text).unwrap(), &Home::default())
    }

    /// Actions and resources of a holder, one text a statement.
    fn allowed(permissions: &Permissions, holder: &Holder) -> String {
        let policies = permissions.policies(&Home::default());
        policies.iter().find(|policy| policy.holder == *holder).unwrap().document.to_string()
    }

    /// Guards that each configuration asks for what it uses, of what it uses, and for nothing else.
    #[test]
    fn permissions_are_narrow() {
        const ARN: &str = "arn:aws-us-gov:kinesis:us-gov-west-1:111122223333:stream/s";
        const ROLE: &str = "arn:aws:iam::444455556666:role/siemline";
        let (process, role) = (Holder::Process, Holder::Role(ROLE.to_owned()));
        for (written, holder, present, absent) in [
            (
                format!("stream = '{ARN}'"),
                &process,
                vec![
                    "kinesis:ListShards",
                    "kinesis:GetRecords",
                    "kms:Decrypt",
                    "kinesis.us-gov-west-1.amazonaws.com",
                    ARN,
                ],
                vec!["dynamodb", "sts:", "Consumer"],
            ),
            (
                format!("stream = '{ARN}'\nmode = 'fan_out'"),
                &process,
                vec!["kinesis:SubscribeToShard", "/consumer/siemline-findings:*"],
                vec!["kinesis:GetRecords", "kinesis:GetShardIterator"],
            ),
            (
                format!("stream = '{ARN}'\nmode = 'fan_out'\nfan_out_fallback = true"),
                &process,
                vec!["kinesis:SubscribeToShard", "kinesis:GetRecords", "kinesis:GetShardIterator"],
                vec![],
            ),
            (
                format!("stream = 's'\nregion = 'eu-west-1'\nassume_role = '{ROLE}'\nlease_table = 't'"),
                &process,
                vec!["sts:AssumeRole", "dynamodb:UpdateItem", "arn:aws:dynamodb:eu-west-1:*:table/t-CoordinatorState"],
                vec!["\"kinesis:", "dynamodb:CreateTable"],
            ),
            (
                format!("stream = 's'\nregion = 'eu-west-1'\nassume_role = '{ROLE}'\nlease_table = 't'"),
                &role,
                vec!["arn:aws:kinesis:eu-west-1:444455556666:stream/s"],
                vec!["sts:", "dynamodb"],
            ),
            (
                "stream = 's'\nlease_table = 't'\nlease = { create_table = true, application = 'a' }".to_owned(),
                &process,
                // A look at one lease is needed with keys of our own, too; one at the lock of KCL is not.
                vec!["dynamodb:CreateTable", "dynamodb:GetItem"],
                vec!["CoordinatorState"],
            ),
        ] {
            let text = allowed(&of(&written), holder);
            for words in present {
                assert!(text.contains(words), "{words} for {written}: {text}");
            }
            for words in absent {
                assert!(!text.contains(words), "{words} for {written}: {text}");
            }
        }
    }
}
