//! SNS: `{"Type": "Notification", "TopicArn": .., "Message": "..", ..}`, as HTTP endpoints and SQS queues get it.
//!
//! Source: Amazon SNS Developer Guide, "HTTP/HTTPS headers and JSON formats".

use super::document::{Document, Envelope};
use super::scan;

/// The notification's message; or a confirmation, which only asks whether somebody wants to listen.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    scan::string_content(document.value("TopicArn")?)?;
    let message = document.part("Message").filter(|message| message.bytes.starts_with(b"\""))?;
    match scan::string_content(document.value("Type")?)? {
        b"Notification" => Some(Envelope::Text(message)),
        b"SubscriptionConfirmation" | b"UnsubscribeConfirmation" => {
            document.value("Token")?;
            Some(Envelope::Nothing("sns_confirmation"))
        }
        _ => None,
    }
}
