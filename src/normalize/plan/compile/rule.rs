//! Rules, conditions and paths.

use std::sync::Arc;

use super::super::super::convert::Type;
use super::super::super::mapping::ast::{self, At, Kind, Step};
use super::super::{
    Block, Condition, Conditions, Each, Fallback, Map, Path, Piece, Place, Rule, Scope, Source, Wanted, target,
};
use super::object::items;
use super::{Bits, Compiler, Fallible, Site, error, error_at};

impl Compiler {
    pub(super) fn rule(
        &mut self,
        rule: &ast::Rule,
        attribute: &'static crate::vocabulary::Attribute,
        path: &str,
    ) -> Fallible<Rule> {
        let at = &rule.at;
        let source = match &rule.source {
            ast::Source::First(paths) => Source::First(self.paths(paths, at)?),
            ast::Source::All(paths) => Source::All(self.paths(paths, at)?),
            ast::Source::Value(constant) => Source::Constant(constant.clone()),
            ast::Source::Values(constants) => Source::Constants(constants.clone().into()),
            ast::Source::Template(pieces) => {
                let mut made = Vec::new();
                for piece in pieces {
                    made.push(match piece {
                        ast::Piece::Text(text) => Piece::Text(text.as_str().into()),
                        ast::Piece::Path(path) => Piece::Path(self.path(path, Some(at))?),
                    });
                }
                Source::Template(made.into())
            }
            ast::Source::Cases(arms) => {
                let mut made = Vec::new();
                for arm in arms {
                    made.push((self.conditions(&arm.when, at)?, self.rule(&arm.rule, attribute, path)?));
                }
                Source::Cases(made.into())
            }
            ast::Source::Part { name, from } => {
                let parts = Arc::clone(&self.parts);
                let (Some(body), Some(inner)) = (parts.get(name), self.table.object_of(attribute)) else {
                    return Err(error(at, format!("{path} cannot be filled by part {name:?}")));
                };
                let site = Site { shape: &inner.shape, path, may_fold: true };
                let from = from.clone().map(|from| (from, false));
                let (base, mut object) =
                    self.based(from, at, |compiler| compiler.object(&site, items(body), &mut Bits::default(), at))?;
                object.may_be_constant |= attribute.is_required(&self.profiles);
                let when = Conditions::default();
                Source::Part(Box::new(Block { id: None, base, when, otherwise: false, object }))
            }
            ast::Source::Each { each, only, rule: inner } => {
                let compile =
                    |compiler: &mut Self| Ok((compiler.conditions(only, at)?, compiler.rule(inner, attribute, path)?));
                let (base, (only, rule)) = self.based(Some((each.clone(), true)), at, compile)?;
                let Some(base) = base else { return Err(error(at, format!("{path} has no list to go over"))) };
                Source::Each(Box::new(Each { base, only, rule }))
            }
            ast::Source::Rest(path) => Source::Rest(self.path(path, Some(at))?),
            ast::Source::Uid(paths) => Source::Uid(self.paths(paths, at)?),
        };
        let default = match rule.default.as_deref() {
            None => None,
            Some(ast::Fallback::Constant(constant)) => Some(Box::new(Fallback::Constant(constant.clone()))),
            Some(ast::Fallback::Rule(rule)) => Some(Box::new(Fallback::Rule(self.rule(rule, attribute, path)?))),
        };
        Ok(Rule {
            id: rule.id,
            source,
            skip: rule.convert.skip.clone().into(),
            cut: rule.convert.cut.clone(),
            map: rule.convert.map.as_ref().map(map),
            kind: rule.convert.kind,
            default,
            keep: rule.keep,
            distinct: rule.distinct,
            is_plain: is_plain(&rule.convert, target::takes(attribute)),
        })
    }

    pub(in super::super) fn conditions(&mut self, conditions: &ast::Conditions, at: &At) -> Fallible<Conditions> {
        let mut made = Vec::new();
        for condition in &conditions.0 {
            made.push(match condition {
                ast::Condition::Is { path, wanted } => Condition::Is {
                    path: self.path(path, Some(at))?,
                    wanted: wanted.iter().map(self::wanted).collect(),
                },
                ast::Condition::Any(any) => {
                    let any: Fallible<Vec<_>> = any.iter().map(|inner| self.conditions(inner, at)).collect();
                    Condition::Any(any?.into())
                }
                ast::Condition::Same(a, b) => Condition::Same(self.path(a, Some(at))?, self.path(b, Some(at))?),
                ast::Condition::Differ(a, b) => Condition::Differ(self.path(a, Some(at))?, self.path(b, Some(at))?),
                ast::Condition::Later(a, b) => Condition::Later(self.path(a, Some(at))?, self.path(b, Some(at))?),
            });
        }
        Ok(Conditions(made.into()))
    }

    pub(super) fn paths(&mut self, paths: &[ast::Path], at: &At) -> Fallible<Box<[Path]>> {
        paths.iter().map(|path| self.path(path, Some(at))).collect()
    }

