//! Points in time, in every spelling AWS uses (and those of RFC 2822), to milliseconds since 1970.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// A point in time, and whether digits finer than a millisecond were cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Instant {
    pub(in super::super) ms: i64,
    pub(in super::super) cut: bool,
}

const DAY_MS: i64 = 86_400_000;

/// The milliseconds of the years 0 to 9999, which have four digits.
const SPELLABLE_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// Appends a time as a JSON string, RFC 3339 in UTC with milliseconds; as the number of milliseconds where the year has no
/// four digits.
pub(in super::super) fn push(ms: i64, out: &mut Vec<u8>) {
    if !SPELLABLE_MS.contains(&ms) {
        return super::super::json::push_i64(out, ms);
    }
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    let of_day = ms.rem_euclid(DAY_MS);
    let clock = [of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60];
    out.push(b'"');
    push_digits(year, 4, out);
    for (mark, number) in [(b'-', month), (b'-', day), (b'T', clock[0]), (b':', clock[1]), (b':', clock[2])] {
        out.push(mark);
        push_digits(number, 2, out);
    }
    out.push(b'.');
    push_digits(of_day % 1_000, 3, out);
    out.extend_from_slice(b"Z\"");
}

fn push_digits(number: i64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(b'0'.saturating_add(u8::try_from(digit).unwrap_or(0)));
    }
}

/// Year, month and day of a number of days since 1970, by counting from the first of March of the year 0, so that the
/// leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Reads a text. A date and time without a zone are those of clocks in `zone`; where these were put back an hour, the first
/// of the two is meant, and where they were put forward, so is the time. A date alone begins in UTC.
pub(super) fn parse(text: &str, zone: &TimeZone) -> Option<Instant> {
    let text = text.trim();
    let first = *text.as_bytes().first()?;
    if first.is_ascii_digit() || first == b'-' {
        iso(text, zone).or_else(|| decimal(text)).or_else(|| access_log(text, zone))
    } else if first == b'[' {
        access_log(text.trim_start_matches('[').trim_end_matches(']'), zone)
    } else {
        unix_date(text).or_else(|| java_short(text, zone)).or_else(|| rfc2822(text))
    }
}

/// Reads a bare number: its unit is guessed by its magnitude (seconds below 1e11, then milliseconds below 1e14,
/// microseconds below 1e17, nanoseconds), which only makes sense for a value known to be a time.
pub(super) fn from_integer(number: i64) -> Instant {
    match number.unsigned_abs() {
        0..100_000_000_000 => Instant { ms: number.saturating_mul(1_000), cut: false },
        100_000_000_000..100_000_000_000_000 => Instant { ms: number, cut: false },
        100_000_000_000_000..100_000_000_000_000_000 => finer(number, 1_000),
        _ => finer(number, 1_000_000),
    }
}

fn finer(number: i64, units_per_ms: i64) -> Instant {
    Instant { ms: number.div_euclid(units_per_ms), cut: number.rem_euclid(units_per_ms) != 0 }
}

/// Reads a number with a fraction, from its shortest digits: seconds where it is small enough to be, else the whole part.
pub(super) fn from_float(number: f64) -> Option<Instant> {
    let mut buffer = zmij::Buffer::new();
    decimal(buffer.format(number))
}

/// `1631047050`, `1636625755.218`, `1.6E9`.
fn decimal(text: &str) -> Option<Instant> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    if let (Ok(number), true) = (whole.parse::<i64>(), fraction.bytes().all(|byte| byte.is_ascii_digit())) {
        let base = from_integer(number);
        if number.unsigned_abs() >= 100_000_000_000 || whole.starts_with('-') {
            return Some(Instant { ms: base.ms, cut: base.cut || fraction.bytes().any(|byte| byte != b'0') });
        }
        let (ms, cut) = fraction_ms(fraction)?;
        return Some(Instant { ms: base.ms.checked_add(ms)?, cut });
    }
    // An exponent: the digits are written out, which `Display` does for a float, and read again.
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && number.abs() < 1e18)?;
    text.bytes().any(|byte| matches!(byte, b'e' | b'E')).then(|| decimal(&format!("{number}"))).flatten()
}

