//! The event context: what the envelopes told.

/// A thing an envelope may tell. Mappings read it as `@envelope.<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    /// EventBridge `source`.
    Source,
    /// EventBridge `detail-type`.
    DetailType,
    /// EventBridge `id`.
    Id,
    /// EventBridge `time`, verbatim.
    Time,
    /// EventBridge `account`.
    Account,
    /// EventBridge `region`.
    Region,
    /// EventBridge `version`.
    Version,
    /// CloudWatch Logs `logGroup`.
    LogGroup,
    /// CloudWatch Logs `logStream`.
    LogStream,
    /// CloudWatch Logs `owner`: an account.
    Owner,
    /// CloudWatch Logs `logEvents[].id`, as text whether it came as text or number.
    LogEventId,
    /// CloudWatch Logs `logEvents[].timestamp`, milliseconds as decimal text.
    LogEventTime,
    /// CloudWatch Logs `logEvents[].extractedFields`, as the JSON text of the object.
    Extracted,
    /// When the transport took the record in, milliseconds as decimal text.
    Arrival,
    /// The header line of a text record, where it has one.
    Header,
}

impl Field {
    /// All fields, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Source,
        Self::DetailType,
        Self::Id,
        Self::Time,
        Self::Account,
        Self::Region,
        Self::Version,
        Self::LogGroup,
        Self::LogStream,
        Self::Owner,
        Self::LogEventId,
        Self::LogEventTime,
        Self::Extracted,
        Self::Arrival,
        Self::Header,
    ];

    /// The name behind `@envelope.`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::DetailType => "detail_type",
            Self::Id => "id",
            Self::Time => "time",
            Self::Account => "account",
            Self::Region => "region",
            Self::Version => "version",
            Self::LogGroup => "log_group",
            Self::LogStream => "log_stream",
            Self::Owner => "owner",
            Self::LogEventId => "log_event_id",
            Self::LogEventTime => "log_event_time",
            Self::Extracted => "extracted",
            Self::Arrival => "arrival",
            Self::Header => "header",
        }
    }

    /// The field's number, from 0.
    #[expect(clippy::as_conversions, reason = "the discriminant of a fieldless enum, which has no other spelling")]
    const fn number(self) -> usize {
        self as usize
    }

    /// The field of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// What the envelopes of an event told, in one buffer that is reused from event to event.
#[derive(Clone, Debug, Default)]
pub struct Context {
    text: String,
    spans: [Option<(usize, usize)>; Field::ALL.len()],
}

impl Context {
    /// Forgets everything; keeps the buffer.
    pub fn clear(&mut self) {
        self.text.clear();
        self.spans = [None; Field::ALL.len()];
    }

    /// Becomes a copy of another context, in the buffer it has.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.text.clear();
        self.text.push_str(&other.text);
        self.spans = other.spans;
    }

    /// Forgets everything, and keeps no more than so many bytes of the buffer.
    pub(super) fn shrink(&mut self, kept_bytes: usize) {
        self.clear();
        self.text.shrink_to(kept_bytes);
    }

    /// The bytes of text in it.
    pub(super) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// The bytes that its buffer holds on to.
    pub(super) fn held_bytes(&self) -> usize {
        self.text.capacity()
    }

    /// What an envelope told under this name, unescaped.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&str> {
        let (start, end) = (*self.spans.get(field.number())?)?;
        self.text.get(start..end)
    }

    /// Notes what an envelope told. An inner envelope's word replaces an outer one's.
    pub fn set(&mut self, field: Field, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        if let Some(place) = self.spans.get_mut(field.number()) {
            *place = Some((start, self.text.len()));
        }
    }
}
