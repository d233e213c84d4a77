//! What is made from the option structs: the JSON Schema, the reference and the example file.

use std::fmt::Write as _;

use serde_json::Value;

use super::Options;
use crate::normalize::mapping::Loaded;

/// The JSON Schema of the configuration, for editors.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Options);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The reference: every table and option with its meaning and default.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration reference\n\nMade from the option structs; do not edit. Durations are text such as `500ms`, `30s`, `5m`, \
         `2h`, `7d`; sizes such as `900kB`, `8MiB`.\nSecrets are references: `{ env = \"NAME\" }` or `{ file = \"/path\" }`.\n",
    );
    for section in sections() {
        let _ = write!(text, "\n## {}\n\n{}\n", section.heading(), section.description);
        if !section.fields.is_empty() {
            text.push_str("\n| option | type | default | meaning |\n|---|---|---|---|\n");
        }
        for field in &section.fields {
            let default = match (&field.default, field.required) {
                (Some(default), _) => format!("`{}`", toml_text(default)),
                (None, true) => "required".to_owned(),
                (None, false) => String::new(),
            };
            let meaning = field.description.replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {} | {default} | {meaning} |", field.name, field.kind);
        }
    }
    text
}

/// The example file: every option with its default, commented out, the required ones with a placeholder.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Every option of siemline with its default. Made from the option structs; do not edit: copy what you need.\n",
    );
    for section in sections().into_iter().filter(|section| !section.path.is_empty()) {
        text.push('\n');
        comment(&mut text, &section.description);
        let _ = writeln!(text, "# [{}]", section.path.replace("<name>", "example"));
        for field in &section.fields {
            comment(&mut text, &field.description);
            let value = field.default.as_ref().map_or_else(|| format!("<{}>", field.kind), toml_text);
            let _ = writeln!(text, "# {} = {value}", field.name);
        }
    }
    text
}

/// What SIEMs call each log type in each format, as a table.
#[must_use]
pub fn formats(loaded: &Loaded) -> String {
    let mut text = String::from(
        "| log type | Splunk `raw` | Splunk `ocsf` | Splunk `cim` | Elastic `raw` |\n|---|---|---|---|---|\n",
    );
    let mut log_types: Vec<_> = loaded.log_types.iter().collect();
    log_types.sort_by_key(|mapping| &mapping.log_type);
    for mapping in log_types {
        let own = mapping.log_type.replace('.', ":");
        let raw = mapping.names.sourcetype.as_deref();
        let dataset = mapping.names.dataset.as_deref();
        let _ = writeln!(
            text,
            "| `{}` | {} | `ocsf:{}` | `siemline:{own}:cim` | {} |",
            mapping.log_type,
            raw.map_or_else(String::new, |name| format!("`{name}`")),
            raw.unwrap_or(&own),
            dataset.map_or_else(String::new, |name| format!("`logs-{name}-`")),
        );
    }
    text
}

fn comment(text: &mut String, words: &str) {
    for line in words.lines() {
        let _ = writeln!(text, "{}", format!("## {line}").trim_end());
    }
}

/// One table of the configuration.
struct Section {
    path: String,
    description: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    kind: String,
    default: Option<Value>,
    required: bool,
    description: String,
}

impl Section {
    fn heading(&self) -> String {
        if self.path.is_empty() { "The file".to_owned() } else { format!("`[{}]`", self.path) }
    }
}

fn sections() -> Vec<Section> {
    let root = schemars::schema_for!(Options).to_value();
    let mut sections = Vec::new();
    collect(&root, &root, "", &mut sections);
    sections
}

/// Walks a table of the schema, depth first; sub-tables follow the table they belong to.
fn collect(root: &Value, table: &Value, path: &str, sections: &mut Vec<Section>) {
    let mut section = Section { path: path.to_owned(), description: words(table, ""), fields: Vec::new() };
    let mut below = Vec::new();
    let properties = table.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let target = resolve(root, property);
        let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let members = target.get("additionalProperties").filter(|members| members.is_object());
        let members = members.map(|members| resolve(root, members));
        if let Some(members) = members.filter(|members| members.get("properties").is_some() && !is_secret(members)) {
            below.push((inner(&format!("{name}.<name>")), members));
        } else if target.get("properties").is_some() && !is_secret(target) {
            below.push((inner(name), target));
        } else {
            section.fields.push(field(root, table, name, property));
        }
    }
    if !section.fields.is_empty() || path.is_empty() {
        sections.push(section);
    }
    for (path, table) in below {
        collect(root, table, &path, sections);
    }
}

fn field(root: &Value, table: &Value, name: &str, property: &Value) -> Field {
    let required = table.get("required").and_then(Value::as_array);
    let required = required.is_some_and(|names| names.iter().any(|required| required == name));
    let from_table = table.get("default").and_then(|default| default.get(name));
    let default = property.get("default").or(from_table).filter(|default| !default.is_null()).cloned();
    let target = resolve(root, property);
    Field {
        name: name.to_owned(),
        kind: kind(root, property),
        default,
        required,
        description: words(property, &words(target, "")),
    }
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let alternatives = schema.get("anyOf").or_else(|| schema.get("allOf")).and_then(Value::as_array);
    if let Some(first) = alternatives.and_then(|alternatives| alternatives.first()) {
        return resolve(root, first);
    }
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
    name.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}

fn kind(root: &Value, property: &Value) -> String {
    let target = resolve(root, property);
    let reference = property.get("$ref").or_else(|| property.pointer("/anyOf/0/$ref")).and_then(Value::as_str);
    match reference.and_then(|text| text.rsplit('/').next()) {
        Some("Duration") => return "duration".to_owned(),
        Some("Size") => return "size".to_owned(),
        _ => {}
    }
    if is_secret(target) {
        return "secret".to_owned();
    }
    let choices = target.get("enum").or_else(|| target.get("oneOf")).and_then(Value::as_array);
    if let Some(choices) = choices {
        let names = choices.iter().filter_map(|choice| choice.get("const").unwrap_or(choice).as_str());
        return names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    }
    let name = match target.get("type") {
        Some(Value::Array(types)) => types.first().and_then(Value::as_str).unwrap_or("value"),
        Some(Value::String(name)) => name,
        _ => "value",
    };
    match name {
        "array" => {
            format!("list of {}", target.get("items").map_or_else(|| "value".to_owned(), |items| kind(root, items)))
        }
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "object" => match target.get("additionalProperties").filter(|members| members.is_object()) {
            Some(members) => format!("table of {}", kind(root, members)),
            None => name.to_owned(),
        },
        other => other.to_owned(),
    }
}

fn is_secret(schema: &Value) -> bool {
    let has = |name: &str| schema.pointer(&format!("/properties/{name}")).is_some();
    has("env") && has("file")
}

fn words(schema: &Value, otherwise: &str) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or(otherwise).to_owned()
}

fn toml_text(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
