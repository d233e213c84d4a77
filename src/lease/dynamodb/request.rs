//! A change as DynamoDB takes it: a condition, an update, and the values that both name.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{
    self, CHECKPOINT_OWNER, CHILDREN, COUNTER, LEASE_KEY, OWNER, OWNER_SWITCHES, PENDING, START_TIMESTAMP,
};
use crate::lease::{Change, Checkpoint, Kind, Start};

/// The parts of an `UpdateItem`. The names of attributes stand in them as they are: none is a reserved word.
#[derive(Debug, PartialEq)]
pub struct Update {
    pub condition: String,
    pub expression: String,
    pub values: HashMap<String, AttributeValue>,
}

/// Builds the parts one by one.
#[derive(Default)]
struct Builder {
    condition: Vec<String>,
    set: Vec<String>,
    add: Vec<String>,
    remove: Vec<&'static str>,
    values: HashMap<String, AttributeValue>,
}

/// The update of a change: [`Lease::permits`](crate::lease::Lease::permits) as its condition,
/// [`Lease::apply`](crate::lease::Lease::apply) as what it does. `start` says which sentinel stands for a start at a time.
pub fn update(change: &Change, start: Start) -> Update {
    let mut builder = Builder::default();
    let me = AttributeValue::S(change.by.to_string());
    builder.condition.push(format!("attribute_exists({LEASE_KEY})"));
    match &change.kind {
        Kind::Take { from } => {
            builder.counts_from(change.counter);
            builder.set(OWNER, ":me", me);
            builder.remove.push(CHECKPOINT_OWNER);
            if from.as_ref().is_some_and(|from| *from != change.by) {
                builder.add(OWNER_SWITCHES, 1);
            }
        }
        Kind::Ask { from } => {
            builder.is(OWNER, ":from", AttributeValue::S(from.to_string()));
            builder.condition.push(format!("attribute_not_exists({CHECKPOINT_OWNER})"));
            builder.set(OWNER, ":me", me);
            builder.set.push(format!("{CHECKPOINT_OWNER} = :from"));
        }
        Kind::Withdraw { from } => {
            builder.is(OWNER, ":me", me);
            builder.is(CHECKPOINT_OWNER, ":from", AttributeValue::S(from.to_string()));
            builder.set.push(format!("{OWNER} = :from"));
            builder.remove.push(CHECKPOINT_OWNER);
        }
        Kind::Renew => builder.writes_as(me, change.counter),
        Kind::Checkpoint(checkpoint) => {
            builder.writes_as(me, change.counter);
            builder.moves_to(item::checkpoint(checkpoint, start));
        }
        Kind::Finish { children } => {
            builder.writes_as(me, change.counter);
            builder.moves_to(item::checkpoint(&Checkpoint::ShardEnd, start));
            if !children.is_empty() {
                builder.set(CHILDREN, ":children", AttributeValue::Ss(children.clone()));
            }
        }
        // Asking leaves the counter alone, so that the conditions of both name the owners.
        Kind::HandOver => {
            builder.counts_from(change.counter);
            builder.is(CHECKPOINT_OWNER, ":me", me);
            builder.remove.push(CHECKPOINT_OWNER);
        }
        Kind::Release => {
            builder.counts_from(change.counter);
            builder.is(OWNER, ":me", me);
            builder.condition.push(format!("attribute_not_exists({CHECKPOINT_OWNER})"));
            builder.remove.push(OWNER);
        }
    }
    builder.finish()
}

/// The update that sets the checkpoint of a lease, forwards or back, and takes it from its owner.
pub fn reset(counter: u64, checkpoint: &Checkpoint, start: Start) -> Update {
    let mut builder = Builder::default();
    builder.condition.push(format!("attribute_exists({LEASE_KEY})"));
    builder.counts_from(counter);
    builder.moves_to(item::checkpoint(checkpoint, start));
    builder.remove.extend([CHILDREN, OWNER, CHECKPOINT_OWNER]);
    builder.finish()
}

impl Builder {
    fn is(&mut self, name: &str, value_name: &str, value: AttributeValue) {
        self.condition.push(format!("{name} = {value_name}"));
        self.values.insert(value_name.to_owned(), value);
    }

    /// The counter is this, and is counted up.
    fn counts_from(&mut self, counter: u64) {
        self.is(COUNTER, ":counter", item::number(counter));
        self.set(COUNTER, ":next", item::number(counter.saturating_add(1)));
    }

    /// The lease is mine to write: I own it, or hand it over.
    fn writes_as(&mut self, me: AttributeValue, counter: u64) {
        self.counts_from(counter);
        self.condition.push(format!(
            "({CHECKPOINT_OWNER} = :me OR (attribute_not_exists({CHECKPOINT_OWNER}) AND {OWNER} = :me))"
        ));
        self.values.insert(":me".to_owned(), me);
    }

    fn moves_to(&mut self, attributes: impl Iterator<Item = (&'static str, AttributeValue)>) {
        let mut is_at_time = false;
        for (name, value) in attributes {
            is_at_time |= name == START_TIMESTAMP;
            self.set(name, &format!(":{name}"), value);
        }
        if !is_at_time {
            self.remove.push(START_TIMESTAMP);
        }
        self.set(OWNER_SWITCHES, ":none", item::number(0));
        self.remove.extend(PENDING);
    }

    fn set(&mut self, name: &str, value_name: &str, value: AttributeValue) {
        self.set.push(format!("{name} = {value_name}"));
        self.values.insert(value_name.to_owned(), value);
    }

    fn add(&mut self, name: &str, amount: u64) {
        self.add.push(format!("{name} :amount"));
        self.values.insert(":amount".to_owned(), item::number(amount));
    }

    fn finish(self) -> Update {
        let mut clauses = Vec::new();
        if !self.set.is_empty() {
            clauses.push(format!("SET {}", self.set.join(", ")));
        }
        if !self.add.is_empty() {
            clauses.push(format!("ADD {}", self.add.join(", ")));
        }
        if !self.remove.is_empty() {
            clauses.push(format!("REMOVE {}", self.remove.join(", ")));
        }
        Update { condition: self.condition.join(" AND "), expression: clauses.join(" "), values: self.values }
    }
}
