//! One value: from a place in the event through a rule's conversions into the output.

use sha2::{Digest, Sha256};

use super::super::convert::{self, Fitted, Type, Value, convert, convert_in, fit, fit_text, text_equals, with_text};
use super::super::explain::Trace;
use super::super::json::{push_hex, push_i64, push_string};
use super::super::mapping::ast::{Constant, Cut, Kind};
use super::super::plan::{Leaf, Map, Path, Piece, Role, Rule};
use super::super::tape::{Scalar, any_leaf, is_there, members, scalar_of};
use super::place::Found;
use super::rule::{Gave, OTHER, Word};
use super::{FREE, LEFT, OBSERVABLES_MAX, Run, Splice, TYPED};

impl<'r, 'a: 'r, T: Trace> Run<'r, 'a, T> {
    /// Writes a text of the event as it is.
    pub(super) fn plain(
        &mut self,
        rule: &'r Rule,
        leaf: &'r Leaf,
        path: &'r Path,
        node: usize,
        text: &'r str,
    ) -> Option<Gave> {
        let begin = self.buffers.scratch.len();
        if !fit_text(text, leaf.takes, &mut self.buffers.scratch) {
            return None;
        }
        self.written(leaf, begin, None)?;
        if !rule.keep {
            self.take(node, if leaf.is_free { FREE } else { TYPED });
        }
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, Some(&path.label));
        Some(Gave::VALUE)
    }

    /// Writes one value that a path led to.
    pub(super) fn value(
        &mut self,
        rule: &'r Rule,
        leaf: &'r Leaf,
        path: &'r Path,
        found: Found<'r>,
        missed: &mut Option<Word<'r>>,
    ) -> Option<Gave> {
        let (scalar, node) = match found {
            Found::Node(node) => match self.scalar(node) {
                Some(scalar) => (scalar, Some(node)),
                None => return self.subtree(rule, leaf, path, node),
            },
            // A line end between tokens would break the output's one line.
            Found::ToldJson(text) if leaf.takes == Type::Json && !text.contains(['\n', '\r']) && !text.is_empty() => {
                self.buffers.scratch.extend_from_slice(text.as_bytes());
                self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, Some(&path.label));
                return Some(Gave::VALUE);
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
        let mut has_word = false;
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
                    has_word = true;
                    self.word = Some((source, node));
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
        let fitted = self.fit(&value, leaf)?;
        lossy |= fitted.is_cut();
        if let Some(node) = node.filter(|_| !lossy && !rule.keep) {
            self.take(node, if leaf.is_free { FREE } else { TYPED });
        }
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, Some(&path.label));
        let gave = Gave::value(fitted.number());
        Some(if has_word { gave.with_word() } else { gave })
    }

    /// Writes a whole container: as JSON, or as the text of it where the target takes text.
    fn subtree(&mut self, rule: &'r Rule, leaf: &'r Leaf, path: &'r Path, node: usize) -> Option<Gave> {
        match rule.kind.unwrap_or(leaf.takes.kind()) {
            Kind::Json => {}
            Kind::Count => return self.count(rule, leaf, path, node),
            _ => return None,
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
        Some(Gave::VALUE)
    }

    /// Writes how many members of a container are there. It consumes nothing: the members are for others.
    fn count(&mut self, rule: &'r Rule, leaf: &'r Leaf, path: &'r Path, node: usize) -> Option<Gave> {
        let nodes = self.nodes;
        let count = members(nodes, node).filter(|(_, value)| nodes.get(*value).copied().is_some_and(is_there)).count();
        let count = i64::try_from(count).ok().filter(|count| *count > 0)?;
        let fitted = self.fit(&Value::Scalar(Scalar::Integer(count)), leaf)?;
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, Some(&path.label));
        Some(Gave::value(fitted.number()))
    }

    /// Remembers that what is left below a path belongs here; nothing where nothing is left even now.
    pub(super) fn rest(&mut self, rule: &'r Rule, leaf: &'r Leaf, path: &'r Path) -> Option<Gave> {
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
        Some(Gave::REST)
    }

    /// Text with values in it, all or nothing. It consumes nothing.
    pub(super) fn template(&mut self, rule: &'r Rule, leaf: &'r Leaf, pieces: &'r [Piece]) -> Option<Gave> {
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

    fn made(&mut self, rule: &'r Rule, leaf: &'r Leaf, text: &str) -> Option<Gave> {
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
        let fitted = self.fit(&value, leaf)?;
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, None);
        Some(Gave::value(fitted.number()))
    }

    /// A hash of the log type, the first of these paths that is there, and the event's bytes. It consumes nothing.
    pub(super) fn uid(&mut self, rule: &'r Rule, leaf: &'r Leaf, paths: &'r [Path]) -> Option<Gave> {
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
        Some(Gave::VALUE)
    }

    /// Writes a value where it fits the target.
    pub(super) fn fit(&mut self, value: &Value<'_>, leaf: &Leaf) -> Option<Fitted> {
        let begin = self.buffers.scratch.len();
        let fitted = fit(value, leaf.takes, &mut self.buffers.scratch)?;
        self.written(leaf, begin, fitted.number())?;
        Some(fitted)
    }

    /// Notes what a value is besides, which stands in the scratch buffer from `begin` on; takes it back where the target's
    /// enum does not have it.
    fn written(&mut self, leaf: &Leaf, begin: usize, number: Option<i64>) -> Option<()> {
        let buffers = &mut *self.buffers;
        let written = buffers.scratch.get(begin..).unwrap_or_default();
        if let Some(enumeration) = &leaf.enumeration {
            let known = match number {
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
            let mut indices = buffers.indices.iter();
            for piece in &observable.pieces {
                observed.extend_from_slice(piece);
                if piece.last() == Some(&b'[')
                    && let Some(index) = indices.next()
                {
                    push_i64(observed, i64::from(*index));
                }
            }
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
        Some(())
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
