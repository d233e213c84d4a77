//! What generated events are made of. Everything comes from a seeded generator, so it is the same every time.

use fastrand::Rng;

pub fn account(random: &mut Rng) -> String {
    format!("{:012}", random.u64(0..1_000_000_000_000))
}

pub fn region(random: &mut Rng) -> &'static str {
    one_of(random, &["eu-central-1", "us-east-1", "ap-southeast-2"])
}

pub fn one_of(random: &mut Rng, words: &[&'static str]) -> &'static str {
    words[random.usize(0..words.len())]
}

pub fn address(random: &mut Rng, first: u8) -> String {
    format!("{first}.{}.{}.{}", random.u8(..), random.u8(..), random.u8(..))
}

pub fn hex(random: &mut Rng, bytes: usize) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    (0..2 * bytes).map(|_| DIGITS[random.usize(0..16)]).collect()
}

/// An id as AWS gives them to keys, users and roles; none that could be a real one.
pub fn key_id(random: &mut Rng, prefix: &str) -> String {
    format!("{prefix}{}EXAMPLE", hex(random, 5).to_uppercase())
}

pub fn uuid(random: &mut Rng) -> String {
    let parts = [4, 2, 2, 2, 6].map(|bytes| hex(random, bytes));
    parts.join("-")
}

/// A time to the second, as most of AWS writes them.
pub fn second(random: &mut Rng) -> String {
    format!(
        "2024-02-{:02}T{:02}:{:02}:{:02}Z",
        random.u32(1..28),
        random.u32(0..24),
        random.u32(0..60),
        random.u32(0..60)
    )
}

/// A time to the millisecond, as findings have them.
pub fn millisecond(random: &mut Rng) -> String {
    format!("{}.{:03}Z", second(random).trim_end_matches('Z'), random.u32(0..1000))
}
