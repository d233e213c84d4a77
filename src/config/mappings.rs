//! The mappings that a configuration means: the embedded ones, and a directory of a user's own over them.

use std::path::Path;

use crate::normalize::Mappings;
use crate::normalize::mapping::{Loaded, Sources};
use crate::ocsf::Table;

/// The mappings, loaded, checked and compiled.
///
/// # Errors
///
/// With every mistake found, one a line: file, line, column and remedy.
pub fn mappings(directory: Option<&Path>) -> Result<Mappings, String> {
    let Loaded { log_types, base, projections } = loaded(directory)?;
    let compiled = Mappings::compile(log_types, base, Table::v1_8());
    compiled.and_then(|mappings| mappings.with_projections(projections)).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
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
