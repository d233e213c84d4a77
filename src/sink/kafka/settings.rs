//! From the options to librdkafka's properties.

use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::options::{KafkaOptions, Mechanism, SaslOptions, TlsOptions};
use super::token::Tokens;
use crate::secret::SecretRef;
use crate::sink;

/// Properties that the guarantee or its bounds rest on.
const OURS: [&str; 16] = [
    "acks",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.sasl.oauthbearer.unsecure.jwt",
    "log.queue",
    "message.send.max.retries",
    "message.timeout.ms",
    "plugin.library.paths",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.required.acks",
    "retries",
    "statistics.interval.ms",
    "transactional.id",
];

/// Properties that have an option here, with its name. A name ending in a dot stands for all that begin with it.
const OPTIONS: [(&str, &str); 9] = [
    ("bootstrap.servers", "brokers"),
    ("compression.codec", "compression"),
    ("compression.type", "compression"),
    ("message.max.bytes", "message_bytes_max"),
    ("metadata.broker.list", "brokers"),
    ("sasl.", "sasl"),
    ("security.protocol", "tls` and `sasl"),
    ("ssl.ca.", "tls"),
    ("ssl.key.", "tls"),
];

/// How often librdkafka tells its statistics, in milliseconds.
const STATISTICS_MS: u64 = 5000;

/// The longest that librdkafka waits for a topic to appear that the brokers do not know, in milliseconds: one that was just
/// made takes a moment until all of them know it.
const PROPAGATION_MS: u128 = 10_000;

/// How often the brokers are asked for the state of topics, in milliseconds.
const REFRESH_MS: u64 = 60_000;

/// The name that dead letters are read under.
pub(super) const READER: &str = "siemline-replay";

/// How much librdkafka reads ahead, beside what one answer of a broker holds.
const READ_AHEAD_KIBIBYTES: u32 = 16 << 10;

/// The producer that the options describe. Reads the secrets, and looks whether the files are there.
///
/// # Errors
///
/// With the option that is wrong and the remedy. No message shows a secret.
pub(super) fn client_config(options: &KafkaOptions) -> Result<ClientConfig, sink::Error> {
    let mut config = connection(options)?;
    let message_timeout_ms = options.message_timeout().as_millis().max(1);
    for (property, value) in [
        ("acks", "all".to_owned()),
        ("compression.type", options.compression.name().to_owned()),
        ("enable.idempotence", "true".to_owned()),
        ("message.timeout.ms", message_timeout_ms.to_string()),
        ("queue.buffering.max.kbytes", options.queue_bytes_max().div_ceil(1024).to_string()),
        ("queue.buffering.max.messages", options.messages_max().to_string()),
        ("statistics.interval.ms", STATISTICS_MS.to_string()),
    ] {
        config.set(property, value);
    }
    for (property, value) in [
        // As the Java client does it: who joins the topic with others of theirs finds a key in the same partition.
        ("partitioner", "murmur2_random".to_owned()),
        // An answer that does not come must not use up the whole time of the message.
        ("request.timeout.ms", (message_timeout_ms / 2).clamp(1, 30_000).to_string()),
        // A topic that was mended is seen after so long.
        ("topic.metadata.refresh.interval.ms", REFRESH_MS.to_string()),
        ("topic.metadata.propagation.max.ms", (message_timeout_ms / 2).min(PROPAGATION_MS).to_string()),
    ] {
        if config.get(property).is_none() {
            config.set(property, value);
        }
    }
    // Properties are checked here one by one, without connecting.
    config.create_native_config().map_err(|error| match error {
        KafkaError::ClientConfig(_, words, property, _) => {
            let option = if options.librdkafka.contains_key(&property) { "librdkafka" } else { "lane" };
            mistake(option, format!("`{property}`: {words}"))
        }
        other => mistake("librdkafka", other.to_string()),
    })?;
    Ok(config)
}

/// A consumer with the same connection, which is told what it reads, and commits nothing.
///
/// # Errors
///
/// As above.
pub(super) fn reader_config(options: &KafkaOptions) -> Result<ClientConfig, sink::Error> {
    let mut config = connection(options)?;
    for (property, value) in [
        // librdkafka reads for no one without a name. The group is never joined.
        ("group.id", READER.to_owned()),
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        ("enable.partition.eof", "true".to_owned()),
        // What the retention takes away while it is read is passed over.
        ("auto.offset.reset", "earliest".to_owned()),
        ("queued.max.messages.kbytes", READ_AHEAD_KIBIBYTES.to_string()),
    ] {
        config.set(property, value);
    }
    Ok(config)
}

