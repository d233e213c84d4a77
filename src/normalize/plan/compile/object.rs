//! Objects of the output: which rules and blocks write which member, and what must be there.

use super::super::super::convert::{Value, fit};
use super::super::super::json::push_string;
use super::super::super::mapping::ast::{self, At, Segment, Step};
use super::super::super::tape::scalar_of;
use super::super::{
    Array, Base, Block, Conditions, Content, DEPTH_MAX, Fallback, Leaf, MEMBERS_MAX, Member, Needs, Object, Role, Rule,
    Source, target,
};
use super::rule::joined;
use super::{Bits, Compiler, ENGINE, Fallible, Item, NEVER, Site, error};
use crate::vocabulary::Constraint;

impl Compiler {
    /// Compiles what writes one object, and what must hold of it.
    pub(super) fn object(
        &mut self,
        site: &Site<'_>,
        items: Vec<Item<'_>>,
        bits: &mut Bits,
        at: &At,
    ) -> Fallible<Object> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_MAX {
            return Err(error(at, format!("blocks and parts are nested more than {DEPTH_MAX} deep")));
        }
        let mut object = Object::default();
        if site.path == "metadata" {
            object.fixed = self.metadata();
            object.fixed_members |=
                bits.of("version", at)? | bits.of("profiles", at)? | bits.of("transformation_info_list", at)?;
        }
        let mut groups: Vec<(&str, Vec<Item<'_>>)> = Vec::new();
        let mut needs: Vec<&str> = Vec::new();
        for item in items {
            let Some((first, _)) = item.segments().split_first() else { continue };
            if matches!(item, Item::Need(_)) {
                needs.push(&first.name);
            }
            match groups.iter_mut().find(|(name, _)| *name == first.name) {
                Some((_, group)) => group.push(item),
                None => groups.push((&first.name, vec![item])),
            }
        }
        let names: Vec<&str> = groups.iter().map(|(name, _)| *name).collect();
        for (name, group) in groups {
            if group.iter().all(|item| matches!(item, Item::Need(_))) {
                continue;
            }
            self.member(site, name, &group, &names, bits, &mut object, at)?;
        }
        // What takes the rest comes last, when all others have taken theirs, and the innermost first.
        object.members.sort_by_key(|member| member.content.rest_depth().map(std::cmp::Reverse));
        self.constraints(site, bits, &mut object);
        for need in needs {
            object.required |= bits.known(need);
        }
        object.may_be_constant = object.is_constant();
        self.depth = self.depth.saturating_sub(1);
        Ok(object)
    }

