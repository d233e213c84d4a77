//! What the event must hold for a member to be worth beginning. Most objects of a mapping are for other events than the one
//! at hand: to know it beforehand is cheaper than to write them and take them back.

use super::{Array, Block, Content, Fallback, Object, Path, Piece, Place, Rule, Source};

/// What must be there for anything to come of a member.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Needs {
    /// Nothing: it may come of constants, of what the envelopes told, or of what is absent.
    Nothing,
    /// A node at one of these slots, each once.
    OneOf(Vec<usize>),
}

impl Needs {
    /// What a member of this content needs.
    pub(super) fn of(content: &Content) -> Self {
        match content {
            Content::Rule(content) | Content::Rules(content) => to_give(&content.0),
            content => to_stand(content),
        }
    }

    const NOTHING_HELPS: Self = Self::OneOf(Vec::new());

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::OneOf(mut slots), Self::OneOf(more)) => {
                slots.extend(more);
                slots.sort_unstable();
                slots.dedup();
                Self::OneOf(slots)
            }
            _ => Self::Nothing,
        }
    }

    fn any(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::NOTHING_HELPS, Self::or)
    }

    fn at(path: &Path) -> Self {
        match path.place {
            Place::Tape { slot, .. } => Self::OneOf(vec![slot]),
            _ => Self::Nothing,
        }
    }
}

/// What a rule needs to give a value.
fn to_give(rule: &Rule) -> Needs {
    match &rule.source {
        _ if rule.default.is_some() => Needs::Nothing,
        Source::Constant(_) | Source::Constants(_) => Needs::Nothing,
        Source::Cases(arms) => Needs::any(arms.iter().map(|(_, arm)| to_give(arm))),
        _ => to_tell(rule),
    }
}

/// What a rule needs to give something of the event: an object of constants alone does not stand.
fn to_tell(rule: &Rule) -> Needs {
    let by_source = match &rule.source {
        Source::First(paths) | Source::All(paths) => Needs::any(paths.iter().map(Needs::at)),
        Source::Constant(_) | Source::Constants(_) => Needs::NOTHING_HELPS,
        Source::Each(each) => Needs::at(&each.base.path),
        Source::Template(pieces) => {
            // All of its paths must be there, so any one of them will do.
            let mut paths = pieces.iter().filter_map(|piece| match piece {
                Piece::Path(path) => Some(Needs::at(path)),
                Piece::Text(_) => None,
            });
            paths.find(|needs| *needs != Needs::Nothing).unwrap_or(Needs::Nothing)
        }
        // A condition that held is something of the event.
        Source::Cases(arms) => {
            Needs::any(arms.iter().map(|(when, arm)| if when.0.is_empty() { to_tell(arm) } else { to_give(arm) }))
        }
        Source::Part(part) => of_block(part),
        Source::Rest(path) => Needs::at(path),
        Source::Uid(_) => Needs::Nothing,
    };
    match rule.default.as_deref() {
        Some(Fallback::Rule(default)) => by_source.or(to_tell(default)),
        Some(Fallback::Constant(_)) | None => by_source,
    }
}

fn to_stand(content: &Content) -> Needs {
    match content {
        Content::Rule(content) | Content::Rules(content) => to_tell(&content.0),
        Content::Object(object) => of_object(object),
        Content::Array(array) => of_array(array),
    }
}

fn of_object(object: &Object) -> Needs {
    if object.may_be_constant {
        return Needs::Nothing;
    }
    let members = object.members.iter().map(|member| to_stand(&member.content));
    Needs::any(members.chain(object.blocks.iter().map(of_block)))
}

fn of_array(array: &Array) -> Needs {
    let rule = array.rule.iter().map(|(rule, _)| to_give(rule));
    Needs::any(rule.chain(array.blocks.iter().map(of_block)))
}

fn of_block(block: &Block) -> Needs {
    match &block.base {
        Some(base) => Needs::at(&base.path),
        None if !block.when.0.is_empty() => Needs::Nothing,
        None => of_object(&block.object),
    }
}