/// How any client connects, and the properties that the user set.
fn connection(options: &KafkaOptions) -> Result<ClientConfig, sink::Error> {
    let mut config = ClientConfig::new();
    // What is not asked for by `debug` is no debugging anyway; the rest is told on.
    config.set_log_level(RDKafkaLogLevel::Debug);
    for (property, value) in &options.librdkafka {
        if let Some(words) = refusal(property) {
            return Err(mistake("librdkafka", words));
        }
        config.set(property, value);
    }
    config.set("bootstrap.servers", brokers(options)?);
    config.set("message.max.bytes", options.message_bytes_max.0.to_string());
    if config.get("client.id").is_none() {
        config.set("client.id", "siemline");
    }
    encrypt(options, &mut config)?;
    Ok(config)
}

/// Why a property may not be set.
fn refusal(property: &str) -> Option<String> {
    if OURS.contains(&property) {
        return Some(format!("`{property}` is set by siemline, because delivery rests on it: leave it out"));
    }
    let is_meant = |name: &str| name == property || (name.ends_with('.') && property.starts_with(name));
    let option = OPTIONS.iter().find(|(name, _)| is_meant(name));
    option.map(|(_, option)| format!("`{property}` has an option of its own: write `{option}`"))
}

fn brokers(options: &KafkaOptions) -> Result<String, sink::Error> {
    let is_broker = |broker: &String| !broker.is_empty() && !broker.contains([',', ' ', '/']);
    match options.brokers.iter().find(|broker| !is_broker(broker)) {
        Some(broker) => Err(mistake("brokers", format!("`{broker}` is no broker: write each as `host:port`"))),
        None if options.brokers.is_empty() => {
            Err(mistake("brokers", "it is empty: name some brokers as `host:port`".to_owned()))
        }
        None => Ok(options.brokers.join(",")),
    }
}

/// TLS and SASL.
fn encrypt(options: &KafkaOptions, config: &mut ClientConfig) -> Result<(), sink::Error> {
    // IAM is spoken over TLS only.
    let is_iam = options.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == Mechanism::AwsMskIam);
    let protocol = match (options.tls.is_some() || is_iam, options.sasl.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &options.tls {
        set_tls(tls, config)?;
    }
    if protocol.ends_with("ssl") && config.get("ssl.ca.location").is_none() {
        // OpenSSL's own directory, and where distributions put the certificates if that is another.
        config.set("ssl.ca.location", "probe");
    }
    let Some(sasl) = &options.sasl else { return Ok(()) };
    config.set("sasl.mechanisms", sasl.mechanism.name());
    match sasl.mechanism {
        Mechanism::Plain | Mechanism::ScramSha256 | Mechanism::ScramSha512 => set_password(sasl, config),
        Mechanism::OauthBearer | Mechanism::AwsMskIam => Tokens::new(sasl, &options.brokers).map(drop),
    }
}

fn set_tls(tls: &TlsOptions, config: &mut ClientConfig) -> Result<(), sink::Error> {
    if tls.certificate_file.is_some() != tls.key_file.is_some() {
        let words = "`certificate_file` and `key_file` belong together: one of them is missing".to_owned();
        return Err(mistake("tls", words));
    }
    for (option, property, file) in [
        ("ca_file", "ssl.ca.location", &tls.ca_file),
        ("certificate_file", "ssl.certificate.location", &tls.certificate_file),
        ("key_file", "ssl.key.location", &tls.key_file),
    ] {
        if let Some(file) = file {
            check_pem(option, file)?;
            config.set(property, file.display().to_string());
        }
    }
    if let Some(password) = &tls.key_password {
        config.set("ssl.key.password", resolve("tls.key_password", password)?);
    }
    Ok(())
}

fn check_pem(option: &'static str, file: &Path) -> Result<(), sink::Error> {
    let words = match std::fs::read_to_string(file) {
        Ok(text) if text.contains("-----BEGIN ") => return Ok(()),
        Ok(_) => format!("{} is no PEM file: it holds no `-----BEGIN`", file.display()),
        Err(error) => format!("cannot read {}: {error}", file.display()),
    };
    Err(mistake(option, words))
}

fn set_password(sasl: &SaslOptions, config: &mut ClientConfig) -> Result<(), sink::Error> {
    let (Some(username), Some(password)) = (&sasl.username, &sasl.password) else {
        let words = format!("{} asks for `username` and `password`", sasl.mechanism.name());
        return Err(mistake("sasl", words));
    };
    config.set("sasl.username", username);
    config.set("sasl.password", resolve("sasl.password", password)?);
    Ok(())
}

fn resolve(option: &'static str, secret: &SecretRef) -> Result<String, sink::Error> {
    let secret = secret.resolve().map_err(|error| sink::Error::Secret { option, error })?;
    Ok(secret.expose().to_owned())
}

pub(super) fn mistake(option: &'static str, words: String) -> sink::Error {
    sink::Error::Option { option, words }
}
