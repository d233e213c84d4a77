//! What a sink needs to be allowed on Amazon MSK, where it says who it is by IAM. Pure.

use super::letter_options::LetterTopicOptions;
use super::options::{KafkaOptions, Mechanism};
use super::settings::READER;
use super::token::region;
use crate::aws::Access;
use crate::aws::permission::{Home, Permissions, Statement};

/// What a sink with these options needs; `home` is where the process runs, as far as it is known. Nothing for a cluster that
/// does not ask IAM.
#[must_use]
pub fn permissions(options: &KafkaOptions, home: &Home) -> Permissions {
    // Brokers' names hold a shortened form of the cluster's name, and nothing of its id.
    allow(options, home, |home| {
        let cluster = ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"];
        let topic = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"];
        let resource = format!("topic/*/*/{}", any_field(&options.topic));
        vec![
            Statement::new(&cluster, home.arn("kafka", "cluster/*/*")),
            Statement::new(&topic, home.arn("kafka", &resource)),
        ]
    })
}

/// What replaying dead letters from a topic needs besides: to read them.
#[must_use]
pub fn replay_permissions(options: &LetterTopicOptions, home: &Home) -> Permissions {
    allow(&options.sink(), home, |home| {
        let (topic, group) = (format!("topic/*/*/{}", options.topic), format!("group/*/*/{READER}"));
        vec![
            Statement::new(&["kafka-cluster:ReadData"], home.arn("kafka", &topic)),
            // librdkafka looks for the group of its name, although it never joins it.
            Statement::new(&["kafka-cluster:DescribeGroup"], home.arn("kafka", &group)),
        ]
    })
}

/// These statements for whoever connects by IAM; nothing for another cluster.
fn allow(options: &KafkaOptions, home: &Home, statements: impl FnOnce(&Home) -> Vec<Statement>) -> Permissions {
    let mut permissions = Permissions::default();
    let Some(sasl) = options.sasl.as_ref().filter(|sasl| sasl.mechanism == Mechanism::AwsMskIam) else {
        return permissions;
    };
    let named = options.brokers.iter().find_map(|broker| region(broker));
    let access = Access {
        region: sasl.region.as_deref().or(named.as_deref()),
        assume_role: sasl.assume_role.as_deref(),
        external_id: sasl.external_id.as_deref(),
        ..Access::default()
    };
    for statement in statements(&home.accessed(&access)) {
        permissions.allow(&access, statement);
    }
    permissions
}

/// A template with `*` for each of its fields.
fn any_field(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        text.push('*');
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(more: &Value) -> String {
        let mut options =
            json!({ "brokers": ["b-1.demo.abc.c2.kafka.eu-west-1.amazonaws.com:9098"], "topic": "security" });
        for (key, value) in more.as_object().unwrap() {
            options[key] = value.clone();
        }
        let permissions = permissions(&serde_json::from_value(options).unwrap(), &Home::default());
        permissions.policies(&Home::default()).iter().map(|policy| policy.document.to_string()).collect()
    }

    /// Guards that a sink asks for what it uses on MSK, for the topics that it may name, and nothing without IAM.
    #[test]
    fn permissions_are_narrow() {
        assert_eq!(of(&json!({})), "");
        let iam = json!({ "mechanism": "AWS_MSK_IAM", "assume_role": "arn:aws:iam::444455556666:role/producer" });
        let text = of(&json!({ "sasl": iam, "topic": "s-{log_type}.{account:-none}" }));
        for expected in [
            "sts:AssumeRole",
            "kafka-cluster:WriteDataIdempotently",
            "kafka-cluster:WriteData\"",
            "arn:aws:kafka:eu-west-1:444455556666:cluster/*/*",
            "arn:aws:kafka:eu-west-1:444455556666:topic/*/*/s-*.*\"",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(!text.contains("ReadData") && !text.contains("CreateTopic"), "{text}");
    }

    /// Guards that a replay may read beside what the process may that writes, and nothing on a cluster without IAM.
    #[test]
    fn a_replay_may_read() {
        let options = |more: &str| {
            let broker = "b-1.demo.abc.c2.kafka.eu-west-1.amazonaws.com:9098";
            toml::from_str(&format!("brokers = ['{broker}']\ntopic = 'letters'\n{more}")).unwrap()
        };
        let text = |options: &LetterTopicOptions| {
            let permissions = replay_permissions(options, &Home::default());
            permissions.policies(&Home::default()).iter().map(|policy| policy.document.to_string()).collect::<String>()
        };
        assert_eq!(text(&options("")), "");
        let text = text(&options("sasl = { mechanism = 'AWS_MSK_IAM' }"));
        for expected in ["kafka-cluster:ReadData", ":topic/*/*/letters\"", ":group/*/*/siemline-replay\""] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(!text.contains("AlterGroup") && !text.contains("WriteData"), "{text}");
    }
}
