//! From a mapping as it was read to a plan.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::convert::{Value, fit};
use super::super::json::{push_comma, push_string};
use super::super::mapping::ast::{self, At, Constant, Keys, Segment, Step};
use super::super::tape::Scalar;
use super::super::text::Layout;
use super::{
    Array, Base, Block, Case, Condition, Conditions, Content, DEPTH_MAX, Error, Fallback, Ignore, Leaf, MEMBERS_MAX,
    Map, Match, Member, Object, Parse, Path, Piece, Place, Plan, Role, Rule, Scope, Source, Trie, Wanted, target,
};
use crate::ocsf::{Class, Constraint, Requirement, Shape, Table};

/// The bit of a member that no rule writes: what asks for it is never met.
const NEVER: u128 = 1 << 127;

/// What the engine writes into every class, so that no rule has to.
const ENGINE: [&str; 7] =
    ["class_uid", "category_uid", "type_uid", "activity_id", "observables", "unmapped", "class_name"];

/// The state of compiling one mapping.
pub(super) struct Compiler {
    table: &'static Table,
    keys: Keys,
    slots: usize,
    scopes: Vec<Scope>,
    /// The scopes around the rule that is compiled, the root first.
    stack: Vec<usize>,
    /// The key slots of the `each`es around it.
    each: Vec<usize>,
    depth: usize,
    profiles: Vec<String>,
    parts: Arc<BTreeMap<String, ast::Body>>,
    /// Constants of the class that the engine must know.
    activity: Option<i64>,
    severity: Option<i64>,
    time: Option<i64>,
}

/// A rule or block on its way to the object it belongs to: what is left of its target.
#[derive(Clone, Copy)]
enum Item<'b> {
    Set(&'b [Segment], &'b ast::Rule),
    Block(&'b [Segment], &'b ast::Block),
    Need(&'b [Segment]),
}

/// The members of an object that is compiled, and their bits.
#[derive(Default)]
struct Bits {
    by_name: HashMap<String, u128>,
}

/// Where a rule's target stands.
struct Site<'s> {
    shape: &'static Shape,
    /// The target of the object, from the class on; empty for the class.
    path: &'s str,
    /// Whether constants may be rendered at once: not where what another block wrote stands.
    may_fold: bool,
}

type Fallible<T> = Result<T, Error>;

impl Compiler {
    pub(super) fn new(table: &'static Table, keys: Keys) -> Self {
        let mut compiler = Self {
            table,
            keys,
            slots: 0,
            scopes: Vec::new(),
            stack: Vec::new(),
            each: Vec::new(),
            depth: 0,
            profiles: Vec::new(),
            parts: Arc::default(),
            activity: None,
            severity: None,
            time: None,
        };
        let root = compiler.begin_scope(keys);
        compiler.stack.push(root);
        compiler
    }

    /// Adds a scope; it is entered by [`Self::within`].
    pub(super) fn begin_scope(&mut self, keys: Keys) -> usize {
        let key_slot = self.slots;
        self.slots = self.slots.saturating_add(1);
        let trie = Trie::new(keys, &mut self.slots);
        self.scopes.push(Scope { trie, key_slot, depth: 0 });
        self.scopes.len().saturating_sub(1)
    }

