//! One rule: from its source through its conversions into the output.

use sha2::{Digest, Sha256};
use simd_json::Node;

use super::super::convert::{self, Type, Value, convert, convert_in, fit, text_equals, with_text};
use super::super::explain::{Trace, push_indexed};
use super::super::json::{push_comma, push_hex, push_string};
use super::super::mapping::ast::{Constant, Cut, Kind};
use super::super::plan::{Fallback, Leaf, Map, Path, Piece, Place, Role, Rule, Source};
use super::super::tape::{Scalar, any_leaf, members, scalar_of};
use super::place::Found;
use super::{FREE, Gathered, LEFT, Mark, OBSERVABLES_MAX, Run, Splice, TYPED};

/// `type_id` and its like: the number that stands for a word that the schema does not have.
const OTHER: i64 = 99;

/// What a member of an object got.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    /// The bit of the sibling that was written with it.
    pub(super) sibling: u128,
    /// Whether it came from the event.
    pub(super) from_event: bool,
    /// Whether there will be something is not known before all other rules are through.
    pub(super) is_rest: bool,
}

/// What a rule gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gave<'r> {
    /// Whether it came from the event.
    from_event: bool,
    number: Option<i64>,
    /// The source's own word, for the sibling of a 99.
    word: Option<Scalar<'r>>,
    word_node: Option<usize>,
    /// The value is put in at the end.
    is_rest: bool,
}

/// A leaf that an enum did not have.
type Missed<'r> = Option<(Scalar<'r>, Option<usize>)>;