/// Milliseconds of the digits behind a point, and whether there were finer ones that are not zero.
fn fraction_ms(digits: &str) -> Option<(i64, bool)> {
    let mut ms = 0_i64;
    let mut cut = false;
    for at in 0..digits.len().max(3) {
        let digit = match digits.as_bytes().get(at) {
            Some(byte) => i64::from(digit(*byte)?),
            None => 0,
        };
        if at < 3 {
            ms = ms * 10 + digit;
        } else {
            cut |= digit != 0;
        }
    }
    Some((ms, cut))
}

/// `2024-09-04T17:00:36.951Z` with `T`, a blank or a tab, any fraction, `Z`, `+00:00`, `+0000`, `+00` or no zone; or the
/// date alone.
fn iso(text: &str, zone: &TimeZone) -> Option<Instant> {
    let bytes = text.as_bytes();
    let year = digits(bytes.get(..4)?)?;
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let date = date_ms(year, digits(bytes.get(5..7)?)?, digits(bytes.get(8..10)?)?)?;
    let Some(separator) = bytes.get(10) else { return Some(Instant { ms: date, cut: false }) };
    if !matches!(separator, b'T' | b't' | b' ' | b'\t') || bytes.get(13) != Some(&b':') {
        return None;
    }
    let hour = digits(bytes.get(11..13)?)?;
    let minute = digits(bytes.get(14..16)?)?;
    let (second, rest) = if bytes.get(16) == Some(&b':') {
        (digits(bytes.get(17..19)?)?, text.get(19..)?)
    } else {
        (0, text.get(16..)?)
    };
    let (fraction, offset) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => {
            let length = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
            rest.split_at_checked(length).filter(|(digits, _)| !digits.is_empty())?
        }
        None => ("", rest),
    };
    let (fraction, cut) = fraction_ms(fraction)?;
    let clocks = date + clock_ms(hour, minute, second)? + fraction;
    Some(Instant { ms: at_offset(clocks, offset.trim_start(), zone)?, cut })
}

/// `Wed Sep 04 16:59:44.356 UTC 2024`, with or without the fraction.
fn unix_date(text: &str) -> Option<Instant> {
    let mut words = text.split_ascii_whitespace();
    let (_, month, day) = (words.next()?, month(words.next()?)?, number(words.next()?)?);
    let (clock, zone, year) = (words.next()?, words.next()?, number(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    let (time, cut) = clock_text(clock)?;
    Some(Instant { ms: date_ms(year, month, day)? + time - offset_ms(zone)?, cut })
}

/// `Mar 20, 2023, 6:08:05 PM`; a narrow no-break space may stand before the last word.
fn java_short(text: &str, zone: &TimeZone) -> Option<Instant> {
    let mut words =
        text.split(|character: char| character.is_whitespace() || character == ',').filter(|word| !word.is_empty());
    let (month, day, year) = (month(words.next()?)?, number(words.next()?)?, number(words.next()?)?);
    let clock = words.next()?;
    let half = words.next()?;
    let (time, cut) = clock_text(clock)?;
    let hour_ms = 3_600_000;
    let time = match (half, time / hour_ms) {
        ("AM" | "am", 12) => time - 12 * hour_ms,
        ("AM" | "am", 1..=11) | ("PM" | "pm", 12) => time,
        ("PM" | "pm", 1..=11) => time + 12 * hour_ms,
        _ => return None,
    };
    words.next().is_none().then_some(())?;
    Some(Instant { ms: in_zone(date_ms(year, month, day)? + time, zone)?, cut })
}

/// `06/Feb/2019:00:00:38 +0000`
fn access_log(text: &str, zone: &TimeZone) -> Option<Instant> {
    let (day, rest) = text.split_once('/')?;
    let (name, rest) = rest.split_once('/')?;
    let (year, rest) = rest.split_once(':')?;
    let (clock, offset) = rest.split_once(' ').unwrap_or((rest, ""));
    let (time, cut) = clock_text(clock)?;
    let clocks = date_ms(number(year)?, month(name)?, number(day)?)? + time;
    Some(Instant { ms: at_offset(clocks, offset, zone)?, cut })
}

fn rfc2822(text: &str) -> Option<Instant> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Instant { ms: zoned.timestamp().as_millisecond(), cut: false })
}

