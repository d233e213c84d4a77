//! From a dead letter to its line: its event is peeled again from the record it came in.

use std::sync::Arc;

use crate::delivery::{DeadLetter, Original, What, WrittenLetter};
use crate::envelope::{Event, Field, Form, Limits, Peeler, Piece};
use crate::record::{KnownEvent, Record};

/// Writes letters. `limits` are those the records were read with.
pub fn written(letters: &[DeadLetter], limits: Limits) -> Vec<WrittenLetter> {
    let mut peeler = Peeler::new(limits);
    let write = |letter: &DeadLetter| {
        let mut line = Vec::new();
        write_line(letter, &mut peeler, &mut line);
        let record = letter.block.record(letter.place().0);
        WrittenLetter {
            line,
            source: Arc::clone(&letter.block.source),
            shard: record.map_or_else(Arc::default, |record| Arc::clone(&record.position.shard)),
            last_ms: letter.last_ms,
        }
    };
    letters.iter().map(write).collect()
}

/// Writes one letter with the bytes it is about: the event as it stood in its envelopes, or the whole record.
fn write_line(letter: &DeadLetter, peeler: &mut Peeler, lines: &mut Vec<u8>) {
    let (record, index) = letter.place();
    let Some(record) = letter.block.record(record) else {
        return letter.write_line(&Original::Record(&[]), lines);
    };
    let index = match letter.what {
        What::Record(_) => None,
        What::Row(_) | What::Piece { .. } => index,
    };
    if let Some((KnownEvent { is_text, envelope, .. }, _)) = known(record).zip(index) {
        let envelope = envelope.iter().map(|(name, value)| (&**name, &**value)).collect();
        return letter.write_line(&Original::Event { body: &record.data, is_text: *is_text, envelope }, lines);
    }
    let peeled = index.and_then(|index| Some((index, peeler.peel(&record.data, record.arrival_ms).ok()?)));
    let piece = peeled.as_ref().and_then(|(index, peeled)| {
        peeled.pieces().find_map(|piece| match piece {
            Piece::Event(event) if event.index == *index => Some(original(&event)),
            Piece::Refused { index: at, body, .. } if at == *index => Some(Original::Piece(body)),
            _ => None,
        })
    });
    letter.write_line(&piece.unwrap_or(Original::Record(&record.data)), lines);
}

/// What is known of a record that is one event, sent again.
fn known(record: &Record) -> Option<&KnownEvent> {
    record.again.as_ref()?.event.as_ref()
}

fn original<'p>(event: &Event<'p>) -> Original<'p> {
    let told = |field: Field| Some((field.name(), event.context.get(field)?));
    let envelope = Field::ALL.into_iter().filter_map(told).collect();
    Original::Event { body: event.body, is_text: event.form == Form::Text, envelope }
}
