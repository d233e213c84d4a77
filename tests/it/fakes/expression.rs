//! The expressions of DynamoDB, as far as leases use them: conditions of comparisons and functions with AND, OR and
//! brackets; updates of SET, ADD and REMOVE.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The attributes of an item, each with its type: `{ "leaseKey": { "S": "..." } }`.
pub type Attributes = Map<String, Value>;

/// Says whether a condition holds for an item, or for none; takes note of the values that it names.
pub fn holds(
    condition: &str,
    item: Option<&Attributes>,
    values: &Attributes,
    used: &mut BTreeSet<String>,
) -> Result<bool, String> {
    let tokens = tokens(condition)?;
    used.extend(tokens.iter().filter(|token| token.starts_with(':')).cloned());
    let mut reader = Reader { tokens: &tokens, at: 0, item, values };
    let holds = reader.any()?;
    match tokens.get(reader.at) {
        None => Ok(holds),
        Some(token) => Err(format!("`{token}` is too much in `{condition}`")),
    }
}

/// The values that an update names.
pub fn values_of(update: &str) -> BTreeSet<String> {
    tokens(update).unwrap_or_default().into_iter().filter(|token| token.starts_with(':')).collect()
}

/// Makes an update.
pub fn update(update: &str, item: &mut Attributes, values: &Attributes) -> Result<(), String> {
    let tokens = tokens(update)?;
    let value = |name: &str| values.get(name).cloned().ok_or_else(|| format!("no value {name}"));
    let (mut clause, mut seen) = ("", BTreeSet::new());
    let mut clauses = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            name @ ("SET" | "ADD" | "REMOVE") => {
                if !clauses.insert(name.to_owned()) {
                    return Err(format!("{name} twice in `{update}`"));
                }
                clause = match name {
                    "SET" => "SET",
                    "ADD" => "ADD",
                    _ => "REMOVE",
                };
                at += 1;
            }
            "," => at += 1,
            name => {
                if !seen.insert(name.to_owned()) {
                    return Err(format!("two document paths overlap: {name}"));
                }
                match clause {
                    "SET" if tokens.get(at + 1).map(String::as_str) == Some("=") => {
                        item.insert(name.to_owned(), value(&tokens[at + 2])?);
                        at += 3;
                    }
                    "ADD" => {
                        let number =
                            |value: Option<&Value>| value.and_then(|value| value["N"].as_str()?.parse::<i64>().ok());
                        let amount = number(Some(&value(&tokens[at + 1])?)).ok_or("ADD wants a number")?;
                        let sum = number(item.get(name)).unwrap_or(0) + amount;
                        item.insert(name.to_owned(), json!({ "N": sum.to_string() }));
                        at += 2;
                    }
                    "REMOVE" => {
                        item.remove(name);
                        at += 1;
                    }
                    _ => return Err(format!("`{name}` in `{update}`")),
                }
            }
        }
    }
    Ok(())
}

struct Reader<'a> {
    tokens: &'a [String],
    at: usize,
    item: Option<&'a Attributes>,
    values: &'a Attributes,
}

impl Reader<'_> {
    fn any(&mut self) -> Result<bool, String> {
        let mut holds = self.all()?;
        while self.takes("OR") {
            holds |= self.all()?;
        }
        Ok(holds)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut holds = self.one()?;
        while self.takes("AND") {
            holds &= self.one()?;
        }
        Ok(holds)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.takes("(") {
            let holds = self.any()?;
            return self.must(")").map(|()| holds);
        }
        let name = self.next()?;
        match name.as_str() {
            "attribute_exists" | "attribute_not_exists" => {
                self.must("(")?;
                let path = self.next()?;
                self.must(")")?;
                let exists = self.item.is_some_and(|item| item.contains_key(&path));
                Ok(exists == (name == "attribute_exists"))
            }
            "begins_with" => {
                self.must("(")?;
                let path = self.next()?;
                self.must(",")?;
                let prefix = self.value()?;
                self.must(")")?;
                let text = self.item.and_then(|item| item.get(&path)).and_then(|value| value["S"].as_str());
                Ok(text.is_some_and(|text| prefix["S"].as_str().is_some_and(|prefix| text.starts_with(prefix))))
            }
            path => {
                self.must("=")?;
                let value = self.value()?;
                Ok(self.item.and_then(|item| item.get(path)) == Some(&value))
            }
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        let name = self.next()?;
        self.values.get(&name).cloned().ok_or_else(|| format!("no value {name}"))
    }

    fn next(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.at).ok_or("the expression ends too early")?;
        self.at += 1;
        Ok(token.clone())
    }

    fn takes(&mut self, token: &str) -> bool {
        let takes = self.tokens.get(self.at).is_some_and(|next| next == token);
        self.at += usize::from(takes);
        takes
    }

    fn must(&mut self, token: &str) -> Result<(), String> {
        if self.takes(token) {
            Ok(())
        } else {
            Err(format!("`{token}` is missing before {:?}", self.tokens.get(self.at)))
        }
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut is_in_word = false;
    for letter in text.chars() {
        let is_word = letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
        match letter {
            ' ' => {}
            '(' | ')' | ',' | '=' => tokens.push(letter.to_string()),
            _ if is_word && is_in_word => tokens.last_mut().expect("a word has begun").push(letter),
            _ if is_word => tokens.push(letter.to_string()),
            _ => return Err(format!("`{letter}` in `{text}`")),
        }
        is_in_word = is_word;
    }
    Ok(tokens)
}