impl<'r, 'a: 'r, T: Trace> Run<'r, 'a, T> {
    /// Whether it is worth beginning: false where every path is absent and nothing stands in for them.
    pub(super) fn may_give(&self, rule: &Rule) -> bool {
        match &rule.source {
            Source::First(paths) | Source::All(paths) => {
                rule.default.is_some() || paths.iter().any(|path| self.may_be_there(path))
            }
            Source::Rest(path) => self.may_be_there(path),
            _ => true,
        }
    }

    fn may_be_there(&self, path: &Path) -> bool {
        match path.place {
            Place::Tape { slot, .. } => self.slot(slot).is_some(),
            _ => true,
        }
    }

    /// Writes the value of a member whose name has been written, and its sibling. A `rest` takes the name back (to `before`) and remembers it.
    pub(super) fn leaf(&mut self, rule: &'r Rule, leaf: &'r Leaf, name: &[u8], before: Mark) -> Option<Given> {
        let gave = self.rule(rule, leaf)?;
        if gave.is_rest {
            let buffers = &mut *self.buffers;
            buffers.scratch.truncate(before.scratch);
            let begin = buffers.names.len();
            buffers.names.extend_from_slice(name);
            if let Some(splice) = buffers.splices.last_mut() {
                splice.at = before.scratch;
                splice.name = (begin, buffers.names.len());
            }
            return Some(Given { is_rest: true, ..Given::default() });
        }
        let mut sibling = 0;
        if let (Some(number), Some(enumeration)) = (gave.number, &leaf.enumeration)
            && let Some((bit, name)) = &enumeration.sibling
        {
            let caption = enumeration.caption(number);
            if gave.word.is_some() || caption.is_some() {
                sibling = *bit;
                let scratch = &mut self.buffers.scratch;
                push_comma(scratch);
                scratch.extend_from_slice(name);
                match (gave.word, caption) {
                    (Some(word), _) => with_text(word, |word| push_string(scratch, word)),
                    (None, caption) => scratch.extend_from_slice(caption.unwrap_or(b"\"\"")),
                }
            }
        }
        match leaf.role {
            Role::Activity => self.found.activity = gave.number,
            Role::Severity => self.found.severity = gave.number,
            Role::Time => self.found.time = gave.number,
            Role::None | Role::Account | Role::Region => {}
        }
        Some(Given { sibling, from_event: gave.from_event, is_rest: false })
    }

    /// As [`Self::leaf`] for an array of values.
    pub(super) fn leaf_array(&mut self, rule: &'r Rule, leaf: &'r Leaf) -> Option<Given> {
        let numbers = self.buffers.numbers.len();
        self.buffers.scratch.push(b'[');
        self.buffers.indices.push(0);
        let from_event = self.array_rule(rule, leaf);
        let count = self.buffers.indices.pop().unwrap_or(0);
        self.buffers.scratch.push(b']');
        let mut sibling = 0;
        if count > 0
            && let Some(enumeration) = &leaf.enumeration
            && let Some((bit, name)) = &enumeration.sibling
        {
            sibling = *bit;
            push_comma(&mut self.buffers.scratch);
            self.buffers.scratch.extend_from_slice(name);
            self.buffers.scratch.push(b'[');
            for at in numbers..self.buffers.numbers.len() {
                let Some((number, word)) = self.buffers.numbers.get(at).copied() else { break };
                push_comma(&mut self.buffers.scratch);
                match (word.and_then(|node| self.scalar(node)), enumeration.caption(number)) {
                    (Some(word), _) => with_text(word, |word| push_string(&mut self.buffers.scratch, word)),
                    (None, caption) => self.buffers.scratch.extend_from_slice(caption.unwrap_or(b"\"\"")),
                }
            }
            self.buffers.scratch.push(b']');
        }
        self.buffers.numbers.truncate(numbers);
        (count > 0).then_some(Given { sibling, from_event, is_rest: false })
    }

    /// Appends the elements that a rule gives; the flag says whether one came from the event.
    fn array_rule(&mut self, rule: &'r Rule, leaf: &'r Leaf) -> bool {
        let before = self.buffers.indices.last().copied();
        let mut from_event = false;
        let mut missed = None;
        match &rule.source {
            Source::First(paths) | Source::All(paths) => {
                let all = matches!(rule.source, Source::All(_));
                for path in paths {
                    from_event |= self.elements_at(rule, leaf, path, &mut missed);
                    if !all && self.buffers.indices.last().copied() != before {
                        break;
                    }
                }
            }
            Source::Cases(arms) => {
                for (when, arm) in arms {
                    if self.holds(when) {
                        let some = self.array_rule(arm, leaf);
                        if self.buffers.indices.last().copied() != before {
                            self.trace.fired(rule.id);
                            from_event |= some || !when.0.is_empty();
                            break;
                        }
                    }
                }
            }
            _ => {
                let gave = self.begin_element(|run| run.rule(rule, leaf));
                return gave.is_some_and(|gave| gave.from_event);
            }
        }
        if self.buffers.indices.last().copied() == before {
            match rule.default.as_deref() {
                None => {}
                Some(Fallback::Rule(default)) => {
                    self.trace.fired(rule.id);
                    return self.array_rule(default, leaf);
                }
                Some(Fallback::Constant(_)) => {
                    let gave = self.begin_element(|run| run.fall_back(rule, leaf, missed));
                    return gave.is_some_and(|gave| gave.from_event);
                }
            }
        }
        from_event
    }

    fn elements_at(&mut self, rule: &'r Rule, leaf: &'r Leaf, path: &'r Path, missed: &mut Missed<'r>) -> bool {
        if !matches!(path.place, Place::Tape { .. }) {
            let Some(found) = self.at(path) else { return false };
            return self.begin_element(|run| run.value(rule, leaf, path, found, missed)).is_some();
        }
        let mut given = false;
        let begin = self.gather(path);
        for at in begin..self.buffers.gathered.len() {
            let Some(Gathered { node, .. }) = self.buffers.gathered.get(at).copied() else { break };
            if matches!(self.nodes.get(node), Some(Node::Array { .. })) {
                let nodes = self.nodes;
                for (_, element) in members(nodes, node) {
                    given |=
                        self.begin_element(|run| run.value(rule, leaf, path, Found::Node(element), missed)).is_some();
                }
            } else {
                given |= self.begin_element(|run| run.value(rule, leaf, path, Found::Node(node), missed)).is_some();
            }
        }
        self.buffers.gathered.truncate(begin);
        given
    }

    fn begin_element(&mut self, write: impl FnOnce(&mut Self) -> Option<Gave<'r>>) -> Option<Gave<'r>> {
        let mark = self.mark();
        push_comma(&mut self.buffers.scratch);
        let gave = write(self).filter(|gave| !gave.is_rest);
        let Some(gave) = gave else {
            self.undo(mark);
            return None;
        };
        if let Some(number) = gave.number {
            self.buffers.numbers.push((number, gave.word_node.filter(|_| gave.word.is_some())));
        }
        if let Some(count) = self.buffers.indices.last_mut() {
            *count = count.saturating_add(1);
        }
        Some(gave)
    }

    /// Writes the value that a rule gives.
    fn rule(&mut self, rule: &'r Rule, leaf: &'r Leaf) -> Option<Gave<'r>> {
        let mut missed = None;
        let gave = match &rule.source {
            Source::First(paths) | Source::All(paths) => paths.iter().find_map(|path| {
                let found = self.at(path)?;
                self.value(rule, leaf, path, found, &mut missed)
            }),
            Source::Constant(constant) => self.constant(rule, leaf, constant),
            Source::Template(pieces) => self.template(rule, leaf, pieces),
            Source::Cases(arms) => arms.iter().find_map(|(when, arm)| {
                let gave = if self.holds(when) { self.rule(arm, leaf) } else { None }?;
                self.trace.fired(rule.id);
                Some(Gave { from_event: gave.from_event || !when.0.is_empty(), ..gave })
            }),
            Source::Part(part) => {
                let presence = self.part(part)?;
                self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, None);
                Some(Gave { from_event: presence.stands(), ..Gave::default() })
            }
            Source::Rest(path) => self.rest(rule, leaf, path),
            Source::Uid(paths) => self.uid(rule, leaf, paths),
        };
        gave.or_else(|| self.fall_back(rule, leaf, missed))
    }

    fn fall_back(&mut self, rule: &'r Rule, leaf: &'r Leaf, missed: Missed<'r>) -> Option<Gave<'r>> {
        match rule.default.as_deref()? {
            Fallback::Rule(default) => {
                let gave = self.rule(default, leaf)?;
                self.trace.fired(rule.id);
                Some(gave)
            }
            Fallback::Constant(constant) => {
                let gave = self.constant(rule, leaf, constant)?;
                let (Some(OTHER), Some((word, node))) = (gave.number, missed) else { return Some(gave) };
                if leaf.enumeration.is_none() {
                    return Some(gave);
                }
                // The sibling carries the word, so the leaf is kept.
                if let Some(node) = node.filter(|_| !rule.keep) {
                    self.take(node, if leaf.is_free { FREE } else { TYPED });
                }
                Some(Gave { from_event: true, word: Some(word), word_node: node, ..gave })
            }
        }
    }

    fn constant(&mut self, rule: &'r Rule, leaf: &'r Leaf, constant: &'r Constant) -> Option<Gave<'r>> {
        let fitted = self.fit(Value::Scalar(scalar_of(constant)), leaf)?;
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, None);
        Some(Gave { number: fitted.number, ..Gave::default() })
    }

    /// Writes one value that a path led to.
    fn value(
        &mut self,
        rule: &'r Rule,
        leaf: &'r Leaf,
        path: &'r Path,
        found: Found<'r>,
        missed: &mut Missed<'r>,
    ) -> Option<Gave<'r>> {
        let (scalar, node) = match found {
            Found::Node(node) => match self.scalar(node) {
                Some(scalar) => (scalar, Some(node)),
                None => return self.subtree(rule, leaf, path, node),
            },
            // A line end between tokens would break the output's one line.
            Found::ToldJson(text) if leaf.takes == Type::Json && !text.contains(['\n', '\r']) && !text.is_empty() => {
                self.buffers.scratch.extend_from_slice(text.as_bytes());
                self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, Some(&path.label));
                return Some(Gave { from_event: true, ..Gave::default() });
            }
            Found::Told(text) | Found::ToldJson(text) => (Scalar::Text(text), None),
        };
        if scalar == Scalar::Text("") || rule.skip.iter().any(|skip| text_equals(scalar, skip)) {
            return None;
        }
        let (source, mut lossy) = match &rule.cut {
            None => (scalar, false),
            Some(cut) => (Scalar::Text(cut_out(cut, scalar)?), true),
        };
        let mut word = None;
        let value = match &rule.map {
            None => {
                let (value, cut) = convert_in(source, rule.kind.unwrap_or(leaf.takes.kind()), &self.plan.zone)?;
                lossy |= cut;
                value
            }
            Some(Map::Enum(words)) => {
                let Some(hit) = look_up(words, source) else {
                    missed.get_or_insert((source, node));
                    return None;
                };
                if *hit == Constant::Integer(OTHER) && leaf.enumeration.is_some() {
                    word = Some(source);
                }
                mapped(rule, leaf, scalar_of(hit), &mut lossy)?
            }
            Some(Map::Bands(bands)) => {
                let number = convert::number(source)?;
                let (.., hit) =
                    bands.iter().find(|(from, inclusive, _)| number > *from || (*inclusive && number >= *from))?;
                lossy = true;
                mapped(rule, leaf, scalar_of(hit), &mut lossy)?
            }
            Some(Map::Scale(factor)) => {
                let scaled = scaled(source, *factor)?;
                let (value, cut) = convert(scaled, rule.kind.unwrap_or(leaf.takes.kind()))?;
                lossy |= cut;
                value
            }
        };
        let fitted = self.fit(value, leaf)?;
        lossy |= fitted.lossy;
        if let Some(node) = node.filter(|_| !lossy && !rule.keep) {
            self.take(node, if leaf.is_free { FREE } else { TYPED });
        }
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, Some(&path.label));
        Some(Gave { from_event: true, number: fitted.number, word, word_node: node, is_rest: false })
    }

    /// Writes a whole container: as JSON, or as the text of it where the target takes text.
    fn subtree(&mut self, rule: &'r Rule, leaf: &'r Leaf, path: &'r Path, node: usize) -> Option<Gave<'r>> {
        if rule.kind.unwrap_or(leaf.takes.kind()) != Kind::Json {
            return None;
        }
        let buffers = &mut *self.buffers;
        let (fate, journal) = (&mut buffers.fate, &mut buffers.journal);
        let take = |leaf: usize| {
            if let Some(fate) = fate.get_mut(leaf).filter(|fate| **fate == LEFT && !rule.keep) {
                journal.push((leaf, *fate));
                *fate = FREE;
            }
            true
        };
        let wrote = match leaf.takes {
            Type::Json => buffers.copier.copy(self.nodes, node, b"", &mut buffers.scratch, take),
            Type::Text { .. } => {
                buffers.aux.clear();
                let wrote = buffers.copier.copy(self.nodes, node, b"", &mut buffers.aux, take);
                if let Ok(text) = std::str::from_utf8(&buffers.aux) {
                    push_string(&mut buffers.scratch, text);
                }
                wrote
            }
            _ => false,
        };
        if !wrote {
            return None;
        }
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, Some(&path.label));
        Some(Gave { from_event: true, ..Gave::default() })
    }

    /// Remembers that what is left below a path belongs here; nothing where nothing is left even now.
    fn rest(&mut self, rule: &'r Rule, leaf: &'r Leaf, path: &'r Path) -> Option<Gave<'r>> {
        let Found::Node(node) = self.at(path)? else { return None };
        let buffers = &mut *self.buffers;
        let fate = &buffers.fate;
        let is_left = any_leaf(self.nodes, node, &mut buffers.open, |leaf| fate.get(leaf).copied() == Some(LEFT));
        if !is_left || buffers.void.contains(&(node, rule.id)) {
            return None;
        }
        buffers.splices.push(Splice {
            at: buffers.scratch.len(),
            name: (buffers.names.len(), buffers.names.len()),
            node,
            rule: rule.id,
            is_needed: false,
            has_leaves: false,
        });
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, Some(&path.label));
        Some(Gave { from_event: true, is_rest: true, ..Gave::default() })
    }

    /// Text with values in it, all or nothing. It consumes nothing.
    fn template(&mut self, rule: &'r Rule, leaf: &'r Leaf, pieces: &'r [Piece]) -> Option<Gave<'r>> {
        let mut text = std::mem::take(&mut self.buffers.aux);
        text.clear();
        let whole = pieces.iter().all(|piece| match piece {
            Piece::Text(constant) => {
                text.extend_from_slice(constant.as_bytes());
                true
            }
            Piece::Path(path) => {
                let part = self.leaf_at(path).filter(|part| *part != Scalar::Text(""));
                part.is_some_and(|part| {
                    with_text(part, |part| text.extend_from_slice(part.as_bytes()));
                    true
                })
            }
        });
        let gave = match std::str::from_utf8(&text) {
            Ok(made) if whole && !made.is_empty() => self.made(rule, leaf, made),
            _ => None,
        };
        self.buffers.aux = text;
        gave
    }

    fn made(&mut self, rule: &'r Rule, leaf: &'r Leaf, text: &str) -> Option<Gave<'r>> {
        let source = Scalar::Text(text);
        if rule.skip.iter().any(|skip| skip == text) {
            return None;
        }
        let source = match &rule.cut {
            None => source,
            Some(cut) => Scalar::Text(cut_out(cut, source)?),
        };
        let value = match &rule.map {
            Some(Map::Enum(words)) => Value::Scalar(scalar_of(look_up(words, source)?)),
            _ => convert_in(source, rule.kind.unwrap_or(leaf.takes.kind()), &self.plan.zone)?.0,
        };
        let fitted = self.fit(value, leaf)?;
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, None);
        Some(Gave { from_event: true, number: fitted.number, ..Gave::default() })
    }

    /// A hash of the log type, the first of these paths that is there, and the event's bytes. It consumes nothing.
    fn uid(&mut self, rule: &'r Rule, leaf: &'r Leaf, paths: &'r [Path]) -> Option<Gave<'r>> {
        let mut hash = Sha256::new();
        hash.update(self.log_type.as_bytes());
        hash.update([0x1f]);
        if let Some(first) = paths.iter().find_map(|path| self.leaf_at(path).filter(|text| *text != Scalar::Text(""))) {
            with_text(first, |text| hash.update(text.as_bytes()));
        }
        hash.update([0x1f]);
        hash.update(self.digest);
        let hash = hash.finalize();
        let scratch = &mut self.buffers.scratch;
        scratch.push(b'"');
        push_hex(scratch, hash.get(..16)?);
        scratch.push(b'"');
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, None);
        Some(Gave { from_event: true, ..Gave::default() })
    }

    /// Writes a value where it fits the target, and notes what the target is besides.
    fn fit(&mut self, value: Value<'_>, leaf: &Leaf) -> Option<convert::Fitted> {
        let buffers = &mut *self.buffers;
        let begin = buffers.scratch.len();
        let fitted = fit(value, leaf.takes, &mut buffers.scratch)?;
        let written = buffers.scratch.get(begin..).unwrap_or_default();
        if let Some(enumeration) = &leaf.enumeration {
            let known = match fitted.number {
                Some(number) => enumeration.numbers.is_empty() || enumeration.caption(number).is_some(),
                None => enumeration.texts.is_empty() || enumeration.has_text(written),
            };
            if !known {
                buffers.scratch.truncate(begin);
                return None;
            }
        }
        if let Some(observable) = &leaf.observable
            && buffers.observed_count < OBSERVABLES_MAX
        {
            let observed = &mut buffers.observed;
            observed.extend_from_slice(b",{\"name\":\"");
            push_indexed(observed, &leaf.target, &buffers.indices);
            observed.extend_from_slice(b"\",");
            observed.extend_from_slice(&observable.fields);
            observed.extend_from_slice(b",\"value\":");
            if written.first() == Some(&b'"') {
                observed.extend_from_slice(written);
            } else {
                observed.push(b'"');
                observed.extend_from_slice(written);
                observed.push(b'"');
            }
            observed.push(b'}');
            buffers.observed_count = buffers.observed_count.saturating_add(1);
        }
        let inside = (begin.saturating_add(1), buffers.scratch.len().saturating_sub(1));
        match leaf.role {
            Role::Account => self.found.account = inside,
            Role::Region => self.found.region = inside,
            Role::None | Role::Activity | Role::Severity | Role::Time => {}
        }
        Some(fitted)
    }
}

