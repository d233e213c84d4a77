//! Conversions: pure functions from a leaf of the source to a value of the target's type.

mod kind;
mod time;

pub(super) use kind::{
    Fitted, Type, Value, convert, convert_in, fit, fit_text, number, push_scalar, text_equals, with_text,
};
