//! What a sink needs to be allowed. Pure.

use super::FirehoseOptions;
use crate::aws::permission::{Home, Permissions, Statement};

/// What a sink with these options needs; `home` is where the process runs, as far as it is known. Describing the stream is
/// what `check` asks with. The key of a stream is used by Firehose itself.
#[must_use]
pub fn permissions(options: &FirehoseOptions, home: &Home) -> Permissions {
    let mut permissions = Permissions::default();
    let access = options.access();
    let arn = if options.stream.starts_with("arn:") {
        options.stream.clone()
    } else {
        home.accessed(&access).arn("firehose", &format!("deliverystream/{}", options.name()))
    };
    let actions = ["firehose:PutRecordBatch", "firehose:DescribeDeliveryStream"];
    permissions.allow(&access, Statement::new(&actions, arn));
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a sink asks for its own stream and two calls, named by an ARN or put together of what is known.
    #[test]
    fn permissions_are_narrow() {
        let of = |text: &str| {
            let permissions = permissions(&toml::from_str(text).unwrap(), &Home::new(None, Some("111122223333")));
            permissions.policies(&Home::default()).iter().map(|policy| policy.document.to_string()).collect::<String>()
        };
        let arn = "arn:aws:firehose:eu-west-1:111122223333:deliverystream/security";
        for text in [format!("stream = '{arn}'"), "stream = 'security'\nregion = 'eu-west-1'".to_owned()] {
            let policy = of(&text);
            assert!(policy.contains(&format!("\"Resource\":\"{arn}\"")), "{policy}");
            assert_eq!(policy.matches("firehose:").count(), 3, "two calls and the ARN: {policy}");
        }
        assert!(of("stream = 's'\nassume_role = 'arn:aws:iam::444455556666:role/w'").contains("sts:AssumeRole"));
    }
}
