//! What every envelope gives, alone and nested; what bad input does; and that nothing is lost and no bound broken.

use std::fmt::Write as _;

use super::{Field, Form, Limits, Oddity, Peeled, Peeler, Piece, Refusal};

/// One piece a line, as the tables below expect them: the kind, the body, and in brackets what the envelopes told.
fn told(peeled: &Peeled<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, piece) in peeled.pieces().enumerate() {
        assert_eq!(usize::try_from(piece.index()), Ok(number), "the indexes count the pieces");
        lines.push(match piece {
            Piece::Event(event) => {
                let kind = if event.form == Form::Json { "json" } else { "text" };
                let body = std::str::from_utf8(event.body).expect("an event is UTF-8");
                let mut line = format!("{kind} {body}");
                for field in Field::ALL {
                    if let Some(value) = event.context.get(field) {
                        write!(line, " [{}={value}]", field.name()).expect("a string takes everything");
                    }
                }
                line
            }
            Piece::Filtered { rule, .. } => format!("filtered {rule}"),
            Piece::Refused { code, body, .. } => format!("refused {code} {}", body.escape_ascii()),
        });
    }
    lines
}

/// The pieces of a record, and the complaints.
type Found = (Vec<String>, Vec<(u32, Oddity)>);

fn peel(record: &[u8]) -> Result<Found, Refusal> {
    let mut peeler = Peeler::new(Limits::default());
    let found = peeler.peel(record, None)?;
    let complaints = found.complaints().iter().map(|complaint| (complaint.index, complaint.oddity)).collect();
    Ok((told(&found), complaints))
}

/// Expects these pieces, and no complaint.
#[track_caller]
fn check(record: impl AsRef<[u8]>, pieces: &[&str]) {
    check_odd(record, pieces, &[]);
}

#[track_caller]
fn check_odd(record: impl AsRef<[u8]>, pieces: &[&str], complaints: &[(u32, Oddity)]) {
    let record = record.as_ref();
    let (found, odd) = peel(record).unwrap_or_else(|refusal| panic!("{refusal}: {}", record.escape_ascii()));
    assert_eq!(found, pieces, "{}", record.escape_ascii());
    assert_eq!(odd, complaints, "{}", record.escape_ascii());
}

/// What stands alone is one event, as it is written.
#[test]
fn bare_documents() {
    check(r#"{"a":1}"#, &[r#"json {"a":1}"#]);
    check(" \r\n{\n  \"a\" : [ 1, {} ]\n}\n", &["json {\n  \"a\" : [ 1, {} ]\n}"]);
    check(r#"{"a":1,"a":2}"#, &[r#"json {"a":1,"a":2}"#]);
    check(
        r#"{"n":123456789012345678901234567890,"f":1e400,"s":"\ud800"}"#,
        &[r#"json {"n":123456789012345678901234567890,"f":1e400,"s":"\ud800"}"#],
    );
    check("{}", &["json {}"]);
    check("42", &["text 42"]);
    check(r#""a text""#, &[r#"text "a text""#]);
    check("[1,2]", &["text [1,2]"]);
}