    #[expect(clippy::too_many_arguments, reason = "one call, which splits the loop body off")]
    pub(super) fn member(
        &mut self,
        site: &Site<'_>,
        name: &str,
        group: &[Item<'_>],
        names: &[&str],
        bits: &mut Bits,
        object: &mut Object,
        at: &At,
    ) -> Fallible<()> {
        let at = group.iter().find_map(|item| item.at()).unwrap_or(at);
        let Some(attribute) = site.shape.attribute(name) else {
            return Err(error(at, format!("{} has no attribute {name:?}", site.shape.name)));
        };
        let bit = bits.of(name, at)?;
        let mut path = site.path.to_owned();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        if attribute.is_array {
            path.push_str("[]");
        }
        let sibling = match attribute.sibling {
            Some(sibling) if !names.contains(&sibling) => Some((bits.of(sibling, at)?, prefix(sibling))),
            _ => None,
        };
        let mut rule = None;
        let mut deeper = Vec::new();
        let mut blocks = Vec::new();
        for item in group {
            match (item, item.segments()) {
                (Item::Set(_, set), [_]) => {
                    let leaf = target::leaf(self.table, site.shape, attribute, &path, sibling.clone());
                    let compiled = self.rule(set, attribute, &path)?;
                    rule = Some((compiled, leaf));
                }
                (Item::Block(_, block), [_]) => blocks.push(*block),
                (Item::Need(_), [_]) | (_, []) => {}
                (Item::Set(_, set), [_, rest @ ..]) => deeper.push(Item::Set(rest, set)),
                (Item::Block(_, block), [_, rest @ ..]) => deeper.push(Item::Block(rest, block)),
                (Item::Need(_), [_, rest @ ..]) => deeper.push(Item::Need(rest)),
            }
        }
        let shape = self.table.object_of(attribute).map(|inner| &inner.shape);
        let content = match (rule, shape) {
            (Some((rule, leaf)), _) if !attribute.is_array => {
                if !deeper.is_empty() || !blocks.is_empty() {
                    return Err(error(at, format!("{path} is written whole, so nothing below it can be")));
                }
                if site.may_fold && self.fold(name, bit, &rule, &leaf, object) {
                    return Ok(());
                }
                Content::Rule(Box::new((rule, leaf)))
            }
            (Some((rule, leaf)), None) => Content::Rules(Box::new((rule, leaf))),
            (None, None) => return Err(error(at, format!("{path} holds no object"))),
            (rule, Some(shape)) if attribute.is_array => {
                let mut array = Array { rule, blocks: Vec::new() };
                if deeper.iter().any(|item| !matches!(item, Item::Need(_))) {
                    let site = Site { shape, path: &path, may_fold: true };
                    let inner = self.object(&site, deeper, &mut Bits::default(), at)?;
                    array.blocks.push(Block {
                        id: None,
                        base: None,
                        when: Conditions::default(),
                        otherwise: false,
                        object: inner,
                    });
                }
                for block in blocks {
                    let site = Site { shape, path: &path, may_fold: true };
                    array.blocks.push(self.block(&site, block, &mut Bits::default())?);
                }
                Content::Array(Box::new(array))
            }
            (_, Some(shape)) => {
                let mut inner_bits = Bits::default();
                let inner_site = Site { shape, path: &path, may_fold: site.may_fold };
                let mut inner = self.object(&inner_site, deeper, &mut inner_bits, at)?;
                for block in blocks {
                    let block_site = Site { shape, path: &path, may_fold: false };
                    let mut made = self.block(&block_site, block, &mut inner_bits)?;
                    // What must hold, must hold of the whole object.
                    (made.object.required, made.object.at_least_one, made.object.just_one) = (0, vec![], vec![]);
                    inner.blocks.push(made);
                }
                let needs = inner.required & !NEVER;
                self.constraints(&inner_site, &mut inner_bits, &mut inner);
                inner.required |= needs;
                inner.may_be_constant = inner.is_constant() || attribute.is_required(&self.profiles);
                if site.may_fold && inner.members.is_empty() && inner.blocks.is_empty() && inner.is_met_by_constants() {
                    push_fixed(&mut object.fixed, name);
                    object.fixed.push(b'{');
                    object.fixed.extend_from_slice(&inner.fixed);
                    object.fixed.push(b'}');
                    object.fixed_members |= bit;
                    object.fixed_rules.append(&mut inner.fixed_rules);
                    return Ok(());
                }
                Content::Object(Box::new(inner))
            }
        };
        let prefix = [b",", &*prefix(name)].concat().into();
        object.members.push(Member { bit, prefix, needs: Needs::of(&content), content });
        Ok(())
    }

    /// Renders a constant at once, with its sibling. False where it has to wait.
    pub(super) fn fold(&mut self, name: &str, bit: u128, rule: &Rule, leaf: &Leaf, object: &mut Object) -> bool {
        let Source::Constant(constant) = &rule.source else { return false };
        if leaf.observable.is_some() || matches!(leaf.role, Role::Account | Role::Region) {
            return false;
        }
        let mut value = Vec::new();
        let Some(fitted) = fit(&Value::Scalar(scalar_of(constant)), leaf.takes, &mut value) else { return false };
        push_fixed(&mut object.fixed, name);
        object.fixed.extend_from_slice(&value);
        object.fixed_members |= bit;
        if let (Some(number), Some(enumeration)) = (fitted.number(), &leaf.enumeration)
            && let (Some((bit, name)), Some(caption)) = (&enumeration.sibling, enumeration.caption(number))
        {
            object.fixed.push(b',');
            object.fixed.extend_from_slice(name);
            object.fixed.extend_from_slice(caption);
            object.fixed_members |= bit;
        }
        match leaf.role {
            Role::Activity => self.activity = fitted.number(),
            Role::Severity => self.severity = fitted.number(),
            Role::Time => self.time = fitted.number(),
            Role::None | Role::Account | Role::Region => {}
        }
        object.fixed_rules.push((rule.id, leaf.target.clone()));
        true
    }

    /// What the schema asks of an object, as far as these members can give it.
    pub(super) fn constraints(&self, site: &Site<'_>, bits: &mut Bits, object: &mut Object) {
        (object.required, object.at_least_one, object.just_one) = (0, Vec::new(), Vec::new());
        for attribute in &site.shape.attributes {
            let by_engine = site.path.is_empty() && ENGINE.contains(&attribute.name)
                || site.path.is_empty() && attribute.name == "metadata" && bits.known("metadata") == NEVER;
            if attribute.is_required(&self.profiles) && !by_engine {
                object.required |= bits.known(attribute.name);
            }
        }
        for constraint in &site.shape.constraints {
            let (Constraint::AtLeastOne(names) | Constraint::JustOne(names)) = constraint;
            let mask = names.iter().fold(0, |mask, name| {
                let first = name.split('.').next().unwrap_or(name);
                mask | bits.known(first)
            });
            match constraint {
                Constraint::AtLeastOne(_) => object.at_least_one.push(mask),
                Constraint::JustOne(_) => object.just_one.push(mask & !NEVER),
            }
        }
    }

    pub(super) fn block(&mut self, site: &Site<'_>, block: &ast::Block, bits: &mut Bits) -> Fallible<Block> {
        let from = match (&block.from, &block.each) {
            (None, None) => None,
            (Some(path), None) => Some((path.clone(), false)),
            (None, Some(path)) => Some((path.clone(), true)),
            (Some(from), Some(each)) => Some((joined(from, each, &block.at)?, true)),
        };
        let mut made = self.based(from, &block.at, |compiler| {
            let when = compiler.conditions(&block.when, &block.at)?;
            let object = compiler.object(site, items(&block.body), bits, &block.at)?;
            Ok(Block { id: Some(block.id), base: None, when, otherwise: block.otherwise, object })
        })?;
        let (base, block) = (made.0.take(), made.1);
        Ok(Block { base, ..block })
    }

    /// Compiles below a base, where there is one.
    pub(super) fn based<R>(
        &mut self,
        from: Option<(ast::Path, bool)>,
        at: &At,
        compile: impl FnOnce(&mut Self) -> Fallible<R>,
    ) -> Fallible<(Option<Base>, R)> {
        let Some((path, mut each)) = from else { return Ok((None, compile(self)?)) };
        if let ast::Path::Event { steps, .. } = &path
            && matches!(steps.last(), Some(Step::Each | Step::From(_)))
        {
            // The path itself already leads to every element.
            each = false;
        }
        let path = self.path(&path, Some(at))?;
        let scope = self.begin_scope(self.keys);
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.depth = path.depth.saturating_add(usize::from(each));
            if each {
                self.each.push(scope.key_slot);
            }
        }
        let made = self.within(scope, compile);
        if each {
            self.each.pop();
        }
        Ok((Some(Base { path, each, scope }), made?))
    }
}

