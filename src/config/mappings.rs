//! The mappings that a configuration means: the embedded ones, and a user's own files over them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::NormalizeOptions;
use crate::normalize::Mappings;
use crate::normalize::mapping::ast::Mapping;
use crate::normalize::mapping::{Loaded, Sources};
use crate::ocsf::Table;

/// The mappings, loaded, checked and compiled.
///
/// # Errors
///
/// With every mistake found, one a line: file, line, column and remedy.
pub fn mappings(options: &NormalizeOptions) -> Result<Mappings, String> {
    compile(loaded(&options.mappings)?, options)
}

/// Compiles mappings that were loaded, with the columns, the zone and the `raw_data` that a configuration wants.
///
/// # Errors
///
/// As [`mappings`].
pub fn compile(loaded: Loaded, options: &NormalizeOptions) -> Result<Mappings, String> {
    let Loaded { mut log_types, base, projections } = loaded;
    reorder(&mut log_types, &options.columns)?;
    let compiled = Mappings::compile(log_types, base, Table::v1_8());
    let compiled = compiled.and_then(|mappings| mappings.with_projections(projections));
    let mut mappings = compiled.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    mappings.set_zone(&options.timezone).map_err(|error| format!("normalize.timezone: {error}"))?;
    if options.raw_data {
        mappings.keep_raw();
    }
    Ok(mappings)
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

/// The mappings, loaded and checked. `own` are directories and files.
///
/// # Errors
///
/// As [`mappings`].
pub fn loaded(own: &[PathBuf]) -> Result<Loaded, String> {
    let mut files = Vec::new();
    for path in own {
        let is_directory = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.is_dir();
        if is_directory { directory(path, &mut files)? } else { file(path, &mut files)? }
    }
    files.sort();
    // A file may be named, and lie in a directory that is named too.
    files.dedup_by(|one, other| one.0 == other.0);
    Sources::embedded().with_directory(files).load(Table::v1_8()).map_err(|errors| errors.to_string())
}

fn directory(directory: &Path, files: &mut Vec<(String, String)>) -> Result<(), String> {
    let before = files.len();
    for entry in std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))? {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(read(&path)?);
        }
    }
    if files.len() == before {
        return Err(format!("{}: there is no mapping file (`*.toml`) in it", directory.display()));
    }
    Ok(())
}

/// A file, and its tests where they stand beside it.
fn file(path: &Path, files: &mut Vec<(String, String)>) -> Result<(), String> {
    if path.exists() && path.extension().is_none_or(|extension| extension != "toml") {
        return Err(format!("{}: it is neither a directory nor a mapping file (`*.toml`)", path.display()));
    }
    files.push(read(path)?);
    let tests = path.with_extension("tests.toml");
    if tests.is_file() {
        files.push(read(&tests)?);
    }
    Ok(())
}

fn read(path: &Path) -> Result<(String, String), String> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Ok((path.display().to_string(), text))
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("cannot read the mappings in {}: {error}", path.display())
}
