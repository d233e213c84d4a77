//! The mappings that a configuration means: the embedded ones, and a directory of a user's own over them.

use std::collections::BTreeMap;
use std::path::Path;

use super::NormalizeOptions;
use crate::normalize::Mappings;
use crate::normalize::mapping::ast::Mapping;
use crate::normalize::mapping::{Loaded, Sources};
use crate::ocsf::Table;

/// The mappings, loaded, checked and compiled, as a configuration wants them.
///
/// # Errors
///
/// With every mistake found, one a line: file, line, column and remedy.
pub fn mappings(options: &NormalizeOptions) -> Result<Mappings, String> {
    let Loaded { mut log_types, base } = loaded(options.mappings.as_deref())?;
    reorder(&mut log_types, &options.columns)?;
    let mut mappings = Mappings::compile(log_types, base, Table::v1_8()).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    mappings.set_zone(&options.timezone).map_err(|error| format!("normalize.timezone: {error}"))?;
    Ok(mappings)
}

/// The mappings, loaded and checked.
///
/// # Errors
///
/// As [`mappings`].
pub fn loaded(directory: Option<&Path>) -> Result<Loaded, String> {
    let sources = Sources::embedded();
    let sources = match directory {
        Some(directory) => sources.with_directory(files(directory)?),
        None => sources,
    };
    sources.load(Table::v1_8()).map_err(|errors| errors.to_string())
}

/// Gives log types the orders of columns that a user has configured.
fn reorder(log_types: &mut [Mapping], columns: &BTreeMap<String, String>) -> Result<(), String> {
    for (log_type, order) in columns {
        let text =
            log_types.iter_mut().find(|mapping| *mapping.log_type == **log_type).map(|mapping| &mut mapping.text);
        let said = |problem: &str| Err(format!("normalize.columns: `{log_type}` {problem}"));
        match text {
            None => return said("is no log type that has a mapping"),
            Some(None) => return said("does not come as lines of text"),
            Some(Some(text)) => text.reorder(order).or_else(|problem| said(&problem))?,
        }
    }
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<(String, String)>, String> {
    let failed =
        |path: &Path, error: std::io::Error| format!("cannot read the mappings in {}: {error}", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|error| failed(directory, error))? {
        let path = entry.map_err(|error| failed(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: there is no mapping file (`*.toml`) in it", directory.display()));
    }
    Ok(files)
}