impl<'b> Item<'b> {
    pub(super) fn segments(self) -> &'b [Segment] {
        match self {
            Self::Set(segments, _) | Self::Block(segments, _) | Self::Need(segments) => segments,
        }
    }

    pub(super) fn at(self) -> Option<&'b At> {
        match self {
            Self::Set(_, rule) => Some(&rule.at),
            Self::Block(_, block) => Some(&block.at),
            Self::Need(_) => None,
        }
    }
}

impl Bits {
    pub(super) fn of(&mut self, name: &str, at: &At) -> Fallible<u128> {
        if let Some(bit) = self.by_name.get(name) {
            return Ok(*bit);
        }
        let number = u32::try_from(self.by_name.len()).unwrap_or(u32::MAX);
        if number >= MEMBERS_MAX.saturating_sub(1) {
            return Err(error(at, format!("more than {} attributes in one object", MEMBERS_MAX.saturating_sub(1))));
        }
        let bit = 1_u128 << number;
        self.by_name.insert(name.to_owned(), bit);
        Ok(bit)
    }

    /// The bit of a member that some rule writes; else one that is never set.
    pub(super) fn known(&self, name: &str) -> u128 {
        self.by_name.get(name).copied().unwrap_or(NEVER)
    }
}

impl Object {
    /// Whether nothing in it can come from the event.
    pub(super) fn is_constant(&self) -> bool {
        self.blocks.is_empty()
            && self.members.iter().all(|member| match &member.content {
                Content::Rule(content) | Content::Rules(content) => {
                    matches!(content.0.source, Source::Constant(_) | Source::Constants(_))
                }
                Content::Object(object) => object.is_constant(),
                Content::Array(array) => {
                    array.rule.is_none()
                        && array.blocks.iter().all(|block| block.base.is_none() && block.object.is_constant())
                }
            })
    }

