//! What is done to a value, and constants.

/// What is done to a value, in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct Convert {
    /// Values (by their text) that mean nothing.
    pub skip: Vec<String>,
    /// Cut out of the text.
    pub cut: Option<Cut>,
    /// Look-up or arithmetic.
    pub map: Option<Map>,
    /// The conversion; where none is written, the target's type decides.
    pub kind: Option<Kind>,
}

/// A piece cut out of a text. Lossy.
#[derive(Clone, Debug)]
pub enum Cut {
    /// What stands before the first occurrence.
    Before(String),
    /// What stands after the first occurrence.
    After(String),
    /// The first group of a regular expression.
    Capture(regex::Regex),
}

/// A look-up or arithmetic.
#[derive(Clone, Debug)]
pub enum Map {
    /// By exact text.
    Enum(Vec<(String, Constant)>),
    /// By magnitude: the first that holds. Lossy.
    Bands(Vec<Band>),
    /// Multiply.
    Scale(f64),
}

/// One band of magnitudes.
#[derive(Clone, Debug)]
pub struct Band {
    /// The bound.
    pub from: f64,
    /// Whether the bound itself belongs to the band (`at_least`) or not (`above`).
    pub inclusive: bool,
    /// What the band gives.
    pub value: Constant,
}

/// A conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Milliseconds since 1970 from every spelling of time AWS uses.
    Timestamp,
    /// As `Timestamp`, but a whole number counts milliseconds, whatever its size: what a date of a projection reads.
    Date,
    /// As `Timestamp`; without a zone it is UTC, wherever the configuration says that clocks stand.
    Utc,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// `true`, `"true"`, `"Yes"` and their opposites.
    Boolean,
    /// Text of any scalar.
    String,
    /// An IP address, nothing else.
    Ip,
    /// A host name that is no IP address.
    Hostname,
    /// Text in lower case.
    Lower,
    /// Text in upper case.
    Upper,
    /// What stands after the last slash or backslash.
    Basename,
    /// A whole subtree.
    Json,
    /// How many members a container has.
    Count,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
}