/// What a look-up gave, converted: as the rule says, or a word as the target asks. A number stands as it is written.
fn mapped<'v>(rule: &Rule, leaf: &Leaf, scalar: Scalar<'v>, lossy: &mut bool) -> Option<Value<'v>> {
    let kind = match (rule.kind, scalar) {
        (Some(kind), _) => kind,
        (None, Scalar::Text(_)) => leaf.takes.kind(),
        (None, _) => return Some(Value::Scalar(scalar)),
    };
    let (value, cut) = convert(scalar, kind)?;
    *lossy |= cut;
    Some(value)
}

fn look_up<'p>(words: &'p [(String, Constant)], source: Scalar<'_>) -> Option<&'p Constant> {
    with_text(source, |text| {
        let at = words.binary_search_by(|(word, _)| word.as_str().cmp(text)).ok()?;
        words.get(at).map(|(_, constant)| constant)
    })
}

/// What a cut leaves of a text; nothing where it leaves nothing, or where the leaf is no text.
fn cut_out<'v>(cut: &Cut, scalar: Scalar<'v>) -> Option<&'v str> {
    let Scalar::Text(text) = scalar else { return None };
    let piece = match cut {
        Cut::Before(mark) => text.split_once(mark.as_str())?.0,
        Cut::After(mark) => text.split_once(mark.as_str())?.1,
        Cut::Capture(regex) => regex.captures(text)?.get(1)?.as_str(),
    };
    (!piece.is_empty()).then_some(piece)
}

/// A number times a factor; a whole number where both are.
fn scaled<'v>(source: Scalar<'_>, factor: f64) -> Option<Scalar<'v>> {
    let product = convert::number(source)? * factor;
    if !product.is_finite() {
        return None;
    }
    let whole = convert(Scalar::Float(product), Kind::Integer);
    Some(match (source, whole) {
        (Scalar::Integer(_) | Scalar::Text(_), Some((Value::Scalar(whole @ Scalar::Integer(_)), false))) => match whole
        {
            Scalar::Integer(number) => Scalar::Integer(number),
            _ => Scalar::Float(product),
        },
        _ => Scalar::Float(product),
    })
}