    pub(super) fn is_met_by_constants(&self) -> bool {
        let present = self.fixed_members;
        present != 0
            && present & self.required == self.required
            && self.at_least_one.iter().all(|any| present & any != 0)
            && self.just_one.iter().all(|one| (present & one).is_power_of_two())
    }
}

impl Content {
    /// How deep in the event the outermost `rest` in it begins; `None` where it has none.
    pub(super) fn rest_depth(&self) -> Option<usize> {
        match self {
            Self::Rule(content) | Self::Rules(content) => content.0.rest_depth(),
            Self::Object(object) => object.rest_depth(),
            Self::Array(array) => {
                let by_rule = array.rule.iter().filter_map(|(rule, _)| rule.rest_depth());
                by_rule.chain(array.blocks.iter().filter_map(|block| block.object.rest_depth())).min()
            }
        }
    }
}

impl Object {
    pub(super) fn rest_depth(&self) -> Option<usize> {
        let members = self.members.iter().filter_map(|member| member.content.rest_depth());
        members.chain(self.blocks.iter().filter_map(|block| block.object.rest_depth())).min()
    }
}

impl Rule {
    pub(super) fn rest_depth(&self) -> Option<usize> {
        let here = match &self.source {
            Source::Rest(path) => Some(path.depth),
            Source::Cases(arms) => arms.iter().filter_map(|(_, arm)| arm.rest_depth()).min(),
            Source::Part(part) => part.object.rest_depth(),
            Source::Each(each) => each.rule.rest_depth(),
            _ => None,
        };
        let default = match self.default.as_deref() {
            Some(Fallback::Rule(rule)) => rule.rest_depth(),
            _ => None,
        };
        here.into_iter().chain(default).min()
    }
}

pub(super) fn items(body: &ast::Body) -> Vec<Item<'_>> {
    let sets = body.sets.iter().map(|set| Item::Set(&set.target.segments, &set.rule));
    let blocks = body.blocks.iter().map(|block| Item::Block(&block.target.segments, block));
    let needs = body.needs.iter().map(|need| Item::Need(&need.segments));
    sets.chain(blocks).chain(needs).collect()
}

pub(super) fn push_fixed(fixed: &mut Vec<u8>, name: &str) {
    if !fixed.is_empty() {
        fixed.push(b',');
    }
    fixed.extend_from_slice(&prefix(name));
}

pub(super) fn prefix(name: &str) -> Box<[u8]> {
    let mut prefix = Vec::new();
    push_string(&mut prefix, name);
    prefix.push(b':');
    prefix.into()
}
