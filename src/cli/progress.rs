//! The progress bar of long reading, where a person is looking.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::source::file::Progress;

/// A bar on standard error; nothing, where that is no terminal.
#[must_use]
pub fn bar() -> Option<Box<dyn Progress>> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    Some(Box::new(Bar(ProgressBar::no_length())))
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&mut self, bytes_total: Option<u64>) {
        let known = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let template = if bytes_total.is_some() { known } else { "{spinner} {bytes} {bytes_per_sec}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        if let Some(bytes) = bytes_total {
            self.0.set_length(bytes);
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
