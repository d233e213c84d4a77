//! The status as one page for people: no script, nothing from elsewhere. Pure.

use std::fmt::{self, Write as _};

use super::status::{HindranceStatus, Status};

/// How often a browser asks again, in seconds.
const REFRESH_S: u32 = 5;

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}\
h1{font-size:1.3em;padding:.5em .7em;color:#fff;border-radius:4px}h1.green{background:#1a7f37}h1.red{background:#b42318}\
h2{font-size:1.1em;margin:1.4em 0 .4em}table{border-collapse:collapse}td,th{padding:.2em .8em .2em 0;text-align:left}\
th{border-bottom:1px solid #ccc}td.n{text-align:right;font-variant-numeric:tabular-nums}li.not,td.not{color:#b42318}\
footer{margin-top:2em;color:#666}";

/// The page: green where all is well, red with the reasons where something is not.
#[must_use]
pub fn page(status: &Status) -> String {
    let is_well = status.is_ready && status.troubles.is_empty();
    let (colour, headline) = match (status.is_ready, is_well) {
        (_, true) => ("green", "all is well"),
        (true, false) => ("red", "at work, and something is in the way"),
        (false, _) => ("red", "not ready"),
    };
    let mut text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"{REFRESH_S}\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>siemline: {headline}</title>\
         <style>{STYLE}</style></head><body><h1 class=\"{colour}\">siemline: {headline}</h1>"
    );
    if !is_well {
        text.push_str("<ul>");
        for words in &status.not_ready {
            let _ = write!(text, "<li class=\"not\">{}</li>", Escaped(words));
        }
        for words in &status.troubles {
            let _ = write!(text, "<li>{}</li>", Escaped(words));
        }
        text.push_str("</ul>");
    }
    write_sources(status, &mut text);
    write_lanes(status, &mut text);
    write_events(status, &mut text);
    let uptime = Span(status.now_ms.saturating_sub(status.started_ms));
    let version = Escaped(&status.version);
    let _ = writeln!(
        text,
        "<footer>siemline {version}, up for {uptime}; <a href=\"/status\">/status</a> <a href=\"/metrics\">/metrics</a> \
         <a href=\"/readyz\">/readyz</a> <a href=\"/healthz\">/healthz</a></footer></body></html>"
    );
    text
}

fn write_sources(status: &Status, text: &mut String) {
    text.push_str("<h2>Sources</h2>");
    for (name, source) in &status.sources {
        let words = source.words.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
        let _ = write!(text, "<p><b>{}</b> {}{}</p>", Escaped(name), Escaped(&source.state), Escaped(&words));
        if source.shards.is_empty() {
            continue;
        }
        text.push_str(
            "<table><tr><th>shard<th>state<th>stands still for<th>behind<th>expires in<th>records<th>throttled<th>failures</tr>",
        );
        for (shard, state) in &source.shards {
            let mark = if state.is_still && state.is_trouble { " class=\"not\"" } else { "" };
            let standstill = (state.standstill_ms > 0).then(|| span(state.standstill_ms));
            let _ = write!(
                text,
                "<tr><td>{}<td{mark}>{}<td>{}<td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}</tr>",
                Escaped(shard),
                Escaped(&state.reason.replace('_', " ")),
                Known(standstill),
                Known(state.behind_ms.map(span)),
                Known(state.headroom_ms.map(Span)),
                state.records,
                state.throttled,
                state.failures,
            );
        }
        text.push_str("</table>");
    }
}

fn write_lanes(status: &Status, text: &mut String) {
    text.push_str(
        "<h2>Lanes</h2><table><tr><th>sink<th>condition<th>delivered<th>duplicates<th>sent again<th>dead-lettered<th>in \
         flight<th>to be read again<th>because</tr>",
    );
    for (name, lane) in &status.lanes {
        let mark = if lane.condition == "works" { "" } else { " class=\"not\"" };
        let _ = write!(text, "<tr><td>{}<td{mark}>{}", Escaped(name), Escaped(&lane.condition));
        for count in [lane.delivered, lane.duplicates, lane.retried, lane.dead_lettered, lane.in_flight, lane.abandoned]
        {
            let _ = write!(text, "<td class=\"n\">{count}");
        }
        let why = lane.hindrance.as_ref().map(|why| in_words(why, status.now_ms));
        let _ = write!(text, "<td>{}</tr>", Escaped(&why.unwrap_or_default()));
    }
    text.push_str("</table>");
}

fn write_events(status: &Status, text: &mut String) {
    let events = &status.events;
    let _ = write!(
        text,
        "<h2>Events</h2><p>read {} = delivered {} + spilled {} + filtered {} + dead-lettered {} + in flight {} + to be read again {}; from {} \
         records of {} bytes</p>",
        events.read,
        events.delivered,
        events.spilled,
        events.filtered,
        events.dead_lettered,
        events.in_flight,
        events.abandoned,
        events.records,
        events.record_bytes,
    );
    text.push_str("<table><tr><th>log type<th>events</tr>");
    for (log_type, counts) in &events.by_log_type {
        let _ = write!(text, "<tr><td>{}<td class=\"n\">{}</tr>", Escaped(log_type), counts.values().sum::<u64>());
    }
    text.push_str("</table>");
    for (title, counts) in
        [("Filtered by", &events.by_rule), ("Broken", &events.broken), ("Complaints", &events.complaints)]
    {
        if !counts.is_empty() {
            let words: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let _ = write!(text, "<p>{title}: {}</p>", Escaped(&words.join(", ")));
        }
    }
    let memory = &status.memory;
    let _ = write!(
        text,
        "<h2>Memory and dead letters</h2><p>{} of {} bytes in flight, at most {} so far; {} dead letters kept</p>",
        memory.in_flight_bytes, memory.in_flight_bytes_max, memory.in_flight_bytes_peak, status.dead_letters.kept
    );
}

fn in_words(why: &HindranceStatus, now_ms: i64) -> String {
    format!("{}: {} (for {})", why.code, why.words, Span(now_ms.saturating_sub(why.since_ms)))
}

/// Text that cannot become anything else in a page.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A value that may not be known.
struct Known(Option<Span>);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(span) => span.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// A length of time in milliseconds, told in its two largest units.
struct Span(i64);

fn span(milliseconds: u64) -> Span {
    Span(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let milliseconds = self.0.unsigned_abs();
        let seconds = milliseconds / 1000;
        match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0, 0) => write!(f, "{milliseconds} ms"),
            (0, 0, 0, seconds) => write!(f, "{seconds} s"),
            (0, 0, minutes, seconds) => write!(f, "{minutes} min {seconds} s"),
            (0, hours, minutes, _) => write!(f, "{hours} h {minutes} min"),
            (days, hours, ..) => write!(f, "{days} d {hours} h"),
        }
    }
}