    /// Compiles with this scope as the root.
    pub(super) fn at_root<R>(&mut self, scope: usize, compile: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.stack, vec![scope]);
        let made = compile(self);
        self.stack = before;
        made
    }

    fn within<R>(&mut self, scope: usize, compile: impl FnOnce(&mut Self) -> R) -> R {
        self.stack.push(scope);
        let made = compile(self);
        self.stack.pop();
        made
    }

    /// The slot of a path of keys from the root.
    pub(super) fn root_slot(&mut self, keys: &[&str]) -> usize {
        let steps: Vec<Step> = keys.iter().map(|key| Step::Key((*key).to_owned())).collect();
        self.slot(0, &steps).0
    }

    pub(super) fn into_detector(self) -> Plan {
        Plan {
            log_type: Arc::from("detector"),
            keys: self.keys,
            scopes: self.scopes,
            slots: self.slots,
            cases: Vec::new(),
            parses: Vec::new(),
            ignores: Vec::new(),
            layout: None,
            matches: Vec::new(),
            names: Vec::new(),
        }
    }

    pub(super) fn plan(mut self, mapping: ast::Mapping, matches: Vec<Match>) -> Result<Plan, Vec<Error>> {
        let mut errors = Vec::new();
        self.parts = Arc::new(mapping.parts);
        let mut cases = Vec::new();
        for case in &mapping.cases {
            match self.case(case) {
                Ok(case) => cases.push(case),
                Err(error) => errors.push(error),
            }
        }
        let at = mapping.cases.first().map(|case| case.at.clone());
        let mut parses = Vec::new();
        for parse in mapping.parses {
            let twin = parse.twin.map(|twin| steps_of(&twin, at.as_ref())).transpose();
            match (steps_of(&parse.path, at.as_ref()), twin) {
                (Ok(path), Ok(twin)) => parses.push(Parse { id: parse.id, path, twin }),
                (Err(error), _) | (_, Err(error)) => errors.push(error),
            }
        }
        let mut ignores = Vec::new();
        for ignore in &mapping.ignores {
            match self.path(&ignore.path, at.as_ref()) {
                Ok(path) => ignores.push(Ignore { id: ignore.id, path }),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Plan {
            log_type: mapping.log_type,
            keys: self.keys,
            scopes: self.scopes,
            slots: self.slots,
            cases,
            parses,
            ignores,
            layout: mapping.text.map(Layout::new),
            matches,
            names: mapping.rules,
        })
    }

    fn case(&mut self, case: &ast::Case) -> Fallible<Case> {
        let Some(class) = self.table.class(&case.class) else {
            return Err(error(&case.at, format!("no class {:?}", case.class)));
        };
        self.profiles.clone_from(&case.profiles);
        (self.activity, self.severity, self.time) = (None, None, None);
        let when = self.conditions(&case.when, &case.at)?;
        let site = Site { shape: &class.shape, path: "", may_fold: true };
        let mut object = self.object(&site, items(&case.body), &mut Bits::default(), &case.at)?;
        object.may_be_constant = true;
        let mut head = class_head(class);
        let has_metadata =
            case.body.sets.iter().map(|set| &set.target).chain(case.body.blocks.iter().map(|block| &block.target));
        if !has_metadata.into_iter().any(|target| target.segments.first().is_some_and(|first| first.name == "metadata"))
        {
            head.extend_from_slice(b",\"metadata\":{");
            head.extend_from_slice(&self.metadata());
            head.push(b'}');
        }
        let mut activity_default = Vec::new();
        let mut activities = Vec::new();
        if let Some(attribute) = class.shape.attribute("activity_id") {
            for value in attribute.enumeration.iter().flat_map(|values| &values.values) {
                let Ok(number) = value.key.parse::<i64>() else { continue };
                let type_uid = i64::from(class.uid).saturating_mul(100).saturating_add(number);
                let mut fields = format!("\"type_uid\":{type_uid},\"type_name\":").into_bytes();
                push_string(&mut fields, &format!("{}: {}", class.shape.caption, value.caption));
                activities.push((number, fields));
                if number == 0 && self.activity.is_none() {
                    activity_default.extend_from_slice(b"\"activity_id\":0,\"activity_name\":");
                    push_string(&mut activity_default, &value.caption);
                }
            }
        }
        Ok(Case {
            id: case.id,
            when,
            object,
            class_uid: class.uid,
            head,
            activities,
            activity_default,
            activity: self.activity.unwrap_or(0),
            severity: self.severity,
            time: self.time,
        })
    }

    /// `"version":"1.8.0","profiles":["cloud"]`
    fn metadata(&self) -> Vec<u8> {
        let mut out = b"\"version\":".to_vec();
        push_string(&mut out, self.table.version());
        if !self.profiles.is_empty() {
            out.extend_from_slice(b",\"profiles\":[");
            for profile in &self.profiles {
                push_comma(&mut out);
                push_string(&mut out, profile);
            }
            out.push(b']');
        }
        out
    }

    /// Compiles what writes one object, and what must hold of it.
    fn object(&mut self, site: &Site<'_>, items: Vec<Item<'_>>, bits: &mut Bits, at: &At) -> Fallible<Object> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_MAX {
            return Err(error(at, format!("blocks and parts are nested more than {DEPTH_MAX} deep")));
        }
        let mut object = Object::default();
        if site.path == "metadata" {
            object.fixed = self.metadata();
            object.fixed_members |= bits.of("version", at)? | bits.of("profiles", at)?;
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
    fn member(
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
                inner.may_be_constant = inner.is_constant()
                    || (attribute.requirement == Requirement::Required && attribute.is_in_force(&self.profiles));
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
        object.members.push(Member { bit, prefix, content });
        Ok(())
    }

    /// Renders a constant at once, with its sibling. False where it has to wait.
    fn fold(&mut self, name: &str, bit: u128, rule: &Rule, leaf: &Leaf, object: &mut Object) -> bool {
        let Source::Constant(constant) = &rule.source else { return false };
        if leaf.observable.is_some() || matches!(leaf.role, Role::Account | Role::Region) {
            return false;
        }
        let mut value = Vec::new();
        let Some(fitted) = fit(Value::Scalar(scalar_of(constant)), leaf.takes, &mut value) else { return false };
        push_fixed(&mut object.fixed, name);
        object.fixed.extend_from_slice(&value);
        object.fixed_members |= bit;
        if let (Some(number), Some(enumeration)) = (fitted.number, &leaf.enumeration)
            && let (Some((bit, name)), Some(caption)) = (&enumeration.sibling, enumeration.caption(number))
        {
            object.fixed.push(b',');
            object.fixed.extend_from_slice(name);
            object.fixed.extend_from_slice(caption);
            object.fixed_members |= bit;
        }
        match leaf.role {
            Role::Activity => self.activity = fitted.number,
            Role::Severity => self.severity = fitted.number,
            Role::Time => self.time = fitted.number,
            Role::None | Role::Account | Role::Region => {}
        }
        object.fixed_rules.push((rule.id, leaf.target.clone()));
        true
    }

    /// What the schema asks of an object, as far as these members can give it.
    fn constraints(&self, site: &Site<'_>, bits: &mut Bits, object: &mut Object) {
        (object.required, object.at_least_one, object.just_one) = (0, Vec::new(), Vec::new());
        for attribute in &site.shape.attributes {
            let by_engine = site.path.is_empty() && ENGINE.contains(&attribute.name)
                || site.path.is_empty() && attribute.name == "metadata" && bits.known("metadata") == NEVER;
            if attribute.requirement == Requirement::Required && attribute.is_in_force(&self.profiles) && !by_engine {
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

    fn block(&mut self, site: &Site<'_>, block: &ast::Block, bits: &mut Bits) -> Fallible<Block> {
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
    fn based<R>(
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

    fn rule(&mut self, rule: &ast::Rule, attribute: &'static crate::ocsf::Attribute, path: &str) -> Fallible<Rule> {
        let at = &rule.at;
        let source = match &rule.source {
            ast::Source::First(paths) => Source::First(self.paths(paths, at)?),
            ast::Source::All(paths) => Source::All(self.paths(paths, at)?),
            ast::Source::Value(constant) => Source::Constant(constant.clone()),
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
                object.may_be_constant |=
                    attribute.requirement == Requirement::Required && attribute.is_in_force(&self.profiles);
                let when = Conditions::default();
                Source::Part(Box::new(Block { id: None, base, when, otherwise: false, object }))
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
        })
    }

    pub(super) fn conditions(&mut self, conditions: &ast::Conditions, at: &At) -> Fallible<Conditions> {
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
            });
        }
        Ok(Conditions(made.into()))
    }

    fn paths(&mut self, paths: &[ast::Path], at: &At) -> Fallible<Box<[Path]>> {
        paths.iter().map(|path| self.path(path, Some(at))).collect()
    }

    fn path(&mut self, path: &ast::Path, at: Option<&At>) -> Fallible<Path> {
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
    fn slot(&mut self, scope: usize, steps: &[Step]) -> (usize, Box<[Step]>) {
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

impl<'b> Item<'b> {
    fn segments(self) -> &'b [Segment] {
        match self {
            Self::Set(segments, _) | Self::Block(segments, _) | Self::Need(segments) => segments,
        }
    }

    fn at(self) -> Option<&'b At> {
        match self {
            Self::Set(_, rule) => Some(&rule.at),
            Self::Block(_, block) => Some(&block.at),
            Self::Need(_) => None,
        }
    }
}

impl Bits {
    fn of(&mut self, name: &str, at: &At) -> Fallible<u128> {
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
    fn known(&self, name: &str) -> u128 {
        self.by_name.get(name).copied().unwrap_or(NEVER)
    }
}

impl Object {
    /// Whether nothing in it can come from the event.
    fn is_constant(&self) -> bool {
        self.blocks.is_empty()
            && self.members.iter().all(|member| match &member.content {
                Content::Rule(content) | Content::Rules(content) => matches!(content.0.source, Source::Constant(_)),
                Content::Object(object) => object.is_constant(),
                Content::Array(array) => {
                    array.rule.is_none()
                        && array.blocks.iter().all(|block| block.base.is_none() && block.object.is_constant())
                }
            })
    }

    fn is_met_by_constants(&self) -> bool {
        let present = self.fixed_members;
        present != 0
            && present & self.required == self.required
            && self.at_least_one.iter().all(|any| present & any != 0)
            && self.just_one.iter().all(|one| (present & one).is_power_of_two())
    }
}

impl Content {
    /// How deep in the event the outermost `rest` in it begins; `None` where it has none.
    fn rest_depth(&self) -> Option<usize> {
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
    fn rest_depth(&self) -> Option<usize> {
        let members = self.members.iter().filter_map(|member| member.content.rest_depth());
        members.chain(self.blocks.iter().filter_map(|block| block.object.rest_depth())).min()
    }
}

impl Rule {
    fn rest_depth(&self) -> Option<usize> {
        let here = match &self.source {
            Source::Rest(path) => Some(path.depth),
            Source::Cases(arms) => arms.iter().filter_map(|(_, arm)| arm.rest_depth()).min(),
            Source::Part(part) => part.object.rest_depth(),
            _ => None,
        };
        let default = match self.default.as_deref() {
            Some(Fallback::Rule(rule)) => rule.rest_depth(),
            _ => None,
        };
        here.into_iter().chain(default).min()
    }
}

/// How many conditions there are, as the detector counts them.
pub(super) fn conditions_weight(conditions: &ast::Conditions) -> usize {
    conditions.0.len()
}

fn items(body: &ast::Body) -> Vec<Item<'_>> {
    let sets = body.sets.iter().map(|set| Item::Set(&set.target.segments, &set.rule));
    let blocks = body.blocks.iter().map(|block| Item::Block(&block.target.segments, block));
    let needs = body.needs.iter().map(|need| Item::Need(&need.segments));
    sets.chain(blocks).chain(needs).collect()
}

fn class_head(class: &Class) -> Vec<u8> {
    let mut head = format!("\"class_uid\":{},\"class_name\":", class.uid).into_bytes();
    push_string(&mut head, class.shape.caption);
    head.extend_from_slice(format!(",\"category_uid\":{},\"category_name\":", class.category_uid).as_bytes());
    push_string(&mut head, class.category_name);
    head
}

fn push_fixed(fixed: &mut Vec<u8>, name: &str) {
    if !fixed.is_empty() {
        fixed.push(b',');
    }
    fixed.extend_from_slice(&prefix(name));
}

fn prefix(name: &str) -> Box<[u8]> {
    let mut prefix = Vec::new();
    push_string(&mut prefix, name);
    prefix.push(b':');
    prefix.into()
}

fn map(map: &ast::Map) -> Map {
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

fn wanted(wanted: &ast::Wanted) -> Wanted {
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

fn scalar_of(constant: &Constant) -> Scalar<'_> {
    match constant {
        Constant::Text(text) => Scalar::Text(text),
        Constant::Integer(number) => Scalar::Integer(*number),
        Constant::Float(number) => Scalar::Float(*number),
        Constant::Boolean(value) => Scalar::Boolean(*value),
    }
}

/// `each` below `from`.
fn joined(from: &ast::Path, each: &ast::Path, at: &At) -> Fallible<ast::Path> {
    match (from, each) {
        (ast::Path::Event { base, steps }, ast::Path::Event { base: ast::Base::Here, steps: more }) => {
            Ok(ast::Path::Event { base: *base, steps: steps.iter().chain(more).cloned().collect() })
        }
        (_, ast::Path::Event { base: ast::Base::Root, .. }) => Ok(each.clone()),
        _ => Err(error(at, "`each` is not below `from`".to_owned())),
    }
}

fn steps_of(path: &ast::Path, at: Option<&At>) -> Fallible<Vec<Step>> {
    match path {
        ast::Path::Event { base: ast::Base::Here | ast::Base::Root, steps } => Ok(steps.clone()),
        _ => Err(error_at(at, format!("{} does not begin at the root", label(path)))),
    }
}

/// A path as it is written.
fn label(path: &ast::Path) -> String {
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

fn error(at: &At, problem: String) -> Error {
    Error { at: at.clone(), problem }
}

fn error_at(at: Option<&At>, problem: String) -> Error {
    let nowhere = || At { file: Arc::from(""), line: 0, column: 0 };
    Error { at: at.cloned().unwrap_or_else(nowhere), problem }
}
