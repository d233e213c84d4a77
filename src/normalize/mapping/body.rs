//! Reading bodies: the `[set]` and the blocks of a mapping, a case, a part or another block.

use super::ast::{At, Block, Body, Conditions, Set, Target};
use super::document::{Member, Table};
use super::notation::target_text;
use super::reader::Reader;

impl Reader {
    /// The rules and blocks of a table. `scope` stands before the targets in the names of rules.
    pub(super) fn body(&mut self, table: &Table, scope: &str) -> Body {
        let sets = match table.get("set") {
            Some(member) => self
                .table(&member.node, "`set`")
                .map(|set| set.members.iter().filter_map(|member| self.set(member, scope)).collect())
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let blocks = self.tables(table, "block", "`[[block]]`");
        let blocks = blocks.into_iter().filter_map(|(at, block)| self.block(at, block, scope)).collect();
        Body { needs: Vec::new(), sets, blocks }
    }

    /// One line of a `[set]`.
    pub(super) fn set(&mut self, member: &Member, scope: &str) -> Option<Set> {
        let target = self.target(&member.key, &member.at)?;
        let label = format!("{scope}{}", target_text(&target));
        let rule = self.rule(&member.node, &member.at, &label, &target)?;
        Some(Set { target, rule })
    }

    fn block(&mut self, at: &At, table: &Table, scope: &str) -> Option<Block> {
        self.known(table, "a block", &["target", "from", "each", "when", "otherwise", "set", "block"]);
        let reported = self.errors.len();
        let (target_at, target) = self.block_target(at, table)?;
        let label = format!("{scope}{}", target_text(&target));
        let id = self.number(format!("block {label}"), target_at);
        let from = table.get("from").and_then(|member| self.path(&member.node, "`from`"));
        let each = table.get("each").and_then(|member| self.any_path(&member.node, "`each`"));
        let when = match table.get("when") {
            Some(member) => self.conditions(&member.node, "`when`").unwrap_or_default(),
            None => Conditions::default(),
        };
        let otherwise = match table.get("otherwise") {
            Some(member) => self.boolean(&member.node, "`otherwise`").unwrap_or(false),
            None => false,
        };
        let body = self.body(table, &format!("{label}."));
        if self.errors.len() == reported && body.sets.is_empty() && body.blocks.is_empty() {
            self.report(at, format!("the block `{label}` writes nothing: it has no `set` and no block"));
        }
        Some(Block { target, from, each, when, otherwise, body, id, at: target_at.clone() })
    }

    fn block_target<'t>(&mut self, at: &At, table: &'t Table) -> Option<(&'t At, Target)> {
        let member = self.required(table, "target", "a block", at)?;
        let text = self.text(&member.node, "`target`")?;
        Some((&member.node.at, self.target(text, &member.node.at)?))
    }
}