/// `16:59:44.356`
fn clock_text(text: &str) -> Option<(i64, bool)> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    parts.next().is_none().then_some(())?;
    let (ms, cut) = fraction_ms(fraction)?;
    Some((clock_ms(hour, minute, second)? + ms, cut))
}

fn clock_ms(hour: i64, minute: i64, second: i64) -> Option<i64> {
    // A leap second is the first second of the next minute, as in Unix time.
    (hour < 24 && minute < 60 && second <= 60).then_some(((hour * 60 + minute) * 60 + second) * 1_000)
}

/// The point in time at which clocks show this, at the offset that is written, or in the zone where none is.
fn at_offset(clocks_ms: i64, offset: &str, zone: &TimeZone) -> Option<i64> {
    if offset.is_empty() { in_zone(clocks_ms, zone) } else { Some(clocks_ms - offset_ms(offset)?) }
}

/// The point in time at which clocks in the zone show this.
fn in_zone(clocks_ms: i64, zone: &TimeZone) -> Option<i64> {
    if *zone == TimeZone::UTC {
        return Some(clocks_ms);
    }
    let clocks = Offset::UTC.to_datetime(Timestamp::from_millisecond(clocks_ms).ok()?);
    Some(zone.to_ambiguous_timestamp(clocks).compatible().ok()?.as_millisecond())
}