    pub(super) fn path(&mut self, path: &ast::Path, at: Option<&At>) -> Fallible<Path> {
        let mut depth = 0;
        let place = match path {
            ast::Path::Event { base, steps } => {
                let up = match base {
                    ast::Base::Here => 0,
                    ast::Base::Root => self.stack.len().saturating_sub(1),
                    ast::Base::Parent(up) => usize::from(*up),
                };
                let level = self.stack.len().saturating_sub(1).saturating_sub(up);
                let scope = self.stack.get(level).copied().unwrap_or(0);
                let above = self.scopes.get(scope).map_or(0, |scope| scope.depth);
                depth = above.saturating_add(steps.len());
                let (slot, tail) = self.slot(scope, steps);
                Place::Tape { slot, tail }
            }
            ast::Path::Key => match self.each.last() {
                Some(slot) => Place::Tape { slot: *slot, tail: Box::default() },
                None => return Err(error_at(at, "@key stands in no `each`".to_owned())),
            },
            ast::Path::Envelope(field) => Place::Envelope(*field),
            ast::Path::Text => Place::Text,
            ast::Path::LogType => Place::LogType,
        };
        Ok(Path { place, label: label(path).into(), depth })
    }

    /// The slot that the walk fills for these steps, and the steps from the first on that may lead to several values.
    pub(super) fn slot(&mut self, scope: usize, steps: &[Step]) -> (usize, Box<[Step]>) {
        let Some(Scope { trie, .. }) = self.scopes.get_mut(scope) else { return (0, Box::default()) };
        let mut node = 0;
        let mut rest = steps;
        while let Some((step, after)) = rest.split_first() {
            let next = match step {
                Step::Key(key) => trie.key(node, key, &mut self.slots),
                Step::Index(index) => trie.index(node, usize::try_from(*index).unwrap_or(usize::MAX), &mut self.slots),
                Step::From(_) | Step::Each => None,
            };
            let Some(next) = next else { break };
            node = next;
            rest = after;
        }
        (trie.nodes.get(node).map_or(0, |node| node.slot), rest.into())
    }
}

/// Whether a text that a rule reads is written as it is, if it fits.
fn is_plain(convert: &ast::Convert, takes: Type) -> bool {
    let is_text = takes.kind() == Kind::String || (takes == Type::Json && convert.kind.is_none());
    let changes = convert.cut.is_some() || convert.map.is_some() || !convert.skip.is_empty();
    is_text && !changes && matches!(convert.kind, None | Some(Kind::String))
}

pub(super) fn map(map: &ast::Map) -> Map {
    match map {
        ast::Map::Enum(words) => {
            let mut words = words.clone();
            words.sort_by(|a, b| a.0.cmp(&b.0));
            Map::Enum(words.into())
        }
        ast::Map::Bands(bands) => {
            Map::Bands(bands.iter().map(|band| (band.from, band.inclusive, band.value.clone())).collect())
        }
        ast::Map::Scale(factor) => Map::Scale(*factor),
    }
}

pub(super) fn wanted(wanted: &ast::Wanted) -> Wanted {
    match wanted {
        ast::Wanted::Equals(constant) => Wanted::Equals(constant.clone()),
        ast::Wanted::Text { prefix, suffix, contains } => {
            Wanted::Text { prefix: prefix.clone(), suffix: suffix.clone(), contains: contains.clone() }
        }
        ast::Wanted::EqualsIgnoreCase(text) => Wanted::EqualsIgnoreCase(text.clone()),
        ast::Wanted::AnythingBut(these) => Wanted::AnythingBut(these.iter().map(self::wanted).collect()),
        ast::Wanted::Numeric(bounds) => Wanted::Numeric(bounds.clone().into()),
        ast::Wanted::Exists(exists) => Wanted::Exists(*exists),
    }
}

/// `each` below `from`.
pub(super) fn joined(from: &ast::Path, each: &ast::Path, at: &At) -> Fallible<ast::Path> {
    match (from, each) {
        (ast::Path::Event { base, steps }, ast::Path::Event { base: ast::Base::Here, steps: more }) => {
            Ok(ast::Path::Event { base: *base, steps: steps.iter().chain(more).cloned().collect() })
        }
        (_, ast::Path::Event { base: ast::Base::Root, .. }) => Ok(each.clone()),
        _ => Err(error(at, "`each` is not below `from`".to_owned())),
    }
}

pub(super) fn steps_of(path: &ast::Path, at: Option<&At>) -> Fallible<Vec<Step>> {
    match path {
        ast::Path::Event { base: ast::Base::Here | ast::Base::Root, steps } => Ok(steps.clone()),
        _ => Err(error_at(at, format!("{} does not begin at the root", label(path)))),
    }
}

/// A path as it is written.
pub(super) fn label(path: &ast::Path) -> String {
    let mut text = match path {
        ast::Path::Key => return "@key".to_owned(),
        ast::Path::Envelope(field) => return format!("@envelope.{}", field.name()),
        ast::Path::Text => return "@text".to_owned(),
        ast::Path::LogType => return "@log_type".to_owned(),
        ast::Path::Event { base: ast::Base::Here, steps } if steps.is_empty() => return ".".to_owned(),
        ast::Path::Event { base, .. } => match base {
            ast::Base::Here => String::new(),
            ast::Base::Root => "/".to_owned(),
            ast::Base::Parent(up) => "^.".repeat(usize::from(*up)),
        },
    };
    if let ast::Path::Event { steps, .. } = path {
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    if number > 0 {
                        text.push('.');
                    }
                    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                    if !key.is_empty() && key.bytes().all(plain) {
                        text.push_str(key);
                    } else {
                        text.extend([&format!("{key:?}")].map(String::as_str));
                    }
                }
                Step::Index(index) => text.extend(["[", &index.to_string(), "]"]),
                Step::From(first) => text.extend(["[", &first.to_string(), "..]"]),
                Step::Each => text.push_str("[]"),
            }
        }
    }
    text
}
