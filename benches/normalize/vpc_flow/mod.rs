//! Synthetic flow log lines: half in the default format, as CloudWatch Logs delivers them, half in version 5 with the header
//! line of a file in S3. Seeded, so the same every time.

mod tree;

use fastrand::Rng;
use siemline::envelope::{Context, Field, Form};

use crate::contest::{LogType, Sample};
use crate::random::{account, address, hex, one_of, region};

const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action \
                      log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id \
                      sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path";

pub fn log_type() -> LogType {
    let mut random = Rng::with_seed(13);
    LogType {
        name: "aws.vpc_flow",
        core: include_str!("core.toml"),
        by_tree: tree::normalize,
        samples: (0..2_000).map(|_| sample(&mut random)).collect(),
        passes: 20,
        ratio_min: 2.0,
    }
}

fn sample(random: &mut Rng) -> Sample {
    let account = account(random);
    let mut context = Context::default();
    let line = if random.bool() {
        context.set(Field::LogGroup, "/vpc/flow-logs");
        context.set(Field::LogStream, &format!("eni-{}-all", hex(random, 8)));
        context.set(Field::Owner, &account);
        context.set(Field::LogEventId, &random.u64(..).to_string());
        context.set(Field::LogEventTime, "1709280360000");
        default_format(random, &account)
    } else {
        context.set(Field::Header, HEADER);
        version_5(random, &account)
    };
    Sample::new(Form::Text, line.into_bytes(), context)
}

fn default_format(random: &mut Rng, account: &str) -> String {
    let start = random.u32(1_709_000_000..1_709_300_000);
    let interface = format!("eni-{}", hex(random, 8));
    if random.u32(0..20) == 0 {
        return format!("2 {account} {interface} - - - - - - - {start} {} - NODATA", start + 60);
    }
    let (source, destination) = (address(random, 198), address(random, 10));
    format!("2 {account} {interface} {} OK", flow(random, start, &source, &destination))
}

fn version_5(random: &mut Rng, account: &str) -> String {
    let start = random.u32(1_709_000_000..1_709_300_000);
    let (outer, inner) = (address(random, 203), address(random, 10));
    // One flow in four passes a NAT gateway.
    let translated = if random.u32(0..4) == 0 { address(random, 10) } else { inner.clone() };
    let region = region(random);
    let outwards = random.bool();
    let (source, destination) = if outwards { (&inner, &outer) } else { (&outer, &inner) };
    let (packet_source, packet_destination) = if outwards { (&translated, &outer) } else { (&outer, &translated) };
    format!(
        "5 {account} eni-{} {} OK vpc-{} subnet-{} i-{} {} IPv4 {packet_source} {packet_destination} {region} {region}-az2 - - {} - {} {}",
        hex(random, 8),
        flow(random, start, source, destination),
        hex(random, 8),
        hex(random, 8),
        hex(random, 8),
        random.u32(0..64),
        one_of(random, &["-", "S3", "AMAZON"]),
        if outwards { "egress" } else { "ingress" },
        if outwards { "8" } else { "-" },
    )
}

/// From the addresses to the action.
fn flow(random: &mut Rng, start: u32, source: &str, destination: &str) -> String {
    let protocol = one_of(random, &["6", "6", "6", "17", "1"]);
    let (from, to) = if protocol == "1" { (0, 0) } else { (random.u16(1024..), one_port(random)) };
    let packets = random.u32(1..5_000);
    format!(
        "{source} {destination} {from} {to} {protocol} {packets} {} {start} {} {}",
        packets * random.u32(40..1_500),
        start + 60,
        one_of(random, &["ACCEPT", "ACCEPT", "REJECT"])
    )
}

fn one_port(random: &mut Rng) -> u16 {
    [22, 53, 443, 8443, 3306][random.usize(0..5)]
}