/// Milliseconds that an offset or the name of one is ahead of UTC.
fn offset_ms(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes().first()? {
        b'+' => (1, zone.get(1..)?),
        b'-' => (-1, zone.get(1..)?),
        _ => return matches!(zone, "Z" | "z" | "UTC" | "GMT").then_some(0),
    };
    let bytes = rest.as_bytes();
    let minutes = match bytes.len() {
        2 => "00",
        4 => rest.get(2..)?,
        5 if bytes.get(2) == Some(&b':') => rest.get(3..)?,
        _ => return None,
    };
    let (hours, minutes) = (digits(bytes.get(..2)?)?, digits(minutes.as_bytes())?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// Milliseconds from 1970 to the beginning of a day of the Gregorian calendar, counted from the first of March so that
/// the leap day is the last of its year.
fn date_ms(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=days_in_month).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468;
    Some(days * DAY_MS)
}

fn month(name: &str) -> Option<i64> {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES.iter().zip(1..).find(|(known, _)| **known == name).map(|(_, number)| number)
}

/// A number of one to four digits.
fn number(text: &str) -> Option<i64> {
    (1..=4).contains(&text.len()).then_some(())?;
    digits(text.as_bytes())
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0_i64, |number, byte| Some(number * 10 + i64::from(digit(*byte)?)))
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards every spelling of time that AWS is known to use, and that nonsense is no time.
    #[test]
    fn every_spelling_reads() {
        let table = [
            ("2024-09-04T17:00:36Z", Some((1_725_469_236_000, false))),
            ("2024-09-04T17:00:36.951Z", Some((1_725_469_236_951, false))),
            ("2024-09-04T17:00:36.951+00:00", Some((1_725_469_236_951, false))),
            ("2024-09-04T19:00:36.951000+0200", Some((1_725_469_236_951, false))),
            ("2018-07-02T22:23:00.186641Z", Some((1_530_570_180_186, true))),
            ("2017-04-18T00:21:12.059000", Some((1_492_474_872_059, false))),
            ("2017-01-02 19:54:00.644000", Some((1_483_386_840_644, false))),
            ("2024-09-04\t17:00:36", Some((1_725_469_236_000, false))),
            ("2024-02-29", Some((1_709_164_800_000, false))),
            ("2023-02-29", None),
            ("Wed Sep 04 16:59:44.356 UTC 2024", Some((1_725_469_184_356, false))),
            ("Mar 20, 2023, 6:08:05 PM", Some((1_679_335_685_000, false))),
            ("Mar 20, 2023, 12:08:05\u{202f}AM", Some((1_679_270_885_000, false))),
            ("1631047050", Some((1_631_047_050_000, false))),
            ("1636625755.218", Some((1_636_625_755_218, false))),
            ("1636625755.2181", Some((1_636_625_755_218, true))),
            ("1636625755218", Some((1_636_625_755_218, false))),
            ("[06/Feb/2019:00:00:38 +0000]", Some((1_549_411_238_000, false))),
            ("06/Feb/2019:00:00:38 +0000", Some((1_549_411_238_000, false))),
            ("Wed, 04 Sep 2024 17:00:36 GMT", Some((1_725_469_236_000, false))),
            ("1970-01-01T00:00:00Z", Some((0, false))),
            ("soon", None),
            ("", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-09-04T25:00:00Z", None),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", None),
            ("2024\u{e9}09", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text, &TimeZone::UTC), expected.map(|(ms, cut)| Instant { ms, cut }), "{text}");
        }
    }

    /// Guards that a zone holds for what is written without one and for nothing else, also where clocks are changed.
    #[test]
    fn times_without_a_zone() {
        let berlin = TimeZone::get("Europe/Berlin").expect("the database is in the program");
        let table = [
            ("2024-09-04T19:00:36", 1_725_469_236_000),
            ("2024-09-04 19:00:36.951", 1_725_469_236_951),
            ("2024-09-04T17:00:36Z", 1_725_469_236_000),
            ("2024-09-04T17:00:36+0000", 1_725_469_236_000),
            ("2024-01-01T01:00:00", 1_704_067_200_000),
            ("Mar 20, 2023, 7:08:05 PM", 1_679_335_685_000),
            ("06/Feb/2019:01:00:38", 1_549_411_238_000),
            ("06/Feb/2019:00:00:38 +0000", 1_549_411_238_000),
            ("Wed Sep 04 16:59:44.356 UTC 2024", 1_725_469_184_356),
            ("1631047050", 1_631_047_050_000),
            ("2024-02-29", 1_709_164_800_000),
            // Twice, and never.
            ("2024-10-27T02:30:00", 1_729_989_000_000),
            ("2024-03-31T02:30:00", 1_711_848_600_000),
        ];
        for (text, ms) in table {
            assert_eq!(parse(text, &berlin), Some(Instant { ms, cut: false }), "{text}");
        }
        assert_eq!(parse("9999-12-31T23:59:59", &TimeZone::get("America/New_York").expect("a zone")), None);
    }

    /// Guards the magnitude guess at its edges, and seconds with a fraction as a float.
    #[test]
    fn bare_numbers_tell_their_unit() {
        for (number, ms) in [
            (1_631_047_050, 1_631_047_050_000),
            (1_631_047_050_123, 1_631_047_050_123),
            (1_631_047_050_123_000, 1_631_047_050_123),
            (1_631_047_050_123_000_000, 1_631_047_050_123),
            (0, 0),
        ] {
            assert_eq!(from_integer(number), Instant { ms, cut: false }, "{number}");
        }
        assert_eq!(from_float(1_636_625_755.218), Some(Instant { ms: 1_636_625_755_218, cut: false }));
        assert_eq!(from_float(1e300), None);
        assert_eq!(from_float(1.631_047_05e9), Some(Instant { ms: 1_631_047_050_000, cut: false }));
    }
}
