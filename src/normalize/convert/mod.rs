//! Conversions: pure functions from a leaf of the source to a value of the target's type.

mod kind;
mod time;

#[cfg(test)]
pub(super) use time::push as push_date;

pub(super) use kind::{
    Fitted, Type, Value, convert, convert_in, fit, fit_text, number, push_scalar, text_equals, with_text,
};
